//! `adapter_config.json`: what an adapter says of itself, typed and checked.
//!
//! The PEFT library has many relatives of LoRA behind the same file, told apart by flags. Merging one of them as plain
//! LoRA gives a wrong model without any sign, so every flag that changes the arithmetic is refused by name.
//! Source: `LoraConfig` of the PEFT library.

use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::{Map, Value};

use super::fields::AdapterFields;
use super::targets::Targets;
use crate::base::fault::Refusal;
use crate::base::recognise::{dangling_fault, unreadable_text, without_mark};
use crate::base::whole;
use crate::forms::FormError;
use crate::rebuild::layer_of;
use crate::weights::WeightsError;

/// The file's name in an adapter's folder.
pub(super) const CONFIG_FILE: &str = "adapter_config.json";
/// Largest accepted file; real ones have about 1 kB.
const MAX_CONFIG: u64 = 1 << 20;

/// What the merge needs to know.
#[derive(Debug, Clone)]
pub struct AdapterConfig {
    path: PathBuf,
    rank: usize,
    alpha: f64,
    rslora: bool,
    rank_pattern: Vec<(Regex, usize)>,
    alpha_pattern: Vec<(Regex, f64)>,
    targets: Targets,
    /// Modules that the targets do not mean although they match.
    excluded: Option<Targets>,
    /// Layers that the targets are restricted to.
    layers: Option<Vec<u64>>,
    /// Modules that were trained whole and saved beside the adapter.
    pub(super) modules_to_save: Vec<String>,
    /// The model that the adapter was trained on, as its author called it.
    pub base_model: Option<String>,
    /// Things that are no reason to stop.
    pub(super) notes: Vec<String>,
}

impl AdapterConfig {
    /// Reads the file of an adapter's folder.
    ///
    /// # Errors
    /// [`FormError::Io`]; [`FormError::Refused`] for what is no LoRA, needs more than a merge, or is malformed.
    pub fn read(folder: &Path) -> Result<AdapterConfig, FormError> {
        let path = folder.join(CONFIG_FILE);
        if let Some(fault) = dangling_fault(&path) {
            return Err(WeightsError::from(fault).into());
        }
        let text = whole::read(&path, MAX_CONFIG).map_err(|e| FormError::io(&path, "read", e))?;
        Ok(Self::from_bytes(path, &text)?)
    }

    /// Reads the text of the file `path`.
    pub(crate) fn from_bytes(path: PathBuf, text: &[u8]) -> Result<AdapterConfig, Box<Refusal>> {
        let refuse = |expected: String, found: String| {
            Refusal::new(path.display().to_string(), expected, found, "fetch the adapter again")
        };
        if text.len() as u64 > MAX_CONFIG {
            return Err(refuse(format!("at most {MAX_CONFIG} bytes"), "more".into()));
        }
        match serde_json::from_slice(without_mark(text)) {
            Ok(Value::Object(fields)) => Self::from_fields(path, &fields),
            Ok(_) => Err(refuse("a JSON object".into(), "another value".into())),
            Err(error) => {
                let (place, again) = (path.display().to_string(), "fetch the adapter again");
                Err(unreadable_text(&place, "a JSON object", text, error.to_string(), again))
            }
        }
    }

    fn from_fields(path: PathBuf, fields: &Map<String, Value>) -> Result<AdapterConfig, Box<Refusal>> {
        let fields = AdapterFields { path: &path, fields };
        fields.refuse_relatives()?;
        let rank = fields.rank("r", fields.get("r"))?;
        let alpha = fields.number("lora_alpha", fields.get("lora_alpha"))?;
        let mut notes = Vec::new();
        if fields.flag("fan_in_fan_out")? {
            notes.push(format!(
                "{}: fan_in_fan_out is true, which speaks of layers stored as [in, out]; the linear layers of these \
                 models are [out, in], so it is not followed, as in PEFT",
                path.display()
            ));
        }
        Ok(AdapterConfig {
            rank,
            alpha,
            rslora: fields.flag("use_rslora")?,
            rank_pattern: fields.patterns("rank_pattern", |key, value| fields.rank(key, Some(value)))?,
            alpha_pattern: fields.patterns("alpha_pattern", |key, value| fields.number(key, Some(value)))?,
            targets: fields.required_targets()?,
            excluded: fields.targets("exclude_modules")?,
            layers: fields.layers()?,
            modules_to_save: fields.names("modules_to_save")?.unwrap_or_default(),
            base_model: fields.get("base_model_name_or_path").and_then(Value::as_str).map(str::to_owned),
            notes,
            path,
        })
    }

