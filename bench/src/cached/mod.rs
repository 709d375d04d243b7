//! Cache hits: CPU time of the server per request, against nginx (`proxy_cache`) and Varnish, over HTTP/1.1.
//!
//! All keep the same objects. Every answer under load is checked: its bytes, and that it says it is a hit.

mod atoll;
mod object;
mod origin;
mod proxies;
mod report;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;

pub use self::object::Object;
use self::origin::Origin;
use self::report::Report;
use crate::http::{Connection, header};
use crate::load::{self, Target};
use crate::peers::{Process, SERVER_CORE};
use crate::warm::{Warm, rest};
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
}

impl Plan {
    /// For figures.
    fn full() -> Self {
        let sizes = vec![1 << 10, 100 << 10, 10 << 20];
        Self { rounds: 3, sizes, connections: 32, load_ms: 10_000, warmup_ms: 2_000 }
    }

    /// To see that it works.
    fn quick() -> Self {
        Self { rounds: 1, load_ms: 1_000, warmup_ms: 300, ..Self::full() }
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
    host: String,
    /// The process, whose CPU time is read with that of its children.
    process: Process,
    /// What else must outlive it.
    _rest: (Vec<Process>, tempfile::TempDir),
}

/// Measures all that are on this machine, in turns.
pub fn measure(atoll: PathBuf, quick: bool, out: &Path, markdown: Option<&Path>) -> anyhow::Result<()> {
    let plan = if quick { Plan::quick() } else { Plan::full() };
    let origin = Origin::start(&plan.sizes)?;
    let mut caches: Vec<Box<dyn Cache>> = vec![Box::new(atoll::Edge::new(atoll)?)];
    let mut missing = Vec::new();
    for found in [proxies::nginx(origin.address)?, proxies::varnish(origin.address)?] {
        match found {
            Ok(cache) => caches.push(cache),
            Err(line) => missing.push(line),
        }
    }
    missing.iter().for_each(|line| whole::progress(line));
    let versions = caches.iter().map(|cache| cache.version()).collect();
    let mut report = Report::new(&plan, versions, missing);
    for round in 1..=plan.rounds {
        for cache in &caches {
            whole::progress(&format!("round {round} of {}: {}", plan.rounds, cache.name()));
            let turn = turn(cache.as_ref(), &plan).with_context(|| format!("{}, round {round}", cache.name()))?;
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

/// One turn of one cache with a fresh process: each object in turn. The figures in the order of [`Plan::sizes`].
fn turn(cache: &dyn Cache, plan: &Plan) -> anyhow::Result<Vec<Warm>> {
    let running = cache.start(SERVER_CORE)?;
    let figures = plan.sizes.iter().map(|&size| {
        let object = Object::new(size);
        fill(&running, &object, cache.hit()).with_context(|| format!("{size} bytes"))?;
        let target = Target { address: running.address, host: &running.host, connections: plan.connections };
        let run = |milliseconds| load::run_object(&target, Duration::from_millis(milliseconds), size, cache.hit());
        run(plan.warmup_ms).with_context(|| format!("{size} bytes"))?;
        let before = procfs::cpu_time_of_all(running.process.id())?;
        let outcome = run(plan.load_ms).with_context(|| format!("{size} bytes"))?;
        let used = procfs::cpu_time_of_all(running.process.id())?.saturating_sub(before);
        ensure!(!used.is_zero(), "{size} bytes: the server used no CPU time, so another process must have answered");
        Ok(Warm::new(&outcome, used))
    });
    figures.collect()
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
