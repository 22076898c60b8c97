//! Two models tensor by tensor: what changed, by how much, and with which singular values.
//!
//! Tensors are paired by name. One pair is in memory at a time; the next one's bytes are read ahead. Numbers are
//! those of the stored values widened to f32, summed in f64 over fixed pieces, so they do not depend on the
//! number of threads.

pub mod extract;
mod kind;
mod moments;
pub mod spectrum;
mod summary;

pub use kind::{TensorKind, TensorPlace};
pub use moments::PairMoments;
pub use summary::{TensorGroup, all, by_kind, by_layer, by_layer_and_kind};

use self::spectrum::{Difference, Spectrum, SpectrumOptions};
use crate::base::progress::{self, Progress, Unit};
use crate::forms::FormError;
use crate::weights::{Access, Dtype, TensorInfo, TensorSource, is_buffer};

/// A tensor that both models have.
#[derive(Debug, Clone)]
pub struct TensorChange {
    /// The tensor's name, which is the same in A and B.
    pub name: String,
    /// Layer and kind.
    pub place: TensorPlace,
    /// Shape in A, outermost axis first.
    pub shape_a: Vec<usize>,
    /// Shape in B; another number of rows is possible, nothing else.
    pub shape_b: Vec<usize>,
    /// Element type in A.
    pub dtype_a: Dtype,
    /// Element type in B.
    pub dtype_b: Dtype,
    /// Norms and counts over the rows that both have.
    pub moments: PairMoments,
    /// Singular values of B − A over those rows; for matrices that changed, if they were asked for.
    pub spectrum: Option<Spectrum>,
}

impl TensorChange {
    /// The number of rows that were compared, if one of the models has more.
    pub fn common_rows(&self) -> Option<usize> {
        let (a, b) = (self.shape_a.first()?, self.shape_b.first()?);
        (a != b).then_some(*a.min(b))
    }
}

/// A tensor that both models have and that cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incomparable {
    /// The tensor's name, which is the same in A and B.
    pub name: String,
    /// What A has, as words.
    pub a: String,
    /// The same of B.
    pub b: String,
}

/// What [`compare`] found.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// Tensors of both, sorted by name.
    pub changes: Vec<TensorChange>,
    /// Tensors of both with other shapes or of types that are no numbers of f32.
    pub incomparable: Vec<Incomparable>,
    /// Tensors that B lacks.
    pub only_in_a: Vec<TensorInfo>,
    /// Tensors that A lacks.
    pub only_in_b: Vec<TensorInfo>,
}

impl Comparison {
    /// Whether both have the same tensors of the same shapes with equal values.
    pub fn is_identical(&self) -> bool {
        self.incomparable.is_empty()
            && self.only_in_a.is_empty()
            && self.only_in_b.is_empty()
            && self.changes.iter().all(|c| c.common_rows().is_none() && c.moments.is_equal())
    }
}

/// The number of elements, the first ones of both, over which tensors of one name can be compared.
fn comparable(a: &TensorInfo, b: &TensorInfo) -> Option<usize> {
    match (a.shape.as_slice(), b.shape.as_slice()) {
        _ if !a.dtype.is_widenable() || !b.dtype.is_widenable() => None,
        (shape_a, shape_b) if shape_a == shape_b => Some(a.elements()),
        // A vocabulary that has grown: the rows of the smaller one are the first rows of the other.
        (&[rows_a, columns_a], &[rows_b, columns_b]) if columns_a == columns_b => {
            Some(rows_a.min(rows_b) * columns_a)
        }
        _ => None,
    }
}

/// Compares all tensors whose name `wanted` accepts, with singular values if `spectrum` says how they are found.
///
/// # Errors
/// [`FormError::Weights`] if a tensor cannot be read, [`FormError::Refused`] if LAPACK is needed and missing or
/// fails.
pub fn compare(
    a: &dyn TensorSource,
    b: &dyn TensorSource,
    wanted: &dyn Fn(&str) -> bool,
    spectrum: Option<SpectrumOptions>,
    progress: &dyn Progress,
) -> Result<Comparison, FormError> {
    if spectrum.is_some() && !spectrum::AVAILABLE {
        return Err(spectrum::without_lapack().into());
    }
    let wanted = |info: &&TensorInfo| !is_buffer(info) && wanted(&info.name);
    let mut found = Comparison::default();
    let mut pairs: Vec<(&TensorInfo, &TensorInfo, usize)> = Vec::new();
    for info_a in a.tensors().iter().filter(wanted) {
        match b.info(&info_a.name) {
            None => found.only_in_a.push(info_a.clone()),
            Some(info_b) => match comparable(info_a, info_b) {
                Some(count) => pairs.push((info_a, info_b, count)),
                None => found.incomparable.push(Incomparable {
                    name: info_a.name.clone(),
                    a: words(info_a),
                    b: words(info_b),
                }),
            },
        }
    }
    let only_in_b = b.tensors().iter().filter(wanted).filter(|info| a.info(&info.name).is_none());
    found.only_in_b = only_in_b.cloned().collect();

    let total: usize = pairs.iter().map(|(.., count)| count).sum();
    progress::during(progress, "comparing", Some(total as u64), Unit::Items, || {
        for (i, &(info_a, info_b, count)) in pairs.iter().enumerate() {
            if let Some((next, ..)) = pairs.get(i + 1) {
                a.hint(&next.name, Access::Soon);
                b.hint(&next.name, Access::Soon);
            }
            found.changes.push(change(a, b, info_a, info_b, count, spectrum)?);
            a.hint(&info_a.name, Access::Done);
            b.hint(&info_a.name, Access::Done);
            progress.advance(count as u64);
        }
        Ok(found)
    })
}

fn change(
    a: &dyn TensorSource,
    b: &dyn TensorSource,
    info_a: &TensorInfo,
    info_b: &TensorInfo,
    count: usize,
    spectrum: Option<SpectrumOptions>,
) -> Result<TensorChange, FormError> {
    let (view_a, view_b) = (a.tensor(&info_a.name)?, b.tensor(&info_b.name)?);
    let moments = PairMoments::of(&view_a, &view_b, count)?;
    let spectrum = match (spectrum, Difference::new(&view_a, &view_b)) {
        (Some(options), Some(difference)) if moments.delta_squared > 0.0 && moments.non_finite == 0 => {
            Some(spectrum::spectrum(&difference, moments.delta_squared, &options)?)
        }
        _ => None,
    };
    Ok(TensorChange {
        name: info_a.name.clone(),
        place: TensorPlace::of(&info_a.name),
        shape_a: info_a.shape.clone(),
        shape_b: info_b.shape.clone(),
        dtype_a: info_a.dtype,
        dtype_b: info_b.dtype,
        moments,
        spectrum,
    })
}

fn words(info: &TensorInfo) -> String {
    format!("{} {:?}", info.dtype, info.shape)
}

#[cfg(test)]
mod tests;
