//! `fetch` to an origin on this machine from a handler: its text read and answered, and its answer passed on.

use crate::bench::{Bench, Length, Outcome, alternate};
use crate::exchange::Exchange;
use crate::figure::Figure;
use crate::peers::bare_hyper::BareHyper;
use crate::peers::{LOAD_CORE, Peer, SERVER_CORE};
use crate::site::{HELLO, Site};
use crate::warm::warm;

const CONNECTIONS: usize = 16;

const SOURCE: &str = "export default {
  async fetch(request) {
    const answer = await fetch('http://ORIGIN/', { headers: { accept: 'text/plain' } });
    if (request.url.endsWith('/pass')) return answer;
    return new Response(await answer.text());
  },
};
";

/// Those that run JavaScript.
pub fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    let length = bench.length(Length { rounds: 3, load_ms: 2_000, warmup_ms: 700 });
    let origin = BareHyper.prepare(&Site::one("origin", String::new()))?.start(Some(LOAD_CORE))?;
    let site = Site::one("fetch", SOURCE.replace("ORIGIN", &origin.address.to_string()));
    let figures = ["read and answered anew", "passed on"].into_iter().flat_map(|what| {
        let cpu = Figure::lower(format!("{what}, CPU time"), "µs/request");
        let rate = Figure::higher(format!("{what}, rate"), "requests/s");
        [cpu.times_as_good_as("workerd", 1.0).times_as_good_as("node", 1.0), rate]
    });
    let mut outcome = alternate(length.rounds, &bench.runtimes(), &site, figures.collect(), |_, prepared| {
        let running = prepared.start(Some(SERVER_CORE))?;
        let place = running.app("fetch");
        let mut values = Vec::new();
        for path in ["/read", "/pass"] {
            let script = [Exchange::get(&place.host, path, HELLO)];
            let warm = warm(&running, &place.target(CONNECTIONS), &script, length)?;
            values.extend([warm.cpu_us_per_request, warm.requests_per_second]);
        }
        Ok(values)
    })?;
    outcome.notes.push(format!(
        "{CONNECTIONS} connections for {} s, the server on one core, the load generator and the origin (bare hyper) on the \
         other. Each request is one `fetch` of 12 bytes over HTTP/1.1.",
        length.load_ms as f64 / 1e3
    ));
    Ok(outcome)
}
