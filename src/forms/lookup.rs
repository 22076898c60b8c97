//! Finding tensors by name.

use crate::weights::{TensorInfo, TensorSource};

/// What `source` says of the tensor called `name`, without reading it.
pub(crate) fn find<'a>(source: &'a dyn TensorSource, name: &str) -> Option<&'a TensorInfo> {
    let infos = source.tensors();
    infos.binary_search_by(|info| info.name.as_str().cmp(name)).ok().and_then(|i| infos.get(i))
}
