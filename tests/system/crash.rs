//! `kill -9` at random points: what was acknowledged is there afterwards, and nothing is half there.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use atoll_bundle::{Bundle, BundleLimits};
use serde_json::json;

use crate::support::wait::strike_after;
use crate::support::{Api, Up, eventually};

/// Deploys until the process is killed under it. Counts up `next`, the number of the deploy.
pub fn deploy_until_killed(
    api: &mut Api,
    apps: u64,
    next: &mut u64,
    acknowledged: &mut BTreeMap<String, Vec<(u64, u64)>>,
) {
    loop {
        let number = *next;
        let app = format!("app-{}", number % apps);
        let source = format!("export default {{ fetch: () => new Response('deploy {number}') }};");
        *next += 1;
        match api.try_deploy(&app, &source, json!({})) {
            Some(answer) => {
                let version = answer["version"].as_u64().expect("a version");
                acknowledged.entry(app).or_default().push((version, number));
            }
            None => return,
        }
    }
}

/// Every acknowledged deploy is a version with a whole bundle, the deployment points at a version that exists and is
/// no older than the last acknowledged one.
pub fn verify(api: &mut Api, acknowledged: &BTreeMap<String, Vec<(u64, u64)>>) {
    for (app, deploys) in acknowledged {
        let versions = api.get(&format!("/v1/apps/{app}/versions"));
        let versions = versions.as_array().or_else(|| versions["versions"].as_array()).expect("versions").clone();
        let mut bundles = BTreeMap::new();
        for version in &versions {
            let number = version["number"].as_u64().unwrap();
            let hash = version["bundle"].as_str().unwrap();
            let archive = api.call("GET", &format!("/v1/bundles/{hash}"), b"");
            assert_eq!(archive.status, 200, "{app}: bundle of version {number}: {}", archive.text());
            let limits = BundleLimits::default();
            let (bundle, _) = Bundle::unpack(&archive.body, Some(hash.parse().unwrap()), &limits)
                .unwrap_or_else(|error| panic!("{app}: bundle of version {number}: {error}"));
            bundles.insert(number, String::from_utf8(bundle.modules[0].content.to_vec()).unwrap());
        }
        for (version, number) in deploys {
            let source = bundles.get(version).unwrap_or_else(|| panic!("{app}: version {version} was lost"));
            assert!(source.contains(&format!("'deploy {number}'")), "{app}: version {version} is {source}");
        }
        let state = api.get(&format!("/v1/apps/{app}"));
        let target = state["deployment"]["targets"][0]["version"].as_u64().expect("a deployment");
        let last = deploys.last().expect("an acknowledged deploy").0;
        assert!(target >= last, "{app}: version {target} is deployed, {last} was acknowledged");
        assert!(bundles.contains_key(&target), "{app}: the deployment names version {target}, which is not there");
    }
}

/// A time between 0 and `limit`, from a generator whose seed is printed with a failure.
pub struct Random(u64);

impl Random {
    /// Seeded from the clock.
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let seed = now.as_nanos() as u64 | 1;
        #[allow(clippy::print_stderr, reason = "shown with a failed test")]
        {
            eprintln!("seed {seed}");
        }
        Self(seed)
    }

    /// The next time (xorshift64).
    pub fn below(&mut self, limit: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        limit.mul_f64((self.0 >> 11) as f64 / (1u64 << 53) as f64)
    }
}

#[test]
fn every_acknowledged_deploy_survives_kill_9_of_up() {
    let mut random = Random::new();
    let mut up = Up::start();
    let mut acknowledged = BTreeMap::new();
    let (mut next, mut kills) = (1, 0);
    while acknowledged.values().map(Vec::len).sum::<usize>() < 50 || kills < 8 {
        let mut api = up.api();
        let delay = random.below(Duration::from_millis(400));
        std::thread::scope(|scope| {
            let process = &mut up.process;
            scope.spawn(move || {
                strike_after(delay);
                process.kill();
            });
            deploy_until_killed(&mut api, 7, &mut next, &mut acknowledged);
        });
        up = up.restart();
        kills += 1;
    }
    verify(&mut up.api(), &acknowledged);
    for (app, deploys) in &acknowledged {
        let least = deploys.last().unwrap().1;
        eventually(&format!("{app} answers with what was deployed last"), || {
            let response = up.get(app, "/");
            let number = response.text().strip_prefix("deploy ")?.parse::<u64>().ok()?;
            (response.status == 200 && number >= least).then_some(())
        });
    }
}
