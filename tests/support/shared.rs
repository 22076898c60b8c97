//! Where data lies that is no part of the project. A test that needs it and does not find it fails: it was asked for.
//!
//! `ZOO_ACCEPTANCE=skip` lets such tests pass without comparing anything, and each of them says so.

use std::path::PathBuf;

/// The folder of reference data: `$ZOO_SHARED`, or `../shared` beside the checkout. `None` if the user opted out.
pub fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("ZOO_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")), PathBuf::from);
    present(folder.canonicalize().ok().filter(|found| found.is_dir()), || {
        format!("{}: expected the folder of reference data; name it with ZOO_SHARED", folder.display())
    })
}

/// The released forms of small models, with the results of the reference tools.
pub fn kit() -> Option<PathBuf> {
    Some(shared()?.join("lineage-kit"))
}

/// What the environment variable `name` names. `None` if the user opted out.
pub fn named(name: &str) -> Option<PathBuf> {
    present(std::env::var_os(name).map(PathBuf::from), || {
        format!("{name} is not set, see the head of this test")
    })
}

fn present(found: Option<PathBuf>, missing: impl FnOnce() -> String) -> Option<PathBuf> {
    if found.is_none() {
        let missing = missing();
        let skip = std::env::var("ZOO_ACCEPTANCE").is_ok_and(|value| value == "skip");
        assert!(skip, "nothing was compared: {missing} (or set ZOO_ACCEPTANCE=skip to do without)");
        eprintln!("SKIPPED, nothing was compared: {missing}");
    }
    found
}
