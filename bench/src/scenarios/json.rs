//! A JSON API with Hono, the same code everywhere: bodies parsed, header fields read, answers built.

use crate::apps;
use crate::bench::{Bench, Length, Outcome, alternate};
use crate::exchange::{Content, Exchange};
use crate::figure::Figure;
use crate::peers::SERVER_CORE;
use crate::site::Site;
use crate::warm::warm;

const CONNECTIONS: usize = 32;

/// Those that run JavaScript.
pub fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    let length = bench.length(Length { rounds: 3, load_ms: 2_500, warmup_ms: 1_500 });
    let source = apps::bundle(&bench.out, "json")?;
    let cpu = Figure::lower("CPU time", "µs/request").times_as_good_as("workerd", 3.0).times_as_good_as("node", 1.5);
    let figures = vec![
        cpu,
        Figure::higher("rate", "requests/s"),
        Figure::lower("latency under that load, p50", "ms"),
        Figure::lower("latency under that load, p99", "ms"),
    ];
    let site = Site::one("json", source);
    let mut outcome = alternate(length.rounds, &bench.runtimes(), &site, figures, |_, prepared| {
        let running = prepared.start(Some(SERVER_CORE))?;
        let place = running.app("json");
        let warm = warm(&running, &place.target(CONNECTIONS), &script(&place.host), length)?;
        Ok(vec![warm.cpu_us_per_request, warm.requests_per_second, warm.p50_us / 1e3, warm.p99_us / 1e3])
    })?;
    outcome.notes.push(format!(
        "{CONNECTIONS} connections for {} s, server and load generator on a core each. Half of the requests are orders of \
         1.3 KB of JSON, whose lines are summed up and three of whose header fields are read; the others ask for a product \
         and for a list. `bench/apps/json.js`, put together by esbuild; Node.js serves it through `@hono/node-server`.",
        length.load_ms as f64 / 1e3
    ));
    Ok(outcome)
}

/// An order, a product, an order, a list.
fn script(host: &str) -> Vec<Exchange> {
    let language = ("accept-language".to_owned(), "en-GB,en;q=0.9".to_owned());
    let product = r#"{"id":7,"name":"Product 7","price":106,"currency":"CHF"}"#;
    let list: Vec<String> =
        (1..=20).map(|id| format!(r#"{{"id":{id},"name":"Product {id}","price":{}}}"#, 99 + id)).collect();
    let list = format!(r#"{{"products":[{}],"locale":"en-GB,en;q=0.9"}}"#, list.join(","));
    vec![
        order(host, 1, 12),
        Exchange { headers: vec![language.clone()], ..Exchange::get(host, "/products/7?currency=CHF", product) },
        order(host, 2, 14),
        Exchange { headers: vec![language], ..Exchange::get(host, "/products", &list) },
    ]
}

fn order(host: &str, id: u32, lines: u32) -> Exchange {
    let items: Vec<String> = (1..=lines)
        .map(|line| {
            format!(
                r#"{{"product":{line},"name":"Product number {line} of the order","price":{},"quantity":{},"gift":false}}"#,
                100 * line,
                line % 3 + 1
            )
        })
        .collect();
    let total: u32 = (1..=lines).map(|line| 100 * line * (line % 3 + 1)).sum();
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Exchange {
        method: "POST".into(),
        path: "/orders".into(),
        headers: vec![
            field("content-type", "application/json"),
            field("x-customer", "customer-17"),
            field("x-request-id", "0f8fad5b-d9cb-469f-a165-70867728950e"),
            field("accept", "application/json"),
        ],
        body: Content::Text(format!(
            r#"{{"id":{id},"note":"Leave it at the door: thänks","lines":[{}]}}"#,
            items.join(",")
        )),
        status: 201,
        expect: Content::Text(format!(
            r#"{{"id":{id},"customer":"customer-17","lines":{lines},"total":{total},"note":"Leave it at the door: thänks"}}"#
        )),
        ..Exchange::get(host, "/", "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_are_json() {
        for exchange in script("json.localhost") {
            let Content::Text(expect) = &exchange.expect else { panic!("{exchange:?}") };
            serde_json::from_str::<serde_json::Value>(expect).unwrap();
            let Content::Text(body) = &exchange.body else { panic!("{exchange:?}") };
            assert!(body.is_empty() || serde_json::from_str::<serde_json::Value>(body).is_ok());
        }
    }
}
