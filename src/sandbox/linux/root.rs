//! What a program sees of the disk: the system's programs and libraries and the interpreter, read-only, a few devices, and a
//! folder in memory for its own files.
//!
//! Read-only is set on every mount below what is shown, by its own flags, since Linux refuses to drop any of them in a user
//! namespace.

use std::ffi::{CString, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change,
    mount_remount, unmount,
};
use rustix::process::{chdir, pivot_root};

use super::Doing;
use crate::sandbox::interpreter::SYSTEM;
use crate::sandbox::wire::Job;

/// Where the new root is put together; every Linux has this folder, and nothing of it is changed.
const PLACE: &str = "/tmp";
/// Seen from there after the first change of roots: the machine's own tree, and the new one.
const OLD: &str = "/old";
const NEW: &str = "/new";
/// The program's own folder, in memory.
const OWN: &str = "/tmp";
/// Files of `/etc` without which libraries are not found or time is told wrongly.
const ETC: [&str; 3] = ["/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime"];
/// Devices that hold nothing.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// Makes the root that the program of a job sees, and makes it this process's. `mounts` gives the text of
/// `/proc/self/mountinfo` at any time.
pub(super) fn enter_root(job: &Job, mounts: &dyn Fn() -> Result<String, String>) -> Result<(), String> {
    // Links are followed while the machine's own root is there.
    let shown = shown(job)?;
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .doing("mounts cannot be made private")?;
    in_memory(PLACE, 1 << 20, 64)?;
    chdir(PLACE).doing(PLACE)?;
    fs::create_dir("old").doing("old")?;
    fs::create_dir("new").doing("new")?;
    pivot_root(".", "old").doing("pivot_root")?;
    chdir("/").doing("/")?;
    in_memory(NEW, 4 * job.limits.program + (1 << 20), 1024)?;
    // Before anything is shown, since an interpreter may be installed below.
    let own = under(NEW, Path::new(OWN));
    fs::create_dir(&own).doing(OWN)?;
    in_memory(own.to_str().expect("a name of ours"), job.limits.file_bytes, job.limits.files)?;
    for (at, source) in &shown {
        show(at, source)?;
    }
    fs::write(under(NEW, Path::new("/program.py")), &job.program).doing("/program.py")?;
    read_only(&mounts()?)?;
    chdir(NEW).doing(NEW)?;
    // The old root is put over the new one and taken away with everything below it.
    pivot_root(".", ".").doing("pivot_root")?;
    unmount(".", UnmountFlags::DETACH).doing("the machine's own tree cannot be taken away")?;
    chdir(OWN).doing(OWN)
}

/// What is at a place of the new root.
enum Source {
    /// A folder or a file of the machine, by its real path.
    Machine(PathBuf),
    /// A link to this.
    Link(PathBuf),
}

/// Places of the new root, each after the folders it is in.
fn shown(job: &Job) -> Result<Vec<(PathBuf, Source)>, String> {
    let mut shown = Vec::new();
    for path in SYSTEM.iter().chain(&ETC).map(PathBuf::from) {
        let Ok(about) = path.symlink_metadata() else { continue };
        // `/lib` is a link to `/usr/lib` on most systems; what links of `/etc` lead to lies elsewhere.
        let source = if about.is_symlink() && !path.starts_with("/etc") {
            Source::Link(fs::read_link(&path).doing(&path.display().to_string())?)
        } else {
            let Ok(real) = path.canonicalize() else { continue };
            Source::Machine(real)
        };
        shown.push((path, source));
    }
    for folder in &job.interpreter.folders {
        let real = folder.canonicalize().doing(&folder.display().to_string())?;
        shown.push((folder.clone(), Source::Machine(real)));
    }
    for device in DEVICES.map(|name| Path::new("/dev").join(name)) {
        if device.exists() {
            shown.push((device.clone(), Source::Machine(device)));
        }
    }
    // Where POSIX's shared memory and semaphores are looked for.
    shown.push(("/dev/shm".into(), Source::Link(OWN.into())));
    Ok(shown)
}

