//! Pages rendered on the server: React, Preact, SvelteKit, Astro, React Router; and what else is built by an adapter of its own:
//! Nitro.

use serde_json::json;

use crate::support::apps::{App, Bundler, has_header, project, run_tool};
use crate::support::npm::install_locked;
use crate::support::project::{Project, repository};
use crate::support::{Up, eventually};

#[test]
fn react() {
    let up = Up::start();
    for bundler in Bundler::BOTH {
        let app = App::deploy(&up, "react", bundler);
        app.get("/string").expect(
            200,
            "<label for=\"_R_0_\" class=\"light\" style=\"font-weight:bold;margin-top:4px\">count: <!-- -->3\
             <input id=\"_R_0_\" readOnly=\"\" value=\"3\"/></label>",
        );
        let made_before = app.get("/static").text();
        assert!(made_before.contains("<blockquote>made before</blockquote>"), "{made_before}");

        // The shell is there before what it waits for.
        let mut shell_first = false;
        let streamed = app.get_in_pieces("/?title=A%20%26%20B", |so_far| {
            shell_first |= so_far.contains("waiting for the quote") && !so_far.contains("late &amp; &lt;good&gt;");
        });
        has_header(&streamed, "content-type", "text/html; charset=utf-8");
        let page = streamed.text();
        assert!(shell_first, "the page came all at once");
        assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\"><head>"), "{page}");
        for part in [
            "<title>A &amp; B</title>",
            "<link rel=\"stylesheet\" href=\"/style.css\" data-precedence=\"default\"/>",
            "class=\"dark\"",
            "<script src=\"/main.js\" id=\"_R_\" async=\"\"></script>",
            "<blockquote>late &amp; &lt;good&gt;</blockquote>",
            "<em>loaded late</em>",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        let whole = app.get("/?whole").text();
        assert!(whole.contains("<blockquote>") && !whole.contains("waiting for the quote"), "{whole}");
        let broken = app.get("/broken").text();
        assert!(broken.contains("sorry") && broken.contains("digest-1") && !broken.contains("broken component"));
        app.get("/fails").expect(500, "broken component (1)");
    }
}

#[test]
fn preact() {
    let up = Up::start();
    for bundler in Bundler::BOTH {
        let app = App::deploy(&up, "preact", bundler);
        app.get("/").expect(
            200,
            "<div style=\"color:red;padding:4px;\"><li class=\"dark\">1</li><li class=\"dark\">4</li>\
             <li class=\"dark\">9</li>&lt;escaped><p><i>raw</i></p></div>",
        );
        for path in ["/async", "/stream"] {
            let page = app.get(path).text();
            assert!(page.starts_with("<main>") && page.contains("<b>loaded late</b>"), "{path}: {page}");
        }
    }
}

/// Built by its own adapter: its files without code, its pages with it.
#[test]
fn sveltekit() {
    let up = Up::start();
    let project = project("sveltekit", Bundler::Esbuild);
    run_tool(&project, "vite/bin/vite.js", &["build"]);
    for app in App::deploy_built(&up, &project, "sveltekit") {
        let home = app.get_with("/?q=1", &[("cookie", "user=ada")]);
        has_header(&home, "x-hook", "/");
        let page = home.text();
        for part in ["<title>Items</title>", "hello from the platform, ada", "first &amp; foremost", "2 doubled is 4"] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        let own = [("origin", "http://sveltekit.localhost"), ("accept", "text/html")];
        assert_eq!(app.post_form("/?/add", &own, "name=").status, 422);
        let added = app.post_form("/?/add", &own, "name=second");
        assert_eq!((added.status, added.header("location")), (303, Some("/")));
        // The items are those of an isolate, of which there may be several on a busy machine.
        eventually("the item is there", || app.get("/").text().contains("second").then_some(()));
        let entered = app.post_form("/?/enter", &own, "user=grace");
        assert!(
            entered.header("set-cookie").is_some_and(|cookie| cookie.starts_with("user=grace; Path=/")),
            "{entered:?}"
        );
        let foreign = app.post_form("/?/add", &[("origin", "http://other.example"), own[1]], "name=x");
        assert_eq!(foreign.status, 403, "{}", foreign.text());
        let streamed = app.get("/items/1").text();
        let (waiting, later) = (streamed.find("waiting"), streamed.find("came later"));
        assert!(waiting.is_some() && waiting < later, "{streamed}");
        let missing = app.get("/items/9");
        assert!(missing.status == 404 && missing.text().contains("no such item"), "{missing:?}");
        assert_eq!(app.get("/api?a=1").json()["query"]["a"], "1");
        assert_eq!(app.get("/api?inner").json()["query"]["from"], "inside");
        app.request("POST", "/api", &[("content-type", "text/csv")], b"shout").expect(201, "SHOUT");
        assert_eq!(app.get("/nowhere").status, 404);

        // Its scripts, what it has as it is, and the page that was made by the build.
        let start = page.find("/_app/immutable/entry/").unwrap_or_else(|| panic!("no script in {page}"));
        let script: String = page[start..].chars().take_while(|c| !"\"')".contains(*c)).collect();
        let script = app.get(&script);
        assert_eq!(script.status, 200, "{script:?}");
        has_header(&script, "content-type", "text/javascript; charset=utf-8");
        has_header(&script, "cache-control", "public, immutable, max-age=31536000");
        assert_eq!(app.get("/plain.txt").status, 200);
        let made_before = app.get("/about");
        assert!(made_before.text().contains("About, made at build time"), "{made_before:?}");
        assert_eq!(made_before.header("x-hook"), None, "no code is run for it");
        assert_eq!(app.get("/_worker.js").status, 404, "the code is not served");
    }
}

