//! What every store must do, as one suite against the trait, and what is particular to SQLite's.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use atoll_bundle::BundleHash;
use atoll_protocol::api::{Scope, Target, TokenInfo};
use atoll_protocol::certificates::{CertificateFacts, CertificateSource, Challenge};
use atoll_protocol::config::VersionConfig;
use atoll_protocol::sync::{Purge, PurgeScope};
use atoll_store::{
    CertificateRecord, MAX_PURGES, MAX_SECRETS, NewDeploy, NewVersion, OpenError, SealFailed, Sealed, Sealer,
    SqliteOptions, SqliteStore, Store, StoreError, StoredCertificate, StoredToken,
};

fn version(code: &str, vars: &[&str]) -> NewVersion {
    let vars = vars.iter().map(|name| ((*name).to_owned(), serde_json::json!("value"))).collect::<BTreeMap<_, _>>();
    NewVersion {
        bundle: BundleHash::of(code.as_bytes()),
        config: VersionConfig { vars, ..VersionConfig::default() },
        message: Some(format!("says {code}")),
    }
}

fn deploy(code: &str, routes: &[&str]) -> NewDeploy {
    NewDeploy {
        version: version(code, &[]),
        routes: routes.iter().map(|route| (*route).to_owned()).collect(),
        default_route: true,
    }
}

fn seal(value: &'static str) -> Sealer {
    Box::new(move |key, version| {
        Ok(Sealed {
            data_key: key.map_or_else(|| b"new key".to_vec(), <[u8]>::to_vec),
            value: format!("{value} at {version}").into_bytes(),
        })
    })
}

fn token(id: &str, name: &str) -> StoredToken {
    let info =
        TokenInfo { id: id.into(), name: name.into(), scope: Scope::Deploy, created_at: 5, expires_at: Some(1 << 50) };
    StoredToken { info, digest: [7; 32] }
}

