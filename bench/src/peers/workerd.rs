//! `workerd` as a peer: apps through its worker loader binding, the hello app as a service of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::npm;
use crate::peers::{Peer, Process, Running, hello_source};

/// The version of npm's `workerd` that is measured.
const VERSION: &str = "1.20261117.1";
const COMPATIBILITY_DATE: &str = "2026-11-01";

/// The workerd binary.
pub struct Workerd {
    binary: PathBuf,
    version: String,
}

impl Workerd {
    /// Checks that the binary runs.
    pub fn new(binary: PathBuf) -> anyhow::Result<Self> {
        let output = Command::new(&binary).arg("--version").output();
        let output = output.with_context(|| format!("cannot run {}", binary.display()))?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(Self { binary, version })
    }
}

/// Installs npm's `workerd` package into `directory` unless it is there, and returns the platform's binary.
pub fn fetch(directory: &Path) -> anyhow::Result<PathBuf> {
    npm::install(directory, "workerd", VERSION, "@cloudflare/workerd-linux-64/bin/workerd")
        .context("another workerd binary can be named with --workerd")
}

impl Peer for Workerd {
    fn name(&self) -> &'static str {
        "workerd"
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn start(&self, _apps: usize, core: Option<usize>) -> anyhow::Result<Running> {
        let directory = tempfile::tempdir().context("cannot make a directory for the configuration")?;
        for (name, text) in [("config.capnp", CONFIG), ("loader.js", LOADER), ("hello.js", &hello_source())] {
            std::fs::write(directory.path().join(name), text.replace("COMPATIBILITY_DATE", COMPATIBILITY_DATE))?;
        }
        let mut command = Command::new(&self.binary);
        command.args(["serve", "--experimental", "--control-fd=1"]).arg(directory.path().join("config.capnp"));
        let mut process = Process::spawn(command, core)?;
        let mut sockets = HashMap::new();
        let (apps, hello) = process.read_until(|line| {
            let event: serde_json::Value = serde_json::from_str(line).ok()?;
            let port = u16::try_from(event["port"].as_u64()?).ok()?;
            sockets.insert(event["socket"].as_str()?.to_owned(), SocketAddr::from(([127, 0, 0, 1], port)));
            Some((*sockets.get("apps")?, *sockets.get("hello")?))
        })?;
        Ok(Running { apps, hello, hello_host: "hello.localhost".into(), process, _directory: directory })
    }
}

const CONFIG: &str = r#"using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [ (name = "apps", worker = .apps), (name = "hello", worker = .hello) ],
  sockets = [
    (name = "apps", address = "127.0.0.1:0", http = (), service = "apps"),
    (name = "hello", address = "127.0.0.1:0", http = (), service = "hello"),
  ],
);

const apps :Workerd.Worker = (
  modules = [ (name = "loader.js", esModule = embed "loader.js") ],
  bindings = [ (name = "LOADER", workerLoader = ()) ],
  compatibilityDate = "COMPATIBILITY_DATE",
  compatibilityFlags = ["experimental"],
);

const hello :Workerd.Worker = (
  modules = [ (name = "hello.js", esModule = embed "hello.js") ],
  compatibilityDate = "COMPATIBILITY_DATE",
);
"#;

/// Makes the same source as [`crate::peers::counting_source`] from the host name; nothing is read from disk or network,
/// which is the loader's best case.
const LOADER: &str = r#"export default {
  fetch(request, env) {
    const app = new URL(request.url).hostname.split(".")[0];
    const worker = env.LOADER.get(app, async () => ({
      compatibilityDate: "COMPATIBILITY_DATE",
      mainModule: "index.js",
      modules: {
        "index.js": `let calls = 0;
export default { fetch() { calls += 1; return new Response(\`${app} \${calls}\\n\`); } };
`,
      },
    }));
    return worker.getEntrypoint().fetch(request);
  },
};
"#;
