//! LLaMA's names without the `model.` before them.
//!
//! A model that was saved as `LlamaModel`, without its output matrix, has them so; `LlamaForCausalLM` of transformers puts the
//! prefix before each and ties the output matrix to the embedding, if the configuration says that they are one.

use super::renamed::{NewName, Renamed};
use crate::config::HEAD;
use crate::weights::TensorSource;

const PREFIX: &str = "model.";
const EMBEDDING: &str = "embed_tokens.weight";

/// `source` under the names of a model with an output matrix; that with such names as it is.
pub(super) fn with_prefix(source: Box<dyn TensorSource>) -> Box<dyn TensorSource> {
    if source.info(EMBEDDING).is_none() {
        return source;
    }
    let head = format!("{HEAD}.weight");
    let Ok(renamed) = Renamed::with_names(source, |info| {
        let name = if info.name == head { head.clone() } else { format!("{PREFIX}{}", info.name) };
        Ok::<_, std::convert::Infallible>(Some(NewName { name, heads: None }))
    });
    Box::new(renamed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forms::sample::tiny;

    #[test]
    fn every_name_but_the_head_s_gets_its_prefix() {
        let whole = tiny();
        let Ok(bare) = Renamed::with_names(tiny(), |info| {
            let name = info.name.trim_start_matches(PREFIX).to_owned();
            Ok::<_, std::convert::Infallible>(Some(NewName { name, heads: None }))
        });
        assert!(bare.info(EMBEDDING).is_some());
        let found = with_prefix(Box::new(bare));
        assert_eq!(found.tensors(), whole.tensors());
        assert_eq!(with_prefix(Box::new(tiny())).tensors(), whole.tensors());
    }
}
