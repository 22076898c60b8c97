//! The modules that an adapter changes, or leaves out.

use regex::Regex;

/// The modules that an adapter changes.
#[derive(Debug, Clone)]
pub(super) enum Targets {
    /// Names, or ends of names after a dot.
    Names(Vec<String>),
    /// A pattern for whole names.
    Pattern(Regex),
    /// All linear layers but the output layer.
    AllLinear,
}

impl Targets {
    /// Whether the module of this path is one of them.
    pub fn include(&self, module: &str) -> bool {
        match self {
            Targets::Names(names) => names.iter().any(|name| is_or_ends(module, name)),
            Targets::Pattern(pattern) => pattern.is_match(module),
            // Embeddings are matrices too, and no linear layers.
            Targets::AllLinear => {
                module != "lm_head" && !module.rsplit('.').next().is_some_and(|last| last.contains("embed"))
            }
        }
    }
}

/// Whether `module` is `name`, or ends in it after a dot.
pub(super) fn is_or_ends(module: &str, name: &str) -> bool {
    module.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
