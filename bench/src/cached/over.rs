//! The protocols over which objects are asked for, and the load over those with TLS, which `h2load` makes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::Serialize;

use super::{Hit, Object};
use crate::http::{header, parse_head};
use crate::peers::{LOAD_CORE, pinned};
use crate::warm::rest;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    /// HTTP/1.1 without TLS.
    Http1,
    /// HTTP/1.1 with TLS.
    Http1Tls,
    /// HTTP/2 with TLS.
    Http2Tls,
}

impl Over {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Http1, Self::Http1Tls, Self::Http2Tls];

    /// For the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http1Tls => "HTTP/1.1, TLS",
            Self::Http2Tls => "HTTP/2, TLS",
        }
    }

    /// Its name in ALPN, which is also curl's option for it, and over how many connections with how many requests each
    /// `under_way` of them are under way.
    fn shape(self, under_way: usize) -> (&'static str, &'static str, usize, usize) {
        match self {
            Self::Http2Tls => ("h2", "--http2", (under_way / STREAMS).max(1), STREAMS),
            _ => ("http/1.1", "--http1.1", under_way, 1),
        }
    }
}

/// Requests under way on each connection of HTTP/2.
pub const STREAMS: usize = 8;

/// The certificate that all servers have, and its key.
pub fn certificate() -> [PathBuf; 2] {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/support/tls");
    ["cert.pem", "key.pem"].map(|name| folder.join(name))
}

/// What a load run came to: all answers had the status 200.
pub struct Outcome {
    /// Answers.
    pub requests: u64,
    /// How long it took, seconds.
    pub seconds: f64,
}

/// Whether the load over TLS can be made on this machine; else what is missing.
pub fn missing() -> Option<String> {
    let there = |name| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    if there("h2load") && there("curl") {
        return None;
    }
    Some("Nothing was measured over TLS: h2load (Debian's package nghttp2-client) and curl are needed".into())
}

/// Asks for an object with curl until the answer is a hit, and checks every byte of it.
pub fn fill(over: Over, address: SocketAddr, host: &str, object: &Object, hit: Hit) -> anyhow::Result<()> {
    let (_, option, ..) = over.shape(1);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--insecure", "--include", option]);
        curl.args(["--connect-to", &format!("::{address}")]);
        let output = curl.arg(format!("https://{host}{}", object.path())).output().context("cannot run curl")?;
        ensure!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
        // The head that curl writes says the version that was spoken; the reader knows HTTP/1.1 alone.
        let end = output.stdout.windows(4).position(|four| four == b"\r\n\r\n").context("no head")? + 4;
        let (head, body) = output.stdout.split_at(end);
        let head = String::from_utf8_lossy(head).replacen("HTTP/2 ", "HTTP/1.1 ", 1);
        let read = parse_head(head.as_bytes())?.context("no whole head")?;
        ensure!(read.status == 200, "{head}");
        ensure!(body == object.bytes(), "a wrong body of {} bytes: {head}", body.len());
        if header(&head, hit.header).is_some_and(|value| value.contains(hit.part)) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "no hit within 20 s: {head}");
        rest(Duration::from_millis(20));
    }
}

/// Loads the server from another core with `h2load`. Where objects are large, none may be whole when the time is up.
pub fn run(
    over: Over,
    address: SocketAddr,
    host: &str,
    object: &Object,
    under_way: usize,
    time: Duration,
) -> anyhow::Result<Outcome> {
    let (alpn, _, connections, streams) = over.shape(under_way);
    let mut command = Command::new("h2load");
    command.args(["--duration", &format!("{}ms", time.as_millis()), "--npn-list", alpn, "--threads", "1"]);
    command.args(["--clients", &connections.to_string(), "--max-concurrent-streams", &streams.to_string()]);
    command.args(["--connect-to", &address.to_string()]).arg(format!("https://{host}{}", object.path()));
    let output = pinned(command, LOAD_CORE).output().context("cannot start h2load under taskset")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "h2load: {text}{}", String::from_utf8_lossy(&output.stderr));
    let Some(outcome) = parse(&text, time) else { bail!("h2load says that requests failed: {text}") };
    ensure!(text.contains(&format!("Application protocol: {alpn}")), "not {alpn}: {text}");
    Ok(outcome)
}

/// What `h2load` says after so much time; `None` when a request failed or had another status than 2xx.
fn parse(text: &str, time: Duration) -> Option<Outcome> {
    let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    let count = |list: &str, what: &str| -> Option<u64> {
        list.split(", ").find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok())
    };
    let requests = line("requests: ")?;
    let failed = count(requests, "failed")? + count(requests, "errored")? + count(requests, "timeout")?;
    let statuses = line("status codes: ")?;
    let others = count(statuses, "3xx")? + count(statuses, "4xx")? + count(statuses, "5xx")?;
    let rate: f64 = line("finished in ")?.split(", ").nth(1)?.strip_suffix(" req/s")?.parse().ok()?;
    let requests = count(requests, "succeeded")?;
    let seconds = if requests > 0 && rate > 0.0 { requests as f64 / rate } else { time.as_secs_f64() };
    (failed + others == 0).then_some(Outcome { requests, seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_h2load_says_is_read_and_failures_are_no_outcome() {
        let said = "Application protocol: h2\n\nfinished in 2.00s, 50.00 req/s, 1.00MB/s\n\
                    requests: 100 total, 104 started, 100 done, 100 succeeded, 0 failed, 0 errored, 0 timeout\n\
                    status codes: 100 2xx, 0 3xx, 0 4xx, 0 5xx\n";
        let time = Duration::from_secs(3);
        let outcome = parse(said, time).unwrap();
        assert_eq!((outcome.requests, outcome.seconds), (100, 2.0));
        assert!(parse(&said.replace("0 failed", "1 failed"), time).is_none());
        assert!(parse(&said.replace("0 5xx", "1 5xx"), time).is_none());
        assert!(parse("finished in 2.00s\n", time).is_none());
        let none = said.replace("50.00 req/s", "0.00 req/s").replace("100 done, 100 succeeded", "0 done, 0 succeeded");
        let outcome = parse(&none, time).unwrap();
        assert_eq!((outcome.requests, outcome.seconds), (0, 3.0));
    }
}
