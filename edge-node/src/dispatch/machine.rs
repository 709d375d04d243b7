//! What the machine allows: memory mappings and resident memory.

use std::fs;

/// Memory mappings of one live isolate with its thread.
const MAPPINGS_PER_ISOLATE: usize = 18;

/// `wanted` isolates, or as many as nine tenths of the kernel's limit of memory mappings allow.
pub fn isolate_limit(wanted: usize) -> usize {
    let limit = fs::read_to_string("/proc/sys/vm/max_map_count").ok().and_then(|text| text.trim().parse().ok());
    within(wanted, limit)
}

fn within(wanted: usize, max_map_count: Option<usize>) -> usize {
    match max_map_count {
        Some(limit) => wanted.min((limit / 10 * 9 / MAPPINGS_PER_ISOLATE).max(1)),
        None => wanted,
    }
}

/// Resident memory of this process in bytes; 0 where it cannot be told.
pub fn resident_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Memory that the process may use, bytes: four fifths of what its control group (version 2) or the machine has. `None` where
/// that cannot be told.
pub fn usable_memory() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| {
        let path = text.lines().find_map(|line| line.strip_prefix("0::"))?.trim().trim_start_matches('/');
        let most = fs::read_to_string(format!("/sys/fs/cgroup/{path}/memory.max"));
        // Within a namespace of its own the group is the root of what is mounted.
        let most = most.or_else(|_| fs::read_to_string("/sys/fs/cgroup/memory.max"));
        most.ok()?.trim().parse().ok()
    });
    machine.into_iter().chain(group).min().map(|bytes| bytes / 5 * 4)
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_limit_holds() {
        assert_eq!(within(1024, Some(65_530)), 1024);
        assert_eq!(within(10_000, Some(65_530)), 3276);
        assert_eq!(within(5, Some(0)), 1);
        assert_eq!(within(5, None), 5);
    }

    #[test]
    fn what_the_machine_has_is_read() {
        assert_eq!(total("MemTotal:       24576 kB\nMemFree:        1 kB\n"), Some(24 << 20));
        assert_eq!(total("MemFree: 1 kB"), None);
        assert!(!cfg!(target_os = "linux") || usable_memory().is_some_and(|bytes| bytes > 1 << 26));
    }

    #[test]
    fn resident_memory_is_known_on_linux() {
        assert!(!cfg!(target_os = "linux") || resident_memory() > 1 << 20);
    }
}
