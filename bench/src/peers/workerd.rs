//! `workerd` as a peer: fleets of apps through its worker loader binding, single apps as services of their own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;

use crate::npm;
use crate::peers::{Peer, Prepared, Process, Running};
use crate::site::{COMPATIBILITY_DATE, Site};

/// The version of npm's `workerd` that is measured.
const VERSION: &str = "1.20261117.1";

/// The socket of the loader.
const APPS: &str = "apps";

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

    fn prepare(&self, site: &Site) -> anyhow::Result<Box<dyn Prepared>> {
        let directory = tempfile::tempdir().context("cannot make a directory for the configuration")?;
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text);
        write("config.capnp", &config(site))?;
        write("loader.js", &loader(site))?;
        for fleet in &site.fleets {
            let name = fleet.name();
            if fleet.is_one() {
                write(&format!("{name}.js"), &fleet.source_of(name))?;
            } else {
                write(&format!("{name}.txt"), fleet.source())?;
            }
        }
        let own = site.fleets.iter().filter(|fleet| fleet.is_one()).map(|fleet| fleet.name().to_owned()).collect();
        Ok(Box::new(Configured { binary: self.binary.clone(), own, directory: Arc::new(directory) }))
    }
}

struct Configured {
    binary: PathBuf,
    own: Vec<String>,
    directory: Arc<tempfile::TempDir>,
}

impl Prepared for Configured {
    fn start(&self, core: Option<usize>) -> anyhow::Result<Running> {
        let mut command = Command::new(&self.binary);
        command.args(["serve", "--experimental", "--control-fd=1"]).arg(self.directory.path().join("config.capnp"));
        let start = Instant::now();
        let mut process = Process::spawn(command, core)?;
        let mut own = BTreeMap::new();
        let own = process.read_until(|line| {
            let event: serde_json::Value = serde_json::from_str(line).ok()?;
            let port = u16::try_from(event["port"].as_u64()?).ok()?;
            own.insert(event["socket"].as_str()?.to_owned(), SocketAddr::from(([127, 0, 0, 1], port)));
            (own.len() > self.own.len()).then(|| own.clone())
        })?;
        let ready = start.elapsed();
        let address = *own.get(APPS).context("workerd does not listen for the loader")?;
        Ok(Running { address, own, process, ready, _directory: self.directory.clone() })
    }
}

/// A service and a socket for the loader and for each single app. They may connect to this machine.
fn config(site: &Site) -> String {
    let single: Vec<&str> = site.fleets.iter().filter(|fleet| fleet.is_one()).map(|fleet| fleet.name()).collect();
    let mut services = String::new();
    let mut sockets = String::new();
    let mut workers = String::new();
    for name in single.iter().chain([&APPS]) {
        // Writing to a string cannot fail.
        let _ = writeln!(services, "    (name = \"{name}\", worker = .{name}),");
        let _ =
            writeln!(sockets, "    (name = \"{name}\", address = \"127.0.0.1:0\", http = (), service = \"{name}\"),");
    }
    for name in single {
        let _ = writeln!(
            workers,
            "const {name} :Workerd.Worker = (\n  modules = [ (name = \"{name}.js\", esModule = embed \"{name}.js\") ],\n  \
             compatibilityDate = \"{COMPATIBILITY_DATE}\",\n);"
        );
    }
    let mut texts = String::new();
    for fleet in site.fleets.iter().filter(|fleet| !fleet.is_one()) {
        let name = fleet.name();
        let _ = write!(texts, ", (name = \"{name}.txt\", text = embed \"{name}.txt\")");
    }
    format!(
        "using Workerd = import \"/workerd/workerd.capnp\";\n\n\
         const config :Workerd.Config = (\n  services = [\n{services}    \
         (name = \"internet\", network = (allow = [\"public\", \"private\", \"local\"])),\n  ],\n  \
         sockets = [\n{sockets}  ],\n);\n\n\
         const apps :Workerd.Worker = (\n  \
         modules = [ (name = \"loader.js\", esModule = embed \"loader.js\"){texts} ],\n  \
         bindings = [ (name = \"LOADER\", workerLoader = ()) ],\n  \
         compatibilityDate = \"{COMPATIBILITY_DATE}\",\n  compatibilityFlags = [\"experimental\"],\n);\n\n{workers}"
    )
}

/// Loads the app that the host names. Nothing is read from disk or network, which is the loader's best case.
fn loader(site: &Site) -> String {
    let mut source = String::new();
    let mut names = Vec::new();
    for (index, fleet) in site.fleets.iter().filter(|fleet| !fleet.is_one()).enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(source, "import source{index} from \"{}.txt\";", fleet.name());
        names.push(format!("{:?}: source{index}", fleet.name()));
    }
    let loader = LOADER.replace("SOURCES", &names.join(", ")).replace("COMPATIBILITY_DATE", COMPATIBILITY_DATE);
    source + &loader
}

const LOADER: &str = r#"const sources = { SOURCES };
export default {
  fetch(request, env) {
    const app = new URL(request.url).hostname.split(".")[0];
    const worker = env.LOADER.get(app, async () => ({
      compatibilityDate: "COMPATIBILITY_DATE",
      mainModule: "index.js",
      modules: { "index.js": `const APP_NAME = "${app}";\n${sources[app.slice(0, app.lastIndexOf("-"))]}` },
    }));
    return worker.getEntrypoint().fetch(request);
  },
};
"#;
