//! How busy the node is, and when that is too much: requests in flight, resident memory, connections by client.

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A node's load. Cheap to ask for every request.
pub struct Load {
    requests: AtomicUsize,
    most: usize,
    /// Set when the memory is nearly used up.
    shedding: AtomicBool,
    memory: u64,
    /// What clients may send ahead, beyond what each connection has, bytes.
    ahead: AtomicU64,
}

/// The share of the memory that may be promised to clients that send ahead: one part in so many.
const AHEAD: u64 = 16;

impl Load {
    /// At most so many requests, and none when the process has more resident memory than `memory`, bytes.
    pub fn new(most: usize, memory: u64) -> Self {
        Self { requests: AtomicUsize::new(0), most, shedding: AtomicBool::new(false), memory, ahead: AtomicU64::new(0) }
    }

    /// Counts a request, unless it is one too many.
    pub fn begin(&self) -> bool {
        if self.shedding.load(Ordering::Relaxed) {
            return false;
        }
        if self.requests.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.requests.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// Counts its end.
    pub fn end(&self) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
    }

    /// Promises memory for what a client may send ahead; to be [released](Self::release_ahead). `false` when there is none
    /// to spare.
    pub fn reserve_ahead(&self, bytes: u64) -> bool {
        let most = self.memory / AHEAD;
        let more = |ahead: u64| ahead.checked_add(bytes).filter(|sum| *sum <= most);
        !self.is_shedding() && self.ahead.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Takes the promise back.
    pub fn release_ahead(&self, bytes: u64) {
        self.ahead.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Looks at the memory; to be called about once a second. Says whether that changed something.
    pub fn observe(&self, resident: u64) -> bool {
        // Going back needs a margin, or the node would flutter at the limit.
        let shedding = match self.shedding.load(Ordering::Relaxed) {
            true => resident > self.memory - self.memory / 20,
            false => resident > self.memory,
        };
        self.shedding.swap(shedding, Ordering::Relaxed) != shedding
    }

    /// Whether requests are refused for want of memory.
    pub fn is_shedding(&self) -> bool {
        self.shedding.load(Ordering::Relaxed)
    }
}

/// Nine tenths of the memory that this process may have, bytes: that of its control group, else that of the machine.
pub fn memory_ceiling() -> u64 {
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse::<u64>().ok());
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
    });
    let all = group.unwrap_or(u64::MAX).min(machine.unwrap_or(u64::MAX));
    all - all / 10
}

/// Connections by client.
pub struct Connections {
    most: usize,
    most_per_client: usize,
    all: AtomicUsize,
    by_client: [Mutex<HashMap<u128, usize>>; 16],
}

impl Connections {
    /// At most so many of all clients, and so many of one.
    pub fn new(most: usize, most_per_client: usize) -> Self {
        Self { most, most_per_client, all: AtomicUsize::new(0), by_client: Default::default() }
    }

    /// Counts a connection for as long as the place is kept; `None` when it is one too many.
    pub fn admit(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        if self.all.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.all.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let key = key(client);
        let mut counts = self.shard(key).lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_default();
        if *count >= self.most_per_client {
            self.all.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        *count += 1;
        Some(Place { connections: self.clone(), key })
    }

    /// Whether half of all places are taken.
    pub fn is_busy(&self) -> bool {
        self.all.load(Ordering::Relaxed) > self.most / 2
    }

    fn shard(&self, key: u128) -> &Mutex<HashMap<u128, usize>> {
        let mixed = (key ^ (key >> 64)) as u64;
        &self.by_client[(mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as usize]
    }
}

/// Who counts as one client: an IPv4 address, or an IPv6 network of 64 bits, of which one subscriber has them all.
fn key(client: IpAddr) -> u128 {
    match client.to_canonical() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address) >> 64 | 1 << 127,
    }
}

/// A connection's place among those of its client.
pub struct Place {
    connections: Arc<Connections>,
    key: u128,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.all.fetch_sub(1, Ordering::Relaxed);
        let mut counts = self.connections.shard(self.key).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_sheds_with_a_margin() {
        let load = Load::new(9, 1000);
        assert!(load.begin() && !load.observe(1000));
        assert!(load.observe(1001) && load.is_shedding() && !load.begin());
        assert!(!load.observe(960));
        assert!(load.observe(950) && load.begin());
        assert_eq!(load.requests.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_part_of_the_memory_is_for_what_is_sent_ahead() {
        let load = Load::new(9, 1600);
        assert!(load.reserve_ahead(60) && load.reserve_ahead(40) && !load.reserve_ahead(1));
        load.release_ahead(60);
        assert!(load.reserve_ahead(50) && !load.reserve_ahead(u64::MAX));
        load.observe(1601);
        assert!(!load.reserve_ahead(1), "there is no memory");
    }

    #[test]
    fn connections_are_counted_by_client() {
        let connections = Arc::new(Connections::new(3, 2));
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = connections.admit(ip("2001:db8::1"));
        let second = connections.admit(ip("2001:db8::2:0:0:1"));
        assert!(first.is_some() && second.is_some());
        assert!(connections.admit(ip("2001:db8::3")).is_none(), "one network");
        let third = connections.admit(ip("1.1.1.1"));
        assert!(third.is_some() && connections.admit(ip("1.1.1.2")).is_none(), "all together");
        drop(first);
        assert!(connections.admit(ip("::ffff:1.1.1.1")).is_some());
        drop((second, third));
        assert!(!connections.is_busy());
        assert!(connections.by_client.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }

    #[test]
    fn the_ceiling_is_some_memory() {
        assert!(memory_ceiling() > 64 << 20);
    }
}
