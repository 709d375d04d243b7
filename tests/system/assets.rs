//! Static files: projects with and without code, through the command line.

use std::net::SocketAddr;

use crate::support::http::{get, try_request};
use crate::support::process::{Atoll, atoll};
use crate::support::{Project, Up, eventually};

fn site(settings: &str) -> Project {
    Project::empty().file(
        "wrangler.jsonc",
        format!(
            "{{\n  // a site\n  \"name\": \"site\",\n  \"compatibility_date\": \"2026-11-01\",\n  \"assets\": {{ \"directory\": \"./public\"{settings} }}\n}}\n"
        ),
    )
}

#[test]
fn a_site_is_deployed_changed_and_rolled_back() {
    let up = Up::start();
    let project = site(", \"not_found_handling\": \"single-page-application\"")
        .file("public/index.html", "<h1>first</h1>")
        .file("public/app.js", "console.log(1);")
        .file("public/_headers", "/app.js\n  Cache-Control: public, max-age=31536000, immutable\n");
    let stored = || std::fs::read_dir(up.data().join("assets")).unwrap().count();
    let first = up.deploy(project.path());
    let objects = stored();
    up.get("site", "/").expect(200, "<h1>first</h1>");
    up.get("site", "/deep/link?x=1").expect(200, "<h1>first</h1>");
    let script = up.get("site", "/app.js");
    script.expect(200, "console.log(1);");
    assert_eq!(script.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));

    project.write("public/index.html", "<h1>second</h1>");
    let second = up.deploy(project.path());
    up.get("site", "/").expect(200, "<h1>second</h1>");
    assert_eq!(stored(), objects + 2, "the page and the manifest; the script was there");
    up.run(&["rollback", "--app", "site", &first["version"].to_string()]).ok();
    eventually("the first version is back", || (up.get("site", "/").text() == "<h1>first</h1>").then_some(()));
    assert_eq!((&first["version"], &second["version"]), (&1.into(), &2.into()));

    // After a crash the node serves what is on its disk.
    let up = up.restart();
    up.get("site", "/").expect(200, "<h1>first</h1>");
    let dry = up.run(&["deploy", project.path().to_str().unwrap(), "--dry-run", "--json"]).json();
    assert_eq!(dry["assets"], 2);
}

#[test]
fn code_and_files_share_an_app() {
    let up = Up::start();
    let code = "export default { async fetch(request: Request, env: { FILES: { fetch: typeof fetch } }) {\n\
                const url = new URL(request.url);\n\
                if (url.pathname === '/api/page') return env.FILES.fetch(new URL('/page', url));\n\
                return Response.json({ path: url.pathname, files: typeof env.FILES.fetch });\n} };\n";
    let project = Project::new("full")
        .file("src/index.ts", code)
        .file("dist/page.html", "<p>page</p>")
        .file("dist/api/hidden.txt", "not reached")
        .file("dist/404.html", "<p>nothing</p>")
        .wrangler("[assets]\ndirectory = \"dist\"\nbinding = \"FILES\"\nrun_worker_first = [\"/api/*\"]\nnot_found_handling = \"404-page\"\n");
    up.deploy(project.path());
    up.get("full", "/page").expect(200, "<p>page</p>");
    up.get("full", "/api/page").expect(200, "<p>page</p>");
    assert_eq!(up.get("full", "/api/hidden.txt").json()["path"], "/api/hidden.txt");
    assert_eq!(up.get("full", "/other").json()["files"], "function");
    let navigation = try_request(up.edge, "GET", "full.localhost", "/other", &[("sec-fetch-mode", "navigate")], b"");
    navigation.unwrap().expect(404, "<p>nothing</p>");
    assert_eq!(up.get("full", "/page.html").header("location"), Some("/page"));
}

#[test]
fn mistakes_are_named_before_anything_is_uploaded() {
    let up = Up::start();
    let deploy = |project: &Project| up.run(&["deploy", project.path().to_str().unwrap(), "--json"]);
    deploy(&site("")).fails_saying(&["assets-directory", "./public", "no such folder"]);
    let rules = site("").file("public/_redirects", "/a /b 301\n/b /c 404\n");
    deploy(&rules).fails_saying(&["assets-rules", "public/_redirects", "line 2", "404"]);
    let binding = site(", \"binding\": \"ASSETS\"").file("public/index.html", "1");
    deploy(&binding).fails_saying(&["project-invalid", "assets.binding", "main"]);
    let handling = site(", \"html_handling\": \"auto\"").file("public/index.html", "1");
    deploy(&handling).fails_saying(&[
        "wrangler.jsonc, line 5",
        "assets.html_handling",
        "auto-trailing-slash",
        "\\\"auto\\\"",
    ]);
    assert_eq!(up.api().get("/v1/apps").as_array().map(Vec::len), Some(0));
}

fn dev_address(line: &str) -> Option<SocketAddr> {
    line.strip_prefix("listening on http://")?.split('/').next()?.parse().ok()
}

#[test]
fn dev_serves_the_folder_and_sees_its_changes() {
    let project = site("").file("public/index.html", "one").file("public/_redirects", "/old /\n");
    let mut command = atoll();
    let mut dev = Atoll::spawn(command.current_dir(project.path()).args(["dev", "--port", "0"]));
    let address = dev.line_with(dev_address);
    let page = |path: &str| get(address, "localhost", path);
    eventually("it is served", || (page("/").text() == "one").then_some(()));
    assert_eq!(page("/old").header("location"), Some("/"));
    project.write("public/index.html", "two");
    eventually("the change is served", || (page("/").text() == "two").then_some(()));
    project.write("public/new/a.txt", "new");
    eventually("the new file is served", || (page("/new/a.txt").text() == "new").then_some(()));
    project.write("public/_redirects", "/old\n");
    eventually("the mistake is shown", || dev.log().contains("public/_redirects, line 1").then_some(()));
    assert_eq!(page("/").text(), "two", "what was there is served on");
}
