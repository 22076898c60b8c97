//! Where a build happens: the target's name, the folder beside it, and how one becomes the other.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::base::fault::Refusal;
use crate::base::{machine, own};
use crate::forms::FormError;
use crate::rebuild::InputRecord;
use crate::store::lock::is_file_name;
use crate::store::{LOCK_FILE, Lock};
use crate::weights::WeightsError;
use crate::weights::safetensors::{FileLayout, PlannedFile};

/// A target that this process alone works on.
#[derive(Debug)]
pub(super) struct ClaimedTarget {
    /// The folder that the model will be.
    pub(super) target: PathBuf,
    /// The folder beside it in which everything happens.
    pub(super) container: PathBuf,
    /// The folder in the container that becomes the target.
    pub(super) model: PathBuf,
    /// Held until this is dropped or the process ends.
    _lock: File,
}

impl ClaimedTarget {
    /// Checks the target, makes the folder beside it and locks it. `what` the target is, for errors.
    pub(super) fn claim<T>(
        out: &Path,
        what: &str,
        inputs: &[InputRecord],
        check: impl FnOnce() -> Result<T, FormError>,
    ) -> Result<Self, FormError> {
        let container = container(out, what)?;
        check()?;
        refuse_own_inputs(out, inputs)?;
        let lock = lock(&container, out)?;
        let model = container.join("model");
        fs::create_dir_all(&model).map_err(|e| FormError::io(&model, "create", e))?;
        Ok(ClaimedTarget { target: out.to_owned(), container, model, _lock: lock })
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.container.join("journal")
    }

