//! A first card for a model on the disk: what its configuration and its folder tell, to be completed by hand.

use std::path::Path;

use super::architecture::{RopeScalingKind, RopeScalingRecord};
use super::load;
use super::{ArchitectureRecord, Card, CardOrigin, ModelType, RegistryError};
use crate::config::{ModelConfig, RopeScaling};

/// What is known of a model without a card.
#[derive(Debug, Clone, Copy)]
pub struct Draft<'a> {
    /// Its name; that of its folder.
    pub name: &'a str,
    /// Where it lies, as an absolute path.
    pub path: &'a Path,
    /// Shape and constants.
    pub config: &'a ModelConfig,
    /// The model that it was trained from.
    pub base: Option<&'a Card>,
    /// The licence that its own card states.
    pub license: Option<&'a str>,
}

impl Draft<'_> {
    /// The card as YAML.
    ///
    /// # Errors
    /// Numbers that no card may have.
    pub fn yaml(&self) -> Result<String, RegistryError> {
        let id: String =
            self.name.to_lowercase().chars().map(|c| if is_plain(c) { c } else { '-' }).collect();
        let id = id.trim_start_matches(['.', '_', '-']);
        let id = if id.is_empty() { "model" } else { id };
        let network = serde_yaml::to_string(&self.network()).expect("a record can be written as YAML");
        let network: String = network.lines().map(|line| format!("  {line}\n")).collect();
        let family = self.base.map_or(self.config.model_type(), |base| &base.family);
        let base = self.base.map(|base| format!("base: {}\n", base.id)).unwrap_or_default();
        let license = match self.license {
            Some(license) => format!("license: {license:?}\n"),
            None => "license: unknown  # state it\n".to_owned(),
        };
        let context = self.config.max_position_embeddings();
        let path = self.path.display().to_string();
        let yaml = format!(
            "# Made of the model's own files; what they do not tell (prompt, recipe, languages) can be added.\n\
             id: {id}\nname: {:?}\nfamily: {family}\n{base}context: {context}\narchitecture:\n{network}{license}\
             release: {{kind: full}}\nsources:\n  - path: {path:?}\n",
            self.name
        );
        let origin =
            CardOrigin { file: format!("{id}.yaml"), folder: self.path.parent().map(Path::to_owned) };
        load::card(yaml.clone().into(), origin, None)?;
        Ok(yaml)
    }

    fn network(&self) -> ArchitectureRecord {
        let shared = ArchitectureRecord {
            name: String::new(),
            model_type: ModelType::Llama,
            hidden_size: self.config.hidden_size() as u64,
            intermediate_size: 0,
            num_hidden_layers: self.config.num_hidden_layers() as u64,
            num_attention_heads: 0,
            num_key_value_heads: None,
            head_dim: None,
            vocab_size: self.config.vocab_size() as u64,
            max_context: self.config.max_position_embeddings() as u64,
            max_position_embeddings: None,
            rms_norm_eps: None,
            layer_norm_epsilon: None,
            rope_theta: None,
            rope_scaling: None,
            tie_word_embeddings: false,
            attention_bias: false,
            mlp_bias: false,
            parameters: Some(self.config.parameters()),
            remote_code: false,
            notes: Vec::new(),
            doubts: Vec::new(),
            src: None,
        };
        match self.config {
            ModelConfig::Llama(config) => ArchitectureRecord {
                intermediate_size: config.intermediate_size as u64,
                num_attention_heads: config.num_attention_heads as u64,
                num_key_value_heads: Some(config.num_key_value_heads as u64),
                head_dim: Some(config.head_dim as u64),
                rms_norm_eps: Some(config.rms_norm_eps),
                rope_theta: Some(config.rope_theta),
                rope_scaling: scaling(config.rope_scaling),
                tie_word_embeddings: config.tie_word_embeddings,
                attention_bias: config.attention_bias,
                mlp_bias: config.mlp_bias,
                ..shared
            },
            ModelConfig::Bloom(config) => ArchitectureRecord {
                model_type: ModelType::Bloom,
                intermediate_size: config.intermediate_size() as u64,
                num_attention_heads: config.num_attention_heads as u64,
                layer_norm_epsilon: Some(config.layer_norm_epsilon),
                tie_word_embeddings: config.tie_word_embeddings,
                attention_bias: true,
                mlp_bias: true,
                ..shared
            },
        }
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-')
}

fn scaling(scaling: RopeScaling) -> Option<RopeScalingRecord> {
    let record = |kind, factor, original: Option<f64>| RopeScalingRecord {
        kind,
        factor,
        original_max_position_embeddings: original.map(|tokens| tokens as u64),
        finetuned: None,
    };
    match scaling {
        RopeScaling::None => None,
        RopeScaling::Linear { factor } => Some(record(RopeScalingKind::Linear, factor, None)),
        RopeScaling::Dynamic { factor } => Some(record(RopeScalingKind::Dynamic, factor, None)),
        RopeScaling::Llama3 { factor, original_max_position_embeddings: original, .. } => {
            Some(record(RopeScalingKind::Llama3, factor, Some(original)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BloomConfig, LlamaConfig};
    use crate::registry::Registry;

    #[test]
    fn the_card_says_what_the_configuration_says() {
        let registry = Registry::load(None).unwrap();
        let config = ModelConfig::from(LlamaConfig::SMOLLM2_135M);
        let draft = Draft {
            name: "My Model (v2)",
            path: Path::new("/models/My Model (v2)"),
            config: &config,
            base: Some(registry.find("smollm2-135m").unwrap()),
            license: None,
        };
        let yaml = draft.yaml().unwrap();
        let card: Card = serde_yaml::from_str(&yaml).unwrap();
        assert_eq!((card.id.as_str(), card.name.as_str()), ("my-model--v2-", "My Model (v2)"));
        assert_eq!((card.base.as_deref(), card.license.as_str()), (Some("smollm2-135m"), "unknown"));
        let Some(super::super::Reference::Inline(network)) = &card.architecture else { panic!("{yaml}") };
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
        let draft = Draft { base: None, license: Some("MIT"), config: &config, ..draft };
        assert!(draft.yaml().unwrap().contains("license: \"MIT\"\n"));
    }
}
