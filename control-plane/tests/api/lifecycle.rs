//! Starting, stopping, starting again, and data directories that cannot be used.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use atoll_bundle::BundleHash;
use atoll_control_plane::{ControlPlane, StartError};
use atoll_protocol::api::{App, DeployResponse, Version};
use serde_json::{Value, json};

use crate::support::{DEADLINE, Running, bundle, config};

async fn refused(dir: &Path) -> String {
    match ControlPlane::start(config(dir)).await {
        Ok(_) => panic!("the control plane started"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_restart_finds_everything_and_its_keys() {
    let running = Running::new().await;
    let deployed: DeployResponse = running.admin().deploy("shop", "1", json!({ "routes": ["a.example/*"] })).await.ok();
    let before: App = running.admin().get("/v1/apps/shop").await.ok();
    let node_token = running.plane.node_token().await.unwrap();
    let known = |running: &Running| (running.plane.admin_token(), running.plane.public_key_hex());
    let first = known(&running);
    let health: Value = running.admin().get("/v1/health").await.ok();

    let running = running.restart().await;
    assert_eq!(known(&running), first);
    assert_eq!(running.plane.node_token().await.unwrap(), node_token);
    assert_eq!(running.admin().get("/v1/health").await.ok::<Value>(), health);
    assert_eq!(running.admin().get("/v1/apps/shop").await.ok::<App>(), before);
    let (archive, hash) = bundle("1");
    assert_eq!(running.admin().get(&format!("/v1/bundles/{hash}")).await.body, archive);
    let next: DeployResponse = running.admin().deploy("shop", "2", json!({})).await.ok();
    assert_eq!(next.revision, deployed.revision + 1);
}

#[tokio::test]
async fn the_data_directory_tells_clients_and_keeps_secrets() {
    let running = Running::new().await;
    let read = |name: &str| std::fs::read_to_string(running.dir.path().join(name)).unwrap().trim().to_owned();
    assert_eq!(read("endpoint"), running.plane.base_url());
    assert_eq!(read("admin.token"), running.plane.admin_token());
    assert_eq!(read("signing.pub"), running.plane.public_key_hex());
    running.plane.node_token().await.unwrap();
    for name in ["admin.token", "node.token", "master.key", "signing.key", "atoll.db", "atoll.db-wal"] {
        let mode = std::fs::metadata(running.dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(running.plane.shutdown(DEADLINE).await);
    assert!(!running.dir.path().join("endpoint").exists());
}

#[tokio::test]
async fn a_lost_admin_token_is_replaced_at_the_next_start() {
    let running = Running::new().await;
    let lost = running.plane.admin_token();
    std::fs::remove_file(running.dir.path().join("admin.token")).unwrap();
    let running = running.restart().await;
    assert_ne!(running.plane.admin_token(), lost);
    running.admin().get("/v1/apps").await.ok::<Value>();
    running.client(&lost).get("/v1/apps").await.error(401, "token-invalid", &[]);
}

#[tokio::test]
async fn a_directory_or_port_in_use_is_told() {
    let running = Running::new().await;
    let error = refused(running.dir.path()).await;
    assert!(error.contains("in use by another atoll process"), "{error}");

    let dir = tempfile::tempdir().unwrap();
    let mut taken = config(dir.path());
    taken.listen = running.plane.local_addr();
    let Err(error) = ControlPlane::start(taken).await else { panic!("the port was taken") };
    assert!(matches!(error, StartError::Listen { .. }));
    let error = error.to_string();
    assert!(error.contains(&running.plane.local_addr().to_string()) && error.contains("another address"), "{error}");
    ControlPlane::start(config(dir.path())).await.unwrap();
}

#[tokio::test]
async fn data_of_a_newer_format_is_refused() {
    let running = Running::new().await;
    assert!(running.plane.shutdown(DEADLINE).await);
    let dir = running.dir;
    let database = rusqlite::Connection::open(dir.path().join("atoll.db")).unwrap();
    database.pragma_update(None, "user_version", 9).unwrap();
    drop(database);
    let error = refused(dir.path()).await;
    for word in ["atoll.db", "format 9", "format 2", "newer version"] {
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[tokio::test]
async fn a_wrong_or_damaged_key_is_refused() {
    let running = Running::new().await;
    assert!(running.plane.shutdown(DEADLINE).await);
    let dir = running.dir;
    let path = |name: &str| dir.path().join(name);
    let master = std::fs::read_to_string(path("master.key")).unwrap();
    std::fs::remove_file(path("master.key")).unwrap();
    let error = refused(dir.path()).await;
    assert!(error.contains("master.key") && error.contains("restore"), "{error}");
    std::fs::write(path("master.key"), "short").unwrap();
    assert!(refused(dir.path()).await.contains("32 bytes"));
    std::fs::write(path("master.key"), master).unwrap();
    std::fs::write(path("signing.key"), "AAAA").unwrap();
    assert!(refused(dir.path()).await.contains("signing.key"));
}

#[tokio::test]
async fn a_full_store_answers_507_and_changes_nothing() {
    let running = Running::with(|config| config.store_max_bytes = Some(256 << 10)).await;
    let api = running.admin();
    let hash: BundleHash = api.upload("1").await;
    let config = json!({ "vars": { "LARGE": "x".repeat(20_000) } });
    let mut acknowledged = 0;
    let full = loop {
        let answer = api.post("/v1/apps/shop/deploy", json!({ "bundle": hash, "config": config })).await;
        if answer.status != 200 {
            break answer;
        }
        acknowledged = answer.ok::<DeployResponse>().version;
    };
    full.error(507, "storage-full", &["full", "free some space"]);
    assert!(acknowledged > 0);
    let versions: Vec<Version> = api.get("/v1/apps/shop/versions").await.ok();
    assert_eq!(versions.len() as u64, acknowledged);
    assert_eq!(api.get("/v1/apps/shop").await.ok::<App>().revision, acknowledged);
}
