//! Debian's `pebble`, an ACME authority for tests, with a certificate of its own and a DNS server that says that every
//! host is this machine.

use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;

use super::wait::eventually_within;

/// How long pebble may take to start, on a machine that is busy with other tests.
const START: Duration = Duration::from_secs(120);

/// A running authority; ended when dropped.
pub struct Pebble {
    _process: Process,
    dir: tempfile::TempDir,
    dns: Dns,
    port: u16,
    management: u16,
}

impl Pebble {
    /// Starts one that looks for the answers to its challenges at these ports, whatever the host, and whose certificates
    /// last `validity` seconds. `None` where it is not installed.
    pub fn start(http_port: u16, tls_port: u16, validity: u64) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|folder| folder.join("pebble").is_file()) {
            #[allow(clippy::print_stderr, reason = "why the test shows nothing")]
            {
                eprintln!("skipped: pebble is not on the PATH (Debian's package pebble)");
            }
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let root_key = KeyPair::generate().unwrap();
        let mut root = CertificateParams::new(vec![]).unwrap();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.distinguished_name.push(DnType::CommonName, "Test CA");
        std::fs::write(dir.path().join("ca.pem"), root.self_signed(&root_key).unwrap().pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let own = own.signed_by(&key, &Issuer::from_params(&root, &root_key)).unwrap();
        std::fs::write(dir.path().join("own.pem"), own.pem()).unwrap();
        std::fs::write(dir.path().join("own.key"), key.serialize_pem()).unwrap();
        let dns = Dns::start();
        // Pebble cannot be given port 0, and a port that was free may be taken by now: then others are tried.
        for _ in 0..10 {
            let (port, management) = (free_port(), free_port());
            let config = json!({ "pebble": {
                "listenAddress": format!("127.0.0.1:{port}"),
                "managementListenAddress": format!("127.0.0.1:{management}"),
                "certificate": dir.path().join("own.pem"), "privateKey": dir.path().join("own.key"),
                "httpPort": http_port, "tlsPort": tls_port, "ocspResponderURL": "",
                "externalAccountBindingRequired": false, "certificateValidityPeriod": validity,
            }});
            std::fs::write(dir.path().join("pebble.json"), config.to_string()).unwrap();
            let log = std::fs::File::create(dir.path().join("log")).unwrap();
            let mut command = Command::new("pebble");
            command.arg("-config").arg(dir.path().join("pebble.json")).args(["-dnsserver", &dns.address]);
            // No waiting between challenges, and every order is validated anew.
            command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", "0");
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
            let mut process = Process(command.spawn().unwrap());
            let runs = eventually_within(START, "pebble listens, or has ended", || {
                let listens = listens(process.0.id(), port) && listens(process.0.id(), management);
                (listens || process.0.try_wait().unwrap().is_some()).then_some(listens)
            });
            if runs {
                return Some(Self { _process: process, dir, dns, port, management });
            }
        }
        panic!("pebble does not start: {}", std::fs::read_to_string(dir.path().join("log")).unwrap_or_default());
    }

    /// The control plane's configuration for it.
    pub fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port)
    }

    /// The certificate by which its own server is known.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The URL of the root of the certificates that it issues.
    pub fn root_url(&self) -> String {
        format!("https://127.0.0.1:{}/roots/0", self.management)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Whether hosts can be looked up. While they cannot, the authority waits in the middle of its validations.
    pub fn dns(&self) -> &Dns {
        &self.dns
    }
}

/// Killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Whether it is this process that listens at a TCP port, and not another one that was faster.
fn listens(process: u32, port: u16) -> bool {
    let table = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap_or_default();
    let sockets: Vec<String> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        // Local address, state (LISTEN) and inode: see proc(5).
        .filter(|fields| fields.len() > 9 && fields[1].ends_with(&format!(":{port:04X}")) && fields[3] == "0A")
        .map(|fields| format!("socket:[{}]", fields[9]))
        .collect();
    let Ok(files) = std::fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    let targets = files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
    targets.filter_map(|target| target.into_os_string().into_string().ok()).any(|target| sockets.contains(&target))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A DNS server (RFC 1035) that knows one address, and a gate before its answers.
pub struct Dns {
    address: String,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
    asked: AtomicU64,
    over: AtomicBool,
}

impl Dns {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let gate = Arc::new(Gate::default());
        let shared = gate.clone();
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut query) {
                shared.asked.fetch_add(1, Ordering::SeqCst);
                let mut closed = shared.closed.lock().unwrap();
                while *closed {
                    closed = shared.opened.wait(closed).unwrap();
                }
                if shared.over.load(Ordering::SeqCst) {
                    return;
                }
                if let Some(answer) = answer(&query[..length]) {
                    socket.send_to(&answer, client).ok();
                }
            }
        });
        Self { address, gate }
    }

    /// Holds answers back from now on.
    pub fn close(&self) {
        *self.gate.closed.lock().unwrap() = true;
    }

    /// Gives the answers that were held back, and all others.
    pub fn open(&self) {
        *self.gate.closed.lock().unwrap() = false;
        self.gate.opened.notify_all();
    }

    /// How many questions there were.
    pub fn asked(&self) -> u64 {
        self.gate.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.gate.over.store(true, Ordering::SeqCst);
        self.open();
        // The thread waits for a question.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&[], &self.address).ok();
    }
}

/// `127.0.0.1` to a question for an IPv4 address, nothing to others.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let name = query.get(12..)?.iter().position(|byte| *byte == 0)? + 13;
    let question = query.get(12..name + 4)?;
    let is_address = question[question.len() - 4..] == [0, 1, 0, 1];
    let mut answer = query[..2].to_vec();
    // A response, authoritative, recursion desired and available, no error; one question, one answer or none.
    answer.extend([0x85, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
    answer.extend(question);
    if is_address {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}
