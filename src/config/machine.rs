//! What this process has to work with: cores and memory, as its container bounds them.

use std::path::{Path, PathBuf};

/// Cores and memory of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Cores by cgroup quota and affinity, at least 1.
    pub cores: usize,
    /// Bytes of memory by the narrowest cgroup limit, else of the host; `None` where that is unknown.
    pub memory: Option<u64>,
}

impl Machine {
    /// What there is here.
    pub fn here() -> Self {
        // The standard library counts cgroup quotas (v1 and v2) and the affinity mask.
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let read = |path: &Path| std::fs::read_to_string(path).ok();
        let host = read(Path::new("/proc/meminfo")).as_deref().and_then(host_memory);
        let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
        let limits = limit_files(&groups).into_iter().filter_map(|path| read(&path)?.trim().parse().ok());
        Self { cores, memory: limits.chain(host).min() }
    }
}

/// `MemTotal` of /proc/meminfo, in bytes.
fn host_memory(meminfo: &str) -> Option<u64> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The files that may bound the memory of a process in these groups (the text of /proc/self/cgroup): its own group's
/// and those of all groups above, since any of them binds. In a container the path is `/` or of the host; files that
/// are not there bound nothing, and neither does the word `max` in them.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, name) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        for group in Path::new(path).ancestors() {
            let group = group.strip_prefix("/").unwrap_or(group);
            files.push(Path::new(root).join(group).join(name));
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn here_there_is_at_least_a_core() {
        let here = Machine::here();
        assert!(here.cores >= 1);
        #[cfg(target_os = "linux")]
        assert!(here.memory.is_some_and(|bytes| bytes > 1 << 20), "{here:?}");
    }

    #[test]
    fn meminfo_is_in_kibibytes() {
        assert_eq!(host_memory("MemTotal:       24689640 kB\nMemFree: 1 kB\n"), Some(24_689_640 * 1024));
        assert_eq!(host_memory("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn every_group_above_binds() {
        let files = limit_files("0::/system.slice/upscaler.service\n");
        let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
        assert_eq!(
            names,
            [
                "/sys/fs/cgroup/system.slice/upscaler.service/memory.max",
                "/sys/fs/cgroup/system.slice/memory.max",
                "/sys/fs/cgroup/memory.max",
            ]
        );
    }

    #[test]
    fn the_first_version_of_cgroups_is_read_too() {
        let files = limit_files("5:cpu,cpuacct:/a\n4:memory:/a\nnonsense\n");
        assert_eq!(files[0], Path::new("/sys/fs/cgroup/memory/a/memory.limit_in_bytes"));
        assert_eq!(files.len(), 2);
    }
}
