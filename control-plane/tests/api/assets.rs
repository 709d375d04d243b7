//! Static files through the API.

use atoll_bundle::BundleHash;
use atoll_protocol::api::{AssetList, AssetStored, DeployResponse, Scope, Version};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Api, Running};

async fn put(api: &Api, content: &[u8]) -> BundleHash {
    let hash = BundleHash::of(content);
    let stored = api.call(Method::PUT, &format!("/v1/assets/{hash}"), Bytes::copy_from_slice(content)).await;
    assert_eq!(stored.ok::<AssetStored>(), AssetStored { asset: hash, size: content.len() as u64 });
    hash
}

fn manifest(files: &[(&str, BundleHash, u64)]) -> Vec<u8> {
    let files: serde_json::Map<String, Value> =
        files.iter().map(|(path, hash, size)| ((*path).into(), json!({ "hash": hash, "size": size }))).collect();
    json!({ "files": files }).to_string().into_bytes()
}

#[tokio::test]
async fn files_come_back_as_they_were_uploaded() {
    let running = Running::new().await;
    let api = running.admin();
    let hash = BundleHash::of(b"content");
    let path = format!("/v1/assets/{hash}");
    api.get(&path).await.error(404, "asset-not-found", &[&hash.to_string(), "PUT"]);
    assert_eq!(api.call(Method::HEAD, &path, "").await.status, StatusCode::NOT_FOUND);
    api.call(Method::PUT, &path, "other").await.error(422, "asset-hash-mismatch", &[&hash.to_string()]);
    api.call(Method::PUT, "/v1/assets/x", "").await.error(400, "asset-hash-invalid", &["\"x\"", "64"]);
    put(&api, b"content").await;
    assert_eq!(api.get(&path).await.body, "content");
    let list = AssetList { assets: vec![BundleHash::of(b"none"), hash] };
    let missing: AssetList = api.post("/v1/assets/missing", json!(list)).await.ok();
    assert_eq!(missing.assets, [BundleHash::of(b"none")]);
    let many = json!({ "assets": vec![hash; 10_001] });
    api.post("/v1/assets/missing", many).await.error(422, "asset-list-too-long", &["10000"]);

    let node = running.scoped(Scope::Node).await;
    assert_eq!(node.get(&path).await.status, StatusCode::OK);
    node.call(Method::PUT, &path, "content").await.error(403, "scope-insufficient", &["deploy"]);
    let running = running.restart().await;
    assert_eq!(running.admin().get(&path).await.body, "content");
}

#[tokio::test]
async fn a_deploy_needs_all_its_files() {
    let running = Running::new().await;
    let api = running.admin();
    let deploy = async |assets: Value| api.deploy("shop", "1", json!({ "config": { "assets": assets } })).await;
    let page = BundleHash::of(b"page");
    let listed = manifest(&[("/index.html", page, 4)]);
    let hash = BundleHash::of(&listed);
    deploy(json!({ "manifest": hash })).await.error(422, "asset-not-found", &[&hash.to_string()]);
    put(&api, &listed).await;
    deploy(json!({ "manifest": hash })).await.error(422, "asset-not-found", &[&page.to_string()]);
    put(&api, b"page").await;
    deploy(json!({ "manifest": hash, "binding": "ASSETS" })).await.ok::<DeployResponse>();
    let versions: Vec<Version> = api.get("/v1/apps/shop/versions").await.ok();
    assert_eq!(versions[0].config.assets.as_ref().unwrap().binding.as_deref(), Some("ASSETS"));

    let wrong = put(&api, &manifest(&[("/index.html", page, 5)])).await;
    deploy(json!({ "manifest": wrong })).await.error(422, "assets-invalid", &["5 bytes", "4"]);
    let strange = put(&api, &manifest(&[("index.html", page, 4)])).await;
    deploy(json!({ "manifest": strange })).await.error(422, "assets-invalid", &["index.html", "begin with /"]);
    let no_manifest = put(&api, b"no manifest").await;
    deploy(json!({ "manifest": no_manifest })).await.error(422, "assets-invalid", &["manifest"]);
    for (settings, words) in [
        (json!({ "run_worker_first": ["api/*"] }), "api/*"),
        (json!({ "binding": "A", "without_worker": true }), "without code"),
    ] {
        let mut all = json!({ "manifest": hash });
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        deploy(all).await.error(422, "assets-invalid", &[words]);
    }
    let config = json!({ "vars": { "A": "1" }, "assets": { "manifest": hash, "binding": "A" } });
    api.deploy("shop", "1", json!({ "config": config })).await.error(422, "assets-invalid", &["\"A\"", "variable"]);
    api.send(Method::PUT, "/v1/apps/shop/secrets/ASSETS", &json!({ "value": "1" })).await.error(
        409,
        "binding-conflict",
        &["ASSETS", "binding"],
    );
}
