//! What an isolate is given to run.

use std::fmt;
use std::sync::Arc;

use atoll_bundle::{Bundle, BundleHash};
use atoll_web::event::{Environment, Host};

use crate::Limits;

/// One version of an app, ready to run.
#[derive(Clone)]
pub struct Worker {
    /// The app's name, for logs.
    pub app: Arc<str>,
    /// The version's number.
    pub version: u64,
    /// Its code.
    pub bundle: Arc<Bundle>,
    /// The code's hash, under which compiled code is cached.
    pub hash: BundleHash,
    /// `env`.
    pub env: Environment,
    /// What it may use.
    pub limits: Limits,
    /// What it may ask of the world.
    pub host: Arc<dyn Host>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Worker({} v{} {})", self.app, self.version, self.hash)
    }
}
