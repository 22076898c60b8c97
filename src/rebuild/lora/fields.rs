//! The fields of `adapter_config.json`, each read with its type and refused by name.

use std::path::Path;

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use super::targets::Targets;
use crate::base::fault::Refusal;

/// Largest accepted rank: no gain over the full matrix.
const MAX_RANK: u64 = 1 << 16;
/// Largest compiled pattern; patterns of adapters are short lists of names.
const MAX_PATTERN: usize = 1 << 20;
/// All patterns of a field together: a file of a megabyte has room for thousands.
const MAX_PATTERNS: usize = 16 << 20;

/// What to do about a relative of LoRA.
const WITH_PEFT: &str = "merge it with the PEFT library itself, which knows this kind";
/// Starts of training that leave the base as it is; the others put their own base in its place.
const HARMLESS_STARTS: [&str; 3] = ["gaussian", "eva", "orthogonal"];
/// Keys that are read, here or by `AdapterConfig`.
const READ: [&str; 14] = [
    "peft_type",
    "bias",
    "init_lora_weights",
    "r",
    "lora_alpha",
    "use_rslora",
    "rank_pattern",
    "alpha_pattern",
    "target_modules",
    "exclude_modules",
    "layers_to_transform",
    "layers_pattern",
    "modules_to_save",
    "fan_in_fan_out",
];
/// Keys whose value changes nothing of what a merge is: of training, of the library, of the file's origin.
const WITHOUT_EFFECT: [&str; 21] = [
    "task_type",
    "auto_mapping",
    "peft_version",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "lora_dropout",
    "merge_weights",
    "megatron_core",
    "runtime_config",
    "qalora_group_size",
    "ensure_weight_tying",
    "eva_config",
    "corda_config",
    "loftq_config",
    "lora_ga_config",
    // Of Unsloth and ms-swift.
    "unsloth_fixed",
    "unsloth_version",
    "lora_dtype",
    "lorap_lr_ratio",
    "lorap_emb_lr",
];
/// Keys that change what a merge means, and what each stands for. Of PEFT 0.2 to 0.21.
const RELATIVES: [(&str, &str); 14] = [
    ("use_dora", "the magnitudes of DoRA"),
    ("use_qalora", "QALoRA's pooled inputs"),
    ("use_bdlora", "the blocks of BD-LoRA"),
    ("lora_bias", "biases of lora_B"),
    ("enable_lora", "updates of parts of a fused layer"),
    ("layer_replication", "layers that are copied first"),
    ("target_parameters", "updates of parameters that are no layers"),
    ("trainable_token_indices", "rows of single tokens"),
    (
        "alora_invocation_tokens",
        "an update that begins at given tokens (Activated LoRA), which no weights can hold",
    ),
    ("arrow_config", "a choice between adapters for each token (Arrow)"),
    ("kasa_config", "the diagonal of KaSA"),
    ("monteclora_config", "samples of MonteCLoRA"),
    ("velora_config", "VeLoRA's own tensors"),
    ("megatron_config", "layers that Megatron has split"),
];

/// Whether a value says "not this".
fn is_neutral(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// The fields of one file.
pub(super) struct AdapterFields<'a> {
    pub path: &'a Path,
    pub fields: &'a Map<String, Value>,
}

