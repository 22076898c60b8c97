//! The tensors of one file, sorted by name, and where their bytes lie.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use super::{Fault, FaultKind, TensorInfo, TensorView, WeightsError};
use crate::base::fault::quoted;
use crate::weights::place_of;

/// Names, types, shapes and byte ranges. Ranges were checked against the file by the reader that made them.
#[derive(Debug, Clone, Default)]
pub(super) struct TensorTable {
    infos: Vec<TensorInfo>,
    spans: Vec<Range<usize>>,
}

impl TensorTable {
    /// Sorts the tensors by name; a name that occurs twice is a fault.
    pub(super) fn new(
        file: &Path,
        mut tensors: Vec<(TensorInfo, Range<usize>)>,
    ) -> Result<Self, WeightsError> {
        tensors.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        for pair in tensors.windows(2) {
            if let [(first, _), (second, _)] = pair
                && first.name == second.name
            {
                return Err(Fault::new(
                    file,
                    FaultKind::InconsistentHeader,
                    "each name once",
                    format!("{} twice", quoted(&first.name)),
                )
                .tensor(&first.name)
                .into());
            }
        }
        let (infos, spans) = tensors.into_iter().unzip();
        Ok(TensorTable { infos, spans })
    }

    pub(super) fn infos(&self) -> &[TensorInfo] {
        &self.infos
    }

    /// Tensors and their bytes in the order in which they lie in the file.
    pub(super) fn in_file_order(&self) -> Vec<(&TensorInfo, &Range<usize>)> {
        let mut order: Vec<_> = self.infos.iter().zip(&self.spans).collect();
        order.sort_by_key(|(_, span)| (span.start, span.end));
        order
    }

    /// The byte range of `name`.
    pub(super) fn span(&self, name: &str) -> Option<Range<usize>> {
        self.find(name).map(|(_, span)| span.clone())
    }

    fn find(&self, name: &str) -> Option<(&TensorInfo, &Range<usize>)> {
        let index = place_of(&self.infos, name)?;
        self.infos.get(index).zip(self.spans.get(index))
    }

    /// The tensor `name` as a slice of `bytes`, the whole file.
    pub(super) fn view<'a>(
        &'a self,
        file: &Path,
        bytes: &'a [u8],
        name: &str,
    ) -> Result<TensorView<'a>, WeightsError> {
        let missing = || WeightsError::MissingTensor { file: file.to_owned(), name: name.to_owned() };
        let (info, span) = self.find(name).ok_or_else(missing)?;
        let data = bytes.get(span.clone()).ok_or_else(missing)?;
        Ok(TensorView { info, data: Cow::Borrowed(data) })
    }
}

/// The product of a shape, or `None` if it does not fit into a machine word.
pub(super) fn checked_elements(shape: &[u64]) -> Option<usize> {
    let product = shape.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim))?;
    usize::try_from(product).ok()
}
