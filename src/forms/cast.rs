//! A model in another element type, and without the buffers that are no weights.
//!
//! Float tensors and block formats are widened to f32 and rounded once, to nearest with ties to even; integers and
//! tensors that have the type already pass through as they are. A value that the new type cannot hold is refused: f16
//! ends at 65504, and an infinity among the weights spoils every result.

use std::path::PathBuf;

use super::{HfModel, Renamed};
use crate::weights::{Access, Dtype, TensorInfo, TensorSource, TensorView, WeightsError, is_buffer};

/// A source whose float tensors are of one type.
#[derive(Debug)]
pub struct Cast<S> {
    inner: S,
    infos: Vec<TensorInfo>,
}

impl<S: TensorSource> Cast<S> {
    /// `inner` in `dtype`: F32, F16 or BF16.
    ///
    /// # Errors
    /// [`WeightsError::NotNarrowable`] for another type.
    pub fn new(inner: S, dtype: Dtype) -> Result<Self, WeightsError> {
        if !dtype.is_narrowable() {
            return Err(WeightsError::NotNarrowable { dtype });
        }
        let cast = |info: &TensorInfo| TensorInfo {
            dtype: if info.dtype.is_integer() { info.dtype } else { dtype },
            ..info.clone()
        };
        let infos = inner.tensors().iter().map(cast).collect();
        Ok(Self { inner, infos })
    }
}

impl<S: TensorSource> TensorSource for Cast<S> {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, WeightsError> {
        let view = self.inner.tensor(name)?;
        let info = self.info(name).expect("the tensors of a source and of its cast have the same names");
        Ok(TensorView { info, data: view.cast(info.dtype)? })
    }

    fn files(&self) -> Vec<PathBuf> {
        self.inner.files()
    }

    fn hint(&self, name: &str, access: Access) {
        self.inner.hint(name, access);
    }
}

impl HfModel {
    /// The model with its float tensors in `dtype`: F32, F16 or BF16.
    ///
    /// # Errors
    /// [`WeightsError::NotNarrowable`] for another type.
    pub fn cast(self, dtype: Dtype) -> Result<HfModel, WeightsError> {
        Ok(HfModel { tensors: Box::new(Cast::new(self.tensors, dtype)?), ..self })
    }
}

/// `inner` without what is no weight: buffers that follow from the configuration.
pub fn without_buffers<S: TensorSource>(inner: S) -> Renamed<S> {
    Renamed::only(inner, |info| !is_buffer(info))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::forms::sample::MemorySource;

    /// More than one piece of a conversion.
    const CHUNK: usize = 1 << 16;

    fn bytes(values: &[f32], dtype: Dtype) -> Vec<u8> {
        let mut out = vec![0; dtype.bytes_for(values.len()).unwrap()];
        dtype.narrow(values, &mut out).unwrap();
        out
    }

    #[test]
    fn floats_are_rounded_once_and_the_rest_passes() {
        let values: Vec<f32> = (0..3 * CHUNK + 7).map(|i| (i as f32 - 9e4) * 0.37).collect();
        let source = MemorySource::default()
            .with_bytes("a.f32", Dtype::F32, &[values.len()], bytes(&values, Dtype::F32))
            .with_bytes("b.bf16", Dtype::BF16, &[2, 1], bytes(&[1.0, -3.5], Dtype::BF16))
            .with_bytes("c.f16", Dtype::F16, &[2], bytes(&[0.1, 0.2], Dtype::F16))
            .with_bytes("d.i64", Dtype::I64, &[1], vec![7; 8])
            .with_bytes("e.q8", Dtype::Q8_0, &[32], [vec![0, 0x3c], vec![3; 32]].concat());
        let cast = Cast::new(&source, Dtype::F16).unwrap();
        let data = |name: &str| cast.tensor(name).unwrap().data.into_owned();
        assert_eq!(data("a.f32"), bytes(&values, Dtype::F16));
        assert_eq!(data("b.bf16"), bytes(&[1.0, -3.5], Dtype::F16));
        assert!(matches!(cast.tensor("c.f16").unwrap().data, Cow::Borrowed(_)));
        assert_eq!(data("d.i64"), [7; 8]);
        assert_eq!(data("e.q8"), bytes(&[3.0; 32], Dtype::F16));
        let types: Vec<Dtype> = cast.tensors().iter().map(|info| info.dtype).collect();
        assert_eq!(types, [Dtype::F16, Dtype::F16, Dtype::F16, Dtype::I64, Dtype::F16]);
        assert!(matches!(cast.tensor("x"), Err(WeightsError::MissingTensor { .. })));
        assert!(matches!(Cast::new(&source, Dtype::I8), Err(WeightsError::NotNarrowable { .. })));
    }

    #[test]
    fn a_value_beyond_the_range_is_refused_with_its_place() {
        let mut values = vec![1.0f32; CHUNK + 10];
        values[CHUNK + 3] = 65520.0;
        values[2] = f32::INFINITY;
        let source =
            MemorySource::default().with_bytes("w", Dtype::F32, &[values.len()], bytes(&values, Dtype::F32));
        let error = Cast::new(&source, Dtype::F16).unwrap().tensor("w").unwrap_err().to_string();
        assert!(error.contains(&format!("element {}", CHUNK + 3)) && error.contains("bf16"), "{error}");
        // An infinity that was there already is not the cast's affair.
        assert!(Cast::new(&source, Dtype::BF16).unwrap().tensor("w").is_ok());
    }

    #[test]
    fn buffers_are_left_out() {
        let name = "model.layers.0.self_attn.rotary_emb.inv_freq";
        let source = MemorySource::default().with_bytes(name, Dtype::F32, &[1], vec![0; 4]).with_bytes(
            "w",
            Dtype::U8,
            &[1],
            vec![1],
        );
        let source = without_buffers(&source);
        assert_eq!(source.tensors().len(), 1);
        assert!(matches!(source.tensor(name), Err(WeightsError::MissingTensor { .. })));
        assert_eq!(*source.tensor("w").unwrap().data, [1]);
    }
}
