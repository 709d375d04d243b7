//! Starting the `atoll` binary: as a server that is killed when the test is over, and as a command.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use super::api::Api;
use super::http::{self, Response};
use super::wait::{SOON, eventually};

/// The binary, without anything of the caller's environment that would change what it does.
pub fn atoll() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atoll"));
    for name in ["ATOLL_API", "ATOLL_TOKEN", "ATOLL_DATA_DIR", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
}

/// A long-running `atoll` process; killed when dropped.
pub struct Atoll {
    child: Child,
    lines: Mutex<Receiver<String>>,
    log: Arc<Mutex<String>>,
}

impl Atoll {
    /// Starts a command made of [`atoll`].
    #[track_caller]
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|l| sender.send(l))
        });
        let copy = log.clone();
        std::thread::spawn(move || {
            let mut stderr = stderr;
            let mut buffer = [0; 8192];
            while let Ok(read @ 1..) = stderr.read(&mut buffer) {
                copy.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        });
        Self { child, lines: Mutex::new(lines), log }
    }

    /// Starts a server, and again as long as another program has its port: while none has, the system may give it away.
    /// Returns it with what the first line says for which `ready` gives something.
    #[track_caller]
    pub fn serving<T>(command: &mut Command, mut ready: impl FnMut(&str) -> Option<T>) -> (Self, T) {
        eventually("the server has its port", || {
            let mut process = Self::spawn(command);
            loop {
                match process.lines.get_mut().unwrap().recv_timeout(SOON) {
                    Ok(line) => match ready(&line) {
                        Some(found) => return Some((process, found)),
                        None => continue,
                    },
                    Err(RecvTimeoutError::Timeout) => panic!("it does not serve:\n{}", process.log()),
                    Err(RecvTimeoutError::Disconnected) => {
                        process.wait();
                        let log = eventually("it says why it ended", || {
                            Some(process.log()).filter(|log| log.contains("error:"))
                        });
                        assert!(log.contains("Address already in use"), "it does not serve:\n{log}");
                        return None;
                    }
                }
            }
        })
    }

    /// The next line of standard output.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let received = self.lines.get_mut().unwrap().recv_timeout(SOON);
        match received {
            Ok(line) => line,
            Err(error) => panic!("no line on standard output ({error}); standard error:\n{}", self.log()),
        }
    }

    /// A line of standard output if one is there.
    pub fn try_line(&mut self) -> Option<String> {
        self.lines.get_mut().unwrap().try_recv().ok()
    }

    /// The next line of standard output for which `wanted` gives something.
    #[track_caller]
    pub fn line_with<T>(&mut self, mut wanted: impl FnMut(&str) -> Option<T>) -> T {
        loop {
            let line = self.line();
            if let Some(found) = wanted(&line) {
                return found;
            }
        }
    }

    /// What it has written to standard error so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// A path as the process sees it, for one in a mount namespace of its own.
    pub fn inside(&self, path: &Path) -> PathBuf {
        Path::new(&format!("/proc/{}/root", self.child.id())).join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Sends a signal by name, such as `INT`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success(), "kill -s {name}");
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the process ends", || self.child.try_wait().unwrap())
    }

    /// Whether it still runs.
    pub fn alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// CPU time that it has used, to a hundredth of a second.
    pub fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // After the name, which may hold anything: state is the first field, user and system time are the 12th and 13th.
        let fields = stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2);
        Duration::from_millis(fields.map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum())
    }

    /// Resident memory, MiB.
    pub fn resident_mib(&self) -> u64 {
        self.mib("VmRSS:")
    }

    /// The most memory it has ever used, MiB.
    pub fn most_resident_mib(&self) -> u64 {
        self.mib("VmHWM:")
    }

    fn mib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
    }
}

impl Drop for Atoll {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to do.
        let _ = self.child.kill();
        let status = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let start = log.len().saturating_sub(4000);
            let tail = log.get(start..).unwrap_or(&log);
            #[allow(clippy::print_stderr, reason = "shown with a failed test")]
            {
                eprintln!("--- {status:?}, end of the server's standard error:\n{tail}\n---");
            }
        }
    }
}

/// A running `atoll up` with a data directory of its own.
pub struct Up {
    /// The process.
    pub process: Atoll,
    /// Where apps answer.
    pub edge: SocketAddr,
    /// Where the control plane answers.
    pub api_address: SocketAddr,
    data: Arc<TempDir>,
    extra: Vec<String>,
}

impl Up {
    /// Starts it and waits until it serves.
    #[track_caller]
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts it with further arguments.
    #[track_caller]
    pub fn with(extra: &[&str]) -> Self {
        let extra = extra.iter().map(ToString::to_string).collect();
        Self::on(Arc::new(TempDir::new().unwrap()), extra, "127.0.0.1:0", "127.0.0.1:0")
    }

