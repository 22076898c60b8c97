//! The folder of a run under way: begun, gone on with, or moved out of the way.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::RunError;
use super::claim::{Claim, LOCK_FILE};
use super::error::During;
use crate::base::atomic::{remove_leftovers, write_atomically};
use crate::base::yaml;
use crate::finished::{MAX_RUN_BYTES, PARTIAL_FILE, RUN_FILE};
use crate::records::RunSettings;
use crate::records::ledger::LEDGER_FOLDER;

/// Its name afterwards.
pub const SETTINGS_FILE: &str = "settings.yaml";

/// What is in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No run.
    Free,
    /// A run that was begun.
    Unfinished,
    /// A run with its results.
    Complete,
}

/// Says what is in `folder`.
pub fn state(folder: &Path) -> State {
    let has = |name: &str| folder.join(name).exists();
    if has(RUN_FILE) {
        State::Complete
    } else if has(PARTIAL_FILE) {
        State::Unfinished
    } else {
        State::Free
    }
}

/// Refuses a folder that has something and is no run's. A run has its description or that of one under way, or at least its claim;
/// tables and samples alone may be anybody's, and are neither written over nor moved away.
///
/// # Errors
/// Such a folder, and one that cannot be looked into.
pub fn refuse_foreign(folder: &Path) -> Result<(), RunError> {
    // One look at all names: another process may begin a run at the same time, and its claim is there before anything else.
    let names = names(folder)?;
    if names.iter().any(|name| [RUN_FILE, PARTIAL_FILE, LOCK_FILE].iter().any(|own| name == own)) {
        return Ok(());
    }
    names.into_iter().next().map_or(Ok(()), |name| Err(foreign(folder, &name)))
}

/// Refuses a folder that has anything but the claim of a run that was killed.
///
/// # Errors
/// As [`refuse_foreign`].
pub fn refuse_content(folder: &Path) -> Result<(), RunError> {
    let other = names(folder)?.into_iter().find(|name| name != LOCK_FILE);
    other.map_or(Ok(()), |name| Err(foreign(folder, &name)))
}

/// What a folder has, in order; nothing where there is none.
fn names(folder: &Path) -> Result<Vec<OsString>, RunError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries,
    };
    let names = entries.and_then(|all| all.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>());
    let mut names: Vec<OsString> = names.during(|| format!("cannot look at {}", folder.display()))?;
    names.sort();
    Ok(names)
}

fn foreign(folder: &Path, name: &OsString) -> RunError {
    RunError::Usage(format!(
        "--out {}: expected no such folder, an empty one or that of a run (with {RUN_FILE} or {PARTIAL_FILE}), found something else \
         in it: {}; name another folder",
        folder.display(),
        name.display()
    ))
}

/// The folder of a run. It is not touched before the run begins; from then on this process alone writes to it.
#[derive(Debug)]
pub struct RunFolder {
    /// The folder; samples, ledger and tables are below it.
    pub path: PathBuf,
    settings: RunSettings,
    resume: bool,
    begun: Option<Begun>,
}

/// What there is from the beginning of a run to its end.
#[derive(Debug)]
struct Begun {
    /// Where a run that was in the way is now.
    moved_to: Option<PathBuf>,
    /// Nobody else writes to the folder as long as this lives.
    _claim: Claim,
}

impl RunFolder {
    /// A run that depends on `settings`; with `resume` the one that is in the folder is gone on with.
    pub fn new(path: PathBuf, settings: RunSettings, resume: bool) -> Self {
        Self { path, settings, resume, begun: None }
    }

    /// Begins the run, or goes on with the one that is there if it is the same; nothing once it has begun.
    pub fn begin(&mut self) -> Result<(), RunError> {
        if self.begun.is_none() {
            self.begun = Some(self.open()?);
        }
        Ok(())
    }

