//! A first card for a model on the disk: what its configuration and its folder tell, to be completed by hand.

use std::path::Path;

use super::load;
use super::{ArchitectureRecord, Card, CardOrigin, Registry, RegistryError, TokenizerRecord};
use crate::config::ModelConfig;

/// What is known of a model without a card.
#[derive(Debug, Clone, Copy)]
pub struct Draft<'a> {
    /// Its name; that of its folder.
    pub name: &'a str,
    /// Where it lies, as an absolute path.
    pub path: &'a str,
    /// Shape and constants.
    pub config: &'a ModelConfig,
    /// The record of its tokenizer.
    pub tokenizer: Option<&'a TokenizerRecord>,
    /// The model that it was trained from.
    pub base: Option<&'a Card>,
    /// The licence that its own card states.
    pub license: Option<&'a str>,
}

impl Draft<'_> {
    /// The card as YAML, under a name that no card of this registry has.
    ///
    /// # Errors
    /// Numbers that no card may have.
    pub fn yaml(&self, registry: &Registry) -> Result<String, RegistryError> {
        let id = self.id(registry);
        let network = ArchitectureRecord::of_config(self.config);
        let network = serde_yaml::to_string(&network).expect("a record can be written as YAML");
        let network: String = network.lines().map(|line| format!("  {line}\n")).collect();
        let line = |key: &str, value: Option<&str>| {
            value.map_or_else(String::new, |value| format!("{key}: {}\n", word(value)))
        };
        let family = self.base.map_or(self.config.model_type(), |base| &base.family);
        let license = match self.license {
            Some(license) => format!("license: {}\n", quoted(license)),
            None => "license: unknown  # state it\n".to_owned(),
        };
        let yaml = [
            "# Made of the model's own files; what they do not tell (prompt, recipe, languages) can be added.\n",
            &line("id", Some(&id)),
            &format!("name: {}\n", quoted(self.name)),
            &line("family", Some(family)),
            &line("base", self.base.map(|base| base.id.as_str())),
            &format!("context: {}\n", self.config.max_position_embeddings()),
            &format!("architecture:\n{network}"),
            &line("tokenizer", self.tokenizer.map(|record| record.name.as_str())),
            &license,
            "release: {kind: full}\n",
            &format!("sources:\n  - path: {}\n", quoted(self.path)),
        ]
        .concat();
        let folder = Path::new(self.path).parent().map(Path::to_owned);
        load::card(yaml.clone().into(), CardOrigin { file: format!("{id}.yaml"), folder }, None)?;
        Ok(yaml)
    }

    /// The name as an id: one `-` for each run of what an id has no letter for.
    fn id(&self, registry: &Registry) -> String {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_');
        let lower = self.name.to_lowercase();
        let words: Vec<&str> = lower.split(|c: char| !plain(c)).filter(|word| !word.is_empty()).collect();
        let id = words.join("-");
        let id = id.trim_start_matches(['.', '_', '-']);
        let mut id = if id.is_empty() { "model".to_owned() } else { id.to_owned() };
        while registry.card(&id).is_some() {
            id.push_str("-own");
        }
        id
    }
}

/// A name as YAML has it, in quotes where it would be read as something else (`1.5`, `null`).
fn word(name: &str) -> String {
    serde_yaml::to_string(name).expect("a text can be written as YAML").trim_end().to_owned()
}

/// A text in quotes. What is JSON is YAML.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text can be written as JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BloomConfig, LlamaConfig};
    use crate::registry::Reference;

    fn card(draft: Draft<'_>, registry: &Registry) -> Card {
        serde_yaml::from_str(&draft.yaml(registry).unwrap()).unwrap()
    }

    #[test]
    fn the_card_says_what_the_configuration_says() {
        let registry = Registry::load(None).unwrap();
        let config = ModelConfig::from(LlamaConfig::SMOLLM2_135M);
        let draft = Draft {
            name: "My Model (v2)",
            path: "/models/My Model (v2)",
            config: &config,
            tokenizer: registry.tokenizer("smollm2"),
            base: Some(registry.find("smollm2-135m").unwrap()),
            license: None,
        };
        let card = card(draft, &registry);
        assert_eq!((card.id.as_str(), card.name.as_str()), ("my-model-v2", "My Model (v2)"));
        assert_eq!((card.base.as_deref(), card.license.as_str()), (Some("smollm2-135m"), "unknown"));
        assert_eq!(card.tokenizer.as_deref(), Some("smollm2"));
        let Some(Reference::Inline(network)) = &card.architecture else { panic!("{card:?}") };
        assert_eq!(network.config().unwrap(), config);
        let bloom = BloomConfig {
            vocab_size: 96,
            hidden_size: 64,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            max_position_embeddings: 128,
            layer_norm_epsilon: 1e-5,
            residual_after_norm: false,
            tie_word_embeddings: true,
        };
        let config = ModelConfig::from(bloom);
        let draft = Draft { base: None, tokenizer: None, license: Some("MIT"), config: &config, ..draft };
        let yaml = draft.yaml(&registry).unwrap();
        assert!(yaml.contains("license: \"MIT\"\n") && !yaml.contains("tokenizer"), "{yaml}");
    }

    #[test]
    fn any_name_of_a_folder_becomes_an_id_that_is_free() {
        let registry = Registry::load(None).unwrap();
        let config = ModelConfig::from(LlamaConfig::SMOLLM2_135M);
        for (name, id) in [
            ("My -- Model!!", "my-model"),
            ("Llama 2 (7B)", "llama-2-7b-own"),
            ("Vicuna-13B", "vicuna-13b-own"),
            ("1.5", "1.5"),
            ("null", "null"),
            ("1e5", "1e5"),
            ("._hidden", "hidden"),
            ("中文", "model"),
            ("it's \"quoted\" \\ \u{301}", "it-s-quoted"),
        ] {
            let path = format!("/models/{name}");
            let draft =
                Draft { name, path: &path, config: &config, tokenizer: None, base: None, license: None };
            let card = card(draft, &registry);
            assert_eq!((card.id.as_str(), card.name.as_str()), (id, name));
            assert_eq!(card.sources, [crate::registry::Source::Path(path.into())]);
        }
    }
}
