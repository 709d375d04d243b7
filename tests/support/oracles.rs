//! The runtimes that the differential tests compare with, as processes that run the same cases.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::process::Atoll;
use super::project::Project;

/// A folder of `tests/differential/oracles/node_modules`, installed when it is missing or older than its lock file.
pub fn package(path: &str) -> PathBuf {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    let modules = INSTALLED.get_or_init(|| super::npm::install_locked("tests/differential/oracles"));
    modules.join(path)
}

/// Another runtime that serves a project's `index.js`.
pub struct Oracle {
    /// Where it answers.
    pub address: SocketAddr,
    _process: Atoll,
    _directory: Project,
}

impl Oracle {
    /// Deno, with all permissions, and nothing of the caller's caches or settings.
    pub fn deno(project: Project) -> Self {
        project.write("serve.js", SERVE);
        let mut command = Command::new(package("@deno/linux-x64-glibc/deno"));
        command.args(["run", "--allow-all", "--no-prompt", "--no-config", "--no-lock", "--no-remote", "--no-npm"]);
        command.arg(project.path().join("serve.js"));
        command.env("DENO_DIR", project.path().join("cache")).env("DENO_NO_UPDATE_CHECK", "1").env("NO_COLOR", "1");
        let mut process = Atoll::spawn(&mut command);
        let port = process.line_with(|line| line.strip_prefix("ready ")?.parse::<u16>().ok());
        Self { address: SocketAddr::from(([127, 0, 0, 1], port)), _process: process, _directory: project }
    }

    /// workerd, with every module of the project, and loopback within reach.
    pub fn workerd(project: Project, date: &str) -> Self {
        let modules: String = modules(project.path())
            .iter()
            .map(|name| format!("(name = {name:?}, esModule = embed {name:?}), "))
            .collect();
        project.write("config.capnp", CONFIG.replace("MODULES", &modules).replace("DATE", date));
        let mut command = Command::new(package("@cloudflare/workerd-linux-64/bin/workerd"));
        command.args(["serve", "--control-fd=1"]).arg(project.path().join("config.capnp"));
        let mut process = Atoll::spawn(&mut command);
        let port = process.line_with(|line| {
            let event: serde_json::Value = serde_json::from_str(line).ok()?;
            u16::try_from(event["port"].as_u64()?).ok()
        });
        Self { address: SocketAddr::from(([127, 0, 0, 1], port)), _process: process, _directory: project }
    }
}

/// The project's modules by name, the entry first.
fn modules(project: &Path) -> Vec<String> {
    let mut names: Vec<String> = ["index.js", "run.js"].map(str::to_owned).to_vec();
    for entry in std::fs::read_dir(project.join("cases")).unwrap() {
        names.push(format!("cases/{}", entry.unwrap().file_name().to_str().unwrap()));
    }
    names[2..].sort();
    names
}

const SERVE: &str = r#"import main from "./index.js";
for (const type of ["error", "unhandledrejection"]) addEventListener(type, (event) => event.preventDefault());
const onListen = ({ port }) => console.log(`ready ${port}`);
Deno.serve({ port: 0, hostname: "127.0.0.1", onListen }, (request) => main.fetch(request, {}, { waitUntil() {} }));
"#;

const CONFIG: &str = r#"using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "main", address = "127.0.0.1:0", http = (), service = "main")],
);

const main :Workerd.Worker = (modules = [MODULES], compatibilityDate = "DATE");
"#;