    fn open(&self) -> Result<Begun, RunError> {
        let Self { path: folder, settings, resume, .. } = self;
        let partial = folder.join(PARTIAL_FILE);
        let mut moved_to = None;
        loop {
            refuse_foreign(folder)?;
            let claim = Claim::of(folder)?;
            let why = match state(folder) {
                State::Unfinished if *resume => {
                    check_same(&partial, settings)?;
                    remove_leftovers(folder)?;
                    return Ok(Begun { moved_to, _claim: claim });
                }
                // A run that was stopped before its first score has nothing worth keeping.
                State::Unfinished if folder.join(LEDGER_FOLDER).exists() => {
                    "an unfinished run was in the way (--resume would go on with it)"
                }
                State::Complete => "an earlier run was in the way",
                State::Unfinished | State::Free => {
                    if *resume {
                        // A run may have been killed while it wrote its very first file.
                        remove_leftovers(folder)?;
                        tracing::warn!("--resume: there is no run in {} yet; one is begun", folder.display());
                    }
                    write_atomically(&partial, serde_yaml::to_string(settings)?.as_bytes())
                        .during(|| format!("cannot begin the run in {}", folder.display()))?;
                    return Ok(Begun { moved_to, _claim: claim });
                }
            };
            moved_to = Some(move_aside(claim, folder, why)?);
        }
    }

    /// `run` itself, or where it was moved to.
    pub fn place_of(&self, run: &Path) -> PathBuf {
        let same = run == self.path || fs::canonicalize(run).ok() == fs::canonicalize(&self.path).ok();
        let moved_to = self.begun.as_ref().and_then(|begun| begun.moved_to.clone());
        moved_to.filter(|_| same).unwrap_or_else(|| run.to_owned())
    }

    /// The run is complete: nothing says any more that it is not, and its settings stay.
    pub fn close(self) -> Result<(), RunError> {
        let partial = self.path.join(PARTIAL_FILE);
        let renamed = fs::rename(&partial, self.path.join(SETTINGS_FILE));
        renamed.during(|| format!("cannot rename {} to {SETTINGS_FILE}", partial.display()))
    }
}

/// The settings of the complete run in `folder`; `None` if an earlier version made it, or it was graded without a model.
///
/// # Errors
/// A file that is no settings.
pub fn settings(folder: &Path) -> Result<Option<RunSettings>, RunError> {
    // A run that was killed at its very end may not have renamed them.
    let paths = [SETTINGS_FILE, PARTIAL_FILE].map(|name| folder.join(name));
    let Some(path) = paths.into_iter().find(|path| path.exists()) else { return Ok(None) };
    let name = path.display().to_string();
    let text = yaml::read_text(&path, MAX_RUN_BYTES)?;
    yaml::parse(&name, &text).map(Some).during(|| format!("{name}: expected the settings of a run"))
}

/// Claims `folder` and moves away whatever run is in it.
pub fn clear(folder: &Path) -> Result<Claim, RunError> {
    loop {
        refuse_foreign(folder)?;
        let claim = Claim::of(folder)?;
        if state(folder) == State::Free {
            return Ok(claim);
        }
        move_aside(claim, folder, "an earlier run was in the way")?;
    }
}

/// Moves away whatever run is in a folder that was claimed, and gives the right to it up.
///
/// # Errors
/// A folder that cannot be renamed.
pub fn give_way(claim: Claim, folder: &Path) -> Result<(), RunError> {
    if state(folder) != State::Free {
        move_aside(claim, folder, "an earlier run was in the way")?;
    }
    Ok(())
}

/// A run in the way keeps its files under another name.
fn move_aside(claim: Claim, folder: &Path, why: &str) -> Result<PathBuf, RunError> {
    let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut targets = (1..).map(|n| folder.with_file_name(format!("{name}.{n}")));
    let target = targets.find(|path| !path.exists()).expect("there is always one more number");
    let moved = claim.move_to(&target);
    moved.during(|| format!("cannot move the earlier run to {}", target.display()))?;
    tracing::warn!("{}: {why}; it is now in {}", folder.display(), target.display());
    Ok(target)
}

