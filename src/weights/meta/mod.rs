//! Meta's own form of a LLaMA: `consolidated.NN.pth`, one file for each GPU that the model was made for.
//!
//! Every file holds all names. A matrix is cut along the axis on which its layer is parallel, so its parts are joined
//! again here; norms are the same in every file. The vocabulary need not divide by the number of files, so parts
//! of the output matrix may differ in size. Names stay Meta's.
//! Source: the parallel layers of `llama/model.py`, and the `transformers` LLaMA conversion script.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::table::TensorTable;
use super::{Access, TensorInfo, TensorSource, TensorView, TorchFile, WeightsError};
use crate::base::fault::{Fault, FaultKind};
use crate::base::names::number_in_name;

mod checklist;

pub use checklist::verify_checklist;

/// The embedding.
const EMBEDDING: &str = "tok_embeddings.weight";
/// Bytes that one task joins.
const TASK_BYTES: usize = 1 << 18;

/// The tensors of all `consolidated.NN.pth` of a folder under Meta's names.
#[derive(Debug)]
pub struct MetaShards {
    folder: PathBuf,
    shards: Vec<TorchFile>,
    /// With how each is put together.
    table: TensorTable<Join>,
}

/// How Meta's model parallelism cuts a tensor, and how the parts become one.
///
/// Matrices whose outputs are shared out among the processes are cut by rows, those whose inputs are by columns, and
/// norms are in every shard. Source: `ColumnParallelLinear`, `RowParallelLinear` and `ParallelEmbedding` in Meta's
/// `llama/model.py`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// The same in every shard.
    Same,
    /// One under the other.
    Rows,
    /// Side by side.
    Columns,
    /// Computed from the configuration, and left out.
    Dropped,
}

impl Join {
    /// The axis that is cut.
    pub fn axis(self) -> Option<usize> {
        match self {
            Join::Rows => Some(0),
            Join::Columns => Some(1),
            Join::Same | Join::Dropped => None,
        }
    }
}

/// How the embedding is cut since Llama 3 (`VocabParallelEmbedding`): its parts have whole rows of the model's width.
fn is_cut_by_rows(embedding: &TensorInfo, first: &TorchFile) -> bool {
    let width = first.info("norm.weight").and_then(|norm| norm.shape.first());
    matches!(embedding.shape.as_slice(), [_, columns] if Some(columns) == width)
}

/// The join of the tensor that Meta calls `name` in LLaMA and Llama 2; `None` if a LLaMA has none such.
pub fn join(name: &str) -> Option<Join> {
    let part = match name {
        EMBEDDING => return Some(Join::Columns),
        "output.weight" => return Some(Join::Rows),
        "norm.weight" => return Some(Join::Same),
        "rope.freqs" => return Some(Join::Dropped),
        _ => {
            let (number, part) = name.strip_prefix("layers.")?.split_once('.')?;
            number_in_name(number).map(|_| part)?
        }
    };
    Some(match part {
        "attention.wq.weight" | "attention.wk.weight" | "attention.wv.weight" => Join::Rows,
        "feed_forward.w1.weight" | "feed_forward.w3.weight" => Join::Rows,
        "attention.wo.weight" | "feed_forward.w2.weight" => Join::Columns,
        "attention_norm.weight" | "ffn_norm.weight" => Join::Same,
        "attention.inner_attention.rope.freqs" => Join::Dropped,
        _ => return None,
    })
}

