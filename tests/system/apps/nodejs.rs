//! Packages that were written for Node.js: jsonwebtoken, bcryptjs, pg-protocol, winston, axios.

use serde_json::json;

use crate::support::apps::{App, Bundler, project, set_variable};
use crate::support::{Up, origin};

#[test]
fn packages_for_node_js_run_unmodified() {
    let up = Up::with(&["--allow-egress", "127.0.0.0/8"]);
    let origin = origin::start(|request| match request.path.as_str() {
        "/echo?q=x+y" => {
            let one = request.headers.iter().find(|(name, _)| name == "x-one").map(|(_, value)| value.as_str());
            let body = String::from_utf8_lossy(&request.body).into_owned();
            (200, json!({ "method": request.method, "one": one, "body": body }).to_string())
        }
        path => (404, path.to_owned()),
    });
    for bundler in Bundler::BOTH {
        let project = project("nodejs", bundler);
        set_variable(&project, "ORIGIN", &format!("http://{origin}"));
        up.deploy(project.path());
        let app = App::named(&up, "nodejs");
        let forged = json!(["ada", "1", "JsonWebTokenError: invalid signature"]);
        let tokens = json!({
            "RS256": forged, "PS384": forged, "ES256": forged, "ES512": forged,
            "HS256": ["joe", "TokenExpiredError: jwt expired", "JsonWebTokenError: invalid signature"],
        });
        assert_eq!(app.get("/tokens").json(), tokens);
        app.get("/passwords").expect(200, "[true,false,true]");
        let database = json!({
            "sent": [
                "0000003300030000757365720061646100646174616261736500646200636c69656e745f656e636f64696e6700555446380000",
                "510000000d73656c656374203100",
            ],
            "messages": [["dataRow", ["1"]], ["commandComplete", "SELECT 1"]],
        });
        assert_eq!(app.get("/database").json(), database);
        let log = json!([
            { "level": "info", "message": "sold 3 of them", "service": "shop" },
            { "level": "error", "message": "out of stock", "service": "shop" },
        ]);
        assert_eq!(app.get("/log").json(), log);
        let client = json!({
            "data": { "method": "POST", "one": "1", "body": "{\"a\":1}" },
            "status": 200, "type": "application/json", "missing": ["AxiosError", 404],
        });
        assert_eq!(app.get("/client").json(), client);
    }
}