async fn deploys_make_versions_and_revisions(store: &dyn Store) {
    let first = store.deploy("shop".into(), deploy("one", &["shop.example/*"]), 10).await.unwrap();
    assert_eq!((first.version, first.app.revision), (1, 1));
    let second = store.deploy("shop".into(), deploy("two", &[]), 20).await.unwrap();
    assert_eq!((second.version, second.app.revision), (2, 2));
    assert_eq!(second.app.created_at, 10);
    assert!(second.app.routes.is_empty());
    let deployment = second.app.deployment.clone().unwrap();
    assert_eq!((deployment.number, deployment.revision, deployment.created_at), (2, 2, 20));
    assert_eq!(deployment.targets, [Target { version: 2, weight: 100 }]);
    assert_eq!(second.app.versions[&2].bundle, BundleHash::of(b"two"));
    assert_eq!(store.app("shop".into()).await.unwrap(), second.app);

    let versions = store.versions("shop".into()).await.unwrap();
    assert_eq!(versions.iter().map(|version| version.number).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(versions[1].message.as_deref(), Some("says one"));
    assert_eq!(store.bundles().await.unwrap(), HashSet::from([BundleHash::of(b"one"), BundleHash::of(b"two")]));
    assert_eq!(*store.watch().borrow(), 2);
}

async fn purges_are_changes_and_never_too_many(store: &dyn Store) {
    store.deploy("shop".into(), deploy("one", &[]), 1).await.unwrap();
    let tag = |name: &str| PurgeScope::Tag(name.into());
    let scopes = vec![tag("a"), PurgeScope::Prefix("shop.example/".into())];
    assert_eq!(store.purge("shop".into(), scopes, 2).await.unwrap(), 2);
    assert_eq!(store.purge("shop".into(), vec![tag("a")], 3).await.unwrap(), 3);
    let app = store.changes(2).await.unwrap().apps.remove(0);
    let known = |purge: &Purge| (purge.revision, purge.scope.clone());
    let prefix = PurgeScope::Prefix("shop.example/".into());
    assert_eq!(app.purges.iter().map(known).collect::<Vec<_>>(), [(2, prefix), (3, tag("a"))]);
    store.purge("shop".into(), vec![PurgeScope::Everything], 4).await.unwrap();
    let all = Purge { revision: 4, scope: PurgeScope::Everything };
    assert_eq!(store.app("shop".into()).await.unwrap().purges, std::slice::from_ref(&all));
    for number in 0..MAX_PURGES {
        store.purge("shop".into(), vec![tag(&number.to_string())], 5).await.unwrap();
    }
    let purges = store.app("shop".into()).await.unwrap().purges;
    assert_eq!((purges.len(), &purges[0]), (MAX_PURGES + 1, &all));
    // The oldest one becomes a purge of everything that came before it.
    store.purge("shop".into(), vec![tag("one more")], 6).await.unwrap();
    let purges = store.app("shop".into()).await.unwrap().purges;
    assert_eq!((purges.len(), known(&purges[0])), (MAX_PURGES + 1, (5, PurgeScope::Everything)));
    assert_eq!(known(&purges[1]), (6, tag("1")));
    let error = store.purge("blog".into(), vec![tag("a")], 7).await.unwrap_err();
    assert_eq!(error, StoreError::AppNotFound { app: "blog".into() });
}

async fn rollback_is_another_deployment(store: &dyn Store) {
    store.deploy("shop".into(), deploy("one", &[]), 1).await.unwrap();
    store.deploy("shop".into(), deploy("two", &[]), 2).await.unwrap();
    let split = vec![Target { version: 2, weight: 90 }, Target { version: 1, weight: 10 }];
    let made = store.create_deployment("shop".into(), split.clone(), 3).await.unwrap();
    assert_eq!((made.number, made.revision, &made.targets), (3, 3, &split));
    let app = store.app("shop".into()).await.unwrap();
    assert_eq!(app.deployment, Some(made));
    assert_eq!(app.versions.len(), 2);
    let numbers = store.deployments("shop".into()).await.unwrap().iter().map(|d| d.number).collect::<Vec<_>>();
    assert_eq!(numbers, [3, 2, 1]);

    for missing in [3, u64::MAX] {
        let targets = vec![Target { version: missing, weight: 100 }];
        let error = store.create_deployment("shop".into(), targets, 4).await.unwrap_err();
        assert_eq!(error, StoreError::VersionNotFound { app: "shop".into(), version: missing, newest: 2 });
    }
    assert_eq!(store.changes(0).await.unwrap().revision, 3);
}

async fn a_version_serves_nothing_until_deployed(store: &dyn Store) {
    let made = store.create_version("shop".into(), version("one", &[]), 1).await.unwrap();
    assert_eq!(made.number, 1);
    let app = store.app("shop".into()).await.unwrap();
    assert_eq!((app.deployment, app.revision), (None, 1));
    let made = store.create_version("shop".into(), version("two", &[]), 2).await.unwrap();
    assert_eq!(made.number, 2);
    assert_eq!(store.app("shop".into()).await.unwrap().revision, 1);
    store.create_deployment("shop".into(), vec![Target { version: 2, weight: 100 }], 3).await.unwrap();
    assert_eq!(store.app("shop".into()).await.unwrap().revision, 2);
}

async fn routes_belong_to_one_app(store: &dyn Store) {
    store.deploy("shop".into(), deploy("one", &["a.example/*", "b.example/*", "a.example/*"]), 1).await.unwrap();
    assert_eq!(store.app("shop".into()).await.unwrap().routes, ["a.example/*", "b.example/*"]);
    let taken = StoreError::RouteTaken { pattern: "b.example/*".into(), owner: "shop".into() };
    let error = store.deploy("blog".into(), deploy("one", &["c.example/*", "b.example/*"]), 2).await.unwrap_err();
    assert_eq!(error, taken);
    let error = store.app("blog".into()).await.unwrap_err();
    assert_eq!(error, StoreError::AppNotFound { app: "blog".into() });

    store.deploy("blog".into(), deploy("one", &["c.example/*"]), 3).await.unwrap();
    let both = vec!["c.example/*".to_owned(), "b.example/*".to_owned()];
    assert_eq!(store.set_routes("blog".into(), both.clone(), false, 4).await.unwrap_err(), taken);
    let shop = store.set_routes("shop".into(), vec!["a.example/*".into()], false, 5).await.unwrap();
    assert_eq!((shop.revision, shop.default_route, shop.routes.len()), (3, false, 1));
    assert_eq!(store.set_routes("blog".into(), both.clone(), true, 6).await.unwrap().routes, both);
    store.delete_app("shop".into(), 7).await.unwrap();
    store.deploy("blog".into(), deploy("two", &["a.example/*"]), 8).await.unwrap();
}

async fn changes_are_coalesced_and_deletions_stay_known(store: &dyn Store) {
    for (at, app) in [(1, "a"), (2, "b"), (3, "c"), (4, "a"), (5, "c")] {
        store.deploy(app.into(), deploy(app, &[]), at).await.unwrap();
    }
    let deleted = store.delete_app("b".into(), 6).await.unwrap();
    assert_eq!(deleted, 6);
    let seen = |changes: atoll_store::Changes| {
        changes.apps.into_iter().map(|app| (app.revision, app.name, app.deleted)).collect::<Vec<_>>()
    };
    let all = store.changes(0).await.unwrap();
    assert_eq!(all.revision, 6);
    assert_eq!(seen(all), [(4, "a".into(), false), (5, "c".into(), false)]);
    assert_eq!(seen(store.changes(4).await.unwrap()), [(5, "c".into(), false), (6, "b".into(), true)]);
    assert_eq!(seen(store.changes(6).await.unwrap()), []);

    let error = store.delete_app("b".into(), 7).await.unwrap_err();
    assert_eq!(error.code(), "app-not-found");
    let names = store.apps().await.unwrap().into_iter().map(|app| app.name).collect::<Vec<_>>();
    assert_eq!(names, ["a", "c"]);
    let again = store.deploy("b".into(), deploy("again", &[]), 8).await.unwrap();
    assert_eq!((again.version, again.app.created_at, again.app.revision), (2, 8, 7));
    assert_eq!((again.app.predecessor, store.app("a".into()).await.unwrap().predecessor), (6, 0));
    assert_eq!(again.app.deployment.unwrap().number, 2);
}

async fn secrets_are_sealed_in_the_transaction(store: &dyn Store) {
    assert_eq!(store.set_secret("shop".into(), "KEY".into(), seal("x"), 1).await.unwrap_err().code(), "app-not-found");
    store.deploy("shop".into(), deploy("one", &[]), 1).await.unwrap();
    assert_eq!(store.set_secret("shop".into(), "KEY".into(), seal("first"), 2).await.unwrap(), 2);
    assert_eq!(store.set_secret("shop".into(), "KEY".into(), seal("second"), 3).await.unwrap(), 3);
    let app = store.app("shop".into()).await.unwrap();
    assert_eq!(app.data_key.as_deref(), Some(&b"new key"[..]));
    assert_eq!(app.secrets.len(), 1);
    assert_eq!((app.secrets[0].version, app.secrets[0].sealed.as_slice()), (3, &b"second at 3"[..]));
    let listed = store.secrets("shop".into()).await.unwrap();
    assert_eq!((listed[0].name.as_str(), listed[0].version, listed[0].updated_at), ("KEY", 3, 3));

    let failing: Sealer = Box::new(|_, _| Err(SealFailed("no randomness".into())));
    let error = store.set_secret("shop".into(), "OTHER".into(), failing, 4).await.unwrap_err();
    assert_eq!(error, StoreError::Seal("no randomness".into()));
    assert_eq!(store.delete_secret("shop".into(), "OTHER".into(), 4).await.unwrap_err().code(), "secret-not-found");
    assert_eq!(store.delete_secret("shop".into(), "KEY".into(), 4).await.unwrap(), 4);
    assert!(store.secrets("shop".into()).await.unwrap().is_empty());
}

async fn a_secret_and_a_variable_cannot_share_a_name(store: &dyn Store) {
    store.deploy("shop".into(), deploy("one", &[]), 1).await.unwrap();
    let with_variable = store.create_version("shop".into(), version("two", &["KEY"]), 2).await.unwrap();
    store.set_secret("shop".into(), "KEY".into(), seal("x"), 3).await.unwrap();
    let conflict = |version| StoreError::BindingConflict { app: "shop".into(), name: "KEY".into(), version };
    let targets = vec![Target { version: with_variable.number, weight: 100 }];
    assert_eq!(store.create_deployment("shop".into(), targets.clone(), 4).await.unwrap_err(), conflict(2));
    assert_eq!(store.create_version("shop".into(), version("three", &["KEY"]), 5).await.unwrap_err(), conflict(3));
    store.delete_secret("shop".into(), "KEY".into(), 6).await.unwrap();
    store.create_deployment("shop".into(), targets, 7).await.unwrap();
    assert_eq!(store.set_secret("shop".into(), "KEY".into(), seal("x"), 8).await.unwrap_err(), conflict(2));

    for number in 0..MAX_SECRETS {
        store.set_secret("shop".into(), format!("S{number}"), seal("x"), 9).await.unwrap();
    }
    assert_eq!(
        store.set_secret("shop".into(), "MORE".into(), seal("x"), 9).await.unwrap_err().code(),
        "too-many-secrets"
    );
    store.set_secret("shop".into(), "S0".into(), seal("y"), 9).await.unwrap();
}

fn issued(chain: &str) -> StoredCertificate {
    let facts = CertificateFacts {
        names: vec!["shop.example".into()],
        issuer: "CN=CA".into(),
        not_before: 1,
        not_after: 1 << 50,
        fingerprint: "00".into(),
    };
    StoredCertificate { chain: chain.into(), key: vec![1, 2], facts, updated_at: 7 }
}

async fn certificates_are_changes_without_an_app(store: &dyn Store) {
    let upload = CertificateSource::Upload;
    store.deploy("shop".into(), deploy("one", &["shop.example/*", "a.example/x"]), 1).await.unwrap();
    assert_eq!(store.put_certificate("a".into(), upload, issued("one"), 2).await.unwrap(), 2);
    assert_eq!(store.put_certificate("b".into(), upload, issued("two"), 3).await.unwrap(), 3);
    assert_eq!(store.put_certificate("a".into(), upload, issued("three"), 4).await.unwrap(), 4);
    let changes = store.changes(1).await.unwrap();
    let seen = |record: &CertificateRecord| (record.name.clone(), record.revision);
    assert_eq!(changes.certificates.iter().map(seen).collect::<Vec<_>>(), [("b".into(), 3), ("a".into(), 4)]);
    assert_eq!(changes.certificates[1].issued, Some(issued("three")));
    assert!(changes.apps.is_empty());
    assert_eq!(store.delete_certificate("a".into(), 5).await.unwrap(), 5);
    assert_eq!(store.delete_certificate("a".into(), 5).await.unwrap_err().code(), "certificate-not-found");
    let tombstone = store.changes(4).await.unwrap().certificates.remove(0);
    assert!(tombstone.deleted && tombstone.issued.is_none());
    assert_eq!(store.changes(0).await.unwrap().certificates.len(), 1);
    assert_eq!(store.certificates().await.unwrap().iter().map(seen).collect::<Vec<_>>(), [("b".into(), 3)]);
    assert_eq!(store.put_certificate("a".into(), upload, issued("four"), 6).await.unwrap(), 6);
    assert_eq!(store.routes().await.unwrap(), ["a.example/x", "shop.example/*"]);
}

async fn challenges_come_and_go_with_their_certificate(store: &dyn Store) {
    let challenge =
        Challenge { host: "shop.example".into(), kind: Default::default(), token: "t".into(), answer: "t.x".into() };
    let name = || "acme:shop.example".to_owned();
    assert_eq!(store.set_challenges(name(), vec![], 1).await.unwrap(), 0, "nothing to take back");
    assert_eq!(store.set_challenges(name(), vec![challenge.clone()], 1).await.unwrap(), 1);
    assert_eq!(store.set_challenges(name(), vec![challenge.clone()], 2).await.unwrap(), 1, "nothing changes");
    let record = store.certificates().await.unwrap().remove(0);
    assert_eq!(
        (record.source, record.issued, record.challenges),
        (CertificateSource::Acme, None, vec![challenge.clone()])
    );
    assert_eq!(store.put_certificate(name(), CertificateSource::Acme, issued("one"), 3).await.unwrap(), 2);
    assert!(store.certificates().await.unwrap()[0].challenges.is_empty());
    store.set_challenges(name(), vec![challenge], 4).await.unwrap();
    let renewing = store.changes(2).await.unwrap().certificates.remove(0);
    assert_eq!((renewing.issued, renewing.challenges.len()), (Some(issued("one")), 1), "the old one serves on");
}

async fn notes_are_no_changes(store: &dyn Store) {
    store.set_note("a".into(), Some(b"1".to_vec())).await.unwrap();
    store.set_note("a".into(), Some(b"2".to_vec())).await.unwrap();
    store.set_note("b".into(), Some(b"3".to_vec())).await.unwrap();
    store.set_note("b".into(), None).await.unwrap();
    store.set_note("c".into(), None).await.unwrap();
    assert_eq!(store.notes().await.unwrap(), BTreeMap::from([("a".into(), b"2".to_vec())]));
    assert_eq!(*store.watch().borrow(), 0);
}

async fn tokens_come_and_go(store: &dyn Store) {
    store.create_token(token("one", "ci"), false).await.unwrap();
    store.create_token(token("two", "ci"), false).await.unwrap();
    let found = store.token("one".into()).await.unwrap().unwrap();
    assert_eq!((found.info.scope, found.info.expires_at, found.digest), (Scope::Deploy, Some(1 << 50), [7; 32]));
    store.create_token(token("three", "ci"), true).await.unwrap();
    let ids = store.tokens().await.unwrap().into_iter().map(|token| token.info.id).collect::<Vec<_>>();
    assert_eq!(ids, ["three"]);
    store.delete_token("three".into()).await.unwrap();
    assert_eq!(store.delete_token("three".into()).await.unwrap_err().code(), "token-not-found");
    assert!(store.token("three".into()).await.unwrap().is_none());
}

async fn the_master_key_is_remembered(store: &dyn Store) {
    store.bind_master_key("print".into()).await.unwrap();
    store.bind_master_key("print".into()).await.unwrap();
    assert_eq!(store.bind_master_key("other".into()).await, Err(StoreError::WrongMasterKey));
}

async fn revisions_are_gapless_under_concurrency(store: &dyn Store) {
    let deploys = (0..40).map(|number| store.deploy(format!("app-{}", number % 8), deploy("x", &[]), number));
    let mut revisions = Vec::new();
    for deploy in deploys.collect::<Vec<_>>() {
        revisions.push(deploy.await.unwrap().app.revision);
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=40).collect::<Vec<_>>());
    store.watch().wait_for(|revision| *revision == 40).await.unwrap();
}

