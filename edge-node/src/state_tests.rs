use std::collections::BTreeSet;

use atoll_protocol::api::Target;
use atoll_protocol::sync::{Purge, PurgeScope, VersionState};

use super::*;
use crate::assets::AssetStore;
use crate::cache::FrontCache;
use crate::config::Config;
use crate::egress::Egress;
use crate::logs::Logs;
use crate::services::Services;

fn serving() -> Serving {
    let config = Config::default();
    let (logs, _) = Logs::new("n");
    let cache = FrontCache::new(&config.front_cache, 0, None).unwrap();
    let egress = Egress::new(&config.egress, crate::websocket::Terms::new(&config.websocket)).unwrap();
    let assets = AssetStore::new(None, None, 0);
    Serving::new(Maker::new(&config, Arc::new(egress), logs.clone(), Services::new(logs), cache, assets))
}

fn app(name: &str, versions: &[(u64, &str)]) -> AppState {
    let weight = u8::try_from(100 / versions.len().max(1)).unwrap();
    AppState {
        name: name.into(),
        incarnation: "h.0".into(),
        revision: 1,
        routes: vec![],
        default_route: true,
        deployment: 1,
        targets: versions.iter().map(|(version, _)| Target { version: *version, weight }).collect(),
        versions: versions
            .iter()
            .map(|(number, code)| {
                let bundle = BundleHash::of(code.as_bytes());
                (*number, VersionState { bundle, config: Box::default() })
            })
            .collect(),
        secrets: vec![],
        purges: vec![],
    }
}

fn find(serving: &Serving, host: &str) -> Option<Arc<AppEntry>> {
    serving.current().find(host, "/").cloned()
}

fn opener(open: impl Fn(&AppState) -> Option<BTreeMap<String, String>> + Send + Sync + 'static) -> Opener {
    Arc::new(open)
}

fn follow(serving: &Serving, revision: u64, apps: &[AppState], secret: &str) {
    let apps = apps.iter().map(|app| (app.name.clone(), Source::new(app.clone()))).collect();
    let secret = secret.to_owned();
    serving.follow(revision, &apps, &opener(move |_| Some([("KEY".to_owned(), secret.clone())].into())));
}

#[tokio::test]
async fn apps_answer_by_name_and_by_route_and_routes_win() {
    let serving = serving();
    let mut shop = app("shop", &[(1, "a")]);
    shop.routes = vec!["blog.localhost/*".into(), "not*valid.com/".into(), "shop.com/*".into()];
    follow(&serving, 3, &[shop, app("blog", &[(1, "b")])], "s");
    assert_eq!(&*find(&serving, "shop.localhost").unwrap().name, "shop");
    assert_eq!(&*find(&serving, "shop.com").unwrap().name, "shop");
    assert_eq!(&*find(&serving, "blog.localhost").unwrap().name, "shop");
    assert!(find(&serving, "other.localhost").is_none());
    assert_eq!(*serving.applied().borrow(), 3);
    follow(&serving, 4, &[app("blog", &[(1, "b")])], "s");
    assert!(find(&serving, "shop.com").is_none());
    assert_eq!(&*find(&serving, "blog.localhost").unwrap().name, "blog");
}

#[tokio::test]
async fn a_version_keeps_its_isolates_exactly_while_nothing_of_it_changes() {
    let serving = serving();
    let instances = |name: &str| {
        let entry = find(&serving, name).unwrap();
        entry.version_for(b"c").map(|version| version.instances.clone()).unwrap()
    };
    follow(&serving, 1, &[app("a", &[(1, "x")])], "s");
    let first = instances("a.localhost");
    let mut moved = app("a", &[(1, "x")]);
    moved.revision = 2;
    moved.routes = vec!["a.com/*".into()];
    follow(&serving, 2, &[moved.clone()], "s");
    assert!(Arc::ptr_eq(&first, &instances("a.com")));
    moved.revision = 3;
    follow(&serving, 3, &[moved.clone()], "another secret");
    assert!(!Arc::ptr_eq(&first, &instances("a.com")));
    let before = instances("a.com");
    moved.revision = 4;
    moved.versions.get_mut(&1).unwrap().bundle = BundleHash::of(b"y");
    follow(&serving, 4, &[moved], "another secret");
    assert!(!Arc::ptr_eq(&before, &instances("a.com")));
}

