//! What a file is that was meant to be one of `torch.save`: the usual accidents have their own sentence.

use std::path::Path;

use crate::base::digest::hex;
use crate::base::fault::{Fault, FaultKind};

/// Where a tar archive has its mark, and the mark.
const TAR: (usize, &[u8]) = (257, b"ustar");

/// The fault for a file that is neither a zip archive nor a pickle.
pub(super) fn other_kind(file: &Path, bytes: &[u8]) -> Box<Fault> {
    let fault = |kind, found: &str, advice: &str| {
        Fault::new(file, kind, "a file of torch.save", found).advice(advice)
    };
    let start = bytes.get(..512).unwrap_or(bytes);
    let text = start.trim_ascii_start().to_ascii_lowercase();
    if bytes.is_empty() {
        return fault(FaultKind::Truncated, "an empty file", "fetch the file again");
    }
    if text.starts_with(b"version https://git-lfs") {
        let advice = "the repository was cloned without its large files: run `git lfs pull` in it, or \
                      download the file itself";
        return fault(FaultKind::MissingData, "a Git LFS pointer to it", advice);
    }
    if text.starts_with(b"<") && (text.starts_with(b"<!doctype html") || text.starts_with(b"<html")) {
        let advice = "a page was saved in place of the file, perhaps a login or an error: download it again";
        return fault(FaultKind::Unsupported, "a web page (HTML)", advice);
    }
    if bytes.get(TAR.0..).is_some_and(|rest| rest.starts_with(TAR.1)) {
        let advice = "load it in PyTorch 0.4 to 2.5 and save it again";
        return fault(FaultKind::Unsupported, "a tar archive, as PyTorch 0.1 wrote in 2016", advice);
    }
    if bytes.starts_with(b"GGUF") {
        return fault(FaultKind::Unsupported, "a GGUF file", "rename it to end in .gguf");
    }
    let found = format!("a file that begins with bytes {}", hex(&start[..start.len().min(4)]));
    fault(FaultKind::Unsupported, &found, "fetch the file again and compare its digest")
}
