//! Cache hits: CPU time of the server per request, against nginx (`proxy_cache`) and Varnish, over HTTP/1.1, and with TLS
//! over HTTP/1.1 and HTTP/2; and memory for each object that is kept.
//!
//! All keep the same objects. Without TLS every answer under load is checked: its bytes, and that it says it is a hit.
//! With TLS the first ones are checked so, and those under load by their status and `h2load`'s reading of the protocol.

mod atoll;
mod object;
mod origin;
mod over;
mod proxies;
mod report;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;

pub use self::object::Object;
use self::origin::Origin;
use self::over::Over;
use self::report::Report;
use crate::http::{Connection, header};
use crate::load::{self, Target};
use crate::peers::{Process, SERVER_CORE};
use crate::warm::rest;
use crate::{procfs, report as whole};

/// How much is measured.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    rounds: usize,
    /// Bytes of each object.
    sizes: Vec<usize>,
    connections: usize,
    load_ms: u64,
    warmup_ms: u64,
    /// Objects whose memory is measured.
    objects: usize,
}

impl Plan {
    /// For figures.
    fn full() -> Self {
        let sizes = vec![1 << 10, 100 << 10, 10 << 20];
        Self { rounds: 3, sizes, connections: 32, load_ms: 10_000, warmup_ms: 2_000, objects: 50_000 }
    }

    /// To see that it works.
    fn quick() -> Self {
        Self { rounds: 1, load_ms: 1_000, warmup_ms: 300, objects: 10_000, ..Self::full() }
    }
}

/// A header that says an answer is a hit, and what its value has then.
#[derive(Clone, Copy, Debug)]
pub struct Hit {
    /// Its name.
    pub header: &'static str,
    /// A part of its value.
    pub part: &'static str,
}

/// A cache that can be started.
trait Cache {
    /// Its name in the table.
    fn name(&self) -> &'static str;
    /// Its name and version.
    fn version(&self) -> String;
    /// How its answers say that they are hits.
    fn hit(&self) -> Hit;
    /// Starts it on that core alone, empty.
    fn start(&self, core: usize) -> anyhow::Result<Running>;
}

/// A cache that runs.
struct Running {
    address: SocketAddr,
    /// Where it speaks TLS, if it does.
    secure: Option<SocketAddr>,
    host: String,
    /// The process, whose CPU time is read with that of its children.
    process: Process,
    /// What else must outlive it.
    _rest: (Vec<Process>, tempfile::TempDir),
}

/// Measures all that are on this machine, in turns.
pub fn measure(atoll: PathBuf, quick: bool, out: &Path, markdown: Option<&Path>) -> anyhow::Result<()> {
    let plan = if quick { Plan::quick() } else { Plan::full() };
    let origin = Origin::start(&[plan.sizes.as_slice(), &[SMALL]].concat())?;
    let mut caches: Vec<Box<dyn Cache>> = vec![Box::new(atoll::Edge::new(atoll)?)];
    let mut missing = Vec::new();
    for found in [proxies::nginx(origin.address)?, proxies::varnish(origin.address)?] {
        match found {
            Ok(cache) => caches.push(cache),
            Err(line) => missing.push(line),
        }
    }
    let no_tls = over::missing();
    missing.extend(no_tls.clone());
    missing.iter().for_each(|line| whole::progress(line));
    let versions = caches.iter().map(|cache| cache.version()).collect();
    let mut report = Report::new(&plan, versions, missing);
    for round in 1..=plan.rounds {
        for cache in &caches {
            whole::progress(&format!("round {round} of {}: {}", plan.rounds, cache.name()));
            let turn = turn(cache.as_ref(), &plan, no_tls.is_none())
                .with_context(|| format!("{}, round {round}", cache.name()))?;
            report.add(cache.name(), turn);
        }
    }
    report.print();
    let json = out.join("cached.json");
    report.write_json(&json)?;
    whole::progress(&format!("wrote {}", json.display()));
    if let Some(path) = markdown {
        report.write_markdown(path)?;
        whole::progress(&format!("wrote {}", path.display()));
    }
    Ok(())
}

/// What one turn of a cache measured.
#[derive(Clone, Debug, Serialize)]
pub struct Turn {
    hits: Vec<Hits>,
    /// Growth of resident memory for each further object of [`SMALL`] bytes.
    bytes_per_object: f64,
}

