//! Where a merged run goes: into a folder beside its own, which gets the name when all of it is there.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::base::own;
use crate::run::RunError;
use crate::run::claim::{Claim, LOCK_FILE};
use crate::run::error::During;
use crate::run::folder;

/// A folder that becomes that of a run. Dropped before that, it is removed.
pub struct Place {
    /// As it was asked for.
    asked: PathBuf,
    /// The same without links and from the root.
    out: PathBuf,
    /// Whether it was there before.
    is_old: bool,
    temporary: PathBuf,
    /// Held while files are written.
    claim: Option<Claim>,
    /// Whether there are files that go with it.
    begun: bool,
}

impl Place {
    /// A folder beside `out`, which is not made yet.
    ///
    /// # Errors
    /// A folder that holds a shard or anything else that is no run, and one that cannot get another in its place.
    pub fn beside(asked: &Path, shards: &[&Path]) -> Result<Self, RunError> {
        let place = asked.display();
        let doing = || format!("cannot look at {place}");
        let refusal = |reason: &str| Err(RunError::Usage(format!("--out {place}: {reason}")));
        let is_old = asked.symlink_metadata().is_ok();
        let out = if is_old { fs::canonicalize(asked) } else { std::path::absolute(asked) }.during(doing)?;
        let (Some(name), Some(parent)) = (out.file_name(), out.parent()) else {
            return refusal("expected the name of a folder; name another one");
        };
        if is_old {
            let is_within = |shard: &&&Path| fs::canonicalize(shard).is_ok_and(|own| own.starts_with(&out));
            if let Some(shard) = shards.iter().find(is_within) {
                return refusal(&format!("the shard {} is there; name another folder", shard.display()));
            }
            if !out.is_dir() {
                return refusal("expected no such folder, an empty one or that of a run, found a file");
            }
            if folder::state(&out) == folder::State::Free {
                folder::refuse_content(&out)?;
            }
            let is_here = std::env::current_dir().and_then(fs::canonicalize);
            if is_here.is_ok_and(|here| here.starts_with(&out)) {
                return refusal(
                    "the merged run would take the place of the folder in which this command runs; name another one",
                );
            }
            let device = |path: &Path| fs::metadata(path).map(|there| there.dev());
            if device(&out).during(doing)? != device(parent).during(doing)? {
                return refusal(
                    "nothing can take the place of a folder where a file system is mounted; name one below it",
                );
            }
        }
        let temporary = out.with_file_name(format!(".{}.zoo-merge", name.to_string_lossy()));
        Ok(Self { asked: asked.to_owned(), out, is_old, temporary, claim: None, begun: false })
    }

    /// Makes it. What is in the way of its name stays there until the end.
    ///
    /// # Errors
    /// Another process that writes to that folder, and folders that cannot be made.
    pub fn begin(&mut self) -> Result<(), RunError> {
        self.claim = Some(Claim::of(&self.out)?);
        let doing = || format!("cannot begin the run in {}", self.asked.display());
        own::refuse_link(&self.temporary).during(doing)?;
        // One that was killed left it, since nobody else has the right to the run's folder.
        match fs::remove_dir_all(&self.temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).during(doing),
            _ => {}
        }
        // Whatever is put there meanwhile is in the way.
        fs::create_dir(&self.temporary).during(doing)?;
        self.begun = true;
        // Who writes the run sees that it may.
        fs::write(self.temporary.join(LOCK_FILE), "").during(doing)?;
        Ok(())
    }

    /// Where files go until the end.
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// Gives the folder its name. A run that is in the way of it is moved aside.
    ///
    /// # Errors
    /// Something that was put there meanwhile.
    pub fn commit(mut self) -> Result<PathBuf, RunError> {
        if let Some(claim) = self.claim.take() {
            folder::give_way(claim, &self.out)?;
        }
        match fs::remove_file(self.temporary.join(LOCK_FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).during(|| format!("cannot end the run in {}", self.temporary.display()));
            }
            _ => {}
        }
        fs::rename(&self.temporary, &self.out)
            .during(|| format!("cannot rename {} to {}", self.temporary.display(), self.asked.display()))?;
        self.begun = false;
        Ok(self.asked.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.begun {
            let _ = fs::remove_dir_all(&self.temporary);
        }
        if self.claim.take().is_some() && !self.is_old {
            // Made by the claim, and empty without it; whatever else is there stays.
            let _ = fs::remove_dir(&self.out);
        }
    }
}