    /// Whether there is anything that an earlier call wrote.
    pub(super) fn has_files(&self) -> bool {
        fs::read_dir(&self.model).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// Removes what an earlier call wrote.
    pub(super) fn clear(&self) -> Result<(), FormError> {
        fs::remove_dir_all(&self.model).map_err(|e| FormError::io(&self.model, "empty", e))?;
        fs::create_dir(&self.model).map_err(|e| FormError::io(&self.model, "create", e))
    }

    /// Does work that starts anew and of which nothing is kept if it fails; a full disk is then said with the name that
    /// the user gave.
    pub(super) fn starting_over<T>(
        &self,
        work: impl FnOnce() -> Result<T, FormError>,
    ) -> Result<T, FormError> {
        let cleared = gone(fs::remove_file(self.journal()));
        let cleared = cleared.map_err(|e| FormError::io(&self.journal(), "remove", e));
        cleared.and_then(|()| self.clear()).and_then(|()| work()).map_err(|error| {
            self.remove();
            of_target(&self.target, error)
        })
    }

    /// Bytes on the disk that the planned files hold already.
    pub(super) fn occupied(&self, layout: &FileLayout) -> u64 {
        let about = |name: &str| fs::metadata(self.model.join(name)).ok();
        layout.files.iter().filter_map(|file| Some(about(&file.name)?.blocks() * 512)).sum()
    }

    /// Refuses before the first byte what would end in a full disk.
    pub(super) fn check_room(&self, needed: u64) -> Result<(), FormError> {
        match machine::free_bytes(&self.model) {
            Some(free) if free < needed => Err(Refusal::new(
                self.target.display().to_string(),
                format!("room for {:.2} GB more", needed as f64 / 1e9),
                format!("{:.2} GB free on its disk", free as f64 / 1e9),
                "free some space, or choose a folder on another disk with --out",
            )
            .into()),
            _ => Ok(()),
        }
    }

    /// Removes what is no planned file, such as the small files of a build that was interrupted at its end.
    fn remove_others(&self, layout: &FileLayout) -> Result<(), FormError> {
        let entries = fs::read_dir(&self.model).map_err(|e| FormError::io(&self.model, "list", e))?;
        for entry in entries.flatten() {
            if !layout.files.iter().any(|file| *file.name == *entry.file_name()) {
                fs::remove_file(entry.path()).map_err(|e| FormError::io(&entry.path(), "remove", e))?;
            }
        }
        Ok(())
    }

    /// Opens the planned files at their full size; their room on the disk is taken at once where the system can do that.
    pub(super) fn open_files(&self, layout: &FileLayout) -> Result<Vec<(PathBuf, File)>, FormError> {
        self.remove_others(layout)?;
        let open = |file: &PlannedFile| {
            let path = self.model.join(&file.name);
            let opened = own::open(OpenOptions::new().write(true).create(true).truncate(false), &path);
            let opened = opened.map_err(|e| FormError::io(&path, "create", e))?;
            reserve(&opened, file.size).map_err(|e| cannot_write(&path, e))?;
            Ok((path, opened))
        };
        let files = layout.files.iter().map(open).collect::<Result<_, FormError>>()?;
        sync_folder(&self.model)?;
        Ok(files)
    }

    /// Gives the finished folder its name and removes what was beside it.
    pub(super) fn finish(self, force: bool) -> Result<PathBuf, FormError> {
        sync_folder(&self.model)?;
        // Somebody else may have made it meanwhile.
        let replaced = check_target(&self.target, force)?;
        match &replaced {
            None => fs::rename(&self.model, &self.target),
            Some(_) => exchange(&self.model, &self.target),
        }
        .map_err(|e| FormError::io(&self.target, "move the finished model to", e))?;
        sync_folder(parent(&self.target))?;
        if let Some(old) = replaced {
            self.remove_replaced(&old);
        }
        self.remove_container();
        Ok(self.target)
    }

    /// Removes all of the work.
    pub(super) fn remove(&self) {
        if let Err(error) = gone(fs::remove_dir_all(&self.model)) {
            tracing::warn!("{}: cannot be removed: {error}", self.model.display());
        }
        self.remove_container();
    }

    /// Removes what is beside the model. A rest of it would do no harm.
    fn remove_container(&self) {
        let removed = gone(fs::remove_file(self.journal()))
            .and_then(|()| fs::remove_file(self.container.join("lock")))
            .and_then(|()| fs::remove_dir(&self.container));
        if let Err(error) = removed {
            tracing::warn!("{}: cannot be removed: {error}; remove it by hand", self.container.display());
        }
    }

    /// Removes the files of the build that was replaced, by name: what is not its own is never deleted.
    fn remove_replaced(&self, old: &Lock) {
        let names = old.files.iter().map(|file| file.name.as_str()).chain([LOCK_FILE]);
        for name in names {
            if let Err(error) = fs::remove_file(self.model.join(name)) {
                tracing::debug!("{}: {name}: {error}", self.model.display());
            }
        }
        if let Err(error) = fs::remove_dir(&self.model) {
            tracing::warn!("{}: the old model: cannot be removed: {error}", self.model.display());
        }
    }
}

/// As it is if there was nothing to remove.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// The folder for the work beside a target. `what` the target is, for errors.
fn container(out: &Path, what: &str) -> Result<PathBuf, FormError> {
    place_of_work(out).ok_or_else(|| {
        let found = format!("{:?}", out.display().to_string());
        Refusal::new("--out", format!("the name of a new {what}"), found, "add a name").into()
    })
}

/// The folder beside a target in which it is made; `None` where it has no name that can be given.
pub fn place_of_work(out: &Path) -> Option<PathBuf> {
    let name = out.file_name().and_then(|name| name.to_str()).filter(|name| is_file_name(name))?;
    Some(parent(out).join(format!(".{name}.zoo-partial")))
}

pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// `Ok(None)` for a folder that does not exist or is empty, `Ok(Some)` for an earlier build that may be replaced.
///
/// # Errors
/// [`FormError::Refused`] for anything else; [`FormError::Io`].
pub fn check_target(target: &Path, force: bool) -> Result<Option<Lock>, FormError> {
    let place = || target.display().to_string();
    let refuse = |found: &str, advice: &str| {
        Err(FormError::from(Refusal::new(place(), "a folder that does not exist yet", found, advice)))
    };
    let about = match fs::symlink_metadata(target) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FormError::io(target, "look at", error)),
    };
    if !about.is_dir() {
        return refuse("a file or a link", "choose another name with --out");
    }
    let entries = fs::read_dir(target).map_err(|e| FormError::io(target, "list", e))?;
    let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    if names.is_empty() {
        return Ok(None);
    }
    let Some(lock) = Lock::find(target)? else {
        let found = format!("a folder with other files and no {LOCK_FILE}");
        return refuse(&found, "choose another folder with --out; only zoo's own builds are ever replaced");
    };
    if !force {
        let made = lock.model.as_deref().unwrap_or(&lock.rule);
        let found = format!("a finished build ({made}, {})", &lock.tensors_sha256[..12]);
        return refuse(&found, "use it, choose another folder with --out, or replace it with --force");
    }
    let own = |name: &str| name == LOCK_FILE || lock.files.iter().any(|file| file.name == name);
    match names.iter().find(|name| !name.to_str().is_some_and(own)) {
        Some(other) => {
            let found = format!("an earlier build with {} in it, which is not its own", other.display());
            refuse(&found, "move that file away or choose another folder with --out")
        }
        None => Ok(Some(lock)),
    }
}

/// A model is never replaced by something made from itself.
fn refuse_own_inputs(target: &Path, inputs: &[InputRecord]) -> Result<(), FormError> {
    let Ok(target_path) = fs::canonicalize(target) else { return Ok(()) };
    for file in inputs.iter().flat_map(|input| &input.files) {
        if fs::canonicalize(&file.path).is_ok_and(|path| path.starts_with(&target_path)) {
            let found = format!("the place of an input, {}", file.path.display());
            let place = target.display().to_string();
            let advice = "choose another name with --out";
            return Err(Refusal::new(place, "a place that is not read", found, advice).into());
        }
    }
    Ok(())
}

