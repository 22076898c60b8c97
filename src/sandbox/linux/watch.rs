//! What the processes of a sandbox use together, by a `/proc` of their own that none of them can see.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Dir, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use std::fs::File;
use std::io::{self, Read as _};

use super::Doing;
use crate::sandbox::{Exceeded, Limits};

/// A `/proc` that is mounted nowhere.
pub(super) struct Processes {
    folder: OwnedFd,
    page: u64,
}

/// What is in use now.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Usage {
    /// Processes and threads, without process 1.
    processes: u64,
    /// Bytes of memory; what two processes share counts twice.
    memory: u64,
}

impl Processes {
    /// Of the namespace that this process is in.
    pub fn new() -> Result<Self, String> {
        let doing = "a /proc for the namespaces cannot be mounted";
        let proc = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC).doing(doing)?;
        fsconfig_create(proc.as_fd()).doing(doing)?;
        let flags = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let folder = fsmount(proc.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags).doing(doing)?;
        Ok(Self { folder, page: rustix::param::page_size() as u64 })
    }

    /// One of its files.
    pub fn read(&self, name: &str) -> Result<String, String> {
        String::from_utf8(self.bytes(name).doing(name)?).doing(name)
    }

    fn bytes(&self, name: &str) -> io::Result<Vec<u8>> {
        let file = openat(&self.folder, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut bytes = Vec::new();
        File::from(file).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// What of the limits is exceeded now, if any.
    pub fn exceeded(&self, limits: &Limits) -> Result<Option<Exceeded>, String> {
        let usage = self.usage()?;
        Ok(if usage.memory > limits.memory {
            Some(Exceeded::Memory)
        } else if usage.processes > limits.processes {
            Some(Exceeded::Processes)
        } else {
            None
        })
    }

    fn usage(&self) -> Result<Usage, String> {
        let mut all = Usage::default();
        let folder =
            openat(&self.folder, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let folder = Dir::new(folder.doing("/proc")?).doing("/proc")?;
        for entry in folder {
            let entry = entry.doing("/proc")?;
            let name = entry.file_name().to_string_lossy();
            if name == "1" || !name.bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
            let stat = match self.bytes(&format!("{name}/stat")) {
                // One that has ended meanwhile uses nothing. Any other one counts, or the limits are none.
                Err(error) if has_ended(&error) => continue,
                read => read.doing(&format!("/proc/{name}/stat"))?,
            };
            // A process names itself, in any bytes.
            let stat = String::from_utf8_lossy(&stat);
            let Some((processes, pages)) = threads_and_pages(&stat) else {
                return Err(format!("/proc/{name}/stat: expected 24 fields or more, found {stat:?}"));
            };
            all.processes += processes;
            all.memory += pages * self.page;
        }
        Ok(all)
    }
}

/// Whether a process is not there any more, by what became of reading one of its files.
fn has_ended(error: &io::Error) -> bool {
    let number = error.raw_os_error();
    [Errno::NOENT, Errno::SRCH].iter().any(|gone| number == Some(gone.raw_os_error()))
}

/// Threads and resident pages of a process, fields 20 and 24 of its `stat`; its name, which may hold anything, comes before.
fn threads_and_pages(stat: &str) -> Option<(u64, u64)> {
    let (_, after) = stat.rsplit_once(')')?;
    // The first field here is the third.
    let fields: Vec<&str> = after.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse().ok();
    Some((number(20)?, number(24)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_be_taken_for_numbers() {
        let stat = "7 (a) 9 9 (b) S 1 7 7 0 -1 4194304 116 0 0 0 3 1 0 0 20 0 5 0 100 9000000 333 18446744073709551615";
        assert_eq!(threads_and_pages(stat), Some((5, 333)));
        assert_eq!(threads_and_pages("7 (a) S 1"), None);
    }
}
