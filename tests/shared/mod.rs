//! Where the reference results lie: `$ZOO_SHARED`, or `../shared` beside the checkout. They are no part of the project.
// Not every test file needs all of it.
#![allow(dead_code)]

use std::path::PathBuf;

/// The folder of reference data, or `None` after a loud note: then nothing was compared.
pub fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("ZOO_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")), PathBuf::from);
    match folder.canonicalize() {
        Ok(folder) if folder.is_dir() => Some(folder),
        _ => {
            eprintln!(
                "SKIPPED: {}: shared folder not found, so nothing was compared; set ZOO_SHARED",
                folder.display()
            );
            None
        }
    }
}

/// The released forms of small models, with the results of the reference tools.
pub fn kit() -> Option<PathBuf> {
    Some(shared()?.join("lineage-kit"))
}