macro_rules! conformance {
    ($($case:ident)*) => {
        $(#[tokio::test]
        async fn $case() {
            let dir = tempfile::tempdir().unwrap();
            super::$case(&super::open(&dir.path().join("store.db"))).await;
        })*
    };
}

mod sqlite {
    conformance! {
        deploys_make_versions_and_revisions
        purges_are_changes_and_never_too_many
        rollback_is_another_deployment
        a_version_serves_nothing_until_deployed
        routes_belong_to_one_app
        changes_are_coalesced_and_deletions_stay_known
        secrets_are_sealed_in_the_transaction
        a_secret_and_a_variable_cannot_share_a_name
        certificates_are_changes_without_an_app
        challenges_come_and_go_with_their_certificate
        notes_are_no_changes
        tokens_come_and_go
        the_master_key_is_remembered
        revisions_are_gapless_under_concurrency
    }
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, "word", &SqliteOptions::default()).unwrap()
}

#[tokio::test]
async fn a_reopened_file_has_everything_and_its_first_history() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = open(&path);
    let deployed = store.deploy("shop".into(), deploy("one", &["a.example/*"]), 1).await.unwrap();
    drop(store);
    let store = SqliteStore::open(&path, "another word", &SqliteOptions::default()).unwrap();
    assert_eq!(store.history(), "word");
    assert_eq!(*store.watch().borrow(), 1);
    assert_eq!(store.app("shop".into()).await.unwrap(), deployed.app);
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    drop(open(&path));
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 7).unwrap();
    drop(connection);
    let before = std::fs::read(&path).unwrap();
    let error = SqliteStore::open(&path, "word", &SqliteOptions::default()).unwrap_err();
    assert!(matches!(error, OpenError::NewerFormat { found: 7, supported: 2, .. }));
    let text = error.to_string();
    assert!(text.contains("format 7") && text.contains("format 2") && text.contains("newer version"), "{text}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_store_of_format_1_is_brought_to_the_format_of_now() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = open(&path);
    let deployed = store.deploy("shop".into(), deploy("one", &[]), 1).await.unwrap();
    drop(store);
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "DROP TABLE certificates; DROP TABLE notes; ALTER TABLE changes RENAME TO later;
             CREATE TABLE changes (revision INTEGER PRIMARY KEY, app INTEGER NOT NULL REFERENCES apps,
                 kind TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
             INSERT INTO changes SELECT * FROM later; DROP TABLE later; PRAGMA user_version = 1;",
        )
        .unwrap();
    drop(connection);
    let store = open(&path);
    assert_eq!(store.app("shop".into()).await.unwrap(), deployed.app);
    assert_eq!(store.put_certificate("a".into(), CertificateSource::Upload, issued("one"), 2).await.unwrap(), 2);
    drop(store);
    assert_eq!(open(&path).certificates().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_foreign_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text");
    std::fs::write(&text, "not a database, but long enough to be taken for one".repeat(40)).unwrap();
    let error = SqliteStore::open(&text, "word", &SqliteOptions::default()).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    let other = dir.path().join("other.db");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let error = SqliteStore::open(&other, "word", &SqliteOptions::default()).unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
    let error = SqliteStore::open(&dir.path().join("no/such/dir"), "word", &SqliteOptions::default()).unwrap_err();
    assert!(matches!(error, OpenError::Storage { .. }), "{error}");
}

#[tokio::test]
async fn a_full_store_fails_whole_changes_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = SqliteStore::open(&path, "word", &SqliteOptions { max_bytes: Some(200 << 10) }).unwrap();
    let mut large = deploy("one", &[]);
    large.version.message = Some("m".repeat(20_000));
    let mut acknowledged = 0;
    let error = loop {
        match store.deploy("shop".into(), large.clone(), 1).await {
            Ok(deployed) => acknowledged = deployed.version,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    assert!(acknowledged > 0);
    assert_eq!(store.versions("shop".into()).await.unwrap().len() as u64, acknowledged);
    assert_eq!(store.changes(0).await.unwrap().revision, acknowledged);
    store.delete_app("shop".into(), 2).await.unwrap();
    store.deploy("shop".into(), large, 3).await.unwrap();
}
