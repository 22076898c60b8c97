//! Tensors under other names, with the rows of queries and keys in another order, or some of them left out.
//!
//! Every form that is not Hugging Face's own is seen through this one source.

use std::borrow::Cow;
use std::path::PathBuf;

use super::rows::halves_from_pairs;
use crate::weights::place_of;
use crate::weights::{Access, TensorInfo, TensorSource, TensorView, WeightsError};

/// Tensors of another source.
#[derive(Debug)]
pub struct Renamed<S> {
    inner: S,
    /// Sorted by name.
    infos: Vec<TensorInfo>,
    /// The name of each in `inner`, and the heads within which its rows are put in order.
    origins: Vec<(String, Option<usize>)>,
    /// What is odd about the inner source, and about its names.
    warnings: Vec<String>,
}

/// What a tensor of the inner source becomes.
pub(crate) struct NewName {
    /// Hugging Face's name.
    pub name: String,
    /// The heads within each of which rows go from pairs to halves (see `rows`).
    pub heads: Option<usize>,
}

impl<S: TensorSource> Renamed<S> {
    /// `inner` with the names that `rename` gives; those that it gives none are left out. New names must be distinct,
    /// and shapes whole heads where rows are reordered.
    ///
    /// # Errors
    /// What `rename` reports.
    pub(crate) fn with_names<E>(
        inner: S,
        mut rename: impl FnMut(&TensorInfo) -> Result<Option<NewName>, E>,
    ) -> Result<Self, E> {
        let mut tensors = Vec::with_capacity(inner.tensors().len());
        for info in inner.tensors() {
            if let Some(NewName { name, heads }) = rename(info)? {
                tensors.push((TensorInfo { name, ..info.clone() }, (info.name.clone(), heads)));
            }
        }
        tensors.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        let (infos, origins) = tensors.into_iter().unzip();
        let warnings = inner.warnings().to_vec();
        Ok(Self { inner, infos, origins, warnings })
    }

    /// `inner` with those tensors that `keep` accepts, under their own names.
    pub(crate) fn only(inner: S, keep: impl Fn(&TensorInfo) -> bool) -> Self {
        let own = |info: &TensorInfo| {
            let kept = keep(info).then(|| NewName { name: info.name.clone(), heads: None });
            Ok::<_, std::convert::Infallible>(kept)
        };
        let Ok(only) = Self::with_names(inner, own);
        only
    }

    /// The same with something that is odd about its names; it is said at once, too.
    pub(crate) fn warning(mut self, warning: String) -> Self {
        tracing::warn!("{warning}");
        self.warnings.push(warning);
        self
    }

    /// The source under its own names.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S: TensorSource> TensorSource for Renamed<S> {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, WeightsError> {
        let missing = || WeightsError::MissingTensor {
            file: self.inner.files().into_iter().next().unwrap_or_else(|| PathBuf::from("weights")),
            name: name.to_owned(),
        };
        let index = place_of(&self.infos, name).ok_or_else(missing)?;
        let (info, (origin, heads)) = (&self.infos[index], &self.origins[index]);
        let view = self.inner.tensor(origin)?;
        let data = match *heads {
            // What is left as it is says itself what it is.
            None if origin == name => return Ok(view),
            None => view.data,
            Some(heads) => Cow::Owned(halves_from_pairs(&view.data, info.shape[0], heads)),
        };
        Ok(TensorView { info, data })
    }

    fn files(&self) -> Vec<PathBuf> {
        self.inner.files()
    }

    fn hint(&self, name: &str, access: Access) {
        if let Some(index) = place_of(&self.infos, name) {
            self.inner.hint(&self.origins[index].0, access);
        }
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }
}