fn show(at: &Path, source: &Source) -> Result<(), String> {
    let name = at.display().to_string();
    let new = under(NEW, at);
    let folder = new.parent().expect("a place is below the root");
    fs::create_dir_all(folder).doing(&name)?;
    match source {
        // A folder of an interpreter may have been shown as a part of another one, or be a link in it.
        Source::Link(_) | Source::Machine(_) if new.symlink_metadata().is_ok() => Ok(()),
        Source::Link(to) => symlink(to, &new).doing(&name),
        Source::Machine(real) => {
            let old = under(OLD, real);
            if old.is_dir() {
                fs::create_dir(&new).doing(&name)?;
            } else {
                fs::write(&new, b"").doing(&name)?;
            }
            mount_bind_recursive(&old, &new).doing(&format!("{name} cannot be shown"))
        }
    }
}

/// An absolute path below another root.
fn under(root: &str, path: &Path) -> PathBuf {
    Path::new(root).join(path.strip_prefix("/").expect("an absolute path"))
}

/// A folder in memory of so many bytes and files.
fn in_memory(at: &str, bytes: u64, files: u64) -> Result<(), String> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let mode = if at == PLACE || at == NEW { "0755" } else { "1777" };
    let options = format!("size={bytes},nr_inodes={files},mode={mode}");
    let options = CString::new(options).expect("no zero byte");
    mount("tmpfs", at, "tmpfs", flags, options.as_c_str())
        .doing(&format!("a folder in memory cannot be mounted on {at}"))
}

/// Makes all mounts of the new root read-only, by what `/proc/self/mountinfo` says of them.
fn read_only(mounts: &str) -> Result<(), String> {
    let mut found = 0;
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(4);
        let (Some(at), Some(options)) = (fields.next(), fields.next()) else {
            return Err(format!(
                "/proc/self/mountinfo: expected a mount point and its options, found {line:?}"
            ));
        };
        let at = unescaped(at);
        if !at.starts_with(NEW) || at == under(NEW, Path::new(OWN)) {
            continue;
        }
        found += 1;
        let is_device = at.starts_with(under(NEW, Path::new("/dev")));
        let own = if is_device { MountFlags::NOEXEC } else { MountFlags::NODEV };
        let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | own | flags_of(options);
        mount_remount(&at, flags, c"").doing(&format!("{} cannot be made read-only", at.display()))?;
    }
    if found == 0 {
        Err("/proc/self/mountinfo does not show the mounts that were made".to_owned())
    } else {
        Ok(())
    }
}

/// The flags that a mount has and has to keep.
fn flags_of(options: &str) -> MountFlags {
    let flag = |option| match option {
        "nosuid" => MountFlags::NOSUID,
        "nodev" => MountFlags::NODEV,
        "noexec" => MountFlags::NOEXEC,
        "noatime" => MountFlags::NOATIME,
        "nodiratime" => MountFlags::NODIRATIME,
        "relatime" => MountFlags::RELATIME,
        _ => MountFlags::empty(),
    };
    options.split(',').map(flag).collect()
}

/// A path as it is, of one in which blanks, tabs, line ends and backslashes are written as `\040`.
fn unescaped(path: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..3).filter(|_| *first == b'\\').and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_keep_the_flags_they_have() {
        assert_eq!(flags_of("rw,nosuid,relatime"), MountFlags::NOSUID | MountFlags::RELATIME);
        assert_eq!(flags_of("ro"), MountFlags::empty());
    }

    #[test]
    fn paths_of_mounts_are_read_as_they_are_written() {
        assert_eq!(unescaped(r"/a\040b\134c"), Path::new(r"/a b\c"));
        assert_eq!(unescaped(r"/ä\9"), Path::new(r"/ä\9"));
    }
}
