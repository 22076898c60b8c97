//! Place of every byte of a safetensors model, known before the first tensor is there.
//!
//! Types and shapes decide sizes, sizes decide offsets, offsets decide headers. So tensors can be written one after
//! the other, in any order and by several attempts, and no header waits for the data.
//!
//! Source: the format section of the safetensors README; file names, index and the greedy cut at a size as
//! `transformers` and `huggingface_hub` make them. Within a file, wide types come first, as in the reference
//! implementation: then every tensor is aligned to its own elements.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::header::{LENGTH, MAX_HEADER, MAX_RANK, METADATA};
use crate::base::fault::{Fault, FaultKind, quoted};
use crate::weights::{INDEX_FILE, SINGLE_FILE, TensorInfo, WeightsError};

/// What the data section is aligned to: the widest element.
const ALIGNMENT: usize = 8;
/// Most files of one model, as the reader accepts.
const MAX_FILES: usize = 4096;

/// The files of a model that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLayout {
    /// The files, in the order of their tensors.
    pub files: Vec<PlannedFile>,
    /// The sum of the sizes of all tensors, in bytes.
    pub total_size: u64,
}

/// One file that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    /// `model.safetensors`, or `model-00001-of-00003.safetensors`.
    pub name: String,
    /// Where the data section begins, which is the size of the length field and the header.
    pub data_start: u64,
    /// The tensors in the order of their bytes.
    pub tensors: Vec<PlannedTensor>,
    /// Size of the file in bytes.
    pub size: u64,
}

/// One tensor that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedTensor {
    /// Name, type and shape.
    pub info: TensorInfo,
    /// Its first byte in the file.
    pub offset: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

