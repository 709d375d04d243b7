//! nginx and Varnish, as Debian packages them, set up as their manuals say that they follow what origins tell them.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::support::eventually;
use crate::support::process::Atoll;

/// A proxy that runs.
pub struct Proxy {
    /// Its name in the table.
    pub name: &'static str,
    /// Where it answers.
    pub address: SocketAddr,
    process: Atoll,
    _directory: TempDir,
}

/// `PORT`, `ORIGIN` and `DIRECTORY` stand for what they say.
const NGINX: &str = "daemon off;
master_process off;
pid DIRECTORY/nginx.pid;
error_log stderr error;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path DIRECTORY/body;
  proxy_temp_path DIRECTORY/proxy;
  fastcgi_temp_path DIRECTORY/fastcgi;
  uwsgi_temp_path DIRECTORY/uwsgi;
  scgi_temp_path DIRECTORY/scgi;
  proxy_cache_path DIRECTORY/cache keys_zone=all:1m;
  server {
    listen 127.0.0.1:PORT;
    location / {
      proxy_pass http://ORIGIN;
      proxy_http_version 1.1;
      proxy_cache all;
      proxy_cache_revalidate on;
      proxy_cache_background_update on;
      proxy_force_ranges on;
    }
  }
}
";

const VARNISH: &str = "vcl 4.1;
backend default { .host = \"ORIGIN_HOST\"; .port = \"ORIGIN_PORT\"; }
";

/// nginx with `proxy_cache`.
pub fn nginx(origin: SocketAddr) -> Option<Proxy> {
    let arguments = ["-e", "stderr", "-p", "DIRECTORY", "-c", "DIRECTORY/config"];
    start("nginx", "nginx", "nginx-light", NGINX, &arguments, origin)
}

/// Varnish with its memory storage, and the VCL that is built in.
pub fn varnish(origin: SocketAddr) -> Option<Proxy> {
    let listen = ["-F", "-j", "none", "-T", "none", "-n", "DIRECTORY/work", "-a", "127.0.0.1:PORT"];
    let rest = ["-f", "DIRECTORY/config", "-s", "malloc,16m", "-p", "thread_pools=1"];
    start("varnish", "varnishd", "varnish", VARNISH, &[&listen[..], &rest].concat(), origin)
}

fn start(
    name: &'static str,
    program: &str,
    package: &str,
    config: &str,
    arguments: &[&str],
    origin: SocketAddr,
) -> Option<Proxy> {
    let Some(binary) = find(program) else {
        #[allow(clippy::print_stderr, reason = "says what was not compared")]
        {
            eprintln!("skipped: {name} is not on this machine and was not compared with (Debian's package {package})");
        }
        return None;
    };
    // Neither of them can say which port it got, so a free one is chosen for it, and another when that is taken meanwhile.
    Some(eventually(&format!("{name} serves"), || {
        let directory = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let filled = |text: &str| {
            let text = text.replace("ORIGIN_HOST", &origin.ip().to_string());
            let text = text.replace("ORIGIN_PORT", &origin.port().to_string()).replace("ORIGIN", &origin.to_string());
            text.replace("PORT", &port.to_string()).replace("DIRECTORY", &directory.path().display().to_string())
        };
        std::fs::write(directory.path().join("config"), filled(config)).unwrap();
        let mut process = Atoll::spawn(Command::new(&binary).args(arguments.iter().map(|argument| filled(argument))));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        eventually(&format!("{name} takes connections or ends"), || {
            (TcpStream::connect(address).is_ok() || !process.alive()).then_some(())
        });
        process.alive().then_some(Proxy { name, address, process, _directory: directory })
    }))
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Asked to, they end their children too.
        if self.process.alive() && !std::thread::panicking() {
            self.process.signal("TERM");
            self.process.wait();
        }
    }
}

/// The program of that name, also where only an administrator's search path leads.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    directories.map(|directory| directory.join(name)).find(|file| file.is_file())
}
