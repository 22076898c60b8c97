//! A written model, read back: the proof that its reader finds what was meant.

use crate::base::fault::{Fault, FaultKind};
use crate::base::progress::{self, Progress, Unit};
use crate::forms::FormError;
use crate::store::TensorDigest;
use crate::weights::{TensorSource, TensorView, in_turn};

/// Reads every tensor of `source` and compares it with what was written. One tensor at a time is in memory.
///
/// # Errors
/// What the reader reports; [`FaultKind::DigestMismatch`] if it gives back another tensor, or more of them.
pub(super) fn read_back(
    source: &dyn TensorSource,
    written: &[TensorDigest],
    progress: &dyn Progress,
) -> Result<(), FormError> {
    let total = source.tensors().iter().map(|info| info.bytes() as u64).sum();
    let compare = |expected: &TensorDigest, view: TensorView<'_>| {
        let found = TensorDigest::of(&expected.name, view.info, &view.data);
        progress.advance(view.data.len() as u64);
        if found == *expected { Ok(()) } else { Err(other(source, expected, &found)) }
    };
    progress::during(progress, "reading it back", Some(total), Unit::Bytes, || {
        in_turn(source, written, |digest| &digest.name, compare)
    })?;
    match source.tensors().iter().find(|info| !written.iter().any(|digest| digest.name == info.name)) {
        None => Ok(()),
        Some(info) => {
            let found = source.tensors().len().to_string();
            Err(fault(source, &info.name, format!("{} tensors", written.len()), found))
        }
    }
}

fn other(source: &dyn TensorSource, expected: &TensorDigest, found: &TensorDigest) -> FormError {
    let say = |TensorDigest { dtype, shape, sha256, .. }: &TensorDigest| {
        format!("{dtype} {shape:?} with SHA-256 {}", &sha256[..12])
    };
    fault(source, &expected.name, format!("{}, as written", say(expected)), say(found))
}

fn fault(source: &dyn TensorSource, tensor: &str, expected: String, found: String) -> FormError {
    let file = source.files().into_iter().next().unwrap_or_default();
    let fault = Fault::new(&file, FaultKind::DigestMismatch, expected, found).tensor(tensor);
    let advice =
        "disk or memory of this machine change data: try another disk, and do not use what was written";
    FormError::Weights(fault.advice(advice).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::progress::Silent;
    use crate::forms::sample::MemorySource;
    use crate::store::digest_tensors;
    use crate::weights::Dtype;

    #[test]
    fn another_tensor_or_one_more_is_told() {
        let source = |last: u8| {
            MemorySource::default().with_bytes("a", Dtype::U8, &[2], vec![1, 2]).with_bytes(
                "b",
                Dtype::U8,
                &[2],
                vec![3, last],
            )
        };
        let written = digest_tensors(&source(4), &Silent).unwrap();
        assert!(read_back(&source(4), &written, &Silent).is_ok());
        let text = read_back(&source(5), &written, &Silent).unwrap_err().to_string();
        assert!(text.contains("\"b\"") && text.contains("as written"), "{text}");
        let text = read_back(&source(4), &written[..1], &Silent).unwrap_err().to_string();
        assert!(text.contains("\"b\"") && text.contains("expected 1 tensors, found 2"), "{text}");
        let fewer = MemorySource::default().with_bytes("a", Dtype::U8, &[2], vec![1, 2]);
        assert!(read_back(&fewer, &written, &Silent).is_err());
    }
}
