//! Meta's names of the tensors, and how each is cut into shards: along the axis by which the reader joins them.
//!
//! Rows of q and k are reordered within the heads of a slice, since slices are whole heads.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use crate::config::LlamaConfig;
use crate::forms::names::{self, Module, Spelling};
use crate::forms::rows::pairs_from_halves;
use crate::weights::{Join, TensorView, join};

/// How a tensor is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShardPart {
    /// Whole in every shard.
    Replicated,
    /// By columns; the width is a multiple of the number of shards.
    Columns,
    /// By rows in units of `unit` rows. `heads` heads of q and k are reordered. The last slice takes what is left if
    /// `uneven`.
    Rows { units: Option<usize>, heads: Option<usize>, uneven: bool },
}

impl ShardPart {
    /// The output matrix: rows of the vocabulary, of which the last shard takes the remainder.
    pub(super) const VOCABULARY: ShardPart = ShardPart::Rows { units: None, heads: None, uneven: true };

    /// Whether a tensor of this shape can be cut so; otherwise what is needed.
    pub(super) fn check(self, shape: &[usize], shards: usize) -> Result<(), String> {
        let axes = if self == ShardPart::Replicated { 1 } else { 2 };
        if shape.len() != axes {
            return Err(format!("{axes} axes"));
        }
        let (rows, columns) = (shape[0], shape[axes - 1]);
        let (fits, needed) = match self {
            ShardPart::Replicated => return Ok(()),
            ShardPart::Columns => {
                (columns.is_multiple_of(shards), format!("a number of columns that {shards} divides"))
            }
            ShardPart::Rows { uneven: true, .. } if rows >= shards => return Ok(()),
            ShardPart::Rows { units: Some(units), .. } => (
                units.is_multiple_of(shards)
                    && rows.is_multiple_of(units)
                    && (rows / units).is_multiple_of(2),
                format!(
                    "rows of {units} heads of an even width, and a number of heads that {shards} divides"
                ),
            ),
            ShardPart::Rows { .. } => {
                (rows.is_multiple_of(shards), format!("a number of rows that {shards} divides"))
            }
        };
        if fits { Ok(()) } else { Err(needed) }
    }

    fn rows(self, rows: usize, shard: usize, shards: usize) -> Range<usize> {
        let each = rows / shards;
        let end = if shard + 1 == shards { rows } else { (shard + 1) * each };
        shard * each..end
    }

    /// The shape of the slice of a shard.
    pub(super) fn shape(self, shape: &[usize], shard: usize, shards: usize) -> Vec<usize> {
        match (self, shape) {
            (ShardPart::Replicated, _) => shape.to_vec(),
            (ShardPart::Columns, &[rows, columns]) => vec![rows, columns / shards],
            (ShardPart::Rows { .. }, &[rows, columns]) => vec![self.rows(rows, shard, shards).len(), columns],
            _ => panic!("what is cut was checked to be a matrix"),
        }
    }

    /// The data of the slice of a shard.
    pub(super) fn cut<'a>(self, view: &'a TensorView<'_>, shard: usize, shards: usize) -> Cow<'a, [u8]> {
        let &[rows, columns] = view.info.shape.as_slice() else {
            assert_eq!(self, ShardPart::Replicated, "what is cut was checked to be a matrix");
            return Cow::Borrowed(&view.data);
        };
        let row_bytes = columns * view.info.dtype.block_bytes();
        match self {
            ShardPart::Replicated => Cow::Borrowed(&view.data),
            ShardPart::Columns if shards == 1 => Cow::Borrowed(&view.data),
            ShardPart::Columns => {
                let slice_bytes = row_bytes / shards;
                let mut out = vec![0; slice_bytes * rows];
                if slice_bytes > 0 {
                    let pairs =
                        out.par_chunks_exact_mut(slice_bytes).zip(view.data.par_chunks_exact(row_bytes));
                    pairs.with_min_len(256).for_each(|(out, row)| {
                        out.copy_from_slice(&row[shard * slice_bytes..][..slice_bytes]);
                    });
                }
                Cow::Owned(out)
            }
            ShardPart::Rows { heads, .. } => {
                let range = self.rows(rows, shard, shards);
                let count = range.len();
                let data = &view.data[range.start * row_bytes..range.end * row_bytes];
                match heads {
                    Some(heads) => Cow::Owned(pairs_from_halves(data, count, heads / shards)),
                    None => Cow::Borrowed(data),
                }
            }
        }
    }
}

/// The place of a module's weight in a layer of Meta's files.
fn place(module: Module) -> usize {
    use Module::{AttentionNorm, Down, Gate, Key, MlpNorm, Output, Query, Up, Value};
    let order = [Query, Key, Value, Output, Gate, Down, Up, AttentionNorm, MlpNorm];
    order.iter().position(|known| *known == module).expect("every module has a place")
}

/// The place in the file, Meta's name, and how the tensor is cut; `None` if Meta's LLaMA has none such. The embedding is cut by
/// columns, but by rows since Llama 3.
pub(super) fn counterpart(
    name: &str,
    config: &LlamaConfig,
    is_llama_3: bool,
) -> Option<((usize, usize), String, ShardPart)> {
    let tensor = names::TensorRole::parse(name, Spelling::Hf)?;
    let meta = tensor.name(Spelling::Meta)?;
    let (queries, keys) = (Some(config.num_attention_heads), Some(config.num_key_value_heads));
    let (order, units, heads) = match tensor {
        names::TensorRole::Embedding => ((0, 0), None, None),
        names::TensorRole::Norm => ((0, 1), None, None),
        names::TensorRole::Head => ((0, 2), None, None),
        names::TensorRole::Layer { layer, .. } if layer >= config.num_hidden_layers => return None,
        names::TensorRole::Layer { layer, module, .. } => {
            let (units, heads) = match module {
                Module::Query => (queries, queries),
                Module::Key => (keys, keys),
                Module::Value => (keys, None),
                _ => (None, None),
            };
            ((layer + 1, place(module)), units, heads)
        }
    };
    let part = match join(&meta)? {
        Join::Columns if tensor == names::TensorRole::Embedding && is_llama_3 => {
            ShardPart::Rows { units: None, heads: None, uneven: false }
        }
        Join::Same => ShardPart::Replicated,
        Join::Columns => ShardPart::Columns,
        Join::Rows if tensor == names::TensorRole::Head => ShardPart::VOCABULARY,
        Join::Rows => ShardPart::Rows { units, heads, uneven: false },
        Join::Dropped => return None,
    };
    Some((order, meta, part))
}
