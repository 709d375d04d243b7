use atoll_protocol::api::Target;
use atoll_protocol::config::VersionConfig;
use atoll_protocol::sync::Purge;

use super::*;

fn serving() -> Serving {
    let config = Config::default();
    let (logs, _) = Logs::new("n");
    let cache = FrontCache::new(&config.front_cache, 0, None).unwrap();
    let egress = Egress::new(&config.egress, crate::websocket::settings(&config.websocket)).unwrap();
    let assets = AssetStore::new(None, None, 0);
    Serving::new(&config, Arc::new(egress), logs.clone(), Services::new(logs), cache, assets)
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
                (*number, VersionState { bundle, config: VersionConfig::default() })
            })
            .collect(),
        secrets: vec![],
        purges: vec![],
    }
}

fn find(serving: &Serving, host: &str) -> Option<Arc<AppEntry>> {
    serving.current().routes.find(host, "/").cloned()
}

fn follow(serving: &Serving, revision: u64, apps: &[AppState], secret: &str) {
    let apps = apps.iter().map(|app| (app.name.clone(), app.clone())).collect();
    serving.follow(revision, &apps, |_| Some([("KEY".to_owned(), secret.to_owned())].into()));
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
    serving.follow(2, &[("a".to_owned(), changed)].into(), |_| None);
    let entry = find(&serving, "a.localhost").unwrap();
    assert_eq!(entry.version_for(b"c").unwrap().number, 1);
}

#[test]
fn env_is_sorted_and_secrets_take_precedence() {
    let vars = serde_json::json!({"Z": "text", "B": {"x": [1]}, "S": "no"});
    let vars: BTreeMap<String, Value> = serde_json::from_value(vars).unwrap();
    let services = serde_json::json!({"A": {"service": "other"}, "C": {"service": "o", "entrypoint": "E"}});
    let services = serde_json::from_value(services).unwrap();
    let config = VersionConfig { vars, services, ..VersionConfig::default() };
    let env = environment(&config, &[("S".to_owned(), "yes".to_owned())].into());
    let service = |service: &str, entrypoint: &str| Binding::Service {
        service: service.to_owned(),
        entrypoint: entrypoint.to_owned(),
    };
    let expected = [
        ("A".to_owned(), service("other", "default")),
        ("B".to_owned(), Binding::Json("{\"x\":[1]}".into())),
        ("C".to_owned(), service("o", "E")),
        ("S".to_owned(), Binding::Secret("yes".into())),
        ("Z".to_owned(), Binding::Text("text".into())),
    ];
    assert_eq!(*env, expected);
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
    assert_eq!(previous.caches.owner(), version().identity);
    // Without its secrets the new one is not served, and the old one is not either.
    serving.follow(5, &[("a".to_owned(), of("other.4"))].into(), |_| None);
    assert!(find(&serving, "a.localhost").is_none());
}