    /// Whether the adapter changes the module of this path.
    pub(crate) fn includes(&self, module: &str) -> bool {
        let is_of_layers = |only: &Vec<u64>| layer_of(module).is_some_and(|layer| only.contains(&layer));
        self.targets.include(module)
            && !self.excluded.as_ref().is_some_and(|but| but.include(module))
            && self.layers.as_ref().is_none_or(is_of_layers)
    }

    /// The targets, if they are given by name.
    pub(super) fn target_names(&self) -> &[String] {
        match &self.targets {
            Targets::Names(names) => names,
            Targets::Pattern(_) | Targets::AllLinear => &[],
        }
    }

    /// The rank of the module's two matrices.
    pub(crate) fn rank_of(&self, module: &str) -> usize {
        first_match(&self.rank_pattern, module).unwrap_or(self.rank)
    }

    /// The factor of the module's product: `alpha / r`, or `alpha / √r` for rank-stabilised adapters. Computed in
    /// f64 and rounded to f32 once, as PEFT does.
    pub(crate) fn scale_of(&self, module: &str) -> f32 {
        let alpha = first_match(&self.alpha_pattern, module).unwrap_or(self.alpha);
        let rank = self.rank_of(module) as f64;
        (alpha / if self.rslora { rank.sqrt() } else { rank }) as f32
    }

