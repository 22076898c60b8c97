//! Tied embeddings: a model whose output matrix is its embedding, and a file that says something else.
//!
//! Programs that keep one name of each shared matrix keep the first in the order of the alphabet, which is `lm_head.weight`
//! (`save_model` of safetensors does so): that matrix is the embedding, too. Where both are there and differ, the embedding is
//! used for both, as `tie_weights` of transformers 4.57 has it, the version that `evals/README.md` names.

use std::path::Path;

use super::renamed::{NewName, Renamed};
use crate::config::{HEAD, Shape};
use crate::weights::TensorSource;

/// How the names of the embeddings of all networks end; BLOOM has a norm whose name begins like its embedding's.
const EMBEDDINGS: [&str; 2] = ["embed_tokens.weight", "word_embeddings.weight"];

/// `source`, with the output matrix under the name of the embedding where there is no embedding and the shape says that they
/// are one. The shape is asked for only where there is no embedding of any kind.
pub(super) fn with_embedding(
    source: Box<dyn TensorSource>,
    path: &Path,
    shape: impl FnOnce() -> Option<Shape>,
) -> Box<dyn TensorSource> {
    let head = format!("{HEAD}.weight");
    let is_embedding = |name: &str| EMBEDDINGS.iter().any(|end| name.ends_with(end));
    if source.info(&head).is_none() || source.tensors().iter().any(|info| is_embedding(&info.name)) {
        return source;
    }
    let Some(shape) = shape().filter(|shape| shape.tie_word_embeddings) else { return source };
    let embedding = format!("{}{}.weight", shape.prefix, shape.embedding.name);
    let Ok(renamed) = Renamed::with_names(source, |info| {
        let name = if info.name == head { embedding.clone() } else { info.name.clone() };
        Ok::<_, std::convert::Infallible>(Some(NewName { name, heads: None }))
    });
    let note = format!(
        "{}: no {embedding}: the configuration ties it to {head}, which is there and serves as both, as transformers 5 reads it",
        path.display()
    );
    Box::new(renamed.warning(note))
}

/// Whether the shape ties the output matrix to the embedding and `tensors` have both, with other values. The embedding is used
/// for both then; transformers 5 takes each as it is.
pub fn has_other_head(tensors: &dyn TensorSource, shape: &Shape) -> bool {
    if !shape.tie_word_embeddings {
        return false;
    }
    let embedding = format!("{}{}.weight", shape.prefix, shape.embedding.name);
    let (Ok(head), Ok(embedding)) = (tensors.tensor(&format!("{HEAD}.weight")), tensors.tensor(&embedding))
    else {
        return false;
    };
    // Bytes are compared in the file: the matrices can have gigabytes.
    if head.info.dtype == embedding.info.dtype {
        return head.data != embedding.data;
    }
    !matches!((head.to_f32(), embedding.to_f32()), (Ok(head), Ok(embedding)) if head == embedding)
}

/// What is said of a model with such a head.
pub fn about_other_head(config: &str) -> String {
    format!(
        "{config} says that the output matrix is the embedding, but lm_head.weight differs from it; the embedding is used \
         (transformers 4 does so too, transformers 5 takes lm_head.weight: if that was trained, set tie_word_embeddings to \
         false)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LlamaConfig, ModelConfig, hf};
    use crate::forms::sample::{MemorySource, config, tiny};
    use crate::weights::Dtype;

    #[test]
    fn a_head_alone_is_the_embedding_of_a_tied_bloom_too() {
        let shape = ModelConfig::Bloom(crate::config::tests::bloom_7b()).shape();
        let tensor = |name: &str| (name.to_owned(), Dtype::F16, vec![2, 1], vec![1.0, 2.0]);
        let names =
            ["lm_head.weight", "transformer.word_embeddings_layernorm.weight", "transformer.h.0.mlp.bias"];
        let source = MemorySource::new(names.map(tensor).to_vec());
        let source = with_embedding(Box::new(source), Path::new("m"), || Some(shape));
        assert!(
            source.info("transformer.word_embeddings.weight").is_some()
                && source.info("lm_head.weight").is_none()
        );
    }

    #[test]
    fn every_network_has_an_embedding_of_a_known_name() {
        for config in
            [ModelConfig::Llama(LlamaConfig::LLAMA_7B), ModelConfig::Bloom(crate::config::tests::bloom_7b())]
        {
            let name = format!("{}.weight", config.shape().embedding.name);
            assert!(EMBEDDINGS.contains(&name.as_str()), "{name}");
        }
    }

    #[test]
    fn a_head_alone_is_the_embedding_of_a_tied_model() {
        let shape = hf::from_map(&config(), "config.json").unwrap().shape();
        let shape = Shape { tie_word_embeddings: true, ..shape };
        let tied = || Some(shape.clone());
        let only_head = tiny().without("model.embed_tokens.weight");
        let source = with_embedding(Box::new(only_head.clone()), Path::new("m"), tied);
        assert!(source.info("lm_head.weight").is_none() && source.warnings().len() == 1);
        let (found, head) = (
            source.tensor("model.embed_tokens.weight").unwrap(),
            only_head.tensor("lm_head.weight").unwrap(),
        );
        assert_eq!(found.data, head.data);
        assert_eq!(found.info.name, "model.embed_tokens.weight");

        let untied = || Some(Shape { tie_word_embeddings: false, ..shape.clone() });
        let source = with_embedding(Box::new(only_head), Path::new("m"), untied);
        assert!(source.info("lm_head.weight").is_some() && source.warnings().is_empty());
        let source = with_embedding(Box::new(tiny()), Path::new("m"), || panic!("not asked for"));
        assert_eq!(source.tensors().len(), tiny().tensors().len());
    }
}
