//! Project files in all formats, right and wrong.

use atoll_protocol::config::ProxyProtocol;

use super::*;

fn toml(text: &str) -> Result<Project, ProjectError> {
    parse(text, "wrangler.toml", None, "2026-01-02")
}

#[test]
fn toml_and_jsonc_say_the_same() {
    let from_toml = toml(
        r#"
name = "shop"
main = "src/index.ts"
compatibility_date = "2026-01-01"
compatibility_flags = ["nodejs_compat"]
workers_dev = true
routes = ["shop.example.com/*", { pattern = "api.example.com/v1/*", zone_name = "example.com" }]
origin = "https://origin.example.com"

[vars]
GREETING = "hi"
RETRIES = 3
FLAGS = { beta = true }

[limits]
cpu_ms = 20

[[rules]]
type = "Text"
globs = ["**/*.sql"]
fallthrough = true
"#,
    )
    .unwrap();
    let from_json = parse(
        r#"{
  // comment
  "name": "shop", "main": "src/index.ts", "compatibility_date": "2026-01-01",
  "compatibility_flags": ["nodejs_compat"], "workers_dev": true,
  "routes": ["shop.example.com/*", {"pattern": "api.example.com/v1/*", "zone_name": "example.com"}],
  "origin": "https://origin.example.com",
  "vars": {"GREETING": "hi", "RETRIES": 3, "FLAGS": {"beta": true}},
  "limits": {"cpu_ms": 20},
  "rules": [{"type": "Text", "globs": ["**/*.sql"], "fallthrough": true}],
}"#,
        "wrangler.jsonc",
        None,
        "2026-01-02",
    )
    .unwrap();
    assert_eq!(from_toml, Project { file: "wrangler.toml".into(), ..from_json });
    assert_eq!(from_toml.warnings, Vec::<String>::new());
    assert_eq!(from_toml.routes, ["shop.example.com/*", "api.example.com/v1/*"]);
    assert_eq!(from_toml.vars["FLAGS"], serde_json::json!({"beta": true}));
    assert_eq!(from_toml.limits.cpu_ms, Some(20));
    assert_eq!(from_toml.rules.kind_of("db/schema.sql"), Some(RuleType::Text));
    assert_eq!(from_toml.rules.kind_of("page.html"), Some(RuleType::Text));
}

#[test]
fn a_project_for_pages_is_told_what_it_is_as_a_worker() {
    let pages = "name = \"a\"\ncompatibility_date = \"2026-01-01\"\npages_build_output_dir = \"./dist/\"\n";
    let error = toml(pages).unwrap_err().to_string();
    assert!(error.contains("`main` = \"./dist/_worker.js\"") && error.contains("./dist/.assetsignore"), "{error}");
}

#[test]
fn an_app_without_code_names_its_origin() {
    let head = "name = \"a\"\ncompatibility_date = \"2026-01-01\"\n";
    let short = toml(&format!("{head}[atoll]\norigin = \"https://example.com\"\n")).unwrap();
    let proxy = short.proxy.clone().unwrap();
    assert_eq!((proxy.url.as_str(), proxy.preserve_host), ("https://example.com", false));
    assert!(short.warnings.is_empty(), "{:?}", short.warnings);
    let long = "[atoll.origin]\nurl = \"http://10.0.0.1:81\"\npreserve_host = true\nprotocol = \"http2\"\nidle_timeout_ms = 9\n";
    let proxy = toml(&format!("{head}{long}")).unwrap().proxy.unwrap();
    assert_eq!((proxy.preserve_host, proxy.protocol, proxy.idle_timeout_ms), (true, ProxyProtocol::Http2, Some(9)));
    let both = toml(&format!("{head}main = \"a.js\"\n[atoll]\norigin = \"https://example.com\"\n"));
    assert!(both.unwrap_err().to_string().contains("either code or a proxy"));
    let wrong =
        toml(&format!("{head}[atoll.origin]\nurl = \"http://a\"\nprotocol = \"gopher\"\n")).unwrap_err().to_string();
    assert!(wrong.contains("origin") && wrong.contains("gopher"), "{wrong}");
}

