//! `remote:URL[,URL…][#MODEL]`: where a model is served.

use reqwest::Url;

use super::RemoteError;

/// What an address begins with.
const SCHEME: &str = "remote:";

/// Where a model is served: by one server, or by several that share the load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Their addresses, without the `/v1` of the interface.
    pub urls: Vec<Url>,
    /// The model's name there; `None` where each serves a single one.
    pub model: Option<String>,
}

impl Address {
    /// Whether a name is meant as an address.
    pub fn is_one(name: &str) -> bool {
        name.starts_with(SCHEME)
    }

    /// Reads an address.
    ///
    /// # Errors
    /// What is no address. Nothing is repeated of one that holds a user's name or password.
    pub fn parse(name: &str) -> Result<Self, RemoteError> {
        let wrong = |found: String| RemoteError::Address { found };
        let text = name.strip_prefix(SCHEME).ok_or_else(|| wrong(format!("{name:?}")))?;
        let (urls, model) = match text.split_once('#') {
            Some((_, "")) => return Err(wrong("no name of a model after #".to_owned())),
            Some((urls, model)) => (urls, Some(model.to_owned())),
            None => (text, None),
        };
        let urls: Vec<Url> = urls.split(',').map(one).collect::<Result<_, _>>().map_err(wrong)?;
        let twice = urls.iter().enumerate().find(|(at, url)| urls[..*at].contains(url));
        if let Some((_, url)) = twice {
            return Err(wrong(format!("{url} twice")));
        }
        Ok(Self { urls, model })
    }
}

/// One address, or what is wrong with it.
fn one(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text.trim()).map_err(|error| format!("{text:?} ({error})"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "a user name or a password in it; keys come from the environment (OPENAI_API_KEY)".to_owned()
        );
    }
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || url.query().is_some() {
        return Err(format!("{text:?}"));
    }
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/v1").unwrap_or(path).to_owned();
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_a_model() {
        let read = |text: &str| {
            let Address { urls, model } = Address::parse(text).unwrap();
            (urls.iter().map(Url::to_string).collect::<Vec<_>>(), model)
        };
        assert_eq!(read("remote:http://a:8000"), (vec!["http://a:8000/".to_owned()], None));
        assert_eq!(
            read("remote:https://a/x/v1/,http://b:1/v1#org/m#2"),
            (vec!["https://a/x".to_owned(), "http://b:1/".to_owned()], Some("org/m#2".to_owned()))
        );
        assert!(Address::is_one("remote:x") && !Address::is_one("org/remote"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in [
            "remote:",
            "remote:a:1x",
            "remote:ftp://a",
            "remote:http://a?x=1",
            "remote:http://a#",
            "remote:http://a,http://a/v1",
        ] {
            let said = Address::parse(wrong).unwrap_err().to_string();
            assert!(said.contains("remote:URL"), "{said}");
        }
        let said = Address::parse("remote:http://me:secret@a").unwrap_err().to_string();
        assert!(said.contains("OPENAI_API_KEY") && !said.contains("secret"), "{said}");
    }
}
