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
        // Regular expressions take a share of something that all isolates of a process have together.
        let source = format!(
            "export default {{ fetch() {{ \
                const found = ['a-{index}', 'b-{index}', 'c-{index}'].map((text) => /^[a-z]-(\\d+)$/.exec(text)[1]); \
                return new Response('app ' + found[2]) }} }};"
        );
        revision = api.deploy(&format!("app-{index}"), &source, json!({}));
    }
    api.settle(revision);
    let mut connection = Connection::open(up.edge).unwrap();
    for index in 0..APPS {
        let response = connection.request("GET", &format!("app-{index}.localhost"), "/", &[], b"").unwrap();
        response.expect(200, &format!("app {index}"));
    }
}
