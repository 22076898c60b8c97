//! Special tokens by the names under which chat templates know them.

use std::collections::BTreeMap;

use super::SpecialIds;

/// The names that every tokenizer of transformers has.
pub(super) const NAMES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The texts of special tokens by name. A token that the tokenizer lacks has no name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialNames {
    /// `bos_token`, …, `mask_token`, and the names that `extra_special_tokens` gives.
    pub tokens: BTreeMap<String, String>,
    /// `additional_special_tokens`, in order.
    pub additional: Vec<String>,
}

impl SpecialNames {
    /// The text of the token with this name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.tokens.get(name).map(String::as_str)
    }

    /// Names the tokens that only their ids are known of.
    pub(super) fn complete(&mut self, ids: SpecialIds, text: impl Fn(u32) -> Option<String>) {
        let known =
            [("bos_token", ids.bos), ("eos_token", ids.eos), ("unk_token", ids.unk), ("pad_token", ids.pad)];
        for (name, id) in known {
            if let Some(text) = id.and_then(&text) {
                self.tokens.entry(name.to_owned()).or_insert(text);
            }
        }
    }
}

impl<const N: usize> From<[(&str, &str); N]> for SpecialNames {
    fn from(tokens: [(&str, &str); N]) -> SpecialNames {
        let tokens = tokens.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        SpecialNames { tokens, additional: Vec::new() }
    }
}
