//! The same URLs asked of Atoll, of nginx (`proxy_cache`) and of Varnish, in front of the same origin: what each got from
//! its store, what it asked of the origin, and what the client got. `tests/cache-oracles/cases.toml` has the table, with
//! the clause that decides wherever the three differ.

mod cases;
mod origin;
mod proxies;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use self::cases::{Ask, Case, Cases};
use self::origin::{Given, Origin};
use crate::support::eventually;
use crate::support::http::{Response, try_request};
use crate::support::project::repository;
use crate::support::roles::{ControlPlane, EdgeNode};

/// What a client gets the last byte of is in a store a moment later. A case that comes out otherwise than the table says
/// is run again under URLs of its own, at most so often.
const ATTEMPTS: usize = 5;
/// Cases that one cache is asked about at a time.
const AT_ONCE: usize = 8;
/// Bytes of the origin's longest body.
const LONGEST_BODY: usize = 8;
/// The name under which the caches are asked.
const HOST: &str = "oracle.localhost";

/// A cache under test.
struct Cache<'a> {
    name: &'static str,
    address: SocketAddr,
    origin: &'a Origin,
}

impl Cache<'_> {
    /// Runs a case; gives a line for each thing asked.
    fn run(&self, number: usize, case: &Case, attempt: usize) -> Vec<String> {
        let path = format!("/{}/{number}/{attempt}", self.name);
        let mut ids = 0;
        case.asks().map(|ask| self.ask(&path, case, &ask, &mut ids)).collect()
    }

    fn ask(&self, path: &str, case: &Case, ask: &Ask, ids: &mut usize) -> String {
        let target = format!("{path}{}", ask.suffix);
        let mut sent: Vec<(String, Response)> = Vec::new();
        let mut once = || {
            *ids += 1;
            let id = format!("{path}#{ids}");
            let mut headers: Vec<(&str, &str)> = vec![("x-ask", &id)];
            headers.extend(ask.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            let answer = try_request(self.address, &ask.method, HOST, &target, &headers, b"");
            sent.push((id, answer.unwrap_or_else(|error| panic!("{}: {}: {error}", self.name, case.name))));
            // What is refreshed beside the answer is asked of the origin a little later, and belongs to the request that
            // set it off.
            sent.iter().position(|(id, _)| self.origin.seen(id).is_some())
        };
        let decisive = if ask.until_asked {
            eventually(&format!("{}: {}: the origin is asked", self.name, case.name), once)
        } else {
            once().unwrap_or(0)
        };
        let (id, answer) = &sent[decisive];
        observation(id, answer, self.origin.seen(id), case.shows_age)
    }

    /// What became of all cases, in their order.
    fn run_all(&self, cases: &Cases) -> Vec<Vec<String>> {
        let next = AtomicUsize::new(0);
        let results = Mutex::new(vec![Vec::new(); cases.all().len()]);
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(case) = cases.all().get(number) else { return };
                        let expected = case.expected(self.name);
                        let mut attempts = (0..ATTEMPTS).map(|attempt| self.run(number, case, attempt));
                        let first = attempts.next().unwrap_or_default();
                        let result = if first == expected { None } else { attempts.find(|lines| *lines == expected) };
                        results.lock().unwrap()[number] = result.unwrap_or(first);
                    }
                });
            }
        });
        results.into_inner().unwrap()
    }
}

/// What was seen of a request: where the answer came from, its status and body, its age in thousands of seconds where
/// the case is about that, and whether the origin was asked beside it.
fn observation(id: &str, answer: &Response, asked: Option<Given>, shows_age: bool) -> String {
    let maker = answer.header("x-answer");
    // Whether the client sees a head before the end is a matter of moments.
    if asked.is_some_and(|given| given.cut) && (!answer.complete || answer.status >= 500) {
        return "broken".into();
    }
    let (word, rest) = match (maker, asked) {
        (Some(maker), _) if maker == id => ("fetched", ""),
        (_, Some(Given { status: 304, .. })) => ("validated", ""),
        (Some(_), Some(_)) => ("stored", ", origin asked"),
        (Some(_), None) => ("stored", ""),
        (None, Some(_)) => ("own", ", origin asked"),
        (None, None) => ("own", ""),
    };
    let multipart = answer.header("content-type").is_some_and(|kind| kind.starts_with("multipart/"));
    let body = match answer.text() {
        _ if multipart => "multipart".to_owned(),
        text if text.is_empty() => "-".to_owned(),
        text if maker.is_some() && text.len() <= LONGEST_BODY => text,
        _ => "of its own".to_owned(),
    };
    let cut = if answer.complete { "" } else { ", cut" };
    let age = match answer.header("age").map(str::parse::<u64>) {
        _ if !shows_age => String::new(),
        Some(Ok(age)) => format!(", age {}", age / 1000 * 1000),
        Some(Err(_)) => ", age unreadable".into(),
        None => ", no age".into(),
    };
    format!("{word} {} {body}{cut}{age}{rest}", answer.status)
}

#[test]
fn urls_are_cached_as_by_nginx_and_varnish_or_the_table_says_why_not() {
    let cases = Cases::read(&repository("tests/cache-oracles/cases.toml"));
    let origin = Origin::start(cases.all());
    let control_plane = ControlPlane::start();
    let node = EdgeNode::start(&control_plane, "north", "[egress]\nallow = [\"127.0.0.0/8\"]\nbreaker_failures = 0\n");
    let mut api = control_plane.api();
    let url = format!("http://{}", origin.address);
    let config = json!({ "proxy": { "url": url }, "cache": { "enabled": true } });
    let revision = api.deploy("oracle", "export {};", config);
    api.settle(revision);

    let proxies = [proxies::nginx(origin.address), proxies::varnish(origin.address)];
    let mut caches = vec![Cache { name: "atoll", address: node.address, origin: &origin }];
    caches.extend(proxies.iter().flatten().map(|proxy| Cache {
        name: proxy.name,
        address: proxy.address,
        origin: &origin,
    }));
    let results = std::thread::scope(|scope| {
        let running: Vec<_> = caches.iter().map(|cache| scope.spawn(|| cache.run_all(&cases))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });

    let mut complaints = cases.complaints();
    for (number, case) in cases.all().iter().enumerate() {
        let seen: Vec<_> = caches.iter().zip(&results).map(|(cache, of)| (cache.name, &of[number])).collect();
        if seen.iter().any(|(name, lines)| **lines != case.expected(name)) {
            let lines: Vec<String> = seen.iter().map(|(name, lines)| format!("{name} = {lines:?}")).collect();
            complaints.push(format!("{}: not as the table says, but\n{}", case.name, lines.join("\n")));
        }
    }
    #[allow(clippy::print_stdout, reason = "how much was compared")]
    {
        let (all, same) = (cases.all().len(), cases.all().iter().filter(|case| case.agree()).count());
        println!("cache oracles: {all} cases on {} caches, {same} with the same outcome in all", caches.len());
    }
    assert!(complaints.is_empty(), "{} of {}:\n\n{}", complaints.len(), cases.all().len(), complaints.join("\n\n"));
}
