//! The commands: up, init, dev, deploy, apps, versions, delete, nodes; their output and how they end.

use std::net::SocketAddr;
use std::path::Path;

use crate::support::http::get;
use crate::support::process::{Atoll, Ran, atoll};
use crate::support::{Connection, Project, Up, eventually, npm};

#[test]
fn up_deploys_prints_one_line_and_ends_well_on_ctrl_c() {
    let project =
        Project::new("first").file("src/index.ts", "export default { fetch: () => new Response(\"first\") };\n");
    let second =
        Project::new("second").file("src/index.ts", "export default { fetch: () => new Response(\"second\") };\n");
    let path = |project: &Project| project.path().to_str().unwrap().to_owned();
    let mut up = Up::with(&["--deploy", &path(&project), "--deploy", &path(&second)]);
    up.get("first", "/").expect(200, "first");
    up.get("second", "/").expect(200, "second");
    let token = up.data().join("admin.token");
    let mode = std::os::unix::fs::PermissionsExt::mode(&token.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    up.process.signal("INT");
    let status = up.process.wait();
    assert_eq!(status.code(), Some(0), "{status:?}");
    assert_eq!(up.process.try_line(), None, "more than one line on standard output");
    let mut again = up.restart();
    again.get("first", "/").expect(200, "first");
    again.process.signal("TERM");
    assert_eq!(again.process.wait().code(), Some(0));
}

#[test]
fn ctrl_c_lets_a_request_under_way_finish() {
    let mut up = Up::start();
    up.deploy_source(
        "slow",
        r#"export default { async fetch() {
             return new Response(new ReadableStream({ async start(controller) {
               controller.enqueue(new TextEncoder().encode("begun,"));
               await new Promise((resolve) => setTimeout(resolve, 500));
               controller.enqueue(new TextEncoder().encode("finished"));
               controller.close();
             } }));
           } };"#,
    );
    let mut connection = Connection::open(up.edge).unwrap();
    connection.send_head("GET", "slow.localhost", "/", &[]).unwrap();
    let (_, mut framing) = connection.read_head().unwrap();
    let mut body = connection.read_body(&mut framing).unwrap().unwrap();
    up.process.signal("INT");
    while let Some(piece) = connection.read_body(&mut framing).unwrap() {
        body.extend(piece);
    }
    assert_eq!(String::from_utf8(body).unwrap(), "begun,finished");
    drop(connection);
    assert_eq!(up.process.wait().code(), Some(0));
}

#[test]
fn init_makes_projects_that_deploy() {
    let up = Up::start();
    let folder = Project::empty();
    let init = |arguments: &[&str]| {
        let output = atoll().current_dir(folder.path()).arg("init").args(arguments).output().unwrap();
        Ran::new(output, arguments)
    };
    for (name, template) in [("my-ts", "ts"), ("my-js", "js"), ("my-hono", "hono")] {
        init(&[name, "--template", template]).ok();
        let project = Project::copy_of(&folder.path().join(name)).patient();
        if template == "hono" {
            npm::install(&project, &["hono"]);
        }
        let deployed = up.deploy(project.path());
        assert_eq!(deployed["app"], name);
        let response = up.get(name, "/");
        assert!(response.status == 200 && !response.body.is_empty(), "{name}: {} {}", response.status, response.text());
    }
    init(&["my-ts"]).fails_saying(&["my-ts"]);
    init(&["Not A Name"]).fails_saying(&["Not A Name"]);
}

#[test]
fn apps_are_listed_described_and_deleted() {
    let up = Up::start();
    let project = Project::new("listed").file("src/index.ts", "export default { fetch: () => new Response(\"x\") };\n");
    up.run_in(project.path(), &["deploy", "--message", "the first one"]).ok();
    up.get("listed", "/").expect(200, "x");
    let apps = up.run(&["apps", "--json"]).json();
    assert!(apps.to_string().contains("\"listed\""), "{apps}");
    let versions = up.run_in(project.path(), &["versions", "--json"]).json();
    assert!(versions.to_string().contains("the first one"), "{versions}");
    let nodes = up.run(&["nodes", "--json"]).json();
    assert!(nodes.to_string().contains("\"connected\":true"), "{nodes}");
    for command in [&["apps"][..], &["nodes"], &["versions", "listed"], &["token", "list"]] {
        assert!(!up.run(command).ok().stdout.is_empty());
    }
    let dry = up.run_in(project.path(), &["deploy", "--dry-run"]).ok();
    assert!(!dry.stdout.is_empty() || !dry.stderr.is_empty());
    assert_eq!(up.api().get("/v1/apps/listed")["deployment"]["number"], 1, "a dry run deploys nothing");
    // Standard input is no terminal and nothing says yes.
    up.run(&["delete", "listed"]).fails_saying(&["--yes"]);
    up.get("listed", "/").expect(200, "x");
    up.run(&["delete", "listed", "--yes"]).ok();
    eventually("the app is gone", || (up.get("listed", "/").error() == "route-not-found").then_some(()));
    up.run_in(project.path(), &["deploy"]).ok();
    up.get("listed", "/").expect(200, "x");
}