#[tokio::test]
async fn the_count_of_requests_in_flight_outlives_a_deploy() {
    let serving = serving();
    follow(&serving, 1, &[app("a", &[(1, "x")])], "s");
    let permit = find(&serving, "a.localhost").unwrap().admit(1).unwrap();
    follow(&serving, 2, &[app("a", &[(2, "y")])], "s");
    let entry = find(&serving, "a.localhost").unwrap();
    assert!(entry.admit(1).is_none());
    drop(permit);
    assert!(entry.admit(1).is_some());
}

#[tokio::test]
async fn an_app_whose_secrets_cannot_be_opened_keeps_what_it_had() {
    let serving = serving();
    follow(&serving, 1, &[app("a", &[(1, "x")])], "s");
    let changed = app("a", &[(2, "y")]);
    serving.follow(2, &States::from_iter([("a".to_owned(), Source::new(changed))]), &opener(|_| None));
    let entry = find(&serving, "a.localhost").unwrap();
    assert_eq!(entry.version_for(b"c").unwrap().number, 1);
}

#[tokio::test]
async fn the_next_app_of_a_name_shares_nothing_with_the_one_before() {
    let serving = serving();
    let of = |incarnation: &str| AppState { incarnation: incarnation.into(), ..app("a", &[(1, "x")]) };
    let version = || find(&serving, "a.localhost").unwrap().version_for(b"c").unwrap().clone();
    let key = |version: &VersionEntry| version.cache.key("http://a/", &http::HeaderMap::new()).unwrap();
    follow(&serving, 1, &[of("h.0")], "s");
    let first = version();
    let purged = Purge { revision: 2, scope: PurgeScope::Everything };
    follow(&serving, 2, &[AppState { purges: vec![purged], ..of("h.0") }], "s");
    assert!(Arc::ptr_eq(&first, &version()), "a purge changes no version");
    // Deleted and made again, or of a control plane that begins anew: the same name, number, code and settings.
    for incarnation in ["h.3", "other.0"] {
        let before = version();
        follow(&serving, 4, &[of(incarnation)], "s");
        assert!(!Arc::ptr_eq(&before.instances, &version().instances), "{incarnation}");
        assert_ne!(key(&before), key(&version()), "{incarnation}");
    }
    let previous = find(&serving, "a.localhost").unwrap();
    let same = Source::new(of("other.0"));
    assert!(previous.is_same_app(&same, false) && !previous.is_same_app(&same, true));
    // Without its secrets the new one is not served, and the old one is not either.
    let next = States::from_iter([("a".to_owned(), Source::new(of("other.4")))]);
    serving.follow(5, &next, &opener(|_| None));
    assert!(find(&serving, "a.localhost").is_none());
}

#[tokio::test]
async fn changes_alone_lead_where_the_whole_state_does() {
    let (whole, piecemeal) = (serving(), serving());
    let mut state = States::default();
    let change = |state: &mut States, changes: &[(&str, Option<&[&str]>)]| {
        let changes: Vec<_> = changes
            .iter()
            .map(|(name, routes)| {
                let app = routes.map(|routes| {
                    let routes = routes.iter().map(|route| (*route).to_owned()).collect();
                    Source::new(AppState { routes, ..app(name, &[(1, name)]) })
                });
                match &app {
                    Some(app) => state.insert((*name).to_owned(), app.clone()),
                    None => drop(state.remove(name)),
                }
                ((*name).to_owned(), app)
            })
            .collect();
        whole.follow(1, state, &opener(|_| Some(BTreeMap::new())));
        piecemeal.follow_changes(1, &changes, &opener(|_| Some(BTreeMap::new())));
        for host in ["a.localhost", "b.localhost", "c.localhost", "x.com", "y.com", "z.x.com"] {
            let name = |serving: &Serving| find(serving, host).map(|app| app.name.to_string());
            assert_eq!(name(&whole), name(&piecemeal), "{host} after {changes:?}");
        }
        let names = |serving: &Serving| {
            let current = serving.current();
            current.apps.names().map(str::to_owned).collect::<BTreeSet<_>>()
        };
        assert_eq!(names(&whole), names(&piecemeal));
    };
    change(&mut state, &[("a", Some(&["x.com/*"])), ("b", Some(&["*.x.com/*"]))]);
    change(&mut state, &[("a", Some(&["y.com/*", "c.localhost/*"])), ("c", Some(&["x.com/*"]))]);
    assert_eq!(&*find(&piecemeal, "c.localhost").unwrap().name, "a", "written routes go first");
    change(&mut state, &[("a", None), ("c", Some(&[]))]);
    assert_eq!(&*find(&piecemeal, "c.localhost").unwrap().name, "c");
    let untouched = find(&piecemeal, "b.localhost").unwrap();
    change(&mut state, &[("a", Some(&["b.localhost/*"]))]);
    change(&mut state, &[("a", None)]);
    assert!(Arc::ptr_eq(&untouched, &find(&piecemeal, "b.localhost").unwrap()));
    change(&mut state, &[("b", None), ("c", None), ("never", None)]);
    assert!(piecemeal.current().apps.names().next().is_none() && piecemeal.current().find("z.x.com", "/").is_none());
}