impl<'a> AdapterFields<'a> {
    /// A field that is there and not null.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.fields.get(key).filter(|value| !value.is_null())
    }

    fn refuse(&self, key: &str, expected: &str, found: Option<&Value>, advice: &str) -> Box<Refusal> {
        let found = found.map_or("nothing".to_owned(), |value| {
            let text = value.to_string();
            text.char_indices().nth(80).map_or(text.clone(), |(cut, _)| format!("{}…", text.split_at(cut).0))
        });
        Refusal::new(format!("{}: {key}", self.path.display()), expected, found, advice)
    }

    /// Refuses everything that is not plain LoRA: each key is either read elsewhere, changes nothing of a merge, or has to have
    /// the value that means "not this".
    pub fn refuse_relatives(&self) -> Result<(), Box<Refusal>> {
        match self.get("peft_type") {
            Some(Value::String(kind)) if kind == "LORA" => {}
            other => return Err(self.refuse("peft_type", "\"LORA\"", other, WITH_PEFT)),
        }
        match self.get("bias") {
            None => {}
            Some(Value::String(bias)) if bias == "none" => {}
            other => {
                return Err(self.refuse("bias", "\"none\": LLaMA's layers have no bias", other, WITH_PEFT));
            }
        }
        match self.get("init_lora_weights") {
            None | Some(Value::Bool(_)) => {}
            Some(Value::String(start)) if HARMLESS_STARTS.contains(&start.to_lowercase().as_str()) => {}
            other => {
                let expected = "a start that leaves the base as it is (true, false, \"gaussian\", \"eva\", \"orthogonal\")";
                let advice = "ask the author for the adapter converted to plain LoRA";
                return Err(self.refuse("init_lora_weights", expected, other, advice));
            }
        }
        for key in self.fields.keys().filter(|key| !READ.contains(&key.as_str())) {
            let Some(value) = self.get(key).filter(|value| !is_neutral(value)) else { continue };
            match RELATIVES.iter().find(|(known, _)| known == key) {
                Some((_, what)) => {
                    let expected = format!("nothing here: plain LoRA, without {what}");
                    return Err(self.refuse(key, &expected, Some(value), WITH_PEFT));
                }
                None if WITHOUT_EFFECT.contains(&key.as_str()) => {}
                None => {
                    let expected = "a key of plain LoRA, or null, false or nothing in it";
                    let advice = "what it asks for is not known here, and a merge without it may be another model: merge \
                                  it with the library that wrote the file, or remove the key if it has no effect";
                    return Err(self.refuse(key, expected, Some(value), advice));
                }
            }
        }
        Ok(())
    }

    pub fn flag(&self, key: &str) -> Result<bool, Box<Refusal>> {
        match self.get(key) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            other => Err(self.refuse(key, "true or false", other, "fetch the adapter again")),
        }
    }

    pub fn rank(&self, key: &str, value: Option<&Value>) -> Result<usize, Box<Refusal>> {
        let rank = value.and_then(Value::as_u64).filter(|rank| (1..=MAX_RANK).contains(rank));
        rank.and_then(|rank| usize::try_from(rank).ok()).ok_or_else(|| {
            let expected = format!("a rank from 1 to {MAX_RANK}");
            self.refuse(key, &expected, value, "the adapter is unusable: the scale alpha / r needs its rank")
        })
    }

    pub fn number(&self, key: &str, value: Option<&Value>) -> Result<f64, Box<Refusal>> {
        let finite = |number: &f64| number.is_finite() && (*number as f32).is_finite();
        value.and_then(Value::as_f64).filter(finite).ok_or_else(|| {
            self.refuse(key, "a finite number", value, "the adapter is unusable: fetch it again")
        })
    }

    pub fn names(&self, key: &str) -> Result<Option<Vec<String>>, Box<Refusal>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let name = |value: &Value| value.as_str().filter(|name| !name.is_empty()).map(str::to_owned);
        let names: Option<Vec<String>> = value.as_array().and_then(|names| names.iter().map(name).collect());
        match names {
            Some(names) => Ok(Some(names)),
            None => Err(self.refuse(key, "a list of module names", Some(value), "fetch the adapter again")),
        }
    }

    pub fn targets(&self, key: &str) -> Result<Option<Targets>, Box<Refusal>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(all)) if all == "all-linear" => Ok(Some(Targets::AllLinear)),
            Some(Value::String(pattern)) => {
                Ok(Some(Targets::Pattern(self.pattern(key, pattern, "", MAX_PATTERN)?)))
            }
            Some(Value::Array(_)) => Ok(self.names(key)?.map(Targets::Names)),
            other => {
                let expected = "a list of module names, or a pattern";
                Err(self.refuse(key, expected, other, "fetch the adapter again"))
            }
        }
    }

    pub fn required_targets(&self) -> Result<Targets, Box<Refusal>> {
        let key = "target_modules";
        let some = |targets: &Targets| !matches!(targets, Targets::Names(names) if names.is_empty());
        self.targets(key)?.filter(some).ok_or_else(|| {
            let expected = "a list of module names, or a pattern";
            self.refuse(key, expected, self.get(key), "fetch the adapter again")
        })
    }

    /// The layers that the targets are restricted to. As in PEFT, an empty list restricts nothing.
    pub fn layers(&self) -> Result<Option<Vec<u64>>, Box<Refusal>> {
        let key = "layers_to_transform";
        let Some(value) = self.get(key).filter(|value| !is_neutral(value)) else { return Ok(None) };
        let single = value.as_u64().map(|layer| vec![layer]);
        let listed = || value.as_array().and_then(|all| all.iter().map(Value::as_u64).collect());
        let Some(layers) = single.or_else(listed) else {
            return Err(self.refuse(key, "layer numbers", Some(value), "fetch the adapter again"));
        };
        // The list of modules whose numbers are meant. There is one in the models that are merged here.
        let pattern = self.get("layers_pattern").filter(|value| !is_neutral(value));
        let names = |value: &Value| match value {
            Value::String(name) => vec![name.clone()],
            other => other
                .as_array()
                .into_iter()
                .flatten()
                .map(|name| name.as_str().unwrap_or("").to_owned())
                .collect(),
        };
        let is_known = |name: &String| matches!(name.as_str(), "layers" | "h");
        match pattern.filter(|value| !names(value).iter().any(is_known)) {
            Some(other) => Err(self.refuse("layers_pattern", "\"layers\"", Some(other), WITH_PEFT)),
            None => Ok(Some(layers)),
        }
    }

    /// The entries of `rank_pattern` or `alpha_pattern`: each a pattern for the end of a module's path.
    pub fn patterns<T>(
        &self,
        key: &str,
        read: impl Fn(&str, &Value) -> Result<T, Box<Refusal>>,
    ) -> Result<Vec<(Regex, T)>, Box<Refusal>> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let Some(entries) = value.as_object() else {
            return Err(self.refuse(
                key,
                "module patterns with a number each",
                Some(value),
                "fetch the adapter again",
            ));
        };
        let limit = (MAX_PATTERNS / entries.len().max(1)).min(MAX_PATTERN);
        let entry = |(pattern, value): (&String, &Value)| {
            let regex = self.pattern(key, pattern, r"(?:.*\.)?", limit)?;
            Ok((regex, read(&format!("{key}: {pattern}"), value)?))
        };
        entries.iter().map(entry).collect()
    }

    /// A pattern for a whole path, after `prefix`, of at most `limit` bytes when compiled. Matching takes time linear in the path, whatever the pattern.
    fn pattern(&self, key: &str, pattern: &str, prefix: &str, limit: usize) -> Result<Regex, Box<Refusal>> {
        let whole = format!("^{prefix}(?:{pattern})$");
        RegexBuilder::new(&whole).size_limit(limit).build().map_err(|error| {
            let found = Value::String(pattern.to_owned());
            let expected = format!("a regular expression ({})", error.to_string().replace('\n', " "));
            self.refuse(key, &expected, Some(&found), "list the modules by name instead")
        })
    }
}
