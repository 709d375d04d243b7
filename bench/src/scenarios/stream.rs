//! 10 MB through a handler and back: passed on as it is, and through a `TransformStream`.

use crate::bench::{Bench, Length, Outcome, alternate};
use crate::exchange::{Content, Exchange};
use crate::figure::Figure;
use crate::peers::SERVER_CORE;
use crate::site::Site;
use crate::warm::warm;

/// Bytes of a body.
const SIZE: usize = 10_000_000;
const CONNECTIONS: usize = 4;

const SOURCE: &str = "class Through extends TransformStream {
  constructor() {
    super({ transform(chunk, controller) { controller.enqueue(chunk); } });
  }
}
export default {
  fetch(request) {
    const through = request.url.endsWith('/through');
    return new Response(through ? request.body.pipeThrough(new Through()) : request.body);
  },
};
";

/// Everybody.
pub fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    let length = bench.length(Length { rounds: 3, load_ms: 1_500, warmup_ms: 500 });
    let figures = vec![
        Figure::lower("`new Response(req.body)`, CPU time", "ms/request").times_as_good_as("deno", 1.0),
        Figure::higher("`new Response(req.body)`, rate", "MB/s"),
        Figure::lower("through a TransformStream, CPU time", "ms/request").times_as_good_as("deno", 1.0),
        Figure::higher("through a TransformStream, rate", "MB/s"),
    ];
    let site = Site::one("stream", SOURCE.into());
    let mut outcome = alternate(length.rounds, &bench.everybody(), &site, figures, |peer, prepared| {
        let paths: &[&str] = if peer.name() == "bare hyper" { &["/as-it-is"] } else { &["/as-it-is", "/through"] };
        let mut values = Vec::new();
        for path in paths {
            let running = prepared.start(Some(SERVER_CORE))?;
            let place = running.app("stream");
            let exchange = Exchange {
                method: "POST".into(),
                headers: vec![("content-type".into(), "application/octet-stream".into())],
                body: Content::Object(SIZE),
                expect: Content::Object(SIZE),
                ..Exchange::get(&place.host, path, "")
            };
            let warm = warm(&running, &place.target(CONNECTIONS), &[exchange], length)?;
            values.extend([warm.cpu_us_per_request / 1e3, warm.requests_per_second * SIZE as f64 / 1e6]);
        }
        Ok(values)
    })?;
    outcome.notes.push(format!(
        "{CONNECTIONS} connections for {} s, server and load generator on a core each. A request sends 10,000,000 bytes \
         while it receives them; every byte is compared. The rate is that of one direction.",
        length.load_ms as f64 / 1e3
    ));
    Ok(outcome)
}