#[test]
fn unknown_keys_and_missing_bindings_are_named() {
    let project = toml(
        "name = \"a\"\ncompatibility_date = \"2026-01-01\"\nnmae = \"b\"\n[[kv_namespaces]]\nbinding = \"CACHE\"\nid = \"1\"\n",
    )
    .unwrap();
    assert_eq!(project.warnings.len(), 2, "{:?}", project.warnings);
    assert!(project.warnings[0].contains("`kv_namespaces` (CACHE) is not available"), "{:?}", project.warnings);
    assert!(project.warnings[1].contains("wrangler.toml, line 3: `nmae`"), "{:?}", project.warnings);
}

#[test]
fn own_builds_and_aliases_are_read() {
    let head = "name = \"a\"\ncompatibility_date = \"2026-01-01\"\n";
    let read = |rest: &str, environment| parse(&format!("{head}{rest}"), "wrangler.toml", environment, "");
    let project = read("[build]\ncommand = \"npm run build\"\n[alias]\nlib = \"./lib.js\"\n", None).unwrap();
    let build = project.build.unwrap();
    assert_eq!((build.command.as_str(), build.cwd, build.watch), ("npm run build", None, vec!["./src".to_owned()]));
    assert_eq!(project.alias["lib"], "./lib.js");
    let text = "[build]\ncommand = \"a\"\ncwd = \"x\"\nwatch_dir = [\"y\", \"z\"]\nfor = 1\n\
                [env.other.build]\ncommand = \"b\"\nwatch_dir = \"w\"\n[env.none.build]\n[env.same]\n";
    let project = read(text, None).unwrap();
    assert!(project.warnings[0].contains("line 7: `build.for`"), "{:?}", project.warnings);
    let build = project.build.clone().unwrap();
    assert_eq!((build.cwd.as_deref(), build.watch.len()), (Some("x"), 2));
    // An environment's table replaces the whole of the other.
    let other = read(text, Some("other")).unwrap().build.unwrap();
    assert_eq!((other.command.as_str(), other.cwd, other.watch), ("b", None, vec!["w".to_owned()]));
    assert_eq!(read(text, Some("none")).unwrap().build, None);
    assert_eq!(read(text, Some("same")).unwrap().build, project.build);
    assert_eq!(read("[build]\nwatch_dir = \"src\"\n", None).unwrap().build, None);
    for (wrong, line) in [("command = 1", 4), ("command = \"a\"\nwatch_dir = 7", 5), ("watch_dir = [7]", 4)] {
        let error = read(&format!("[build]\n{wrong}\n"), None).unwrap_err().to_string();
        assert!(error.contains(&format!("line {line}: `build.")), "{error}");
    }
}

#[test]
fn what_says_nothing_is_no_warning() {
    let project = parse(
        r#"{"name": "a", "compatibility_date": "2026-01-01", "kv_namespaces": [], "queues": {"producers": [], "consumers": []},
            "unheard_of": {}, "configPath": "/x", "jsx_factory": "React.createElement", "jsx_fragment": "F"}"#,
        "wrangler.json",
        None,
        "",
    )
    .unwrap();
    assert_eq!(project.warnings, ["wrangler.json: `jsx_fragment` (F) is not read here; set it in tsconfig.json"]);
}