    #[track_caller]
    fn on(data: Arc<TempDir>, extra: Vec<String>, listen: &str, api: &str) -> Self {
        let mut command = atoll();
        command.args(["up", "--listen", listen, "--api", api, "--data-dir"]).arg(data.path()).args(&extra);
        let (process, (edge, api_address)) = Atoll::serving(&mut command, |line| {
            Some(ready(line).unwrap_or_else(|| panic!("not a ready line: {line:?}")))
        });
        Self { process, edge, api_address, data, extra }
    }

    /// `kill -9` if it still runs, and a new process on the same data and addresses.
    #[track_caller]
    pub fn restart(mut self) -> Self {
        self.process.kill();
        Self::on(self.data.clone(), self.extra.clone(), &self.edge.to_string(), &self.api_address.to_string())
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// A client of its API with the admin token.
    pub fn api(&self) -> Api {
        let token = std::fs::read_to_string(self.data().join("admin.token")).expect("admin.token");
        Api::new(self.api_address, token.trim())
    }

    /// Deploys one JavaScript module as `app` through the API and waits until the node runs it.
    #[track_caller]
    pub fn deploy_source(&self, app: &str, source: &str) {
        self.deploy_with(app, source, serde_json::json!({}));
    }

    /// [`deploy_source`](Self::deploy_source) with a version configuration.
    #[track_caller]
    pub fn deploy_with(&self, app: &str, source: &str, config: serde_json::Value) {
        let mut api = self.api();
        let revision = api.deploy(app, source, config);
        api.settle(revision);
    }

    /// `GET http://APP.localhost/PATH`.
    #[track_caller]
    pub fn get(&self, app: &str, path: &str) -> Response {
        http::get(self.edge, &format!("{app}.localhost"), path)
    }

    /// `POST http://APP.localhost/PATH`.
    #[track_caller]
    pub fn post(&self, app: &str, path: &str, body: &[u8]) -> Response {
        http::post(self.edge, &format!("{app}.localhost"), path, &[], body)
    }

    /// Runs `atoll ARGUMENTS --data-dir DIR`.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_in(Path::new("."), arguments)
    }

    /// Runs `atoll ARGUMENTS --data-dir DIR` in a directory.
    #[track_caller]
    pub fn run_in(&self, directory: &Path, arguments: &[&str]) -> Ran {
        let mut command = atoll();
        command.current_dir(directory).args(arguments).arg("--data-dir").arg(self.data());
        Ran::new(command.stdin(Stdio::null()).output().unwrap(), arguments)
    }

    /// `atoll deploy PROJECT --json`, which has to succeed. Returns what it prints.
    #[track_caller]
    pub fn deploy(&self, project: &Path) -> serde_json::Value {
        self.run(&["deploy", project.to_str().unwrap(), "--json"]).json()
    }
}

/// The addresses from `ready edge=http://… api=http://… data=…`.
pub fn ready(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let mut words = line.strip_prefix("ready ")?.split(' ');
    let edge = words.next()?.strip_prefix("edge=http://")?.parse().ok()?;
    let api = words.next()?.strip_prefix("api=http://")?.parse().ok()?;
    words.next()?.strip_prefix("data=").map(PathBuf::from)?;
    Some((edge, api))
}

/// What a finished command printed.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    arguments: String,
}

impl Ran {
    /// From a finished process.
    pub fn new(output: Output, arguments: &[&str]) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            arguments: arguments.join(" "),
        }
    }

    /// Panics unless it succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "atoll {}\n{}\n{}", self.arguments, self.stdout, self.stderr);
        self
    }

    /// Panics unless it succeeded; its standard output as JSON.
    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        let ran = self.ok();
        serde_json::from_str(&ran.stdout)
            .unwrap_or_else(|error| panic!("{error}: atoll {}: {}", ran.arguments, ran.stdout))
    }

    /// Panics unless it failed with a code (not by a signal), without a panic, and said all of `words`.
    #[track_caller]
    pub fn fails_saying(self, words: &[&str]) -> Self {
        let said = format!("{}{}", self.stdout, self.stderr);
        assert!(self.code.is_some_and(|code| code != 0), "atoll {} gave {:?}:\n{said}", self.arguments, self.code);
        assert!(!said.contains("panicked"), "atoll {} panicked:\n{said}", self.arguments);
        for word in words {
            assert!(said.contains(word), "atoll {} does not say {word:?}:\n{said}", self.arguments);
        }
        self
    }
}
