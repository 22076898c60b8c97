//! BLOOM under the names that `transformers` writes today.
//!
//! BigScience's own files leave `transformer.` out of every name, and PyTorch files hold the tied output matrix a second
//! time, as `lm_head.weight` on the storage of the embeddings. Saved again by `transformers`, both are gone.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::weights::{Access, TensorInfo, TensorSource, TensorView, WeightsError};

const PREFIX: &str = "transformer.";
const HEAD: &str = "lm_head.weight";
const EMBEDDING: &str = "word_embeddings.weight";

/// A source of BLOOM's tensors with the prefix, and without a second embedding.
struct BloomNames<S> {
    inner: S,
    /// Sorted by name.
    infos: Vec<TensorInfo>,
    /// Whether the names of `inner` lack the prefix.
    is_bare: bool,
}

/// Whether a configuration is BLOOM's.
pub(crate) fn is_bloom(config: &Map<String, Value>) -> bool {
    config.get("model_type").and_then(Value::as_str) == Some("bloom")
}

/// `source` under the names of today. An output matrix that is not the embedding stays, whatever `config` says.
pub(crate) fn with_bloom_names(
    source: Box<dyn TensorSource>,
    config: &Map<String, Value>,
) -> Result<Box<dyn TensorSource>, WeightsError> {
    let has = |name: &str| source.tensors().iter().any(|info| info.name == name);
    let is_bare = has(EMBEDDING);
    let embedding = if is_bare { EMBEDDING.to_owned() } else { format!("{PREFIX}{EMBEDDING}") };
    let is_tied = config.get("tie_word_embeddings").and_then(Value::as_bool).unwrap_or(true);
    let second = is_tied && has(HEAD) && has(&embedding) && equal(source.as_ref(), HEAD, &embedding)?;
    if !is_bare && !second {
        return Ok(source);
    }
    let kept = source.tensors().iter().filter(|info| !(second && info.name == HEAD));
    let rename = |info: &TensorInfo| match &info.name {
        name if is_bare && name != HEAD => TensorInfo { name: format!("{PREFIX}{name}"), ..info.clone() },
        _ => info.clone(),
    };
    let mut infos: Vec<TensorInfo> = kept.map(rename).collect();
    infos.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Box::new(BloomNames { inner: source, infos, is_bare }))
}

/// Whether two tensors have the same type, shape and bytes.
fn equal(source: &dyn TensorSource, a: &str, b: &str) -> Result<bool, WeightsError> {
    let (a, b) = (source.tensor(a)?, source.tensor(b)?);
    Ok(a.info.dtype == b.info.dtype && a.info.shape == b.info.shape && a.data == b.data)
}

impl<S> BloomNames<S> {
    /// The name of a tensor in `inner`.
    fn inner_name<'n>(&self, name: &'n str) -> &'n str {
        let bare = name.strip_prefix(PREFIX).filter(|_| self.is_bare);
        bare.unwrap_or(name)
    }
}

impl<S: TensorSource> TensorSource for BloomNames<S> {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, WeightsError> {
        let missing = || WeightsError::MissingTensor {
            file: self.inner.files().into_iter().next().unwrap_or_default(),
            name: name.to_owned(),
        };
        let at = self.infos.binary_search_by(|info| info.name.as_str().cmp(name)).map_err(|_| missing())?;
        let info = self.infos.get(at).ok_or_else(missing)?;
        Ok(TensorView { info, data: self.inner.tensor(self.inner_name(name))?.data })
    }

    fn files(&self) -> Vec<PathBuf> {
        self.inner.files()
    }

    fn hint(&self, name: &str, access: Access) {
        self.inner.hint(self.inner_name(name), access);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::forms::sample::Memory;
    use crate::weights::Dtype;

    fn source(tensors: &[(&'static str, u8)]) -> Box<dyn TensorSource> {
        let tensor =
            |(name, fill): &(&'static str, u8)| (*name, Dtype::F16, vec![2, 1], vec![f32::from(*fill); 2]);
        Box::new(Memory::new(tensors.iter().map(tensor).collect()))
    }

    fn renamed(tensors: &[(&'static str, u8)], config: Value) -> Vec<(String, u8)> {
        let config = config.as_object().unwrap();
        let found = with_bloom_names(source(tensors), config).unwrap();
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
        assert_eq!(renamed(&bare, json!({})), expected);
        let found = with_bloom_names(source(&bare), &Map::new()).unwrap();
        assert!(found.tensor("ln_f.weight").is_err() && found.tensor("transformer.h.1").is_err());
    }

    #[test]
    fn a_head_is_left_out_where_it_is_the_embedding() {
        let with_head = |head| [("lm_head.weight", head), ("transformer.word_embeddings.weight", 3)];
        let alone = owned(&[("transformer.word_embeddings.weight", 3)]);
        assert_eq!(renamed(&with_head(3), json!({})), alone);
        assert_eq!(renamed(&with_head(4), json!({})), owned(&with_head(4)));
        assert_eq!(renamed(&with_head(3), json!({"tie_word_embeddings": false})), owned(&with_head(3)));
        let bare = [("lm_head.weight", 4), ("word_embeddings.weight", 3)];
        assert_eq!(renamed(&bare, json!({})), owned(&with_head(4)));
    }
}