/// Refuses to go on with a run that was begun as another one.
fn check_same(partial: &Path, now: &RunSettings) -> Result<(), RunError> {
    let advice = "begin anew without --resume; the unfinished run is then moved aside, and --reuse takes over of its \
                  scores what still fits";
    let name = partial.display().to_string();
    let text = yaml::read_text(partial, MAX_RUN_BYTES)?;
    let then: RunSettings =
        yaml::parse(&name, &text).during(|| format!("{name}: not the settings of a run; {advice}"))?;
    let differences = now.differences(&then);
    if !differences.is_empty() {
        let text = format!(
            "--resume: the run in {} was begun with other settings:\n  {}\nrepeat the command it was begun with, or \
             {advice}",
            partial.parent().unwrap_or(partial).display(),
            differences.join("\n  ")
        );
        return Err(RunError::Usage(text));
    }
    if now.cpu != then.cpu {
        tracing::warn!(
            "the run was begun on {}, and this is {}: the numbers agree within rounding, but perhaps not in \
             their last bits",
            then.cpu,
            now.cpu
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn settings() -> RunSettings {
        let text = "{zoo: '1', cpu: c, options: {}, models: [], tasks: []}";
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn of_those_who_begin_a_run_in_one_new_folder_one_goes_on() {
        let place = tempfile::tempdir().unwrap();
        for round in 0..100 {
            let folder = place.path().join(format!("run-{round}"));
            let (start, end) = (Barrier::new(3), Barrier::new(3));
            let begin = || {
                let mut own = RunFolder::new(folder.clone(), settings(), false);
                start.wait();
                let begun = own.begin();
                // Nobody ends before all have tried.
                end.wait();
                begun.map(|()| own)
            };
            let all: Vec<_> = std::thread::scope(|scope| {
                let threads = [(); 3].map(|()| scope.spawn(begin));
                threads.map(|thread| thread.join().unwrap()).into()
            });
            let went_on: Vec<&RunFolder> = all.iter().flatten().collect();
            assert_eq!(went_on.len(), 1, "round {round}");
            for refused in all.iter().filter_map(|one| one.as_ref().err()) {
                assert!(
                    matches!(refused, RunError::Usage(text) if text.contains("another zoo")),
                    "{refused}"
                );
            }
            let own = all.into_iter().flatten().next().unwrap();
            own.close().unwrap();
            let left: Vec<_> =
                fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.file_name()).collect();
            assert_eq!(left, [SETTINGS_FILE], "no lock is left");
        }
    }

    #[test]
    fn a_run_in_the_way_is_moved_by_one_of_those_who_want_its_folder() {
        let place = tempfile::tempdir().unwrap();
        for round in 0..100 {
            let folder = place.path().join(format!("run-{round}"));
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join(RUN_FILE), "earlier").unwrap();
            let start = Barrier::new(3);
            let begin = || {
                let mut own = RunFolder::new(folder.clone(), settings(), false);
                start.wait();
                own.begin().map(|()| own)
            };
            let all: Vec<_> = std::thread::scope(|scope| {
                let threads = [(); 3].map(|()| scope.spawn(begin));
                threads.map(|thread| thread.join().unwrap()).into()
            });
            assert_eq!(all.iter().flatten().count(), 1, "round {round}");
            let moved = place.path().join(format!("run-{round}.1"));
            assert_eq!(fs::read_to_string(moved.join(RUN_FILE)).unwrap(), "earlier");
            assert!(!place.path().join(format!("run-{round}.2")).exists() && !folder.join(RUN_FILE).exists());
        }
    }

    #[test]
    fn links_in_place_of_a_run_s_own_files_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let theirs = place.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        for name in ["samples", LEDGER_FOLDER, ".zoo.lock"] {
            let folder = place.path().join(format!("run-{name}"));
            fs::create_dir(&folder).unwrap();
            std::os::unix::fs::symlink(&theirs, folder.join(name)).unwrap();
            fs::write(folder.join(PARTIAL_FILE), "").unwrap();
            let mut own = RunFolder::new(folder, settings(), false);
            let refused = own.begin().unwrap_err();
            let mut said = refused.to_string();
            let mut cause = std::error::Error::source(&refused);
            while let Some(error) = cause {
                said += &format!(": {error}");
                cause = error.source();
            }
            assert!(said.contains(name) && said.contains("found a link"), "{said}");
        }
        assert_eq!(fs::read_dir(theirs).unwrap().count(), 0);
    }
}
