//! Digests of tensors: what a model *is*, whatever files it is cut into.
//!
//! A tensor's digest is the SHA-256 of its bytes, little-endian and contiguous in row-major order. A model's is the
//! SHA-256 of one line per tensor, sorted by the bytes of the name:
//!
//! ```text
//! <sha256> <dtype> [<dim>,<dim>] <name>\n
//! ```
//!
//! with lower-case hexadecimal digits and safetensors' names of types. It does not depend on the number of files, their
//! headers or the order of tensors in them; every change of a value, type, shape or name changes it.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::base::digest::sha256;
use crate::base::progress::Progress;
use crate::weights::{Access, Dtype, TensorInfo, TensorSource, WeightsError};

/// One tensor of a lock: enough to tell whether another file holds the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorDigest {
    /// The tensor's name.
    pub name: String,
    /// How its elements are stored.
    pub dtype: Dtype,
    /// Row-major shape, outermost axis first.
    pub shape: Vec<usize>,
    /// SHA-256 of its bytes, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

impl TensorDigest {
    /// The digest of `data` in the type and shape of `info`, under the name `name`.
    pub(crate) fn of(name: &str, info: &TensorInfo, data: &[u8]) -> Self {
        let sha256 = sha256(data);
        TensorDigest { name: name.to_owned(), dtype: info.dtype, shape: info.shape.clone(), sha256 }
    }
}

/// The digest of a whole model. The tensors may come in any order.
pub fn tensors_sha256(tensors: &[TensorDigest]) -> String {
    let mut sorted: Vec<&TensorDigest> = tensors.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let line = |tensor: &TensorDigest| {
        let shape: Vec<String> = tensor.shape.iter().map(ToString::to_string).collect();
        let (sha256, dtype, name) = (&tensor.sha256, tensor.dtype.name(), &tensor.name);
        format!("{sha256} {dtype} [{}] {name}\n", shape.join(","))
    };
    sha256(sorted.into_iter().map(line).collect::<String>())
}

/// Digests of all tensors of a source, in the order of their names. Reads everything, on all threads; `progress` is
/// told the bytes, `begin` and `end` are the caller's.
///
/// # Errors
/// What the source reports.
pub fn digest_tensors(
    source: &dyn TensorSource,
    progress: &dyn Progress,
) -> Result<Vec<TensorDigest>, WeightsError> {
    let digest = |info: &TensorInfo| {
        let view = source.tensor(&info.name)?;
        let digest = TensorDigest::of(&info.name, info, &view.data);
        progress.advance(view.data.len() as u64);
        drop(view);
        source.hint(&info.name, Access::Done);
        Ok(digest)
    };
    source.tensors().par_iter().map(digest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::progress::Silent;
    use crate::forms::sample::MemorySource;

    #[test]
    fn the_digest_is_that_of_the_documented_lines() {
        let source = MemorySource::default().with_bytes("a", Dtype::U8, &[], vec![b'a']).with_bytes(
            "b",
            Dtype::U8,
            &[3, 1],
            b"abc".to_vec(),
        );
        let mut digests = digest_tensors(&source, &Silent).unwrap();
        let lines = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb U8 [] a\n\
                     ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad U8 [3,1] b\n";
        let expected = sha256(lines);
        assert_eq!(tensors_sha256(&digests), expected);
        digests.reverse();
        assert_eq!(tensors_sha256(&digests), expected);
        digests[0].shape = vec![1, 3];
        assert_ne!(tensors_sha256(&digests), expected);
    }
}
