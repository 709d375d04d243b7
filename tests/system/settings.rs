//! What a project's file says: variables, secrets, routes, limits, environments.

use crate::support::http::get;
use crate::support::process::{Ran, atoll};
use crate::support::project::PATIENT;
use crate::support::{Project, Up, eventually};

const SHOW_ENV: &str = "export default { fetch: (request: Request, env: object) => Response.json(env) };\n";

#[test]
fn variables_and_secrets_reach_env() {
    let up = Up::start();
    let project = Project::new("configured")
        .file("src/index.ts", SHOW_ENV)
        .wrangler("[vars]\nTEXT = \"plain\"\nNUMBER = 7\nLIST = [1, \"two\"]\n[vars.NESTED]\ndeep = { er = true }\n");
    up.deploy(project.path());
    let env = || up.get("configured", "/").json();
    let vars =
        serde_json::json!({ "TEXT": "plain", "NUMBER": 7, "LIST": [1, "two"], "NESTED": { "deep": { "er": true } } });
    assert_eq!(env(), vars);

    let put = |name: &str, value: &str| {
        let mut command = atoll();
        command.args(["secret", "put", name, "--app", "configured", "--data-dir"]).arg(up.data());
        let mut child =
            command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), value.as_bytes()).unwrap();
        Ran::new(child.wait_with_output().unwrap(), &["secret", "put", name]).ok();
    };
    put("PASSWORD", "first");
    eventually("the secret is there", || (env()["PASSWORD"] == "first").then_some(()));
    put("PASSWORD", "second");
    eventually("the secret changes", || (env()["PASSWORD"] == "second").then_some(()));
    let listed = up.run(&["secret", "list", "--app", "configured", "--json"]).json().to_string();
    assert!(listed.contains("PASSWORD") && !listed.contains("second"), "{listed}");
    for entry in walk(up.data()) {
        let bytes = std::fs::read(&entry).unwrap_or_default();
        assert!(!bytes.windows(6).any(|window| window == b"second"), "the secret is in clear in {}", entry.display());
    }
    up.run(&["secret", "delete", "PASSWORD", "--app", "configured"]).ok();
    eventually("the secret is gone", || env()["PASSWORD"].is_null().then_some(()));
}

#[test]
fn services_of_the_project_file_lead_to_other_apps() {
    let up = Up::start();
    let front = Project::new("front")
        .file(
            "src/index.ts",
            "export default { async fetch(request: Request, env: any) {\n\
             const answer = await env.BACK.fetch(\"http://any/where\");\n\
             return new Response(`${await answer.text()} ${await env.SUMS.add(40, 2)} ${await env.SELF.fetch(\"http://x/\").then((r: Response) => r.status)}`);\n\
             } };\n\
             export const other = { fetch: () => new Response(null, { status: 204 }) };\n",
        )
        .wrangler(
            "services = [\n  { binding = \"BACK\", service = \"back\" },\n  { binding = \"SUMS\", service = \"back\", entrypoint = \"Sums\" },\n  \
             { binding = \"SELF\", service = \"front\", entrypoint = \"other\" },\n]\n",
        );
    let arguments = ["deploy", front.path().to_str().unwrap()];
    up.run(&arguments).fails_saying(&["\"back\"", "no such app", "deploy it first"]);
    let back = Project::new("back").file(
        "src/index.ts",
        "import { WorkerEntrypoint } from \"cloudflare:workers\";\n\
         export class Sums extends WorkerEntrypoint { add(a: number, b: number) { return a + b } }\n\
         export default { fetch: (request: Request) => new Response(new URL(request.url).pathname) };\n",
    );
    up.deploy(back.path());
    up.deploy(front.path());
    up.get("front", "/").expect(200, "/where 42 204");
}

/// All files below a folder.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn routes_with_wildcards_choose_the_most_specific_app() {
    let up = Up::start();
    let app = |name: &str, routes: &str| {
        let source = format!("export default {{ fetch: () => new Response(\"{name}\") }};\n");
        let project = Project::new(name).file("src/index.ts", source).wrangler(routes);
        up.deploy(project.path());
    };
    app("site", "routes = [\"example.com/*\", { pattern = \"www.example.com/*\", zone_name = \"example.com\" }]\n");
    app("api", "route = \"example.com/api/*\"\n");
    app("tenants", "routes = [\"*.tenants.example/*\"]\nworkers_dev = false\n");
    for (host, path, expected) in [
        ("example.com", "/", "site"),
        ("EXAMPLE.com:80", "/a?b", "site"),
        ("www.example.com", "/a", "site"),
        ("example.com", "/api/x", "api"),
        ("example.com", "/apix", "site"),
        ("a.tenants.example", "/", "tenants"),
        ("a.b.tenants.example", "/x", "tenants"),
        ("api.localhost", "/", "api"),
    ] {
        get(up.edge, host, path).expect(200, expected);
    }
    for host in ["tenants.localhost", "tenants.example", "other.example", "xexample.com"] {
        let response = get(up.edge, host, "/");
        response.expect_error(404, "route-not-found");
        assert!(response.text().contains(host), "{}", response.text());
    }
    let thief = Project::new("thief")
        .file("src/index.ts", "export default { fetch: () => new Response(\"thief\") };\n")
        .wrangler("route = \"example.com/api/*\"\n");
    up.run(&["deploy", thief.path().to_str().unwrap()]).fails_saying(&["example.com/api/*", "api"]);
    get(up.edge, "example.com", "/api/x").expect(200, "api");
    get(up.edge, "thief.localhost", "/").expect_error(404, "route-not-found");
}

