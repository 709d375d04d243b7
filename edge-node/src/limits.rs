//! Which limits hold for an app: its own settings within the node's ceilings, else the node's defaults.

use std::time::Duration;

use atoll_protocol::config::LimitOverrides;
use atoll_runtime::Limits;
use serde::Deserialize;

/// A full set of limits, in the units of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// CPU time per request, milliseconds. Default 50, ceiling 30,000.
    pub cpu_ms: u64,
    /// CPU time to evaluate the modules, milliseconds. Default 400, ceiling 5,000.
    pub startup_cpu_ms: u64,
    /// Wall clock until a response's head, and for `waitUntil` after it, milliseconds. Default 30,000, ceiling 900,000.
    pub wall_ms: u64,
    /// V8 heap and off-heap memory together, MiB. Default 128, ceiling 512.
    pub memory_mb: u64,
    /// Outbound requests per request. Default 50, ceiling 1,000.
    pub subrequests: u32,
    /// Outbound requests of one isolate under way at once. Default and ceiling 6.
    pub connections: u32,
    /// Request body, bytes. Default 100 MiB, ceiling 500 MiB.
    pub request_body_bytes: u64,
    /// Requests of one app in flight on this node. Default 256, ceiling 10,000.
    pub concurrency: u32,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            cpu_ms: 50,
            startup_cpu_ms: 400,
            wall_ms: 30_000,
            memory_mb: 128,
            subrequests: 50,
            connections: 6,
            request_body_bytes: 100 << 20,
            concurrency: 256,
        }
    }
}

impl LimitSettings {
    /// The most that an app can set, unless the operator says otherwise.
    pub fn ceilings() -> Self {
        Self {
            cpu_ms: 30_000,
            startup_cpu_ms: 5_000,
            wall_ms: 900_000,
            memory_mb: 512,
            subrequests: 1_000,
            connections: 6,
            request_body_bytes: 500 << 20,
            concurrency: 10_000,
        }
    }

    /// These limits with an app's own settings, each at most its ceiling.
    pub fn with(&self, overrides: &LimitOverrides, ceilings: &Self) -> Self {
        Self {
            cpu_ms: overrides.cpu_ms.unwrap_or(self.cpu_ms).min(ceilings.cpu_ms),
            startup_cpu_ms: overrides.startup_cpu_ms.unwrap_or(self.startup_cpu_ms).min(ceilings.startup_cpu_ms),
            wall_ms: overrides.wall_ms.unwrap_or(self.wall_ms).min(ceilings.wall_ms),
            memory_mb: overrides.memory_mb.unwrap_or(self.memory_mb).min(ceilings.memory_mb),
            subrequests: overrides.subrequests.unwrap_or(self.subrequests).min(ceilings.subrequests),
            connections: self.connections.min(ceilings.connections),
            request_body_bytes: overrides
                .request_body_bytes
                .unwrap_or(self.request_body_bytes)
                .min(ceilings.request_body_bytes),
            concurrency: overrides.concurrency.unwrap_or(self.concurrency).min(ceilings.concurrency),
        }
    }

    /// The part that an isolate enforces.
    pub fn for_isolate(&self) -> Limits {
        Limits {
            cpu: Duration::from_millis(self.cpu_ms),
            startup_cpu: Duration::from_millis(self.startup_cpu_ms),
            wall: Duration::from_millis(self.wall_ms),
            memory: usize::try_from(self.memory_mb.saturating_mul(1 << 20)).unwrap_or(usize::MAX),
            subrequests: self.subrequests,
            connections: self.connections,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_apps_own_limit_wins_up_to_the_ceiling() {
        let overrides =
            LimitOverrides { cpu_ms: Some(70), memory_mb: Some(4096), concurrency: Some(1), ..Default::default() };
        let limits = LimitSettings::default().with(&overrides, &LimitSettings::ceilings());
        assert_eq!((limits.cpu_ms, limits.memory_mb, limits.concurrency, limits.wall_ms), (70, 512, 1, 30_000));
        assert_eq!(limits.for_isolate().memory, 512 << 20);
    }

    #[test]
    fn a_ceiling_below_the_default_holds_for_the_default_too() {
        let ceilings = LimitSettings { cpu_ms: 10, ..LimitSettings::ceilings() };
        assert_eq!(LimitSettings::default().with(&LimitOverrides::default(), &ceilings).cpu_ms, 10);
    }

    #[test]
    fn the_defaults_are_the_runtimes() {
        assert_eq!(LimitSettings::default().for_isolate(), Limits::default());
    }
}