#[tokio::test]
async fn an_installed_app_hides_the_one_that_is_followed() {
    let serving = serving();
    follow(&serving, 1, &[app("a", &[(1, "x")])], "s");
    let bundle = Arc::new(Bundle {
        main: "m".into(),
        compatibility_date: "2026-01-01".into(),
        compatibility_flags: vec![],
        modules: vec![],
    });
    let mut installed = app("a", &[(7, "y")]);
    installed.routes = vec!["a.com/*".into()];
    serving.install(&installed, bundle, &BTreeMap::new());
    let number = |host: &str| find(&serving, host).and_then(|app| Some(app.version_for(b"c")?.number));
    assert_eq!((number("a.localhost"), number("a.com")), (Some(7), Some(7)));
    follow(&serving, 2, &[app("a", &[(2, "z")])], "s");
    follow(&serving, 3, &[], "s");
    assert_eq!((number("a.localhost"), number("a.com")), (Some(7), Some(7)));
}

#[tokio::test]
async fn what_is_new_is_told_once_and_not_when_it_is_too_much() {
    let serving = serving();
    let numbers = || serving.take_new().iter().map(|version| version.hash).collect::<BTreeSet<_>>();
    let hash = |code: &str| BundleHash::of(code.as_bytes());
    assert!(numbers().is_empty());
    follow(&serving, 1, &[app("a", &[(1, "x")]), app("b", &[(1, "y")])], "s");
    follow(&serving, 2, &[app("a", &[(2, "z")]), app("b", &[(1, "y")])], "another");
    assert_eq!(numbers(), [hash("y"), hash("z")].into(), "x is not served any more");
    follow(&serving, 3, &[app("a", &[(3, "z")])], "s");
    assert!(numbers().is_empty(), "the code is the same");
    let many: Vec<_> = (0..300).map(|n| app(&format!("app-{n}"), &[(1, &n.to_string())])).collect();
    follow(&serving, 4, &many, "s");
    assert!(numbers().is_empty());
    follow(&serving, 5, &[app("last", &[(1, "l")])], "s");
    assert_eq!(numbers(), [hash("l")].into());
}

#[tokio::test]
async fn what_nobody_asks_for_is_not_made_and_its_secrets_are_not_opened() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let serving = serving();
    let opened = Arc::new(AtomicUsize::new(0));
    let counting = opener({
        let opened = opened.clone();
        move |_| {
            opened.fetch_add(1, Ordering::Relaxed);
            Some(BTreeMap::new())
        }
    });
    let apps = ["a", "b"].map(|name| (name.to_owned(), Source::new(app(name, &[(1, name)]))));
    let states: States = apps.into_iter().collect();
    let mut kept = crate::saved::SavedState::default();
    kept.apps = states;
    // Also when one of them was changed after the other was read.
    let mut states = crate::base::tests::reread(&kept).apps;
    states.insert("a".into(), kept.apps.get("a").unwrap());
    serving.resume(1, &states, &counting);
    let b = find(&serving, "b.localhost").unwrap();
    let hashes = ["a", "b"].map(|code| BundleHash::of(code.as_bytes()));
    assert_eq!(serving.current().bundles(), hashes.into());
    assert!(!b.has_crons() && b.admit(1).is_some() && b.code_in_service() == [hashes[1]]);
    assert_eq!(opened.load(Ordering::Relaxed), 0);
    serving.current().make_ready(&[BundleHash::of(b"another")].into());
    assert_eq!(opened.load(Ordering::Relaxed), 0, "neither has that code");
    assert_eq!(b.version_for(b"c").unwrap().number, 1);
    assert_eq!(b.in_service().count(), 1);
    assert_eq!(opened.load(Ordering::Relaxed), 1, "once for b, and a is as it was");
    serving.current().make_ready(&hashes.into());
    assert_eq!(opened.load(Ordering::Relaxed), 2, "a is made, and b was");
    assert_eq!(find(&serving, "a.localhost").unwrap().version_for(b"c").unwrap().number, 1);
    assert_eq!(opened.load(Ordering::Relaxed), 2);
}

