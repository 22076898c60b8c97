//! Facts about the machine: processor, memory, and free space on its disks.

use std::path::Path;

/// Memory of the machine and of this process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Of the machine.
    pub total: u64,
    /// Could be used without swapping, within the limit.
    pub available: u64,
    /// What a container allows this process, where that is less than all.
    pub limit: Option<u64>,
}

impl Memory {
    /// As Linux tells it; `None` on other systems.
    pub fn read() -> Option<Self> {
        Self::from_files(&|path| std::fs::read_to_string(path).ok())
    }

    /// From the contents of the system's files, which `read` gives.
    pub fn from_files(read: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let info = read("/proc/meminfo")?;
        let (total, free) = (meminfo(&info, "MemTotal")?, meminfo(&info, "MemAvailable")?);
        let number = |path| read(path).and_then(|text| text.trim().parse::<u64>().ok());
        let limit = number("/sys/fs/cgroup/memory.max").filter(|limit| *limit < total);
        let used = number("/sys/fs/cgroup/memory.current").unwrap_or(0);
        let available = limit.map_or(free, |limit| free.min(limit.saturating_sub(used)));
        Some(Self { total, available, limit })
    }
}

/// A line `Name:  123 kB` of `/proc/meminfo`, in bytes.
fn meminfo(info: &str, name: &str) -> Option<u64> {
    let rest = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Bytes that this user can still write to the disk of `path` or, if that does not exist yet, of its
/// nearest existing parent. `None` where the system does not say.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let existing = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    let stat = rustix::fs::statvfs(existing).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// Bytes of the processor's last cache, as Linux tells it; `None` on other systems.
pub fn last_cache_bytes() -> Option<u64> {
    let sizes = (0..8).filter_map(|index| {
        let file = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/size");
        cache_size(&std::fs::read_to_string(file).ok()?)
    });
    sizes.max()
}

/// `32768K` in bytes.
fn cache_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, unit) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], 1 << 10),
        b'M' => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// The processor's name, or the architecture where the system does not say.
pub fn cpu_name() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:       16000000 kB\nMemFree:  1 kB\nMemAvailable:   10000000 kB\n";

    #[test]
    fn memory_is_what_the_system_says() {
        let read = |path: &str| (path == "/proc/meminfo").then(|| MEMINFO.to_owned());
        let memory = Memory { total: 16_384_000_000, available: 10_240_000_000, limit: None };
        assert_eq!(Memory::from_files(&read), Some(memory));
        assert_eq!(Memory::from_files(&|_| None), None);
        assert_eq!(Memory::from_files(&|_| Some("MemTotal: lots".to_owned())), None);
    }

    #[test]
    fn a_container_has_what_its_group_may_use() {
        let with_limit = |max: &'static str| {
            Memory::from_files(&move |path| match path {
                "/proc/meminfo" => Some(MEMINFO.to_owned()),
                "/sys/fs/cgroup/memory.max" => Some(max.to_owned()),
                "/sys/fs/cgroup/memory.current" => Some("1000000000\n".to_owned()),
                _ => None,
            })
        };
        let limited = with_limit("4000000000\n").unwrap();
        assert_eq!((limited.available, limited.limit), (3_000_000_000, Some(4_000_000_000)));
        assert_eq!(with_limit("max\n").unwrap().limit, None);
    }

    #[test]
    fn caches_have_sizes() {
        assert_eq!(
            (cache_size("32768K\n"), cache_size("2M"), cache_size("512")),
            (Some(32 << 20), Some(2 << 20), Some(512))
        );
        assert_eq!((cache_size(""), cache_size("much"), cache_size("K")), (None, None, None));
    }

    #[test]
    fn there_is_a_processor() {
        assert!(!cpu_name().is_empty());
    }
}
