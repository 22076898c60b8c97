//! Who answers: what a server's answers say of it while it is probed is what all later ones have to say.
//!
//! A gateway may answer in another name than it lists, and many servers have no fingerprint, so answers are held against answers
//! alone, and only in what they say.

use crate::base::http::short;

/// The most characters of what a server calls itself and its models.
pub const MAX_NAME: usize = 1024;

/// What an answer says of who gave it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signature<'a> {
    /// Of the server and its configuration.
    pub fingerprint: Option<&'a str>,
    /// The model's name.
    pub model: Option<&'a str>,
}

/// An answer that may say who gave it.
pub trait Signed {
    /// What it says.
    fn signature(&self) -> Signature<'_>;
}

/// What a server's answers have said of it.
#[derive(Debug, Default)]
pub struct Identity {
    is_settled: bool,
    fingerprint: Said,
    model: Said,
}

/// What an answer says, and what others said before it.
#[derive(Debug, PartialEq, Eq)]
pub struct Another {
    /// What is another one.
    pub what: &'static str,
    /// Before.
    pub before: String,
    /// In this answer.
    pub now: String,
}

#[derive(Debug, Default)]
enum Said {
    #[default]
    Nothing,
    Always(String),
    Varying,
}

impl Identity {
    /// Takes in an answer: learns from it, or holds it against what was learnt.
    ///
    /// # Errors
    /// It is one of another server.
    pub fn hear(&mut self, Signature { fingerprint, model }: Signature<'_>) -> Result<(), Another> {
        let is_settled = self.is_settled;
        for (what, known, now) in
            [("fingerprint", &mut self.fingerprint, fingerprint), ("model", &mut self.model, model)]
        {
            let Some(now) = now.filter(|now| !now.is_empty()).map(|now| short(now, MAX_NAME)) else {
                continue;
            };
            match known {
                Said::Nothing => *known = Said::Always(now),
                Said::Always(before) if *before != now => {
                    if is_settled {
                        return Err(Another { what, before: before.clone(), now });
                    }
                    *known = Said::Varying;
                }
                Said::Always(_) | Said::Varying => {}
            }
        }
        Ok(())
    }

    /// From now on answers are held against what was learnt. Gives what says nothing, because one server's answers differed in it.
    pub fn settle(&mut self) -> Vec<&'static str> {
        self.is_settled = true;
        let said = [("fingerprint", &self.fingerprint), ("model", &self.model)];
        said.into_iter().filter(|(_, said)| matches!(said, Said::Varying)).map(|(what, _)| what).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed<'a>(fingerprint: &'a str, model: &'a str) -> Signature<'a> {
        Signature { fingerprint: Some(fingerprint), model: Some(model) }
    }

    #[test]
    fn another_server_is_one_whose_answers_say_so() {
        let mut identity = Identity::default();
        assert!(identity.hear(signed("a", "m")).is_ok() && identity.settle().is_empty());
        // What an answer does not say tells nothing.
        for same in [signed("a", "m"), signed("", "m"), Signature::default()] {
            assert_eq!(identity.hear(same), Ok(()));
        }
        let another = |what, before: &str, now: &str| {
            Err(Another { what, before: before.to_owned(), now: now.to_owned() })
        };
        assert_eq!(identity.hear(signed("b", "m")), another("fingerprint", "a", "b"));
        assert_eq!(identity.hear(signed("a", "n")), another("model", "m", "n"));
        assert_eq!(identity.hear(signed("a", "m")), Ok(()));
    }

    #[test]
    fn what_differs_from_the_beginning_is_no_sign() {
        let mut identity = Identity::default();
        assert!(identity.hear(signed("a", "m")).is_ok() && identity.hear(signed("b", "m")).is_ok());
        assert_eq!(identity.settle(), ["fingerprint"]);
        assert!(identity.hear(signed("c", "m")).is_ok() && identity.hear(signed("a", "n")).is_err());
        // What is said for the first time by a later answer is held to from there.
        let mut identity = Identity::default();
        assert!(identity.settle().is_empty() && identity.hear(signed("a", "m")).is_ok());
        assert!(identity.hear(signed("b", "m")).is_err());
    }
}
