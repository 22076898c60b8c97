//! Checks on a card beyond its types: values that no model can have, and strings that would later
//! become file names, URLs or arguments of another program.

use super::{Card, RegistryError, Source};

/// A card's text beside the card, so that an error can name the line.
pub(super) struct Checker<'a> {
    file: &'a str,
    text: &'a str,
}

impl<'a> Checker<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Checker { file, text }
    }

    /// The line of `key` whose text also has `value`, or the first line of `key`, or 0.
    pub(super) fn line(&self, key: &str, value: &str) -> usize {
        let is_key = |line: &str| {
            line.match_indices(&format!("{key}:")).any(|(at, _)| {
                let before = line.get(..at).and_then(|before| before.chars().next_back());
                before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '#')
            })
        };
        let find = |wanted: &dyn Fn(&str) -> bool| self.text.lines().position(wanted).map(|i| i + 1);
        find(&|line| is_key(line) && line.contains(value))
            .or_else(|| find(&|line| is_key(line)))
            .unwrap_or_default()
    }

    fn require(
        &self,
        ok: bool,
        field: &str,
        expected: &'static str,
        found: &str,
    ) -> Result<(), RegistryError> {
        if ok {
            return Ok(());
        }
        let key = field.rsplit('.').next().unwrap_or(field);
        Err(RegistryError::Field {
            file: self.file.to_owned(),
            line: self.line(key, found),
            field: field.to_owned(),
            expected,
            found: format!("{found:?}"),
        })
    }

    /// Checks every field of a card.
    pub(super) fn card(&self, card: &Card) -> Result<(), RegistryError> {
        const ID: &str = "lower-case letters, digits, '.', '_' and '-', starting with a letter or digit";
        self.require(is_id(&card.id), "id", ID, &card.id)?;
        for alias in &card.aliases {
            self.require(
                is_id(&alias.to_lowercase()),
                "aliases",
                "letters, digits, '.', '_' and '-'",
                alias,
            )?;
        }
        for (field, value) in [("name", &card.name), ("family", &card.family), ("license", &card.license)] {
            self.require(!value.trim().is_empty(), field, "some text", value)?;
        }
        self.positive("parameters", card.parameters)?;
        self.positive("context", card.context)?;
        self.architecture(card)?;
        for score in &card.published {
            self.require(score.value.is_finite(), "published.value", "a number", &score.value.to_string())?;
        }
        card.sources.iter().try_for_each(|source| self.source(card, source))
    }

    fn positive(&self, field: &str, value: Option<u64>) -> Result<(), RegistryError> {
        self.require(value != Some(0), field, "a positive number", "0")
    }

    fn architecture(&self, card: &Card) -> Result<(), RegistryError> {
        let a = &card.architecture;
        for (field, value) in [
            ("architecture.hidden_size", a.hidden_size),
            ("architecture.intermediate_size", a.intermediate_size),
            ("architecture.num_hidden_layers", a.num_hidden_layers),
            ("architecture.num_attention_heads", a.num_attention_heads),
            ("architecture.num_key_value_heads", a.num_key_value_heads),
            ("architecture.vocab_size", a.vocab_size),
            ("architecture.max_position_embeddings", a.max_position_embeddings),
        ] {
            self.positive(field, value)?;
        }
        for (field, value) in
            [("architecture.rms_norm_eps", a.rms_norm_eps), ("architecture.rope_theta", a.rope_theta)]
        {
            if let Some(value) = value {
                let ok = value.is_finite() && value > 0.0;
                self.require(ok, field, "a positive number", &value.to_string())?;
            }
        }
        if let (Some(heads), Some(kv_heads)) = (a.num_attention_heads, a.num_key_value_heads) {
            let expected = "a divisor of num_attention_heads";
            let found = kv_heads.to_string();
            self.require(heads % kv_heads == 0, "architecture.num_key_value_heads", expected, &found)?;
        }
        Ok(())
    }

    fn source(&self, card: &Card, source: &Source) -> Result<(), RegistryError> {
        match source {
            Source::Pip(pip) => {
                let package = is_word(&pip.package, "._-");
                self.require(package, "sources.pip.package", "a package name", &pip.package)?;
                let version = is_word(&pip.version, "._-+!");
                self.require(version, "sources.pip.version", "one exact version", &pip.version)?;
                let member = is_relative(&pip.member) && pip.member.ends_with(".gguf");
                self.require(
                    member,
                    "sources.pip.member",
                    "the path of a .gguf file in the wheel",
                    &pip.member,
                )?;
                let sha256 = pip.sha256.len() == 64
                    && pip.sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                self.require(sha256, "sources.pip.sha256", "64 lower-case hexadecimal digits", &pip.sha256)?;
                self.positive("sources.pip.size", pip.size)
            }
            Source::Hub(hub) => {
                let parts: Vec<&str> = hub.repo.split('/').collect();
                let repo = parts.len() <= 2 && parts.iter().all(|part| is_word(part, "._-"));
                self.require(repo, "sources.hub.repo", "organisation/name", &hub.repo)?;
                let revision = hub.revision.split('/').all(|part| is_word(part, "._-"));
                self.require(revision, "sources.hub.revision", "a branch, tag or commit", &hub.revision)?;
                let bad = hub.files.iter().find(|file| !is_relative(file));
                let found = bad.map(String::as_str).unwrap_or_default();
                self.require(bad.is_none(), "sources.hub.files", "relative file names without '..'", found)
            }
            Source::Path(path) => {
                let known = path.is_absolute() || card.origin.folder.is_some();
                let expected = "an absolute path, because the card has no folder of its own";
                self.require(known, "sources.path", expected, &path.to_string_lossy())
            }
        }
    }
}

fn is_id(text: &str) -> bool {
    is_word(text, "._-") && !text.bytes().any(|b| b.is_ascii_uppercase())
}

/// ASCII letters, digits and `others`, with a letter or digit first, so that it is never an option or `..`.
fn is_word(text: &str, others: &str) -> bool {
    text.len() <= 200
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

/// Slash-separated, relative, and not leaving the folder that it starts in.
fn is_relative(path: &str) -> bool {
    path.len() <= 1000
        && !path.contains(['\\', ':'])
        && !path.chars().any(char::is_control)
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}
