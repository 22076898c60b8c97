//! BLOOM under the names that `transformers` writes today.
//!
//! BigScience's own files leave `transformer.` out of every name, and PyTorch files hold the tied output matrix a second
//! time, as `lm_head.weight` on the storage of the embeddings. Saved again by `transformers`, both are gone.

use super::renamed::{NewName, Renamed};
use crate::weights::{TensorSource, WeightsError};

const PREFIX: &str = "transformer.";
const HEAD: &str = "lm_head.weight";
const EMBEDDING: &str = "word_embeddings.weight";

/// `source` under the names of today; that of another model as it is. An output matrix that is not the embedding stays,
/// whatever the configuration says of it (`is_tied`, which is asked only where there are both).
pub(super) fn with_bloom_names(
    source: Box<dyn TensorSource>,
    is_tied: impl FnOnce() -> bool,
) -> Result<Box<dyn TensorSource>, WeightsError> {
    let is_bare = source.info(EMBEDDING).is_some();
    let embedding = if is_bare { EMBEDDING.to_owned() } else { format!("{PREFIX}{EMBEDDING}") };
    let has_both = source.info(&embedding).is_some() && source.info(HEAD).is_some();
    let second = has_both && is_tied() && equal(&source, HEAD, &embedding)?;
    if !is_bare && !second {
        return Ok(source);
    }
    let renamed = Renamed::with_names(source, |info| {
        let name = match info.name.as_str() {
            HEAD if second => return Ok::<_, WeightsError>(None),
            HEAD => HEAD.to_owned(),
            name if is_bare => format!("{PREFIX}{name}"),
            name => name.to_owned(),
        };
        Ok(Some(NewName { name, heads: None }))
    })?;
    Ok(Box::new(renamed))
}

/// Whether two tensors have the same type, shape and bytes; those of one storage are not read.
fn equal(source: &dyn TensorSource, a: &str, b: &str) -> Result<bool, WeightsError> {
    let (a, b) = (source.tensor(a)?, source.tensor(b)?);
    let same = || std::ptr::eq::<[u8]>(&*a.data, &*b.data) || a.data == b.data;
    Ok(a.info.dtype == b.info.dtype && a.info.shape == b.info.shape && same())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forms::sample::MemorySource;
    use crate::weights::Dtype;

    fn source(tensors: &[(&'static str, u8)]) -> Box<dyn TensorSource> {
        let tensor =
            |(name, fill): &(&'static str, u8)| (*name, Dtype::F16, vec![2, 1], vec![f32::from(*fill); 2]);
        Box::new(MemorySource::new(tensors.iter().map(tensor).collect()))
    }

    fn renamed(tensors: &[(&'static str, u8)], tied: bool) -> Vec<(String, u8)> {
        let found = with_bloom_names(source(tensors), || tied).unwrap();
        let names = found.tensors().iter().map(|info| info.name.clone());
        let first = |name: String| {
            let value = found.tensor(&name).unwrap().to_f32().unwrap()[0];
            (name, value as u8)
        };
        names.map(first).collect()
    }

    fn owned(tensors: &[(&str, u8)]) -> Vec<(String, u8)> {
        tensors.iter().map(|(name, fill)| ((*name).to_owned(), *fill)).collect()
    }

    #[test]
    fn bare_names_get_their_prefix() {
        let bare = [("h.0.mlp.bias", 1), ("ln_f.weight", 2), ("word_embeddings.weight", 3)];
        let expected = owned(&[
            ("transformer.h.0.mlp.bias", 1),
            ("transformer.ln_f.weight", 2),
            ("transformer.word_embeddings.weight", 3),
        ]);
        assert_eq!(renamed(&bare, true), expected);
        let found = with_bloom_names(source(&bare), || true).unwrap();
        assert!(found.tensor("ln_f.weight").is_err() && found.tensor("transformer.h.1").is_err());
    }

    #[test]
    fn a_head_is_left_out_where_it_is_the_embedding() {
        let with_head = |head| [("lm_head.weight", head), ("transformer.word_embeddings.weight", 3)];
        let alone = owned(&[("transformer.word_embeddings.weight", 3)]);
        assert_eq!(renamed(&with_head(3), true), alone);
        assert_eq!(renamed(&with_head(4), true), owned(&with_head(4)));
        assert_eq!(renamed(&with_head(3), false), owned(&with_head(3)));
        let bare = [("lm_head.weight", 4), ("word_embeddings.weight", 3)];
        assert_eq!(renamed(&bare, true), owned(&with_head(4)));
    }
}