/// Hits under load, the server on one core.
#[derive(Clone, Debug, Serialize)]
pub struct Hits {
    over: Over,
    /// Bytes of the object.
    bytes: usize,
    requests_per_second: f64,
    /// CPU time of the server per request, microseconds.
    cpu_us: f64,
}

/// How much longer objects of more than 1 MiB are asked for.
const LARGE: u64 = 4;

/// Bytes of the objects whose memory is measured.
const SMALL: usize = 1 << 10;

/// One turn of one cache with fresh processes.
fn turn(cache: &dyn Cache, plan: &Plan, tls: bool) -> anyhow::Result<Turn> {
    let running = cache.start(SERVER_CORE)?;
    let mut hits = Vec::new();
    for over in Over::ALL {
        let address = match (over, running.secure) {
            (Over::Http1, _) => running.address,
            (_, Some(secure)) if tls => secure,
            _ => continue,
        };
        for &size in &plan.sizes {
            let measured = under_load(cache, &running, over, address, size, plan);
            hits.push(measured.with_context(|| format!("{}, {size} bytes", over.as_str()))?);
        }
    }
    drop(running);
    Ok(Turn { hits, bytes_per_object: memory(&cache.start(SERVER_CORE)?, plan.objects)? })
}

/// Loads a server that runs with requests for one object.
fn under_load(
    cache: &dyn Cache,
    running: &Running,
    over: Over,
    address: SocketAddr,
    size: usize,
    plan: &Plan,
) -> anyhow::Result<Hits> {
    let object = Object::new(size);
    if over == Over::Http1 {
        fill(running, &object, cache.hit())?;
    } else {
        over::fill(over, address, &running.host, &object, cache.hit())?;
    }
    let run = |milliseconds| -> anyhow::Result<(u64, f64)> {
        let time = Duration::from_millis(milliseconds);
        if over == Over::Http1 {
            let target = Target { address, host: &running.host, connections: plan.connections };
            let outcome = load::run_object(&target, time, size, cache.hit())?;
            return Ok((outcome.requests, outcome.seconds));
        }
        let outcome = over::run(over, address, &running.host, &object, plan.connections, time)?;
        Ok((outcome.requests, outcome.seconds))
    };
    // What is under way of large objects takes a while to arrive, and what has not when the time is up counts as work for
    // nothing.
    let longer = if size > 1 << 20 { LARGE } else { 1 };
    run(plan.warmup_ms)?;
    let before = procfs::cpu_time_of_all(running.process.id())?;
    let (requests, seconds) = run(plan.load_ms * longer)?;
    let used = procfs::cpu_time_of_all(running.process.id())?.saturating_sub(before);
    ensure!(requests > 0, "no answer was whole in time");
    ensure!(!used.is_zero(), "the server used no CPU time, so another process must have answered");
    let requests = requests as f64;
    Ok(Hits { over, bytes: size, requests_per_second: requests / seconds, cpu_us: used.as_secs_f64() * 1e6 / requests })
}

/// Bytes of resident memory that each of many small objects takes, once a tenth as many are there, so that what grows but
/// once has grown.
fn memory(running: &Running, objects: usize) -> anyhow::Result<f64> {
    let mut connection = Connection::open(running.address)?;
    let mut ask = |numbers: std::ops::Range<usize>| {
        for number in numbers {
            let path = format!("{}?{number}", object::path(SMALL));
            let answer = connection.request("GET", &running.host, &path, &[], b"")?;
            ensure!(answer.status == 200 && answer.body.len() == SMALL, "object {number}: {}", answer.head);
        }
        // What is stored beside the answer is stored.
        rest(Duration::from_millis(500));
        procfs::resident_of_all(running.process.id())
    };
    let before = ask(0..objects / 10)?;
    let after = ask(objects / 10..objects / 10 + objects)?;
    Ok(after.saturating_sub(before) as f64 / objects as f64)
}

/// Asks for the object until the answer is a hit: storing may take longer than answering.
fn fill(running: &Running, object: &Object, hit: Hit) -> anyhow::Result<()> {
    let mut connection = Connection::open(running.address)?;
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = connection.request("GET", &running.host, &object.path(), &[], b"")?;
        ensure!(answer.status == 200, "status {}: {}", answer.status, answer.head);
        ensure!(answer.body == object.bytes(), "a wrong body of {} bytes: {}", answer.body.len(), answer.head);
        if header(&answer.head, hit.header).is_some_and(|value| value.contains(hit.part)) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "no hit within 20 s: {}", answer.head);
        rest(Duration::from_millis(20));
    }
}
