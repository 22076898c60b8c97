//! The right to write to a run's folder: a lock on a file in it that is never renamed by itself.
//!
//! Whoever locks the file looks again whether it is still the one at its name. Another process may have moved the folder, made it
//! anew or ended its run between opening and locking, and then has the right, or leaves it to the next.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::RunError;
use super::error::During;
use crate::base::own;
use crate::records::ledger::LEDGER_FOLDER;

/// The file that is locked; it is there while a run is under way, or after one was killed.
pub const LOCK_FILE: &str = ".zoo.lock";
/// Folders below a run's that it writes to.
const FOLDERS: [&str; 5] = [LEDGER_FOLDER, "samples", "lm-eval", "submission", "judged"];
/// How often a folder may vanish between two looks at it.
const TRIES: usize = 100;

/// A folder that this process alone writes to, as long as this lives.
#[derive(Debug)]
pub struct Claim {
    folder: PathBuf,
    file: File,
}

/// Whose a folder is.
enum Look {
    Ours(Claim),
    Theirs,
    /// It was taken away meanwhile.
    Gone,
}

impl Claim {
    /// Claims a folder, which is made if need be.
    ///
    /// # Errors
    /// Another process that has claimed it, and links in place of the run's own folders and files.
    pub fn of(folder: &Path) -> Result<Self, RunError> {
        let doing = || format!("cannot begin the run in {}", folder.display());
        for _ in 0..TRIES {
            match Self::look(folder).during(doing)? {
                Look::Ours(claim) => {
                    for name in FOLDERS {
                        own::refuse_link(&folder.join(name)).during(doing)?;
                    }
                    return Ok(claim);
                }
                Look::Theirs => {
                    return Err(RunError::Usage(format!(
                        "{}: another zoo is writing this run; wait for it, or name another --out",
                        folder.display()
                    )));
                }
                Look::Gone => {}
            }
        }
        let folder = folder.display();
        Err(RunError::room(format!("{folder}: the folder is removed again and again; name another --out")))
    }

    fn look(folder: &Path) -> io::Result<Look> {
        fs::create_dir_all(folder)?;
        let path = folder.join(LOCK_FILE);
        let file = match own::open(OpenOptions::new().write(true).create(true).truncate(false), &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Look::Gone),
            file => file?,
        };
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(Look::Theirs),
            // File systems without locks have to do without.
            Ok(()) | Err(TryLockError::Error(_)) if own::is_at(&file, &path)? => {
                Ok(Look::Ours(Self { folder: folder.to_owned(), file }))
            }
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Look::Gone),
        }
    }

    /// Gives the folder another name, and the right to it up.
    ///
    /// # Errors
    /// A folder that cannot be renamed.
    pub fn move_to(mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.folder, target)?;
        // The lock has moved with it: nobody can have claimed it under its old name.
        target.clone_into(&mut self.folder);
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let path = self.folder.join(LOCK_FILE);
        // Still locked: whoever has opened it already will see that it is not there any more.
        if own::is_at(&self.file, &path).unwrap_or(false) {
            let _ = fs::remove_file(path);
        }
    }
}