/// The same apps as they are when they were kept on disk and read from there.
fn reread(apps: &[AppState]) -> States {
    let mut state = crate::saved::SavedState::default();
    state.apps = apps.iter().map(|app| (app.name.clone(), Source::new(app.clone()))).collect();
    crate::base::tests::reread(&state).apps
}

/// Every host and path that matters to [`some_app`].
fn answers(serving: &Serving) -> Vec<Option<String>> {
    let current = serving.current();
    let names = ["a", "b", "c", "d", "E"].map(|name| format!("{}.localhost", name.to_lowercase()));
    let hosts = names.iter().map(String::as_str).chain(["x.com", "y.x.com", "z.y.x.com", "localhost", "other.org"]);
    let places = hosts.flat_map(|host| ["/", "/p", "/p/q", "*"].map(|path| (host, path)));
    places.map(|(host, path)| current.find(host, path).map(|app| app.name.to_string())).collect()
}

/// An app by numbers, with some of a few routes that cross those of others.
fn some_app(name: &str, mut random: u64) -> AppState {
    let patterns = [
        "x.com/*",
        "x.com/p",
        "x.com/p/*",
        "*.x.com/*",
        "*x.com/p*",
        "*/*",
        "*.localhost/p/*",
        "a.localhost/*",
        "b.localhost/p",
        "*.y.x.com/",
    ];
    let mut routes = Vec::new();
    for pattern in patterns {
        if random.is_multiple_of(4) {
            routes.push(pattern.to_owned());
        }
        random /= 4;
    }
    AppState { routes, default_route: !random.is_multiple_of(4), ..app(name, &[(1 + random % 3, name)]) }
}

#[tokio::test]
async fn what_was_read_from_disk_answers_as_what_was_followed_whatever_changes() {
    let open: Opener = opener(|_| Some(BTreeMap::new()));
    let mut random = 7_u64;
    let mut next = || {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        random >> 20
    };
    for round in 0..60 {
        let (followed, resumed) = (serving(), serving());
        let mut names = vec!["a", "b", "c", "d", "E"];
        names.retain(|_| !next().is_multiple_of(5));
        let apps: Vec<_> = names.iter().map(|name| some_app(name, next())).collect();
        follow(&followed, 1, &apps, "s");
        resumed.resume(1, &reread(&apps), &open);
        assert_eq!(answers(&followed), answers(&resumed), "{round}: {apps:?}");
        for revision in 2..8 {
            let before = (resumed.current().clone(), answers(&resumed));
            let name = ["a", "b", "c", "d", "E"][usize::try_from(next() % 5).unwrap()];
            let state = (!next().is_multiple_of(3)).then(|| Source::new(some_app(name, next())));
            let changes = [(name.to_owned(), state)];
            followed.follow_changes(revision, &changes, &open);
            resumed.follow_changes(revision, &changes, &open);
            assert_eq!(answers(&followed), answers(&resumed), "{round}: {apps:?}, {changes:?}");
            let sorted = |serving: &Serving| serving.current().apps.names().map(str::to_owned).collect::<BTreeSet<_>>();
            assert_eq!(sorted(&followed), sorted(&resumed));
            assert_eq!(followed.current().bundles(), resumed.current().bundles());
            // Who looked before sees what was there then.
            let then = serving();
            then.current.store(before.0);
            assert_eq!(answers(&then), before.1);
        }
        // All of it at once leads to the same.
        let apps: Vec<_> = names.iter().map(|name| some_app(name, next())).collect();
        follow(&followed, 9, &apps, "s");
        follow(&resumed, 9, &apps, "s");
        assert_eq!(answers(&followed), answers(&resumed), "{round}");
    }
}

