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
    /// What sets off the scheduled handler of `crons.js`, if the runtime has such handlers.
    pub clock: Option<String>,
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
        Self { address: SocketAddr::from(([127, 0, 0, 1], port)), clock: None, _process: process, _directory: project }
    }

    /// workerd, with every module of the project, and loopback within reach.
    pub fn workerd(project: Project, date: &str) -> Self {
        let modules: String = modules(project.path())
            .iter()
            .map(|name| format!("(name = {name:?}, esModule = embed {name:?}), "))
            .collect();
        project.write("store.js", STORE);
        project.write("clock.js", CLOCK);
        project.write("config.capnp", CONFIG.replace("MODULES", &modules).replace("DATE", date));
        let mut command = Command::new(package("@cloudflare/workerd-linux-64/bin/workerd"));
        // Bindings that call scheduled handlers are an experiment of workerd's.
        command.args(["serve", "--experimental", "--control-fd=1"]).arg(project.path().join("config.capnp"));
        let mut process = Atoll::spawn(&mut command);
        let mut listening = |socket: &str| {
            process.line_with(|line| {
                let event: serde_json::Value = serde_json::from_str(line).ok()?;
                u16::try_from(event["port"].as_u64().filter(|_| event["socket"] == socket)?).ok()
            })
        };
        let address = SocketAddr::from(([127, 0, 0, 1], listening("main")));
        let clock = Some(format!("http://127.0.0.1:{}/", listening("clock")));
        Self { address, clock, _process: process, _directory: project }
    }
}

/// The project's modules by name, the entry first.
fn modules(project: &Path) -> Vec<String> {
    let own = ["entry.js", "index.js", "crons.js", "names.js", "rpc.js", "run.js"];
    let mut names = own.map(str::to_owned).to_vec();
    for entry in std::fs::read_dir(project.join("cases")).unwrap() {
        names.push(format!("cases/{}", entry.unwrap().file_name().to_str().unwrap()));
    }
    names[own.len()..].sort();
    names
}

const SERVE: &str = r#"import main from "./index.js";
for (const type of ["error", "unhandledrejection"]) addEventListener(type, (event) => event.preventDefault());
const onListen = ({ port }) => console.log(`ready ${port}`);
Deno.serve({ port: 0, hostname: "127.0.0.1", onListen }, (request) => main.fetch(request, {}, { waitUntil() {} }));
"#;

/// Keeps what is put as it is, and gives it back whatever headers ask for.
const STORE: &str = r#"const kept = new Map();
export default {
  async fetch(request) {
    const key = `${request.headers.get("cf-cache-namespace")} ${request.url}`;
    if (request.method === "PURGE") return new Response(null, { status: kept.delete(key) ? 200 : 404 });
    if (request.method === "PUT") {
      const text = await request.text();
      const end = text.indexOf("\r\n\r\n");
      const [first, ...lines] = text.slice(0, end).split("\r\n");
      const headers = lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]);
      kept.set(key, { status: Number(first.split(" ")[1]), headers, body: text.slice(end + 4) });
      return new Response(null, { status: 204 });
    }
    const found = kept.get(key);
    if (!found) return new Response(null, { status: 504, headers: { "cf-cache-status": "MISS" } });
    const headers = new Headers(found.headers);
    headers.delete("transfer-encoding");
    headers.set("cf-cache-status", "HIT");
    return new Response(found.body, { status: found.status, headers });
  },
};
"#;

/// Sets the scheduled handler off that a request describes.
const CLOCK: &str = r#"export default {
  async fetch(request, env) {
    const { searchParams } = new URL(request.url);
    const scheduledTime = new Date(Number(searchParams.get("time")));
    const { outcome } = await env.CRONS.scheduled({ cron: searchParams.get("cron"), scheduledTime });
    return new Response(outcome, { status: outcome === "ok" ? 200 : 500 });
  },
};
"#;

const CONFIG: &str = r#"using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "store", worker = .store),
    (name = "classic", worker = .classic),
    (name = "crons", worker = .crons),
    (name = "clock", worker = .clock),
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [
    (name = "main", address = "127.0.0.1:0", http = (), service = "main"),
    (name = "clock", address = "127.0.0.1:0", http = (), service = "clock"),
  ],
);

const main :Workerd.Worker = (
  modules = [MODULES],
  compatibilityDate = "DATE",
  cacheApiOutbound = "store",
  bindings = [
    (name = "TEXT", text = "text"),
    (name = "JSON_VALUE", json = "{\"a\":[1]}"),
    (name = "SELF", service = "main"),
    (name = "RPC", service = (name = "main", entrypoint = "Rpc")),
    (name = "NAMED", service = (name = "main", entrypoint = "Named")),
    (name = "CLASSIC", service = "classic"),
  ],
);

const classic :Workerd.Worker = (
  serviceWorkerScript = embed "classic.js",
  compatibilityDate = "DATE",
  bindings = [(name = "TEXT", text = "text")],
);

const crons :Workerd.Worker = (
  modules = [(name = "crons.js", esModule = embed "crons.js"), (name = "run.js", esModule = embed "run.js")],
  compatibilityDate = "DATE",
  bindings = [(name = "TEXT", text = "text")],
);

const clock :Workerd.Worker = (
  modules = [(name = "clock.js", esModule = embed "clock.js")],
  compatibilityDate = "DATE",
  compatibilityFlags = ["service_binding_extra_handlers"],
  bindings = [(name = "CRONS", service = "crons")],
);

# workerd has the Cache API, and leaves what is kept to a service that speaks HTTP.
const store :Workerd.Worker = (
  modules = [(name = "store.js", esModule = embed "store.js")],
  compatibilityDate = "DATE",
);
"#;
