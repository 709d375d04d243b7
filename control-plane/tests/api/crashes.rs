//! `kill -9` in the middle of deploys: what was acknowledged is there, and nothing is there in part.
//!
//! The control plane that is killed runs in a process of its own: this test binary, told by its environment to serve.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use atoll_control_plane::ControlPlane;
use atoll_protocol::api::{App, DeployResponse, Version};
use atoll_protocol::seal::NodeKey;
use atoll_protocol::sync::Frame;
use http::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Api, DEADLINE, Running, bundle, config, soon, until};

const DIRECTORY: &str = "ATOLL_TEST_SERVE";

/// Not a test: the process to be killed.
#[tokio::test]
#[ignore = "serves until it is killed, for the other tests of this module"]
async fn serve() {
    if let Some(dir) = std::env::var_os(DIRECTORY) {
        let _plane = ControlPlane::start(config(Path::new(&dir))).await.unwrap();
        std::future::pending::<()>().await;
    }
}

struct Server(Child);

impl Server {
    async fn start(dir: &Path) -> (Self, Api) {
        let endpoint = dir.join("endpoint");
        let _ = std::fs::remove_file(&endpoint);
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "crashes::serve"])
            .env(DIRECTORY, dir)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let url = until("the server starts", async || std::fs::read_to_string(&endpoint).ok()).await;
        let token = std::fs::read_to_string(dir.join("admin.token")).unwrap();
        (Self(child), Api::new(url.trim(), token.trim()))
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Deploys one app again and again until the server is gone; the last version that was acknowledged.
async fn deploy_on_and_on(api: Api, app: String, acknowledged: Arc<AtomicUsize>) -> (String, u64) {
    let mut last = 0;
    for number in 0.. {
        let code = format!("{app} {number}");
        let (archive, hash) = bundle(&code);
        let put = format!("/v1/bundles/{hash}");
        if api.try_call(Method::PUT, &put, archive).await.is_none() {
            break;
        }
        let body = json!({ "bundle": hash, "routes": [format!("{app}.example/{number}")], "message": code });
        let deploy = format!("/v1/apps/{app}/deploy");
        let Some(answer) = api.try_call(Method::POST, &deploy, body.to_string()).await else { break };
        last = answer.ok::<DeployResponse>().version;
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    (app, last)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_deploy_survives_whole() {
    let mut dir = tempfile::tempdir().unwrap();
    for round in 0..6 {
        let (server, api) = Server::start(dir.path()).await;
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let mut deploys = JoinSet::new();
        for app in 0..4 {
            deploys.spawn(deploy_on_and_on(api.clone(), format!("app-{app}"), Arc::clone(&acknowledged)));
        }
        let enough = 3 + round * 2;
        until("some deploys", async || (acknowledged.load(Ordering::Relaxed) >= enough).then_some(())).await;
        server.kill();
        let last = soon("the deploys end", deploys.join_all()).await;

        let running = Running { plane: ControlPlane::start(config(dir.path())).await.unwrap(), dir };
        let api = running.admin();
        let mut frames = running.follow("node=n", &NodeKey::generate().unwrap()).await;
        let Frame::Snapshot { revision, apps, .. } = frames.state().await else { panic!("no snapshot") };
        let mut deployments = 0;
        for (app, acknowledged) in last {
            if acknowledged == 0 {
                continue;
            }
            let record: App = api.get(&format!("/v1/apps/{app}")).await.ok();
            let versions: Vec<Version> = api.get(&format!("/v1/apps/{app}/versions")).await.ok();
            let deployed = record.deployment.unwrap();
            assert!(deployed.targets[0].version >= acknowledged, "{app}: {acknowledged} was acknowledged");
            // All of a deploy is there: its version, the deployment of it, its routes, and its bundle.
            assert_eq!(versions[0].number, deployed.targets[0].version);
            let number = versions[0].message.as_deref().unwrap().rsplit(' ').next().unwrap();
            assert_eq!(record.routes, [format!("{app}.example/{number}")]);
            for version in &versions {
                let (archive, hash) = bundle(version.message.as_deref().unwrap());
                assert_eq!(version.bundle, hash);
                assert_eq!(api.get(&format!("/v1/bundles/{hash}")).await.body, archive);
            }
            assert!(apps.iter().any(|state| state.name == app && state.versions.contains_key(&versions[0].number)));
        }
        for app in api.get("/v1/apps").await.ok::<Vec<App>>() {
            deployments += app.deployment.unwrap().number;
        }
        assert_eq!(deployments, revision, "every revision is a whole deploy, without gaps");
        drop(frames);
        let Running { plane, dir: same } = running;
        assert!(plane.shutdown(DEADLINE).await);
        dir = same;
    }
}