#[test]
fn clients_say_what_they_miss() {
    let nowhere = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = atoll();
        command.args(arguments).env("ATOLL_DATA_DIR", nowhere.path()).env("HOME", nowhere.path());
        Ran::new(command.output().unwrap(), arguments)
    };
    run(&["apps"]).fails_saying(&["atoll up"]);
    run(&["apps", "--api", "http://127.0.0.1:1", "--token", "atoll_a_b"]).fails_saying(&["127.0.0.1:1"]);
    run(&["apps", "--api", "http://127.0.0.1:1"]).fails_saying(&["ATOLL_TOKEN"]);
    run(&["no-such-command"]).fails_saying(&["no-such-command"]);
    run(&["up", "--listen", "nowhere"]).fails_saying(&["--listen", "127.0.0.1:8080"]);
    let file = nowhere.path().join("file");
    std::fs::write(&file, "").unwrap();
    for command in ["up", "control-plane"] {
        let arguments = [command, "--data-dir", file.to_str().unwrap()];
        run(&arguments).fails_saying(&["data directory", file.to_str().unwrap(), "not a directory", "--data-dir"]);
    }
}

/// Whatever is wrong: one object on standard output, and a code that is not zero.
#[test]
fn every_failure_is_json_for_those_who_ask_for_it() {
    let nowhere = tempfile::tempdir().unwrap();
    let missing = nowhere.path().join("missing");
    let missing = missing.to_str().unwrap();
    for (arguments, code, words) in [
        (&["no-such-command", "--json"][..], "usage-invalid", "no-such-command"),
        (&["purge", "an-app", "--json"], "usage-invalid", "--everything"),
        (&["rollback", "first", "--json"], "usage-invalid", "atoll versions"),
        (&["token", "create", "x", "--scope", "all", "--json"], "usage-invalid", "--scope"),
        (&["deploy", missing, "--dry-run", "--json"], "project-invalid", missing),
        (&["init", "Not A Name", "--json"], "name-invalid", "Not A Name"),
        (&["apps", "--json"], "no-platform", "atoll up"),
        (&["apps", "--api", "http://127.0.0.1:1", "--token", "atoll_a_b", "--json"], "api-unreachable", "127.0.0.1:1"),
    ] {
        let mut command = atoll();
        command.args(arguments).env("ATOLL_DATA_DIR", nowhere.path()).env("HOME", nowhere.path());
        let ran = Ran::new(command.current_dir(nowhere.path()).output().unwrap(), arguments).fails_saying(&[words]);
        let said: serde_json::Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        assert_eq!(said["error"]["code"], code, "{said}");
        let message = said["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(words) && !message.contains('\n'), "{message}");
    }
    let help = Ran::new(atoll().args(["deploy", "--help", "--json"]).output().unwrap(), &["--help"]).ok();
    assert!(help.stdout.contains("Usage: atoll deploy"), "{help:?}");
}

/// Where `atoll dev` says it serves.
fn dev_address(line: &str) -> Option<SocketAddr> {
    let rest = &line[line.find("http://")? + "http://".len()..];
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !".:-".contains(c)).unwrap_or(rest.len());
    let port = rest[..end].rsplit(':').next()?.parse().ok()?;
    Some(SocketAddr::from(([127, 0, 0, 1], port)))
}

#[test]
fn dev_reloads_shows_errors_and_keeps_the_last_good_version() {
    let source = |text: &str| {
        format!(
            "import {{ word }} from \"./word\";\nexport default {{\n  fetch(request, env) {{ console.log(\"served\", word); return new Response(`{text} ${{word}} ${{env.SECRET}}`); }},\n}};\n"
        )
    };
    let project = Project::new("watched")
        .file("src/index.ts", source("one"))
        .file("src/word.ts", "export const word: string = \"a\";\n")
        .file(".dev.vars", "SECRET=quiet\n");
    let mut command = atoll();
    let mut dev = Atoll::spawn(command.current_dir(project.path()).args(["dev", "--port", "0"]));
    let address = eventually("dev says where it serves", || {
        let said = dev.try_line().unwrap_or_default() + &dev.log();
        said.lines().find_map(dev_address)
    });
    let answers = |expected: &str| {
        eventually(&format!("dev answers {expected:?}"), || {
            (get(address, "localhost", "/").text() == expected).then_some(())
        });
    };
    let said = |dev: &mut Atoll, words: &str| {
        let mut all = String::new();
        eventually(&format!("dev says {words:?}"), || {
            while let Some(line) = dev.try_line() {
                all.push_str(&line);
                all.push('\n');
            }
            (all.contains(words) || dev.log().contains(words)).then_some(())
        });
    };
    answers("one a quiet");
    said(&mut dev, "served a");
    project.write("src/index.ts", source("two"));
    answers("two a quiet");
    project.write("src/word.ts", "export const word: string = \"b\";\n");
    answers("two b quiet");
    project.write("src/word.ts", "export const word: string = ;\n");
    said(&mut dev, "src/word.ts:1");
    answers("two b quiet");
    project.write("src/word.ts", "export const word: string = \"c\";\n");
    answers("two c quiet");
    project.write(
        "src/index.ts",
        "export default {\n  fetch(request: Request) {\n    throw new Error(\"broken here\");\n  },\n};\n",
    );
    eventually("the exception is answered", || {
        (get(address, "localhost", "/").error() == "handler-exception").then_some(())
    });
    said(&mut dev, "src/index.ts:3");
    dev.signal("INT");
    assert_eq!(dev.wait().code(), Some(0));
    assert!(!Path::new(project.path()).join("src/index.js").exists(), "dev writes nothing into the project");
}
