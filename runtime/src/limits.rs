//! What one isolate and one request may use.

use std::time::Duration;

/// Limits of a worker. Every one has its own [error](crate::HandlerError).
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// CPU time per request. Default 50 ms. A turn of JavaScript that several requests share is charged to them in equal
    /// parts.
    pub cpu: Duration,
    /// CPU time to load and evaluate the modules. Default 400 ms.
    pub startup_cpu: Duration,
    /// Wall clock until the response's head, and for `waitUntil` after the response. Default 30 s.
    pub wall: Duration,
    /// V8 heap and off-heap memory together, bytes. Default 128 MiB.
    pub memory: usize,
    /// Outbound requests per request. Default 50.
    pub subrequests: u32,
    /// Outbound requests of one isolate under way at once; more wait. Default 6.
    pub connections: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_millis(50),
            startup_cpu: Duration::from_millis(400),
            wall: Duration::from_secs(30),
            memory: 128 << 20,
            subrequests: 50,
            connections: 6,
        }
    }
}