impl MetaShards {
    /// Whether a folder holds Meta's form, be it in part.
    pub fn is_in(folder: &Path) -> bool {
        fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| Self::is_shard(&entry.path()))
    }

    /// Whether a file is named like one of the form's.
    pub fn is_shard(path: &Path) -> bool {
        path.file_name().and_then(OsStr::to_str).and_then(shard_number).is_some()
    }

    /// Opens all shards of a folder and compares what they say; no tensor data is read.
    ///
    /// # Errors
    /// [`WeightsError::Fault`]: `MissingData` if there is no shard or a number is left out, `InconsistentHeader`
    /// if the shards disagree about names, types or shapes, `Unsupported` for a tensor that no LLaMA has.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, WeightsError> {
        let folder = folder.as_ref();
        let shards: Vec<TorchFile> =
            shard_files(folder)?.iter().map(TorchFile::open).collect::<Result<_, _>>()?;
        let mut tensors = Vec::new();
        let (first, others) = shards.split_first().ok_or_else(|| no_shards(folder))?;
        for info in first.tensors() {
            let Some(join) = join(&info.name) else {
                let expected = "a tensor of a dense LLaMA model";
                return Err(Fault::new(first.path(), FaultKind::Unsupported, expected, "another one")
                    .tensor(&info.name)
                    .advice("fetch this model as safetensors")
                    .into());
            };
            let join = match join {
                Join::Dropped => continue,
                Join::Columns if info.name == EMBEDDING && is_cut_by_rows(info, first) => Join::Rows,
                join => join,
            };
            tensors.push((joined(info, join, first, others)?, join));
        }
        for other in others {
            if let Some(info) = other.tensors().iter().find(|info| first.info(&info.name).is_none()) {
                let expected = format!("only tensors that {} has as well", file_name(first));
                return Err(Fault::new(other.path(), FaultKind::InconsistentHeader, expected, "another one")
                    .tensor(&info.name)
                    .into());
            }
        }
        let table = TensorTable::new(folder, tensors)?;
        Ok(MetaShards { folder: folder.to_owned(), shards, table })
    }

    /// The folder that it was opened with.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The number of files.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }
}

