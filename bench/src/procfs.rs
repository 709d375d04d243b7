//! What the kernel says of a process and of the machine.

use std::time::{Duration, Instant};

use anyhow::Context;

/// Ticks per second of the CPU times in `/proc/PID/stat` (`USER_HZ`, fixed at 100 in Linux's interface).
const TICKS_PER_SECOND: u64 = 100;

/// CPU time that all threads of the process have used, user and system.
pub fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the server has gone")?;
    parse_cpu_time(&stat).with_context(|| format!("unexpected /proc/{pid}/stat: {stat}"))
}

/// CPU time that the process and all its descendants that still run have used, user and system.
pub fn cpu_time_of_all(pid: u32) -> anyhow::Result<Duration> {
    let mut sum = cpu_time(pid)?;
    for child in children(pid)? {
        sum += cpu_time_of_all(child)?;
    }
    Ok(sum)
}

/// The processes that a process has started and that still run.
fn children(pid: u32) -> anyhow::Result<Vec<u32>> {
    let mut all = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).context("the server has gone")? {
        // A thread that ends in between has no children any more.
        let children = std::fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            all.push(child.parse()?);
        }
    }
    Ok(all)
}

fn parse_cpu_time(stat: &str) -> Option<Duration> {
    // The second field is the program's name in parentheses and may hold spaces; `utime` is field 14, `stime` 15.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Resident memory of the process in bytes.
pub fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the server has gone")?;
    parse_kib(&status, "VmRSS:").with_context(|| format!("no VmRSS in /proc/{pid}/status"))
}

/// Resident memory of the process and all its descendants in bytes. What they share counts for each of them.
pub fn resident_of_all(pid: u32) -> anyhow::Result<u64> {
    let mut sum = resident(pid)?;
    for child in children(pid)? {
        sum += resident_of_all(child)?;
    }
    Ok(sum)
}

fn parse_kib(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// A moment, from which on the CPU time of others is counted.
pub struct Since {
    at: Instant,
    all: Duration,
    own: Duration,
}

impl Since {
    /// From now on.
    pub fn now() -> Self {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let own = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        Self { at: Instant::now(), all: parse_busy(&stat), own: parse_with_children(&own).unwrap_or_default() }
    }

    /// The part of all cores, 0 to 1, that was taken since by what is neither this process nor a child that has ended.
    pub fn share_of_others(&self) -> f64 {
        let now = Self::now();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let others = now.all.saturating_sub(self.all).saturating_sub(now.own.saturating_sub(self.own));
        others.as_secs_f64() / (now.at - self.at).as_secs_f64().max(0.001) / cores as f64
    }
}

/// CPU time of all cores that was not idle, from `/proc/stat`.
fn parse_busy(stat: &str) -> Duration {
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    // Idle time and time waiting for disks are fields four and five; after the eighth, time is counted twice.
    let busy = fields.take(8).enumerate().filter(|(index, _)| *index != 3 && *index != 4);
    let ticks: u64 = busy.filter_map(|(_, ticks)| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// CPU time of a process and its children that have ended, from `/proc/PID/stat`.
fn parse_with_children(stat: &str) -> Option<Duration> {
    let fields = stat[stat.rfind(')')? + 1..].split_whitespace().skip(11).take(4);
    let ticks: u64 = fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Cores, processor, memory and kernel in one line.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = parse_kib(&memory, "MemTotal:").unwrap_or_default() >> 30;
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} cores ({model}), {memory} GiB, Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn cpu_time_is_read_after_a_name_with_spaces_and_parentheses() {
        let stat = "12 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 5";
        assert_eq!(parse_cpu_time(stat), Some(Duration::from_secs(2)));
    }

    #[test]
    fn the_time_of_children_counts() {
        // The shell waits for a loop that runs in a child of its own.
        let script = "(i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo; read wait) ; :";
        let mut command = Command::new("sh");
        let mut shell = command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        shell.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        let (own, all) = (cpu_time(shell.id()).unwrap(), cpu_time_of_all(shell.id()).unwrap());
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert!(all > own, "{all:?} of all, {own:?} of the shell alone");
    }

    #[test]
    fn the_time_of_the_machine_and_of_children_is_read() {
        assert_eq!(parse_busy("cpu  100 20 30 4000 500 6 7 8 90 90\ncpu0 1 1"), Duration::from_millis(1710));
        let stat = "12 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 30 20 20 0 1 0 5";
        assert_eq!(parse_with_children(stat), Some(Duration::from_millis(2500)));
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(parse_kib("Name:\tx\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12 * 1024));
    }
}
