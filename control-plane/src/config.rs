//! The control plane's configuration.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::acme::AcmeConfig;

/// What a control plane can be told. As a file it is TOML; unknown keys are errors.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The directory with the store, the bundles and the keys; created if it does not exist.
    pub data_dir: PathBuf,
    /// Where the API listens. Default `127.0.0.1:8081`.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// The longest silence on a stream (`heartbeat_ms` in a file, 10 to 60,000). Default 5 s.
    #[serde(default = "default_heartbeat", rename = "heartbeat_ms", deserialize_with = "heartbeat")]
    pub heartbeat: Duration,
    /// The most bytes that the store (without bundles) may take on the disk. No limit by default.
    #[serde(default)]
    pub store_max_bytes: Option<u64>,
    /// The certificate authority that is asked for certificates. Default none.
    #[serde(default)]
    pub acme: Option<AcmeConfig>,
}

/// Why a configuration file was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is no valid configuration; the message has line, column and what was expected.
    #[error("{} is not a valid control-plane configuration: {problem}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong where.
        problem: String,
    },
}

impl Config {
    /// The defaults, for this directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            listen: default_listen(),
            heartbeat: default_heartbeat(),
            store_max_bytes: None,
            acme: None,
        }
    }

    /// Reads a TOML file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let invalid = |problem: String| ConfigError::Invalid { path: path.to_owned(), problem };
        let config: Self = toml::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        if let Some(acme) = &config.acme {
            acme.validate().map_err(|error| invalid(error.to_string()))?;
        }
        Ok(config)
    }
}

fn default_listen() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 8081))
}

fn default_heartbeat() -> Duration {
    Duration::from_secs(5)
}

fn heartbeat<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let millis = u64::deserialize(deserializer)?;
    if !(10..=60_000).contains(&millis) {
        return Err(serde::de::Error::custom(format!("heartbeat_ms is {millis}; it must be 10 to 60000")));
    }
    Ok(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::read(file.path())
    }

    #[test]
    fn a_file_sets_what_it_names_and_leaves_the_defaults() {
        let config = read("data_dir = \"/data\"\nheartbeat_ms = 250").unwrap();
        assert_eq!(config.data_dir, Path::new("/data"));
        assert_eq!(config.listen.port(), 8081);
        assert_eq!(config.heartbeat, Duration::from_millis(250));
    }

    #[test]
    fn a_wrong_file_is_told_where_and_why() {
        let problem = |text| read(text).unwrap_err().to_string();
        let unknown = problem("data_dir = \"d\"\nlissten = \"x\"");
        assert!(unknown.contains("lissten") && unknown.contains("line 2") && unknown.contains("`listen`"), "{unknown}");
        assert!(problem("data_dir = \"d\"\nheartbeat_ms = 1").contains("10 to 60000"));
        assert!(problem("").contains("data_dir"));
        assert!(problem("data_dir = \"d\"\n[acme]\ndirectory = \"https://ca.example\"").contains("acme.terms_agreed"));
        assert!(Config::read(Path::new("/no/such/file")).unwrap_err().to_string().contains("/no/such/file"));
    }
}