impl TensorSource for MetaShards {
    fn tensors(&self) -> &[TensorInfo] {
        self.table.infos()
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, WeightsError> {
        let (info, join) = self.table.get(&self.folder, name)?;
        let rows = match join {
            Join::Rows if self.shards.len() > 1 => 1,
            Join::Columns if self.shards.len() > 1 => info.shape[0],
            _ => return Ok(TensorView { info, data: self.shards[0].tensor(name)?.data }),
        };
        let parts = self.shards.iter().map(|shard| Ok(shard.tensor(name)?.data));
        let parts: Vec<Cow<[u8]>> = parts.collect::<Result<_, WeightsError>>()?;
        let parts: Vec<&[u8]> = parts.iter().map(AsRef::as_ref).collect();
        Ok(TensorView { info, data: Cow::Owned(side_by_side(&parts, rows)) })
    }

    fn files(&self) -> Vec<PathBuf> {
        self.shards.iter().map(|shard| shard.path().to_owned()).collect()
    }

    fn hint(&self, name: &str, access: Access) {
        for shard in &self.shards {
            shard.hint(name, access);
        }
    }
}

/// The number in the name of a shard, which has two digits.
fn shard_number(name: &str) -> Option<usize> {
    let digits = name.strip_prefix("consolidated.")?.strip_suffix(".pth")?;
    let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// The files of a folder in the order of their numbers, which must be 00, 01, … without a gap.
fn shard_files(folder: &Path) -> Result<Vec<PathBuf>, WeightsError> {
    let list = |e| WeightsError::io(folder, "list", e);
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(list)? {
        let name = entry.map_err(list)?.file_name();
        numbers.extend(name.to_str().and_then(shard_number));
    }
    numbers.sort_unstable();
    if numbers.is_empty() {
        return Err(no_shards(folder).into());
    }
    let path = |number: usize| folder.join(format!("consolidated.{number:02}.pth"));
    let gap = (0..).zip(&numbers).find(|(expected, number)| expected != *number);
    if let Some((missing, next)) = gap {
        let expected = format!("consolidated.{missing:02}.pth before consolidated.{next:02}.pth");
        return Err(Fault::new(folder, FaultKind::MissingData, expected, "no such file").into());
    }
    Ok(numbers.into_iter().map(path).collect())
}

fn no_shards(folder: &Path) -> Box<Fault> {
    Fault::new(folder, FaultKind::MissingData, "consolidated.00.pth", "no such file")
        .advice("fetch the model's weights into this folder")
}

fn file_name(shard: &TorchFile) -> String {
    shard.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The whole of which `part` is the first shard's part.
fn joined(
    part: &TensorInfo,
    join: Join,
    first: &TorchFile,
    others: &[TorchFile],
) -> Result<TensorInfo, Box<Fault>> {
    // The axis that grows.
    let axis = join.axis();
    let rank = if axis.is_some() { 2 } else { 1 };
    if part.shape.len() != rank {
        let expected = format!("{rank} axes");
        let found = format!("shape {:?}", part.shape);
        return Err(
            Fault::new(first.path(), FaultKind::InconsistentHeader, expected, found).tensor(&part.name)
        );
    }
    let mut whole = part.clone();
    for other in others {
        let fault = |expected: String, found: String| {
            Fault::new(other.path(), FaultKind::InconsistentHeader, expected, found)
                .tensor(&part.name)
                .advice("fetch all shards from one release")
        };
        let Some(info) = other.info(&part.name) else {
            return Err(fault(format!("it, as in {}", file_name(first)), "no such tensor".into()));
        };
        if info.dtype != part.dtype {
            let expected = format!("{}, as in {}", part.dtype, file_name(first));
            return Err(fault(expected, info.dtype.to_string()));
        }
        let same = |i: &usize| Some(*i) == axis || part.shape.get(*i) == info.shape.get(*i);
        if info.shape.len() != rank || !(0..rank).all(|i| same(&i)) {
            let fits = axis.map_or(String::new(), |axis| format!(" up to axis {axis}"));
            let expected = format!("shape {:?}{fits}, as in {}", part.shape, file_name(first));
            return Err(fault(expected, format!("{:?}", info.shape)));
        }
        if let Some(axis) = axis {
            // Every part is a slice of a file, or limited by its size.
            whole.shape[axis] =
                whole.shape[axis].checked_add(info.shape[axis]).expect("parts fit into files");
        }
    }
    Ok(whole)
}

/// Joins parts of `rows` rows each, row by row. Parts that lie one under the other are single rows.
fn side_by_side(parts: &[&[u8]], rows: usize) -> Vec<u8> {
    if rows == 1 || parts.iter().all(|part| part.is_empty()) {
        return parts.concat();
    }
    assert!(parts.iter().all(|part| part.len().is_multiple_of(rows)), "parts of {rows} rows each");
    let widths: Vec<usize> = parts.iter().map(|part| part.len() / rows).collect();
    let width: usize = widths.iter().sum();
    let mut out = vec![0; width * rows];
    let per_task = (TASK_BYTES / width).max(1);
    out.par_chunks_mut(per_task * width).enumerate().for_each(|(task, chunk)| {
        for (row, out) in chunk.chunks_exact_mut(width).enumerate() {
            let row = task * per_task + row;
            let mut rest = out;
            for (part, &width) in parts.iter().zip(&widths) {
                let (to, after) = rest.split_at_mut(width);
                to.copy_from_slice(&part[row * width..(row + 1) * width]);
                rest = after;
            }
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_under_and_beside_each_other() {
        assert_eq!(side_by_side(&[&[1, 2, 3, 4], &[5, 6]], 1), [1, 2, 3, 4, 5, 6]);
        assert_eq!(side_by_side(&[&[1, 2, 3, 4], &[5, 6]], 2), [1, 2, 5, 3, 4, 6]);
        assert!(side_by_side(&[&[], &[]], 0).is_empty());
        let (left, right) = (vec![1; 3 * 5000], vec![2; 5000]);
        let both = side_by_side(&[&left, &right], 5000);
        assert!(both.chunks(4).all(|row| row == [1, 1, 1, 2]));
    }

    #[test]
    fn every_name_of_a_llama_has_its_axis() {
        assert_eq!(join("layers.31.attention.wo.weight"), Some(Join::Columns));
        assert_eq!(join("layers.31.feed_forward.w3.weight"), Some(Join::Rows));
        assert_eq!(join("layers.0.attention.inner_attention.rope.freqs"), Some(Join::Dropped));
        assert_eq!(join("layers.0.attention.wx.weight"), None);
        assert_eq!(join("model.layers.0.attention.wq.weight"), None);
    }

    #[test]
    fn a_number_left_out_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(MetaShards::open(folder.path()).unwrap_err().fault_kind(), Some(FaultKind::MissingData));
        for number in ["00", "02", "3", "xx"] {
            fs::write(folder.path().join(format!("consolidated.{number}.pth")), "").unwrap();
        }
        let text = MetaShards::open(folder.path()).unwrap_err().to_string();
        assert!(text.contains("consolidated.01.pth before consolidated.02.pth"), "{text}");
    }
}
