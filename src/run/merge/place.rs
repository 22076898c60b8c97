//! Where a merged run goes: into a folder beside its own, which gets the name when all of it is there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::own;
use crate::run::RunError;
use crate::run::claim::Claim;
use crate::run::error::During;
use crate::run::folder;

/// A folder that becomes that of a run. Dropped before that, it is removed.
pub struct Place {
    out: PathBuf,
    temporary: PathBuf,
    /// Held while files are written.
    claim: Option<Claim>,
}

impl Place {
    /// A folder beside `out`, which is not made yet.
    ///
    /// # Errors
    /// A folder that holds a shard or anything else that is no run.
    pub fn beside(out: &Path, shards: &[&Path]) -> Result<Self, RunError> {
        let place = out.display();
        if out.exists() {
            let own = fs::canonicalize(out).during(|| format!("cannot look at {place}"))?;
            let is_within =
                |shard: &&&Path| fs::canonicalize(shard).is_ok_and(|shard| shard.starts_with(&own));
            if let Some(shard) = shards.iter().find(is_within) {
                return Err(RunError::Usage(format!(
                    "--out {place}: the shard {} is there; name another folder",
                    shard.display()
                )));
            }
            let is_empty = || Ok::<bool, io::Error>(fs::read_dir(out)?.next().is_none());
            if !out.is_dir() || (folder::state(out) == folder::State::Free && !is_empty()?) {
                return Err(RunError::Usage(format!(
                    "--out {place}: expected no such folder, an empty one or that of a run, found something else"
                )));
            }
        }
        let name = out.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let temporary = out.with_file_name(format!(".{name}.zoo-merge"));
        Ok(Self { out: out.to_owned(), temporary, claim: None })
    }

    /// Makes it. A run that is in the way of its name is moved aside.
    ///
    /// # Errors
    /// Another process that writes to that folder, and folders that cannot be made.
    pub fn begin(&mut self) -> Result<(), RunError> {
        self.claim = Some(folder::clear(&self.out)?);
        let doing = || format!("cannot begin the run in {}", self.out.display());
        own::refuse_link(&self.temporary).during(doing)?;
        // One that was killed left it, since nobody else has the right to the run's folder.
        match fs::remove_dir_all(&self.temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).during(doing),
            _ => {}
        }
        fs::create_dir_all(&self.temporary).during(doing)
    }

    /// Where files go until the end.
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// Gives the folder its name.
    ///
    /// # Errors
    /// Something that was put there meanwhile.
    pub fn commit(mut self) -> Result<PathBuf, RunError> {
        // The file of the claim is all that is there.
        self.claim = None;
        let out = self.out.clone();
        fs::rename(&self.temporary, &out)
            .during(|| format!("cannot rename {} to {}", self.temporary.display(), out.display()))?;
        Ok(out)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.claim.is_some() {
            let _ = fs::remove_dir_all(&self.temporary);
            self.claim = None;
            // Made by the claim, and empty without it; whatever else is there stays.
            let _ = fs::remove_dir(&self.out);
        }
    }
}
