//! Hello world under load, the server on one core: what a request costs, from bare hyper to a platform that routes and
//! limits.

use crate::bench::{Bench, Length, Outcome, alternate};
use crate::figure::Figure;
use crate::peers::SERVER_CORE;
use crate::site::{HELLO, Site, hello_source};
use crate::warm::warm_text;

const CONNECTIONS: usize = 32;

/// Node.js's own server, without an adapter.
const NODE: &str = "import http from 'node:http';\nconst server = http.createServer((request, response) => { \
    response.setHeader('content-type', 'text/plain;charset=UTF-8'); response.end('Hello World\\n'); });\n\
    server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));\n";

/// Everybody.
pub fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    let length = bench.length(Length { rounds: 3, load_ms: 4_000, warmup_ms: 1_500 });
    let site = Site { node_program: Some(NODE), ..Site::one("hello", hello_source()) };
    let cpu = Figure::lower("CPU time", "µs/request").times_as_good_as("bare hyper", 1.0 / 1.3);
    let figures = vec![
        cpu.times_as_good_as("workerd", 5.0).times_as_good_as("deno", 1.0).times_as_good_as("bun", 1.0),
        Figure::higher("rate", "requests/s"),
        Figure::lower("latency under that load, p50", "ms"),
        Figure::lower("latency under that load, p99", "ms"),
    ];
    let mut outcome = alternate(length.rounds, &bench.everybody(), &site, figures, |_, prepared| {
        let running = prepared.start(Some(SERVER_CORE))?;
        let warm = warm_text(&running, &running.app("hello").target(CONNECTIONS), HELLO, length)?;
        Ok(vec![warm.cpu_us_per_request, warm.requests_per_second, warm.p50_us / 1e3, warm.p99_us / 1e3])
    })?;
    outcome.notes.push(format!(
        "{CONNECTIONS} connections for {} s, server and load generator on a core each. Atoll's process is the whole of \
         `atoll up`, control plane included. workerd's app is a service of its own, not behind the loader. bare hyper is a \
         server of one thread; Node.js runs its own `http`.",
        length.load_ms as f64 / 1e3
    ));
    Ok(outcome)
}
