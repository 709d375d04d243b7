//! Which control plane a command speaks to, and with which token: what the user names, else the platform that runs on the
//! local data directory.

use std::path::{Path, PathBuf};

use super::ClientError;
use crate::args::ClientArgs;

/// A control plane and the right to use it.
#[derive(Clone)]
pub struct Target {
    /// Base URL without a trailing slash.
    pub api: String,
    /// The token.
    pub token: String,
}

/// The file in a data directory that holds the API's URL while the platform runs.
const ENDPOINT_FILE: &str = "endpoint";
/// The file in a data directory that holds the admin token.
const TOKEN_FILE: &str = "admin.token";

impl Target {
    /// The target that the arguments (which include the environment's values) name.
    pub fn from_args(args: &ClientArgs) -> Result<Self, ClientError> {
        let data_dir = args.data_dir.clone().unwrap_or_else(default_data_dir);
        let read = |name: &str| read_line(&data_dir.join(name));
        let api = match non_empty(&args.api) {
            Some(api) => api,
            None => read(ENDPOINT_FILE).ok_or_else(|| ClientError::NoPlatform(data_dir.join(ENDPOINT_FILE)))?,
        };
        let token = match non_empty(&args.token) {
            Some(token) => token,
            None => read(TOKEN_FILE).ok_or_else(|| ClientError::NoToken(data_dir.join(TOKEN_FILE)))?,
        };
        Ok(Self { api: api.trim_end_matches('/').to_owned(), token })
    }
}

fn non_empty(value: &Option<String>) -> Option<String> {
    value.as_deref().map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned)
}

fn read_line(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

/// `$XDG_DATA_HOME/atoll`, else `~/.local/share/atoll` (XDG Base Directory Specification), else a folder here.
pub fn default_data_dir() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    match (variable("XDG_DATA_HOME").filter(|path| path.is_absolute()), variable("HOME")) {
        (Some(data), _) => data.join("atoll"),
        (None, Some(home)) => home.join(".local/share/atoll"),
        (None, None) => PathBuf::from(".atoll"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(folder: &Path) -> ClientArgs {
        ClientArgs { data_dir: Some(folder.to_owned()), ..ClientArgs::default() }
    }

    #[test]
    fn what_is_named_comes_before_the_data_directory() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Target::from_args(&args(folder.path())), Err(ClientError::NoPlatform(_))));
        std::fs::write(folder.path().join("endpoint"), "http://127.0.0.1:1\n").unwrap();
        assert!(matches!(Target::from_args(&args(folder.path())), Err(ClientError::NoToken(_))));
        std::fs::write(folder.path().join("admin.token"), "atoll_a_b\n").unwrap();
        let target = Target::from_args(&args(folder.path())).unwrap();
        assert_eq!((target.api.as_str(), target.token.as_str()), ("http://127.0.0.1:1", "atoll_a_b"));
        let named = ClientArgs { api: Some("http://h:2/".into()), token: Some("t".into()), ..args(folder.path()) };
        let target = Target::from_args(&named).unwrap();
        assert_eq!((target.api.as_str(), target.token.as_str()), ("http://h:2", "t"));
    }
}
