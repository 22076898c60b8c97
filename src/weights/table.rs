//! Tensors sorted by name, and where each of them lies.

use std::ops::Range;
use std::path::Path;

use super::{TensorInfo, WeightsError, place_of};
use crate::base::fault::{Fault, FaultKind, quoted};

/// Names, types, shapes and places. Those were checked against the file by the reader that made them.
#[derive(Debug, Clone)]
pub struct TensorTable<P = Range<usize>> {
    infos: Vec<TensorInfo>,
    places: Vec<P>,
}

impl<P> TensorTable<P> {
    /// Sorts the tensors of `file` by name; a name that occurs twice is a fault.
    pub(super) fn new(file: &Path, mut tensors: Vec<(TensorInfo, P)>) -> Result<Self, Box<Fault>> {
        tensors.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        if let Some([(info, _), _]) = tensors.array_windows().find(|[a, b]| a.0.name == b.0.name) {
            let found = format!("{} twice", quoted(&info.name));
            let fault = Fault::new(file, FaultKind::InconsistentHeader, "each name once", found);
            return Err(fault.tensor(&info.name));
        }
        let (infos, places) = tensors.into_iter().unzip();
        Ok(TensorTable { infos, places })
    }

    pub(super) fn infos(&self) -> &[TensorInfo] {
        &self.infos
    }

    pub(super) fn find(&self, name: &str) -> Option<(&TensorInfo, &P)> {
        place_of(&self.infos, name).map(|index| (&self.infos[index], &self.places[index]))
    }

    /// The same of a tensor that is asked for; `file` is where there should be one.
    pub(super) fn get(&self, file: &Path, name: &str) -> Result<(&TensorInfo, &P), WeightsError> {
        let missing = || WeightsError::MissingTensor { file: file.to_owned(), name: name.to_owned() };
        self.find(name).ok_or_else(missing)
    }
}

impl TensorTable {
    /// Tensors and their bytes in the order in which they lie in the file.
    pub(super) fn in_file_order(&self) -> Vec<(&TensorInfo, &Range<usize>)> {
        let mut order: Vec<_> = self.infos.iter().zip(&self.places).collect();
        order.sort_by_key(|(_, span)| (span.start, span.end));
        order
    }
}

/// The product of a shape, or `None` if it does not fit into a machine word.
pub(super) fn checked_elements(shape: &[u64]) -> Option<usize> {
    let product = shape.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim))?;
    usize::try_from(product).ok()
}