impl FileLayout {
    /// Lays out tensors in the order given, in files of at most `max_file_bytes` of data. A tensor that is larger
    /// than that has a file of its own.
    ///
    /// `metadata` are the strings under `__metadata__` of every file. Their values may still change when the headers
    /// are written, see [`PlannedFile::header`].
    ///
    /// # Errors
    /// [`WeightsError::Fault`] for a name that occurs twice or is reserved, a type that the format does not have (block
    /// formats), more than 4096 files, or a header beyond the format's 100 MB.
    pub fn plan(
        tensors: &[TensorInfo],
        max_file_bytes: u64,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self, WeightsError> {
        check_names(tensors)?;
        let mut total_size = 0u64;
        let mut groups: Vec<(u64, Vec<(&TensorInfo, u64)>)> = Vec::new();
        for info in tensors {
            let bytes = data_bytes(info)?;
            total_size = total_size.checked_add(bytes).ok_or_else(|| too_large(info))?;
            match groups.last_mut() {
                Some((sum, group)) if sum.checked_add(bytes).is_some_and(|sum| sum <= max_file_bytes) => {
                    *sum += bytes;
                    group.push((info, bytes));
                }
                _ => groups.push((bytes, vec![(info, bytes)])),
            }
        }
        if groups.is_empty() {
            groups.push((0, Vec::new()));
        }
        let count = groups.len();
        if count > MAX_FILES {
            let expected = format!("at most {MAX_FILES} files");
            let fault =
                Fault::new(Path::new(INDEX_FILE), FaultKind::LimitExceeded, expected, count.to_string());
            return Err(fault.advice("allow larger files").into());
        }
        let files = groups.into_iter().enumerate().map(|(i, (_, mut group))| {
            // Stable: tensors of one width stay in the order given.
            group.sort_by_key(|(info, _)| std::cmp::Reverse(info.dtype.block_bytes()));
            let name = match count {
                1 => SINGLE_FILE.to_owned(),
                _ => format!("model-{:05}-of-{count:05}.safetensors", i + 1),
            };
            PlannedFile::new(name, group, metadata)
        });
        let files = files.collect::<Result<_, _>>()?;
        Ok(FileLayout { files, total_size })
    }

    /// The content of `model.safetensors.index.json`; `None` for a single file, which has no index.
    pub fn index(&self) -> Option<Vec<u8>> {
        if self.files.len() < 2 {
            return None;
        }
        let mut places: Vec<(&str, &str)> = Vec::new();
        for file in &self.files {
            places.extend(file.tensors.iter().map(|t| (t.info.name.as_str(), file.name.as_str())));
        }
        places.sort_unstable();
        let weight_map: Map<String, Value> =
            places.into_iter().map(|(tensor, file)| (tensor.to_owned(), file.into())).collect();
        let index = json!({"metadata": {"total_size": self.total_size}, "weight_map": weight_map});
        Some(format!("{index:#}\n").into_bytes())
    }
}

impl PlannedFile {
    fn new(
        name: String,
        tensors: Vec<(&TensorInfo, u64)>,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self, WeightsError> {
        let mut file = PlannedFile { name, data_start: 0, tensors: Vec::new(), size: 0 };
        for (info, bytes) in tensors {
            let offset = file.size;
            file.size = offset.checked_add(bytes).ok_or_else(|| too_large(info))?;
            file.tensors.push(PlannedTensor { info: info.clone(), offset, bytes });
        }
        let text = file.text(metadata);
        let length = text.len().next_multiple_of(ALIGNMENT) as u64;
        if length > MAX_HEADER {
            let expected = format!("a header of at most {MAX_HEADER} bytes");
            let found = format!("{length} bytes for {} tensors", file.tensors.len());
            return Err(Fault::new(Path::new(&file.name), FaultKind::LimitExceeded, expected, found)
                .advice("write smaller files")
                .into());
        }
        file.data_start = length + LENGTH as u64;
        file.size = file.size.checked_add(file.data_start).expect("no file has 16 EiB");
        for tensor in &mut file.tensors {
            tensor.offset += file.data_start;
        }
        Ok(file)
    }

    /// The bytes before the data section: the length field, and the header padded with spaces.
    ///
    /// # Errors
    /// [`WeightsError::Fault`] if the header with this `metadata` is longer than the one that was planned. Values of
    /// the same length never are.
    pub fn header(&self, metadata: &BTreeMap<String, String>) -> Result<Vec<u8>, WeightsError> {
        let text = self.text(metadata);
        let room = self.data_start as usize - LENGTH;
        if text.len() > room {
            let expected = format!("a header of at most {room} bytes");
            let found = text.len().to_string();
            let fault = Fault::new(Path::new(&self.name), FaultKind::InconsistentHeader, expected, found);
            return Err(fault.advice("plan the files with metadata of the final length").into());
        }
        let mut header = (room as u64).to_le_bytes().to_vec();
        header.extend_from_slice(text.as_bytes());
        header.resize(room + LENGTH, b' ');
        Ok(header)
    }

    /// The JSON of the header, its offsets relative to the data section.
    fn text(&self, metadata: &BTreeMap<String, String>) -> String {
        let mut header = Map::new();
        if !metadata.is_empty() {
            header.insert(METADATA.to_owned(), json!(metadata));
        }
        for tensor in &self.tensors {
            let begin = tensor.offset.checked_sub(self.data_start).expect("data lie behind the header");
            let end = begin + tensor.bytes;
            let entry = json!({
                "dtype": tensor.info.dtype.name(), "shape": tensor.info.shape, "data_offsets": [begin, end]
            });
            header.insert(tensor.info.name.clone(), entry);
        }
        Value::Object(header).to_string()
    }
}

/// Size of a tensor's bytes; types that the format does not have are refused.
fn data_bytes(info: &TensorInfo) -> Result<u64, WeightsError> {
    if info.dtype.block_size() > 1 {
        let fault = fault(info, FaultKind::Unsupported, "a type of single elements", info.dtype.name());
        return Err(fault.advice("widen it: choose an output type of f16, bf16 or f32").into());
    }
    if info.shape.len() > MAX_RANK {
        let expected = format!("at most {MAX_RANK} axes");
        let found = info.shape.len().to_string();
        return Err(fault(info, FaultKind::LimitExceeded, &expected, &found).into());
    }
    let elements = info.shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
    let bytes = elements.and_then(|elements| info.dtype.bytes_for(elements));
    bytes.map(|bytes| bytes as u64).ok_or_else(|| too_large(info))
}

fn too_large(info: &TensorInfo) -> WeightsError {
    let expected = "sizes that fit into a machine word";
    fault(info, FaultKind::LimitExceeded, expected, &format!("{:?} of {}", info.shape, info.dtype)).into()
}

fn check_names(tensors: &[TensorInfo]) -> Result<(), WeightsError> {
    let mut names: Vec<&TensorInfo> = tensors.iter().collect();
    names.sort_by(|a, b| a.name.cmp(&b.name));
    for pair in names.windows(2) {
        if let [first, second] = pair
            && first.name == second.name
        {
            let found = format!("{} twice", quoted(&first.name));
            return Err(fault(first, FaultKind::InconsistentHeader, "each name once", &found).into());
        }
    }
    match names.iter().find(|info| info.name == METADATA) {
        Some(info) => {
            let expected = "a name that the format does not use itself";
            Err(fault(info, FaultKind::InconsistentHeader, expected, METADATA).into())
        }
        None => Ok(()),
    }
}

fn fault(info: &TensorInfo, kind: FaultKind, expected: &str, found: &str) -> Box<Fault> {
    Fault::new(Path::new(SINGLE_FILE), kind, expected, found).tensor(&info.name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use safetensors::SafeTensors;

    use super::*;
    use crate::weights::{Dtype, SafetensorsFile, ShardedWeights, TensorSource};

    fn info(name: &str, dtype: Dtype, shape: &[usize]) -> TensorInfo {
        TensorInfo { name: name.to_owned(), dtype, shape: shape.to_vec() }
    }

    fn note(value: &str) -> BTreeMap<String, String> {
        [("format".to_owned(), "pt".to_owned()), ("digest".to_owned(), value.to_owned())].into()
    }

    /// The files of a layout, each tensor filled with bytes that depend on its name.
    fn write(layout: &FileLayout, folder: &Path, metadata: &BTreeMap<String, String>) {
        for file in &layout.files {
            let mut bytes = file.header(metadata).unwrap();
            assert_eq!(bytes.len() as u64, file.data_start);
            for tensor in &file.tensors {
                assert_eq!(tensor.offset, bytes.len() as u64, "{}", tensor.info.name);
                assert_eq!(tensor.offset % tensor.info.dtype.block_bytes() as u64, 0, "{}", tensor.info.name);
                bytes.extend(content(&tensor.info, tensor.bytes));
            }
            assert_eq!(bytes.len() as u64, file.size);
            std::fs::write(folder.join(&file.name), bytes).unwrap();
        }
        if let Some(index) = layout.index() {
            std::fs::write(folder.join(INDEX_FILE), index).unwrap();
        }
    }

    fn content(info: &TensorInfo, bytes: u64) -> Vec<u8> {
        let seed = info.name.bytes().fold(7u8, |a, b| a.wrapping_mul(31).wrapping_add(b));
        (0..bytes).map(|i| (i as u8).wrapping_mul(13).wrapping_add(seed)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_planned_is_read_back(
            drawn in prop::collection::btree_map(
                "[a-zé\"\\\\.]{1,8}", (0usize..13, prop::collection::vec(0usize..5, 0..4)), 0..12),
            max_file_bytes in 1u64..600,
        ) {
            let plain: Vec<Dtype> = Dtype::ALL.into_iter().filter(|d| d.block_size() == 1).collect();
            let infos: Vec<TensorInfo> =
                drawn.iter().map(|(name, (dtype, shape))| info(name, plain[*dtype], shape)).collect();
            let layout = FileLayout::plan(&infos, max_file_bytes, &note("0000")).unwrap();
            let folder = tempfile::tempdir().unwrap();
            write(&layout, folder.path(), &note("abcd"));
            let source = crate::weights::open(folder.path()).unwrap();
            prop_assert_eq!(source.tensors(), &infos[..]);
            for info in &infos {
                let view = source.tensor(&info.name).unwrap();
                prop_assert_eq!(&*view.data, &content(info, view.data.len() as u64)[..]);
            }
            for file in &layout.files {
                let data = file.size - file.data_start;
                prop_assert!(data <= max_file_bytes || file.tensors.iter().filter(|t| t.bytes > 0).count() == 1);
                let bytes = std::fs::read(folder.path().join(&file.name)).unwrap();
                let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
                let notes = metadata.metadata().clone().unwrap();
                prop_assert_eq!(notes.get("digest").map(String::as_str), Some("abcd"));
                prop_assert_eq!(SafeTensors::deserialize(&bytes).unwrap().len(), file.tensors.len());
            }
        }
    }

    #[test]
    fn files_are_cut_greedily_and_named_by_number() {
        let infos: Vec<TensorInfo> =
            ["a", "b", "c", "d"].iter().zip([4, 4, 40, 2]).map(|(n, k)| info(n, Dtype::F16, &[k])).collect();
        let layout = FileLayout::plan(&infos, 16, &BTreeMap::new()).unwrap();
        let files: Vec<(&str, usize)> =
            layout.files.iter().map(|f| (f.name.as_str(), f.tensors.len())).collect();
        assert_eq!(
            files,
            [
                ("model-00001-of-00003.safetensors", 2),
                ("model-00002-of-00003.safetensors", 1),
                ("model-00003-of-00003.safetensors", 1)
            ]
        );
        assert_eq!(layout.total_size, 100);
        let folder = tempfile::tempdir().unwrap();
        write(&layout, folder.path(), &BTreeMap::new());
        let sharded = ShardedWeights::open(folder.path().join(INDEX_FILE)).unwrap();
        assert!(sharded.warnings().is_empty(), "{:?}", sharded.warnings());
    }

    #[test]
    fn wide_elements_come_first_so_that_all_are_aligned() {
        let infos = [info("a", Dtype::U8, &[3]), info("b", Dtype::F32, &[1]), info("c", Dtype::F64, &[])];
        let layout = FileLayout::plan(&infos, 100, &BTreeMap::new()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        write(&layout, folder.path(), &BTreeMap::new());
        let order: Vec<&str> = layout.files[0].tensors.iter().map(|t| t.info.name.as_str()).collect();
        assert_eq!(order, ["c", "b", "a"]);
        assert_eq!(SafetensorsFile::open(folder.path().join(SINGLE_FILE)).unwrap().tensors(), infos);
    }

    #[test]
    fn what_the_format_cannot_hold_is_refused() {
        let refused = |infos: &[TensorInfo]| {
            let error = FileLayout::plan(infos, 100, &BTreeMap::new()).unwrap_err();
            (error.fault_kind(), error.to_string())
        };
        let (kind, text) = refused(&[info("w", Dtype::Q8_0, &[32])]);
        assert_eq!(kind, Some(FaultKind::Unsupported));
        assert!(text.contains("\"w\"") && text.contains("Q8_0") && text.contains("bf16"), "{text}");
        let twice = [info("w", Dtype::F32, &[1]), info("w", Dtype::F16, &[1])];
        assert_eq!(refused(&twice).0, Some(FaultKind::InconsistentHeader));
        assert_eq!(refused(&[info(METADATA, Dtype::F32, &[1])]).0, Some(FaultKind::InconsistentHeader));
        for shape in [vec![usize::MAX, 2], vec![usize::MAX], vec![1; 17]] {
            assert_eq!(refused(&[info("w", Dtype::F32, &shape)]).0, Some(FaultKind::LimitExceeded));
        }
        let many: Vec<TensorInfo> =
            (0..=MAX_FILES).map(|i| info(&format!("{i}"), Dtype::U8, &[101])).collect();
        assert_eq!(refused(&many).0, Some(FaultKind::LimitExceeded));
    }

    #[test]
    fn a_header_never_grows_into_the_data() {
        let layout = FileLayout::plan(&[info("w", Dtype::F32, &[1])], 100, &note("")).unwrap();
        let error = layout.files[0].header(&note(&"x".repeat(64))).unwrap_err();
        assert_eq!(error.fault_kind(), Some(FaultKind::InconsistentHeader), "{error}");
    }
}
