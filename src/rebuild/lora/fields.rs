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

    /// Refuses everything that is not plain LoRA.
    pub fn refuse_relatives(&self) -> Result<(), Box<Refusal>> {
        let again = "merge it with the PEFT library itself, which knows this kind";
        match self.get("peft_type") {
            Some(Value::String(kind)) if kind == "LORA" => {}
            other => return Err(self.refuse("peft_type", "\"LORA\"", other, again)),
        }
        for key in ["use_dora", "use_qalora", "use_bdlora", "lora_bias"] {
            if self.flag(key)? {
                return Err(self.refuse(key, "false: plain LoRA", self.get(key), again));
            }
        }
        match self.get("bias") {
            None => {}
            Some(Value::String(bias)) if bias == "none" => {}
            other => return Err(self.refuse("bias", "\"none\": LLaMA's layers have no bias", other, again)),
        }
        // Each of these starts from a changed base, or changes more than the adapted matrices.
        if let Some(Value::String(start)) = self.get("init_lora_weights") {
            let lower = start.to_lowercase();
            let changed = ["pissa", "olora", "corda", "loftq", "lora_ga"];
            if changed.iter().any(|kind| lower.starts_with(kind)) {
                let expected = "a start that leaves the base as it is (\"gaussian\", true or false)";
                let advice = "ask the author for the adapter converted to plain LoRA";
                return Err(self.refuse(
                    "init_lora_weights",
                    expected,
                    self.get("init_lora_weights"),
                    advice,
                ));
            }
        }
        for key in ["layer_replication", "enable_lora", "target_parameters", "trainable_token_indices"] {
            let empty = |value: &Value| {
                value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
            };
            if let Some(value) = self.get(key).filter(|value| !empty(value)) {
                return Err(self.refuse(key, "null: plain LoRA", Some(value), again));
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

    pub fn layers(&self) -> Result<Option<Vec<u64>>, Box<Refusal>> {
        let key = "layers_to_transform";
        let Some(value) = self.get(key) else { return Ok(None) };
        let single = value.as_u64().map(|layer| vec![layer]);
        let listed = || value.as_array().and_then(|all| all.iter().map(Value::as_u64).collect());
        match single.or_else(listed) {
            Some(layers) => Ok(Some(layers)),
            None => Err(self.refuse(key, "layer numbers", Some(value), "fetch the adapter again")),
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
