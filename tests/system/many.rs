//! Many apps on one node.

use serde_json::json;

use crate::support::{Connection, Up};

#[test]
fn a_thousand_apps_answer() {
    const APPS: usize = 1000;
    let up = Up::start();
    let mut api = up.api();
    let mut revision = 0;
    for index in 0..APPS {
        let source = format!("export default {{ fetch: () => new Response('app {index}') }};");
        revision = api.deploy(&format!("app-{index}"), &source, json!({}));
    }
    api.settle(revision);
    let mut connection = Connection::open(up.edge).unwrap();
    for index in 0..APPS {
        let response = connection.request("GET", &format!("app-{index}.localhost"), "/", &[], b"").unwrap();
        response.expect(200, &format!("app {index}"));
    }
}