#[test]
fn project_files_may_be_json_with_comments() {
    let up = Up::start();
    let text = "{\n  // the name\n  \"name\": \"commented\", \"main\": \"src/index.ts\",\n  \
                \"compatibility_date\": \"2026-11-01\", /* and */ \"vars\": { \"A\": \"b\" },\n  \
                \"limits\": { \"cpu_ms\": 10000, \"startup_cpu_ms\": 5000 },\n}\n";
    let project = Project::empty().file("wrangler.jsonc", text).file("src/index.ts", SHOW_ENV);
    up.deploy(project.path());
    up.get("commented", "/").expect(200, "{\"A\":\"b\"}");
}

#[test]
fn unknown_keys_warn_and_wrong_types_are_errors() {
    let up = Up::start();
    let project = Project::new("odd").file("src/index.ts", SHOW_ENV).wrangler("colour = \"blue\"\n");
    let ran = up.run(&["deploy", project.path().to_str().unwrap()]).ok();
    assert!(ran.stderr.contains("colour") && ran.stderr.contains("wrangler.toml"), "{}", ran.stderr);
    let project = Project::new("wrong").file("src/index.ts", SHOW_ENV).wrangler("workers_dev = \"yes\"\n");
    up.run(&["deploy", project.path().to_str().unwrap()]).fails_saying(&["wrangler.toml", "workers_dev"]);
}

#[test]
fn late_dates_have_modules_of_node_js() {
    let up = Up::start();
    let deploy = |name: &str, date: &str, flags: &str| {
        let project = Project::empty()
            .file(
                "src/index.js",
                "import { inspect } from \"node:util\";\nimport { join } from \"path\";\n\
                 const globals = [typeof process.env, Buffer.from(\"a\").toString(\"hex\"), typeof setImmediate];\n\
                 export default { fetch: () => new Response([inspect([1]), join(\"a\", \"b\"), ...globals].join()) };\n",
            )
            .file(
                "wrangler.toml",
                format!(
                    "name = \"{name}\"\nmain = \"src/index.js\"\ncompatibility_date = \"{date}\"\n\
                     compatibility_flags = [{flags}]\n{PATIENT}"
                ),
            );
        up.run(&["deploy", project.path().to_str().unwrap()])
    };
    deploy("late", "2026-08-04", "").ok();
    up.get("late", "/").expect(200, "[ 1 ],a/b,object,61,function");
    deploy("early", "2026-08-03", "").fails_saying(&["node:util", "nodejs_compat"]);
    deploy("without", "2026-08-04", "\"no_nodejs_compat\"").fails_saying(&["node:util", "nodejs_compat"]);
    deploy("wrong", "2026-08-04", "\"nodejs_compt\"").fails_saying(&["line 4", "nodejs_compt", "\"nodejs_compat\""]);
    deploy("future", "2999-01-01", "").fails_saying(&["2999-01-01", "future"]);
}

#[test]
fn limits_of_the_project_file_hold() {
    let up = Up::start();
    let project = Project::new("limited")
        .file(
            "src/index.ts",
            "export default { async fetch() { await new Promise((r) => setTimeout(r, 20_000)); return new Response(); } };\n",
        )
        .file(
            "wrangler.toml",
            "name = \"limited\"\nmain = \"src/index.ts\"\ncompatibility_date = \"2026-11-01\"\n[limits]\nwall_ms = 300\n",
        );
    up.deploy(project.path());
    up.get("limited", "/").expect_error(504, "wall-clock-limit");
}

#[test]
fn an_environment_is_deployed_beside_the_others() {
    let up = Up::start();
    let project = Project::new("staged").file("src/index.ts", SHOW_ENV).wrangler(
        "[vars]\nPLACE = \"top\"\nONLY = \"top\"\n[env.staging]\n[env.staging.vars]\nPLACE = \"staging\"\n\
         [env.named]\nname = \"another\"\nroutes = [\"named.example/*\"]\n",
    );
    let folder = project.path().to_str().unwrap();
    up.deploy(project.path());
    for environment in ["staging", "named"] {
        up.run(&["deploy", folder, "--env", environment]).ok();
    }
    up.get("staged", "/").expect(200, r#"{"ONLY":"top","PLACE":"top"}"#);
    up.get("staged-staging", "/").expect(200, r#"{"PLACE":"staging"}"#);
    up.get("another", "/").expect(200, "{}");
    get(up.edge, "named.example", "/").expect(200, "{}");
    let versions = up.run_in(project.path(), &["versions", "--env", "staging", "--json"]).json();
    assert_eq!(versions.as_array().map(Vec::len), Some(1), "{versions}");
    up.run(&["deploy", folder, "--env", "production"]).fails_saying(&["production", "staging", "named"]);
}