#[test]
fn a_build_has_a_project_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let load = || Project::load(folder.path(), None, "2026-01-01");
    write("wrangler.toml", "name = \"source\"\nmain = \"src/app.js\"\ncompatibility_date = \"2026-01-01\"\n");
    assert_eq!(load().unwrap().name, "source");
    write(
        ".wrangler/deploy/config.json",
        r#"{"configPath": "../../build/server/wrangler.json", "auxiliaryWorkers": []}"#,
    );
    let error = load().unwrap_err().to_string();
    assert!(
        error.contains(".wrangler/deploy/config.json: `configPath`") && error.contains("build the project"),
        "{error}"
    );
    let built = r#"{"name": "built", "main": "index.js", "compatibility_date": "2026-01-01", "no_bundle": true}"#;
    write("build/server/wrangler.json", built);
    let project = load().unwrap();
    assert_eq!((project.name.as_str(), project.main.to_str()), ("built", Some("index.js")));
    assert_eq!(project.root, folder.path().canonicalize().unwrap().join("build/server"));
    // A project file that is named is the one that counts.
    let named = Project::load(&folder.path().join("wrangler.toml"), None, "2026-01-01").unwrap();
    assert_eq!(named.name, "source");
    write(".wrangler/deploy/config.json", "{}");
    assert!(load().unwrap_err().to_string().contains("configPath"));
}

#[test]
fn a_wrong_type_names_file_line_key_and_what_is_expected() {
    let error = toml("name = \"a\"\n\n[limits]\ncpu_ms = \"fast\"\n").unwrap_err().to_string();
    assert_eq!(
        error,
        "wrangler.toml, line 4: `limits.cpu_ms` must be a whole number of at least 1, not the string \"fast\""
    );
    let error = toml("name = 7\n").unwrap_err().to_string();
    assert_eq!(error, "wrangler.toml, line 1: `name` must be a string, not the number 7");
    let error =
        parse("{\n\"name\": \"a\",\n\"rules\": [{\"type\": \"Wat\", \"globs\": []}]}", "wrangler.json", None, "")
            .unwrap_err()
            .to_string();
    assert!(error.starts_with("wrangler.json, line 3: `rules.type` must be one of ESModule"), "{error}");
}

#[test]
fn syntax_errors_have_a_place() {
    let error = toml("name = \"a\"\nmain = \n").unwrap_err().to_string();
    assert!(error.starts_with("wrangler.toml, line 2, column"), "{error}");
    let error = parse("{\n  \"name\": }", "wrangler.json", None, "").unwrap_err().to_string();
    assert!(error.starts_with("wrangler.json, line 2, column"), "{error}");
}

#[test]
fn names_and_dates_are_checked() {
    for bad in ["", "A", "-a", "a-", "a_b", &"a".repeat(64)] {
        assert!(toml(&format!("name = {bad:?}")).unwrap_err().to_string().contains("`name` is"), "{bad}");
    }
    assert!(toml("name = \"a\"\ncompatibility_date = \"soon\"").unwrap_err().to_string().contains("YYYY-MM-DD"));
    assert!(toml("main = \"x.js\"").unwrap_err().to_string().contains("`name` is missing"));
    let project = toml("name = \"a\"").unwrap();
    assert_eq!(project.compatibility_date, "2026-01-02");
    assert!(project.warnings[0].contains("no compatibility_date"));
}

#[test]
fn an_environment_replaces_inherits_and_renames() {
    let text = r#"
name = "a"
compatibility_date = "2026-01-01"
route = "example.com/*"
[vars]
X = "top"
[env.staging]
routes = ["staging.example.com/*"]
[env.staging.vars]
X = "staging"
[env.bare]
"#;
    let environment = |name| parse(text, "wrangler.toml", Some(name), "2026-01-02");
    let staging = environment("staging").unwrap();
    assert_eq!(staging.name, "a-staging");
    assert_eq!(staging.routes, ["staging.example.com/*"]);
    assert!(staging.default_route);
    assert_eq!(staging.vars["X"], "staging");
    let bare = environment("bare").unwrap();
    assert_eq!(bare.routes, ["example.com/*"]);
    assert!(bare.vars.is_empty());
    assert!(bare.warnings.iter().any(|w| w.contains("`vars` is not inherited by env.bare")), "{:?}", bare.warnings);
    assert!(environment("prod").unwrap_err().to_string().contains("it has staging, bare"));
}

