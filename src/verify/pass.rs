//! The one run over all bytes of a model: digests, values, rows and row order together.
//!
//! Tensors are visited one after the other, so that memory holds no more than two of them (queries and keys of a layer);
//! inside a tensor all threads work.

use std::collections::BTreeSet;

use super::rotary::{Agreement, HeadCounts};
use super::rows::RowFacts;
use super::stats::Moments;
use crate::base::digest;
use crate::base::progress::{self, Progress, Unit};
use crate::weights::{Access, Dtype, TensorSource, TensorView, WeightsError};

/// Tensors whose rows stand for tokens, as far as their names end.
const VOCABULARY_ENDS: [&str; 3] = ["embed_tokens.weight", "lm_head.weight", "word_embeddings.weight"];

/// What the run found about one tensor.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// `None` for integers.
    pub moments: Option<Moments>,
    /// Lower-case hexadecimal SHA-256 of the bytes, if it was asked for.
    pub sha256: Option<String>,
    /// For the matrices of the vocabulary.
    pub rows: Option<RowFacts>,
}

/// Whether a tensor is the weight of a norm.
pub(super) fn is_norm(name: &str, shape: &[usize]) -> bool {
    shape.len() == 1 && (name.ends_with("norm.weight") || name.ends_with("ln_f.weight"))
}

impl Seen {
    /// Whether it is the weight of a norm.
    pub fn is_norm(&self) -> bool {
        is_norm(&self.name, &self.shape)
    }

    /// Whether it is the matrix of a linear layer inside a block.
    pub fn is_projection(&self) -> bool {
        self.shape.len() == 2 && !is_vocabulary(&self.name) && self.name.ends_with(".weight")
    }

    /// The standard deviation times the root of the number of inputs: by how much the layer stretches its input,
    /// whatever its width. `None` for what has no values.
    pub fn gain(&self) -> Option<f64> {
        let columns = *self.shape.get(1)?;
        self.moments.as_ref().map(|moments| moments.std() * (columns as f64).sqrt())
    }
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Pass {
    /// In the order of names.
    pub tensors: Vec<Seen>,
    /// Row order of each layer, by the name of its queries.
    pub layers: Vec<(String, Agreement)>,
}

/// Whether the rows of a tensor of this name stand for tokens.
pub(super) fn is_vocabulary(name: &str) -> bool {
    VOCABULARY_ENDS
        .iter()
        .any(|end| name.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// Reads every tensor of `source` once. `heads` are those of a model with rotary positions; `digests` asks for
/// a SHA-256 of each tensor.
///
/// # Errors
/// What the source reports for the first tensor that cannot be read.
pub(super) fn run(
    source: &dyn TensorSource,
    heads: Option<HeadCounts>,
    digests: bool,
    progress: &dyn Progress,
) -> Result<Pass, WeightsError> {
    let infos = source.tensors();
    let total = infos.iter().filter_map(|info| info.dtype.bytes_for(info.elements())).sum::<usize>() as u64;
    let names: BTreeSet<&str> = infos.iter().map(|info| info.name.as_str()).collect();
    // Keys are visited with the queries of their layer.
    let queries_of =
        |name: &str| name.strip_suffix("k_proj.weight").map(|path| format!("{path}q_proj.weight"));
    let keys_of = |name: &str| name.strip_suffix("q_proj.weight").map(|path| format!("{path}k_proj.weight"));
    let there = |name: Option<String>| name.filter(|name| heads.is_some() && names.contains(name.as_str()));
    let order: Vec<&str> = names.iter().copied().filter(|name| there(queries_of(name)).is_none()).collect();

    let mut pass = Pass::default();
    let visit = |(i, name): (usize, &&str)| -> Result<(), WeightsError> {
        if let Some(next) = order.get(i + 1) {
            source.hint(next, Access::Soon);
        }
        let view = source.tensor(name)?;
        pass.tensors.push(seen(&view, digests)?);
        progress.advance(view.data.len() as u64);
        if let (Some(keys), Some(heads)) = (there(keys_of(name)), heads) {
            let keys_view = source.tensor(&keys)?;
            pass.tensors.push(seen(&keys_view, digests)?);
            progress.advance(keys_view.data.len() as u64);
            let agreement = Agreement::of(&view, &keys_view, heads)?;
            pass.layers.extend(agreement.map(|agreement| ((*name).to_owned(), agreement)));
            drop(keys_view);
            source.hint(&keys, Access::Done);
        }
        drop(view);
        source.hint(name, Access::Done);
        Ok(())
    };
    progress::during(progress, "reading", Some(total), Unit::Bytes, || {
        order.iter().enumerate().try_for_each(visit)
    })?;
    pass.tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(pass)
}

fn seen(view: &TensorView<'_>, digest: bool) -> Result<Seen, WeightsError> {
    let sha256 = || digest.then(|| digest::sha256(&view.data));
    let (sha256, moments) = rayon::join(sha256, || Moments::of(view));
    let rows = if is_vocabulary(&view.info.name) { RowFacts::of(view) } else { None };
    Ok(Seen {
        name: view.info.name.clone(),
        dtype: view.info.dtype,
        shape: view.info.shape.clone(),
        moments: moments?,
        sha256,
        rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrices_of_the_vocabulary_are_known_by_the_ends_of_names() {
        for name in ["model.embed_tokens.weight", "lm_head.weight", "transformer.word_embeddings.weight"] {
            assert!(is_vocabulary(name), "{name}");
        }
        for name in ["model.xembed_tokens.weight", "lm_head.bias", "word_embeddings_layernorm.weight"] {
            assert!(!is_vocabulary(name), "{name}");
        }
    }
}