#[tokio::test]
async fn what_changed_after_it_was_read_is_there_from_the_start() {
    let open: Opener = opener(|_| Some(BTreeMap::new()));
    let mut cron = app("cron", &[(1, "c")]);
    cron.versions.get_mut(&1).unwrap().config.crons = vec!["* * * * *".into()];
    let mut states = reread(&[app("a", &[(1, "x")]), app("b", &[(1, "y")]), cron.clone()]);
    let base = states.base().unwrap().clone();
    states.insert("a".into(), Source::new(app("a", &[(2, "z")])));
    states.remove("b");
    states.insert("new".into(), Source::new(AppState { routes: vec!["cron.localhost/x*".into()], ..app("new", &[]) }));
    let serving = serving();
    serving.resume(5, &states, &open);
    assert_eq!(find(&serving, "a.localhost").unwrap().version_for(b"c").unwrap().number, 2);
    assert!(find(&serving, "b.localhost").is_none() && !serving.current().apps.names().any(|name| name == "b"));
    assert_eq!(&*serving.current().find("cron.localhost", "/x").unwrap().name, "new");
    let due = |serving: &Serving| serving.current().with_crons().map(|app| app.name.to_string()).collect::<Vec<_>>();
    assert_eq!(due(&serving), ["cron"]);
    assert!(base.find("b").is_some(), "the base stays what it is");
    // Crons that go and come.
    serving.follow_changes(6, &[("cron".into(), Some(Source::new(app("cron", &[(1, "c")]))))], &open);
    assert!(due(&serving).is_empty());
    serving.follow_changes(7, &[("cron".into(), Some(Source::new(cron)))], &open);
    assert_eq!(due(&serving), ["cron"]);
    // An app that stays the same keeps what it had when it was called, also when it is told of again.
    let a = find(&serving, "a.localhost").unwrap();
    serving.follow(8, &states, &open);
    assert!(Arc::ptr_eq(&a, &find(&serving, "a.localhost").unwrap()));
    assert_eq!(serving.current().apps.names().count(), 3);
}

#[tokio::test]
async fn an_app_that_was_read_keeps_its_isolates_and_counts_when_it_changes() {
    let open: Opener = opener(|_| Some(BTreeMap::new()));
    let serving = serving();
    serving.resume(1, &reread(&[app("a", &[(1, "x")])]), &open);
    let before = find(&serving, "a.localhost").unwrap();
    let (permit, version) = (before.admit(1).unwrap(), before.version_for(b"c").unwrap().clone());
    assert!(Arc::ptr_eq(&before, serving.current().apps.get("a").unwrap()), "it is made once");
    let moved = AppState { revision: 2, routes: vec!["a.com/*".into()], ..app("a", &[(1, "x")]) };
    serving.follow_changes(2, &[("a".into(), Some(Source::new(moved)))], &open);
    let after = find(&serving, "a.com").unwrap();
    assert!(Arc::ptr_eq(&version.instances, &after.version_for(b"c").unwrap().instances) && after.admit(1).is_none());
    drop(permit);
    // One whose secrets cannot be opened keeps what it had; one that another takes the place of does not.
    let changed = Source::new(app("a", &[(3, "z")]));
    serving.follow_changes(3, &[("a".into(), Some(changed))], &opener(|_| None));
    assert_eq!(find(&serving, "a.localhost").unwrap().version_for(b"c").unwrap().number, 1);
    let other = Source::new(AppState { incarnation: "h.9".into(), ..app("a", &[(3, "z")]) });
    serving.follow_changes(4, &[("a".into(), Some(other))], &opener(|_| None));
    assert!(find(&serving, "a.localhost").is_none() && serving.current().apps.get("a").is_none());
}

#[tokio::test]
async fn purges_reach_code_of_an_earlier_revision_that_had_not_begun() {
    let serving = serving();
    follow(&serving, 1, &[app("a", &[(1, "x")])], "s");
    let before = find(&serving, "a.localhost").unwrap();
    let purged = Purge { revision: 2, scope: PurgeScope::Everything };
    follow(&serving, 2, &[AppState { purges: vec![purged], ..app("a", &[(1, "x")]) }], "s");
    let after = find(&serving, "a.localhost").unwrap();
    assert!(before.version_for(b"c").is_some());
    assert_eq!((before.purges().last(), after.purges().last()), (0, 2));
    assert_eq!(before.shared_purges().last(), 2, "what its `caches` look at");
}