/// Built by its own adapter, which leaves a project file of its own: pages made at build time beside those that code makes.
#[test]
fn astro() {
    let up = Up::start();
    let project = project("astro", Bundler::Esbuild);
    run_tool(&project, "astro/bin/astro.mjs", &["build"]);
    for app in App::deploy_built(&up, &project, "astro") {
        let home = app.get_with("/", &[("cookie", "user=ada")]);
        has_header(&home, "x-page", "home");
        has_header(&home, "x-middleware", "/");
        let page = home.text();
        for part in [
            "<title>Items</title>",
            ">hello from the platform, ada</h1>",
            ">first &amp; foremost</li>",
            "<em>came later</em>",
            "color:#010203",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        assert!(app.get("/items/1").text().contains("<p><b>1</b></p>"));
        app.get("/items/9").expect(404, "no such item");
        let own = [("origin", "http://astro.localhost")];
        let entered = app.post_form("/items/1", &own, "user=grace");
        assert_eq!((entered.status, entered.header("location")), (303, Some("/")));
        has_header(&entered, "set-cookie", "user=grace; Path=/");
        let foreign = app.post_form("/items/1", &[("origin", "http://other.example")], "user=x");
        assert_eq!(foreign.status, 403, "{}", foreign.text());
        assert_eq!(app.get("/api?a=1").json(), json!({ "query": { "a": "1" }, "user": "nobody" }));
        app.request("POST", "/api", &[("content-type", "text/csv")], b"shout").expect(201, "SHOUT");
        let broken = app.request("DELETE", "/api", &own, b"");
        assert!(broken.status == 500 && !broken.text().contains("not for strangers"), "{broken:?}");
        let missing = app.get("/nowhere");
        assert!(missing.status == 404 && missing.text().contains("404: Not Found"), "{missing:?}");

        let made_before = app.get("/about/");
        assert!(made_before.text().contains("About, made at build time"), "{made_before:?}");
        assert_eq!(made_before.header("x-middleware"), None, "no code is run for it");
        app.get("/plain.txt").expect(200, "as it is\n");
    }
}

/// Built by its preset for Workers. It has packages of its own, since it wants another h3 than the other projects.
#[test]
fn nitro() {
    let up = Up::start();
    let modules = install_locked("tests/apps/nitro");
    let project = Project::copy_of(&repository("tests/apps/nitro"));
    std::os::unix::fs::symlink(&modules, project.path().join("node_modules")).unwrap();
    let nitropack = modules.join("nitropack/dist/cli/index.mjs");
    run_tool(&project, nitropack.to_str().unwrap(), &["build", "--preset", "cloudflare_module"]);
    up.deploy(project.path());
    let app = App::named(&up, "nitro");

    let home = app.get_with("/", &[("cookie", "user=ada")]);
    home.expect(200, "<h1>from the project file, ada</h1>");
    has_header(&home, "content-type", "text/html");
    has_header(&home, "x-plugin", "true");
    let item = app.get("/items/1?a=1&a=2");
    assert_eq!(item.json(), json!({ "id": "1", "name": "first & foremost", "query": { "a": ["1", "2"] } }));
    let missing = app.get("/items/9");
    assert_eq!(missing.status, 404);
    assert_eq!(missing.json(), json!({ "status": 404, "message": "No such item", "data": { "known": ["1"] } }));
    let made = app.post_json("/items", r#"{"name":"grace"}"#);
    made.expect(201, r#"{"made":"GRACE"}"#);
    has_header(&made, "set-cookie", "user=grace; Path=/; HttpOnly");
    assert_eq!(app.post_form("/items", &[], "name=form").json(), json!({ "made": "FORM" }));
    assert_eq!(app.get("/items").status, 405);

    // Rules for routes, and what they are about.
    let moved = app.get("/old/1?x=y");
    assert_eq!((moved.status, moved.header("location")), (301, Some("/items/1?x=y")));
    let shared = app.get("/shared/inner");
    assert_eq!(shared.json()["inner"]["query"]["from"], "inside");
    has_header(&shared, "access-control-allow-origin", "*");
    has_header(&shared, "x-rule", "shared");
    assert_eq!(app.get("/cached").json()["made"], 1);
    let cached = app.get("/cached");
    has_header(&cached, "cache-control", "s-maxage=60, stale-while-revalidate");

    let stored = app.get("/stored").json();
    assert_eq!(
        stored,
        json!({ "keys": ["a:b"], "value": { "kept": [1, 2] }, "asset": "from the server's own files\n" })
    );
    app.get("/stream").expect(200, "one two three");
    let events = app.get("/events");
    has_header(&events, "content-type", "text/event-stream");
    events.expect(200, "data: one\n\nid: 2\nevent: named\ndata: two\n\n");
    let platform = app.get("/platform").json();
    let expected =
        json!({ "variable": "hello from the platform", "waits": "function", "digest": "ca978112", "method": "GET" });
    assert_eq!(platform, expected);
    let broken = app.get("/fails");
    assert!(broken.status == 500 && !broken.text().contains("not for strangers"), "{broken:?}");
    app.get("/plain.txt").expect(200, "as it is\n");
    assert_eq!(app.get("/nowhere").status, 404);
}

/// Built by the plugin of Vite for Workers, which leaves a project file of its own.
#[test]
fn react_router() {
    let up = Up::start();
    let project = project("react-router", Bundler::Esbuild);
    run_tool(&project, "@react-router/dev/bin.cjs", &["build"]);
    for app in App::deploy_built(&up, &project, "react-router") {
        let home = app.get("/");
        has_header(&home, "x-page", "home");
        let page = home.text();
        for part in ["<title>Home</title>", "<h1>hello from the platform, nobody</h1>"] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        let entered = app.post_form("/?index", &[], "user=grace");
        assert_eq!((entered.status, entered.header("location")), (302, Some("/")));
        let session = entered.header("set-cookie").and_then(|cookie| cookie.split(';').next());
        let home = app.get_with("/", &[("cookie", session.unwrap())]).text();
        assert!(home.contains("hello from the platform, grace"), "{home}");
        let refused = app.post_form("/?index", &[], "user=");
        assert!(refused.status == 422 && refused.text().contains("a name is needed"), "{refused:?}");

        let item = app.get("/items/1").text();
        let (waiting, later) = (item.find("<i>waiting</i>"), item.find("<b>came later</b>"));
        assert!(item.contains("<h1>1970-01-01T00:00:00.000Z 1</h1>") && later.is_some(), "{item}");
        assert!(waiting.is_none() || waiting < later, "{item}");
        let missing = app.get("/items/9");
        assert!(missing.status == 404 && missing.text().contains("404: no such item"), "{missing:?}");
        // What the page in the browser asks for.
        let data = app.get("/items/1.data");
        assert!(data.status == 200 && data.text().contains("came later"), "{data:?}");
        assert_eq!(app.get("/api?a=1&b=2").json(), json!([["a", "1"], ["b", "2"]]));
        app.request("POST", "/api", &[("content-type", "text/csv")], b"shout").expect(201, "SHOUT");
        let broken = app.get("/fails");
        assert!(broken.status == 500 && !broken.text().contains("not for strangers"), "{broken:?}");

        let start = page.find("/assets/entry.client").unwrap_or_else(|| panic!("no script in {page}"));
        let script: String = page[start..].chars().take_while(|c| *c != '"').collect();
        let script = app.get(&script);
        assert_eq!(script.status, 200, "{script:?}");
        has_header(&script, "content-type", "text/javascript; charset=utf-8");
        app.get("/plain.txt").expect(200, "as it is\n");
        assert_eq!(app.get("/index.js").status, 404, "the code is not served");
    }
}
