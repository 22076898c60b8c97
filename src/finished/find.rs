//! Where runs are: what was named itself, or what is in it.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::{During, FinishedError};
use super::harness::is_harness_file;
use super::record::{PARTIAL_FILE, RUN_FILE};

/// Folders below the one that was named in which runs are looked for: `reports/<run>`, and the reference harness's
/// `<folder>/<model>/results_<date>.json`.
const DEPTH: usize = 2;

/// The runs that are meant by `path`: the one that is there, or all below it, in the order of their names.
///
/// # Errors
/// A folder that cannot be read, and one in which there is none.
pub fn find_runs(path: &Path) -> Result<Vec<PathBuf>, FinishedError> {
    if !path.exists() {
        return Err(FinishedError::new(format!(
            "{}: expected the folder of a finished run, or a results file of lm-evaluation-harness; there is nothing of that name \
             (`zoo runs DIR` lists the runs of a folder)",
            path.display()
        )));
    }
    if !path.is_dir() || has_run_file(path) {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = runs_below(path)?;
    found.retain(|run| !is_unfinished(run));
    if found.is_empty() {
        let unfinished = if is_unfinished(path) {
            "; the run there is not finished: `zoo eval … --resume` goes on with it"
        } else {
            ""
        };
        return Err(FinishedError::new(format!(
            "{}: expected the folder of a finished run (with {RUN_FILE}), or a folder of such folders or of results files \
             of lm-evaluation-harness; found none{unfinished}",
            path.display()
        )));
    }
    Ok(found)
}

/// All runs below a folder, finished or not, in the order of their names.
///
/// # Errors
/// A folder that cannot be read.
pub fn runs_below(folder: &Path) -> Result<Vec<PathBuf>, FinishedError> {
    if has_run_file(folder) || is_unfinished(folder) {
        return Ok(vec![folder.to_owned()]);
    }
    let mut found = Vec::new();
    look(folder, DEPTH, &mut found).during(|| format!("cannot look for runs in {}", folder.display()))?;
    Ok(found)
}

/// Whether a folder has the description of a finished run, or something else under its name: a pipe, a device, a folder or a link to
/// nothing. That is no run, and whoever reads it says so; a run that is passed by without a word would be missed by nobody.
pub fn has_run_file(folder: &Path) -> bool {
    is_there(&folder.join(RUN_FILE))
}

fn is_unfinished(folder: &Path) -> bool {
    is_there(&folder.join(PARTIAL_FILE)) && !has_run_file(folder)
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn look(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            if has_run_file(&entry) || is_unfinished(&entry) {
                found.push(entry);
            } else if depth > 1 {
                // What may not be looked into holds nothing for us.
                let _ = look(&entry, depth - 1, found);
            }
        } else if is_harness_file(&entry) {
            found.push(entry);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_found_where_they_are_and_below() {
        let folder = tempfile::tempdir().unwrap();
        for run in ["b", "a", "empty", "c/deep", "c/d/too-deep"] {
            fs::create_dir_all(folder.path().join(run)).unwrap();
        }
        for file in [
            "a/run.yaml",
            "b/run.yaml",
            "c/deep/run.yaml",
            "c/d/too-deep/run.yaml",
            "c/results_2026.json",
            "c/x.json",
        ] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let found = find_runs(folder.path()).unwrap();
        let names: Vec<_> =
            found.iter().map(|path| path.strip_prefix(folder.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a", "b", "c/deep", "c/results_2026.json"]);
        assert_eq!(find_runs(&folder.path().join("a")).unwrap(), [folder.path().join("a")]);
        let error = find_runs(&folder.path().join("empty")).unwrap_err().to_string();
        assert!(error.contains("found none"), "{error}");
    }
}