/// Makes the container, with its parents, and locks it for this process; the system gives the lock back when the process ends.
fn lock(container: &Path, target: &Path) -> Result<File, FormError> {
    let beside = parent(container);
    fs::create_dir_all(beside).map_err(|e| FormError::io(beside, "create", e))?;
    // A process that finishes removes the container. Whoever opened the lock file just before then holds a lock on a
    // file without a name, and has to begin again.
    const ATTEMPTS: usize = 100;
    let path = container.join("lock");
    for _ in 0..ATTEMPTS {
        if let Err(e) = fs::create_dir(container)
            && e.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(FormError::io(container, "create", e));
        }
        let about = fs::symlink_metadata(container);
        if about.is_ok_and(|about| !about.is_dir()) {
            let found = "a file or a link";
            let place = container.display().to_string();
            return Err(Refusal::new(place, "a folder for unfinished work", found, "remove it").into());
        }
        let file = match own::open(OpenOptions::new().write(true).create(true).truncate(false), &path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(FormError::io(&path, "open", e)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Refusal::new(
                    target.display().to_string(),
                    "no other process that writes it",
                    format!("one that holds {}", path.display()),
                    "wait for it to end, or choose another folder with --out",
                )
                .into());
            }
            Err(TryLockError::Error(e)) => return Err(FormError::io(&path, "lock", e)),
        }
        let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        if let (Ok(locked), Ok(named)) = (file.metadata(), fs::metadata(&path))
            && same(&locked, &named)
        {
            return Ok(file);
        }
    }
    Err(FormError::io(&path, "lock", io::ErrorKind::ResourceBusy.into()))
}

/// Gives a file its size, and takes its room on the disk where the file system can.
fn reserve(file: &File, size: u64) -> io::Result<()> {
    file.set_len(size)?;
    #[cfg(target_os = "linux")]
    if size > 0 {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        match fallocate(file, FallocateFlags::empty(), 0, size) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// How one step of the system can rename.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Both names change places.
    Exchange,
    /// The new name is refused if something has it.
    NoReplace,
}

/// Renames in one step; `false` where the system cannot.
fn renamed(from: &Path, to: &Path, step: Step) -> io::Result<bool> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        let flags = if step == Step::Exchange { RenameFlags::EXCHANGE } else { RenameFlags::NOREPLACE };
        match renameat_with(CWD, from, CWD, to, flags) {
            Ok(()) => return Ok(true),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// Swaps two folders; in one step where the system can, else the old one moves aside first.
fn exchange(new: &Path, old: &Path) -> io::Result<()> {
    if renamed(new, old, Step::Exchange)? {
        return Ok(());
    }
    let aside = new.with_extension("replaced");
    fs::rename(old, &aside)?;
    fs::rename(new, old)?;
    fs::rename(aside, new)
}

/// Gives a file or folder its name unless something has that name already; in one step where the system can.
pub(super) fn move_new(from: &Path, to: &Path) -> io::Result<()> {
    if renamed(from, to, Step::NoReplace)? {
        return Ok(());
    }
    if fs::symlink_metadata(to).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    fs::rename(from, to)
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), FormError> {
    let synced = File::open(folder).and_then(|file| file.sync_all());
    synced.map_err(|e| FormError::io(folder, "sync", e))
}

/// An error of writing; a full disk says that what is finished is not lost.
pub(super) fn cannot_write(path: &Path, error: io::Error) -> FormError {
    match error.kind() {
        kind if is_full(kind) => Refusal::new(
            path.display().to_string(),
            "room for the whole model",
            error.to_string(),
            "free some space and give the same command again; what is finished is kept",
        )
        .into(),
        _ => FormError::io(path, "write", error),
    }
}

/// Whether the disk, or what the user may have of it, has no room.
fn is_full(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(kind, StorageFull | QuotaExceeded | FileTooLarge)
}

/// The error of work of which nothing is kept: a full disk is said with the name that the user gave.
fn of_target(target: &Path, error: FormError) -> FormError {
    let full = match &error {
        FormError::Io { source, .. } | FormError::Weights(WeightsError::Io { source, .. }) => {
            is_full(source.kind())
        }
        _ => false,
    };
    if !full {
        return error;
    }
    Refusal::new(
        target.display().to_string(),
        "room for the whole model",
        "a full disk, or a limit of the size of files",
        "free some space and give the same command again, or choose another disk with --out; nothing is left behind",
    )
    .into()
}
