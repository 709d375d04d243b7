//! nginx and Varnish, as Debian packages them, each with a configuration of its own in a temporary directory.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::over::certificate;
use super::{Cache, Hit, Running};
use crate::peers::Process;
use crate::warm::rest;

/// A proxy that is installed, or the line that says which package to install.
type Found = Result<Box<dyn Cache>, String>;

/// A caching proxy in front of the origin.
struct Proxy {
    name: &'static str,
    version: String,
    binary: PathBuf,
    hit: Hit,
    /// Its configuration, where words in capitals stand for what they say, as in the arguments.
    config: &'static str,
    /// Whether it speaks TLS.
    secure: bool,
    arguments: &'static [&'static str],
    origin: SocketAddr,
}

/// One process, which is the worker; files are sent by the kernel, and descriptors of cached files stay open.
const NGINX: &str = "daemon off;
master_process off;
worker_processes 1;
pid DIRECTORY/nginx.pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
  access_log off;
  sendfile on;
  keepalive_requests 1000000000;
  open_file_cache max=1000 inactive=1h;
  open_file_cache_valid 1h;
  client_body_temp_path DIRECTORY/body;
  proxy_temp_path DIRECTORY/proxy;
  fastcgi_temp_path DIRECTORY/fastcgi;
  uwsgi_temp_path DIRECTORY/uwsgi;
  scgi_temp_path DIRECTORY/scgi;
  proxy_cache_path DIRECTORY/cache levels=1:2 keys_zone=objects:10m max_size=1g inactive=1h use_temp_path=off;
  server {
    listen 127.0.0.1:PORT;
    listen 127.0.0.1:SECURE_PORT ssl http2;
    ssl_certificate CERTIFICATE;
    ssl_certificate_key KEY;
    location / {
      proxy_pass http://127.0.0.1:ORIGIN_PORT;
      proxy_http_version 1.1;
      proxy_cache objects;
      add_header X-Cache $upstream_cache_status;
    }
  }
}
";

const VARNISH: &str = "vcl 4.1;
backend default { .host = \"127.0.0.1\"; .port = \"ORIGIN_PORT\"; }
";

/// nginx with `proxy_cache`.
pub fn nginx(origin: SocketAddr) -> anyhow::Result<Found> {
    let Some(binary) = find("nginx") else {
        return Ok(Err("nginx is not on this machine and was not measured; Debian's package is nginx-light".into()));
    };
    let version = version_of(&binary, "-v")?.trim_start_matches("nginx version: ").replace('/', " ");
    Ok(Ok(Box::new(Proxy {
        name: "nginx",
        version,
        binary,
        hit: Hit { header: "x-cache", part: "HIT" },
        config: NGINX,
        secure: true,
        arguments: &["-e", "stderr", "-p", "DIRECTORY", "-c", "DIRECTORY/config"],
        origin,
    })))
}

/// Varnish with its memory storage.
pub fn varnish(origin: SocketAddr) -> anyhow::Result<Found> {
    let Some(binary) = find("varnishd") else {
        return Ok(Err("Varnish is not on this machine and was not measured; Debian's package is varnish".into()));
    };
    let version = version_of(&binary, "-V")?;
    let version = version.split(['(', ' ']).find(|word| word.starts_with("varnish-")).unwrap_or(&version).to_owned();
    Ok(Ok(Box::new(Proxy {
        name: "varnish",
        version,
        binary,
        // The transaction's number, then that of the one that fetched the object, which only hits have.
        hit: Hit { header: "x-varnish", part: " " },
        config: VARNISH,
        secure: false,
        arguments: &[
            "-F",
            "-j",
            "none",
            "-T",
            "none",
            "-n",
            "DIRECTORY/work",
            "-a",
            "127.0.0.1:PORT",
            "-f",
            "DIRECTORY/config",
            "-s",
            "malloc,256m",
            "-p",
            "thread_pools=1",
        ],
        origin,
    })))
}

impl Cache for Proxy {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn hit(&self) -> Hit {
        self.hit
    }

    fn start(&self, core: usize) -> anyhow::Result<Running> {
        let directory = tempfile::tempdir().context("cannot make a directory for the configuration")?;
        // Neither of them can say which port it got, so a free one is chosen for it.
        let free = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let [port, secure_port] = free.map(|listener| anyhow::Ok(listener?.local_addr()?.port()));
        let (port, secure_port) = (port?, secure_port?);
        let [certificate, key] = certificate().map(|path| path.display().to_string());
        let origin_port = self.origin.port().to_string();
        let filled = |text: &str| {
            let text = text.replace("ORIGIN_PORT", &origin_port).replace("SECURE_PORT", &secure_port.to_string());
            let text =
                text.replace("PORT", &port.to_string()).replace("CERTIFICATE", &certificate).replace("KEY", &key);
            text.replace("DIRECTORY", &directory.path().display().to_string())
        };
        std::fs::write(directory.path().join("config"), filled(self.config)).context("the configuration")?;
        let mut command = Command::new(&self.binary);
        command.args(self.arguments.iter().map(|argument| filled(argument)));
        let mut process = Process::spawn(command, Some(core))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        await_listener(&mut process, address)?;
        let secure = self.secure.then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, secure_port)));
        Ok(Running { address, secure, host: "objects.localhost".into(), process, _rest: (Vec::new(), directory) })
    }
}

/// Waits until `process` takes connections.
fn await_listener(process: &mut Process, address: SocketAddr) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(address).is_err() {
        ensure!(process.is_running()?, "the server ended before it served");
        ensure!(Instant::now() < deadline, "the server took no connection within 30 s");
        rest(Duration::from_millis(20));
    }
    Ok(())
}

/// The program of that name, also where only an administrator's search path leads.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    directories.map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// The first line of what it says of itself, which both say on standard error.
fn version_of(binary: &Path, option: &str) -> anyhow::Result<String> {
    let output = Command::new(binary).arg(option).output();
    let output = output.with_context(|| format!("cannot run {}", binary.display()))?;
    Ok(String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned())
}
