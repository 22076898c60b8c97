//! How much room there is for what is about to be fetched.

use std::path::Path;

use super::HubError;
use crate::base::machine::free_bytes;

/// An error if the disk of `folder` has no room for `needed` more bytes.
pub(super) fn check(folder: &Path, needed: u64) -> Result<(), HubError> {
    match free_bytes(folder) {
        Some(free) if free < needed => Err(HubError::NoSpace { path: folder.to_owned(), needed, free }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_does_not_exist_yet_has_its_parents_room() {
        let folder = tempfile::tempdir().unwrap();
        let future = folder.path().join("a/b/c");
        assert!(free_bytes(&future).is_some_and(|free| free > 0));
        assert!(check(&future, 1).is_ok());
        assert!(matches!(check(&future, u64::MAX), Err(HubError::NoSpace { .. })));
    }
}