    /// Rank, alpha and scale, for the record of a build.
    pub fn summary(&self) -> String {
        let kind = if self.rslora { "rank-stabilised LoRA" } else { "LoRA" };
        format!("{kind} of rank {} and alpha {}", self.rank, self.alpha)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn first_match<T: Copy>(patterns: &[(Regex, T)], module: &str) -> Option<T> {
    patterns.iter().find(|(pattern, _)| pattern.is_match(module)).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(change: Value) -> Result<AdapterConfig, String> {
        let mut fields = json!({
            "peft_type": "LORA", "r": 8, "lora_alpha": 16, "bias": "none", "fan_in_fan_out": false,
            "target_modules": ["q_proj", "v_proj"], "modules_to_save": null
        });
        let Value::Object(change) = change else { panic!("changes are an object") };
        fields.as_object_mut().unwrap().extend(change);
        AdapterConfig::from_fields("a/adapter_config.json".into(), fields.as_object().unwrap())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn scales_follow_rank_alpha_and_their_patterns() {
        let config = read(json!({})).unwrap();
        assert_eq!((config.rank_of("x.q_proj"), config.scale_of("x.q_proj")), (8, 2.0));
        let config = read(json!({"use_rslora": true})).unwrap();
        assert_eq!(config.scale_of("q_proj"), (16.0 / 8f64.sqrt()) as f32);
        let config = read(json!({
            "rank_pattern": {"layers.0.self_attn.q_proj": 2, "v_proj": 4}, "alpha_pattern": {"v_proj": 3}
        }))
        .unwrap();
        assert_eq!(config.scale_of("model.layers.0.self_attn.q_proj"), 8.0);
        assert_eq!(config.scale_of("model.layers.1.self_attn.q_proj"), 2.0);
        assert_eq!(config.scale_of("model.layers.1.self_attn.v_proj"), 0.75);
        assert_eq!(config.rank_of("model.layers.1.self_attn.av_proj"), 8);
    }

    #[test]
    fn targets_are_names_or_a_pattern() {
        let names = read(json!({})).unwrap().targets;
        assert!(names.include("model.layers.0.self_attn.q_proj") && names.include("q_proj"));
        assert!(!names.include("model.layers.0.self_attn.seq_proj") && !names.include("k_proj"));
        let pattern = read(json!({"target_modules": r".*self_attn\.[kv]_proj"})).unwrap().targets;
        assert!(pattern.include("model.layers.3.self_attn.k_proj"));
        assert!(!pattern.include("model.layers.3.self_attn.k_proj.base"));
        let all = read(json!({"target_modules": "all-linear"})).unwrap().targets;
        assert!(all.include("model.layers.3.mlp.up_proj") && !all.include("lm_head"));
        let but = read(json!({"exclude_modules": ["layers.0.self_attn.q_proj"]})).unwrap();
        assert!(
            but.includes("model.layers.1.self_attn.q_proj")
                && !but.includes("model.layers.0.self_attn.q_proj")
        );
    }

    #[test]
    fn relatives_of_lora_and_bad_fields_are_refused_by_name() {
        for (change, parts) in [
            (json!({"peft_type": "IA3"}), ["peft_type: expected \"LORA\"", "found \"IA3\""]),
            (json!({"peft_type": null}), ["peft_type", "found nothing"]),
            (json!({"r": 0}), ["r: expected a rank from 1", "found 0"]),
            (json!({"r": -1}), ["r: expected a rank", "found -1"]),
            (json!({"r": 1u64 << 40}), ["r: expected a rank", "found 1099511627776"]),
            (json!({"lora_alpha": 1e300}), ["lora_alpha", "a finite number"]),
            (json!({"lora_alpha": "16"}), ["lora_alpha", "found \"16\""]),
            (json!({"bias": "all"}), ["bias: expected \"none\"", "found \"all\""]),
            (json!({"use_dora": true}), ["use_dora", "DoRA, found true"]),
            (json!({"use_rslora": 1}), ["use_rslora: expected true or false", "found 1"]),
            (json!({"init_lora_weights": "pissa_niter_4"}), ["init_lora_weights", "pissa_niter_4"]),
            (json!({"init_lora_weights": "mica"}), ["init_lora_weights", "mica"]),
            (json!({"alora_invocation_tokens": [5, 6]}), ["alora_invocation_tokens", "Activated LoRA"]),
            (json!({"use_qalora": true}), ["use_qalora", "found true"]),
            (json!({"use_bdlora": {"nblocks": 2}}), ["use_bdlora", "nblocks"]),
            (json!({"lora_bias": true}), ["lora_bias", "found true"]),
            (json!({"enable_lora": [true, false]}), ["enable_lora", "[true,false]"]),
            (json!({"target_parameters": ["mlp.experts.down_proj"]}), ["target_parameters", "experts"]),
            (json!({"trainable_token_indices": [1]}), ["trainable_token_indices", "found [1]"]),
            (json!({"arrow_config": {"top_k": 1}}), ["arrow_config", "top_k"]),
            (json!({"kasa_config": {"beta": 1}}), ["kasa_config", "KaSA"]),
            (json!({"monteclora_config": {"n": 4}}), ["monteclora_config", "MonteCLoRA"]),
            (json!({"velora_config": {"n": 4}}), ["velora_config", "VeLoRA"]),
            (json!({"megatron_config": {"n": 4}}), ["megatron_config", "Megatron"]),
            (json!({"layers_to_transform": [1], "layers_pattern": "blocks"}), ["layers_pattern", "blocks"]),
            (json!({"lora_gamma": 0.5}), ["lora_gamma: expected a key of plain LoRA", "found 0.5"]),
            (json!({"layer_replication": [[0, 2]]}), ["layer_replication", "found [[0,2]]"]),
            (json!({"target_modules": []}), ["target_modules", "found []"]),
            (json!({"target_modules": "("}), ["target_modules", "a regular expression"]),
            (json!({"target_modules": "(a{1000}){1000}"}), ["target_modules", "list the modules by name"]),
            (json!({"modules_to_save": [1]}), ["modules_to_save", "a list of module names"]),
            (json!({"rank_pattern": {"q_proj": 0}}), ["rank_pattern: q_proj", "found 0"]),
            (json!({"layers_to_transform": "all"}), ["layers_to_transform", "layer numbers"]),
        ] {
            let text = read(change).unwrap_err();
            for part in parts {
                assert!(text.contains(part), "{part:?} is not in: {text}");
            }
        }
    }

    #[test]
    fn patterns_share_their_memory() {
        let modules = |count: usize, pattern: &str| -> Map<String, Value> {
            (0..count)
                .map(|layer| (format!("model.layers.{layer}.self_attn.q_proj{pattern}"), json!(4)))
                .collect()
        };
        // Every matrix of a model of 100 layers by name.
        assert!(read(json!({"rank_pattern": modules(700, "")})).is_ok());
        assert!(read(json!({"rank_pattern": modules(10, "(a{100}){50}")})).is_ok());
        let text = read(json!({"rank_pattern": modules(1000, "(a{100}){50}")})).unwrap_err();
        assert!(text.contains("rank_pattern") && text.contains("list the modules by name"), "{text}");
    }

    #[test]
    fn a_flag_without_meaning_here_is_noted() {
        assert!(read(json!({"fan_in_fan_out": true})).unwrap().notes.join("").contains("[out, in]"));
        assert!(read(json!({})).unwrap().notes.is_empty());
        assert!(read(json!({"enable_lora": null, "target_parameters": []})).is_ok());
    }

    /// What `LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"])` of PEFT 0.21.2 writes, and the keys that older
    /// versions and other tools add.
    #[test]
    fn the_whole_file_of_a_plain_adapter_is_accepted() {
        let config = read(json!({
            "alora_invocation_tokens": null, "alpha_pattern": {}, "arrow_config": null, "auto_mapping": null,
            "base_model_name_or_path": "meta/x", "corda_config": null, "ensure_weight_tying": false,
            "eva_config": null, "exclude_modules": null, "inference_mode": true, "init_lora_weights": true,
            "kasa_config": null, "layer_replication": null, "layers_pattern": null, "layers_to_transform": null,
            "loftq_config": {}, "lora_bias": false, "lora_dropout": 0.05, "lora_ga_config": null,
            "megatron_config": null, "megatron_core": "megatron.core", "monteclora_config": null,
            "peft_version": "0.21.2", "qalora_group_size": 16, "rank_pattern": {}, "revision": null,
            "target_parameters": null, "task_type": "CAUSAL_LM", "trainable_token_indices": null,
            "use_bdlora": null, "use_dora": false, "use_qalora": false, "use_rslora": false, "velora_config": null,
            "merge_weights": false, "unsloth_fixed": true, "lora_dtype": "bfloat16", "lorap_emb_lr": 1e-6,
            "a_key_of_tomorrow": null, "another": false
        }))
        .unwrap();
        assert_eq!((config.scale_of("q_proj"), config.layers), (2.0, None));
        assert_eq!(read(json!({"layers_to_transform": []})).unwrap().layers, None);
        assert!(read(json!({"layers_to_transform": [1], "layers_pattern": ["layers"]})).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn never_panics_on_changed_text(changes in proptest::collection::vec((0usize..400, 0u8..128), 0..6)) {
            let mut text = br#"{"peft_type": "LORA", "r": 8, "lora_alpha": 16.5, "target_modules": ["q_proj"],
                "rank_pattern": {"a.*b": 4}, "alpha_pattern": {"v_proj": 1e3}, "layers_to_transform": [0, 1],
                "modules_to_save": ["lm_head"], "exclude_modules": "x|y", "use_rslora": false}"#
                .to_vec();
            for (at, value) in changes {
                let at = at % text.len();
                text[at] = value;
            }
            if let Ok(fields) = serde_json::from_slice::<Map<String, Value>>(&text)
                && let Ok(config) = AdapterConfig::from_fields("adapter_config.json".into(), &fields)
            {
                let _ = config.includes("model.layers.0.self_attn.q_proj");
                assert!(!config.scale_of("a.x.b").is_nan() && config.rank_of("a.x.b") > 0);
            }
        }
    }
}