#[test]
fn a_custom_domain_is_the_whole_host() {
    let project = toml("name = \"a\"\nroutes = [{ pattern = \"shop.example.com\", custom_domain = true }]").unwrap();
    assert_eq!(project.routes, ["shop.example.com/*"]);
}

#[test]
fn a_rule_without_fallthrough_ends_the_defaults_of_its_type() {
    let text = "name = \"a\"\n[[rules]]\ntype = \"Text\"\nglobs = [\"**/*.md\"]\n";
    let rules = toml(text).unwrap().rules;
    assert_eq!(rules.kind_of("a/b.md"), Some(RuleType::Text));
    assert_eq!(rules.kind_of("b.md"), Some(RuleType::Text));
    assert_eq!(rules.kind_of("a/b.txt"), None);
    assert_eq!(rules.kind_of("a/b.wasm"), Some(RuleType::CompiledWasm));
}

#[test]
fn dates_are_computed() {
    assert_eq!(date_of(0), "1970-01-01");
    assert_eq!(date_of(951_782_400), "2000-02-29");
    assert_eq!(date_of(1_795_255_200), "2026-11-21");
}

#[test]
fn crons_are_checked() {
    let read = |crons: &str| {
        let text =
            format!("name = 'a'\nmain = 'i.js'\ncompatibility_date = '2026-01-01'\n[triggers]\ncrons = {crons}\n");
        parse(&text, "wrangler.toml", None, "2026-01-01")
    };
    let project = read("['*/5 * * * *', '0 0 1 * MON-FRI', '*/5 * * * *']").unwrap();
    assert_eq!(project.crons, ["*/5 * * * *", "0 0 1 * MON-FRI"]);
    assert_eq!(project.config(None).crons, project.crons);
    assert_eq!(project.warnings, Vec::<String>::new());
    assert_eq!(read("[]").unwrap().warnings, Vec::<String>::new());
    for wrong in ["['every day']", "['61 * * * *']", "['0 */5 * * * *']", "[7]", "'* * * * *'"] {
        let error = read(wrong).unwrap_err().to_string();
        assert!(error.contains("triggers.crons") && error.contains("line 5"), "{error}");
    }
}

#[test]
fn services_are_bound_by_name() {
    let read = |services: &str| {
        let text = format!(
            "{{ \"name\": \"a\", \"main\": \"i.js\", \"compatibility_date\": \"2026-01-01\",\n \"services\": {services},\n \"env\": {{ \"x\": {{}} }} }}"
        );
        parse(&text, "wrangler.json", None, "2026-01-01")
    };
    let project = read(
        "[{ \"binding\": \"B\", \"service\": \"back\" }, { \"binding\": \"N\", \"service\": \"back\", \"entrypoint\": \"Named\", \"environment\": \"staging\" }]",
    )
    .unwrap();
    assert_eq!(project.warnings, Vec::<String>::new());
    let services = &project.config(None).services;
    assert_eq!((services["B"].service.as_str(), services["B"].entrypoint()), ("back", "default"));
    assert_eq!((services["N"].service.as_str(), services["N"].entrypoint()), ("back-staging", "Named"));
    assert!(read("[]").unwrap().services.is_empty());
    assert!(read("[{ \"binding\": \"B\", \"service\": \"s\", \"props\": 1 }]").unwrap().warnings[0].contains("props"));
    for wrong in [
        "{}",
        "[1]",
        "[{ \"binding\": \"B\" }]",
        "[{ \"service\": \"s\" }]",
        "[{ \"binding\": \"B\", \"service\": 1 }]",
        "[{ \"binding\": \"B\", \"service\": \"s\" }, { \"binding\": \"B\", \"service\": \"t\" }]",
    ] {
        let error = read(wrong).unwrap_err().to_string();
        assert!(error.contains("services") && error.contains("line 2"), "{error}");
    }
}
