//! The cache as a project's file sets it and `atoll purge` empties it.

use crate::support::http::{get, try_request};
use crate::support::{Project, Up};

/// Answers something new each time, with the header fields of the query.
const NEW: &str = "export default { async fetch(request: Request) {
    const url = new URL(request.url);
    if (url.pathname === '/put') {
        await caches.default.put('https://x.example/kept', new Response(url.search));
        return new Response('put');
    }
    if (url.pathname === '/kept') return (await caches.default.match('https://x.example/kept')) ?? new Response('none');
    return new Response(crypto.randomUUID(), { headers: new Headers([...url.searchParams]) });
} };
";

fn project(name: &str, settings: &str) -> Project {
    Project::new(name).file("src/index.ts", NEW).wrangler(settings)
}

/// What came of a request in the cache, and the body.
fn asked(up: &Up, host: &str, path: &str, headers: &[(&str, &str)]) -> (String, String) {
    let response = try_request(up.edge, "GET", host, path, headers, b"").expect("an answer");
    assert_eq!(response.status, 200, "{}", response.text());
    let status = response.header("cache-status").unwrap_or_default();
    let word = if status.contains("; hit") { "hit" } else { status.rsplit("; ").next().unwrap_or_default() };
    (word.to_owned(), response.text())
}

#[test]
fn a_project_says_what_is_cached_and_what_tells_requests_apart() {
    let up = Up::start();
    let settings = "
[atoll.cache]
enabled = true
early_hints = true

[[atoll.cache.rules]]
path = \"/api/*\"
enabled = false

[atoll.cache.key]
host = false
query = { except = [\"utm_source\"] }
headers = [\"x-tenant\"]
cookies = [\"group\"]
";
    let project = project("shop", &format!("routes = [\"shop.example/*\"]\n{settings}"));
    up.deploy(project.path());
    let of = |path: &str, headers: &[(&str, &str)]| asked(&up, "shop.localhost", path, headers);
    let page = "/?cache-control=max-age=600";
    let (word, first) = of(page, &[]);
    assert_eq!(word, "stored");
    let hit = ("hit".to_owned(), first);
    assert_eq!(of(page, &[]), hit);
    assert_eq!(of(&format!("{page}&utm_source=mail"), &[]), hit);
    assert_eq!(asked(&up, "shop.example", page, &[]), hit);
    assert_eq!(of(&format!("{page}&q=1"), &[]).0, "stored");
    let tenant = [("x-tenant", "a"), ("cookie", "session=1; group=b")];
    assert_eq!((of(page, &tenant).0, of(page, &tenant).0), ("stored".into(), "hit".into()));
    assert_eq!(of(page, &[("x-tenant", "a"), ("cookie", "session=2; group=c")]).0, "stored");
    assert_eq!(of("/api/x?cache-control=max-age=600", &[]).0, "detail=off");
    // Without settings, what is not said to be for shared caches is not stored.
    up.deploy(self::project("plain", "").path());
    assert_eq!(asked(&up, "plain.localhost", "/?cache-control=max-age=600", &[]).0, "detail=not-shared");
    for (wrong, words) in [
        ("[atoll.cache]\nenable = true\n", ["wrangler.toml, line 6: `atoll.cache.enable`", "`enabled`"]),
        ("[atoll.cache]\nearly_hints = 1\n", ["line 6: `atoll.cache.early_hints`", "true or false"]),
        ("[atoll.cache.key]\nquery = \"some\"\n", ["line 6: `atoll.cache.key.query`", "except"]),
        ("[atoll.cache.key]\nheaders = [\"a b\"]\n", ["a b", "cache-settings-invalid"]),
        ("[[atoll.cache.rules]]\npath = \"api/*\"\nenabled = true\n", ["api/*", "cache-settings-invalid"]),
    ] {
        let project = self::project("wrong", wrong);
        up.run(&["deploy", project.path().to_str().unwrap()]).fails_saying(&words);
    }
}

#[test]
fn purges_take_what_they_name_and_are_waited_for() {
    let up = Up::start();
    up.deploy(project("shop", "[atoll.cache]\nenabled = true\n").path());
    let port = up.edge.port();
    let host = format!("shop.localhost:{port}");
    let [tagged, other, image] = ["/a?cache-tag=news,top", "/b?cache-tag=sport", "/img/c?x=1"]
        .map(|path| format!("{path}&cache-control=max-age=600"));
    let all = || [&tagged, &other, &image].map(|path| asked(&up, &host, path, &[]).0);
    assert_eq!(all(), ["stored", "stored", "stored"]);
    assert_eq!(all(), ["hit", "hit", "hit"]);
    let purge = |arguments: &[&str]| {
        let mut words = vec!["purge", "shop"];
        words.extend_from_slice(arguments);
        words.push("--json");
        let said = up.run(&words).json();
        assert_eq!((&said["settled"], said["nodes"].as_array().map(Vec::len)), (&true.into(), Some(1)), "{said}");
    };
    purge(&["--tag", "NEWS"]);
    assert_eq!(all(), ["stored", "hit", "hit"]);
    purge(&["--prefix", &format!("shop.localhost:{port}/img/"), "--tag", "sport"]);
    assert_eq!(all(), ["hit", "stored", "stored"]);
    get(up.edge, &host, "/put?1").expect(200, "put");
    get(up.edge, &host, "/kept").expect(200, "?1");
    purge(&["--everything"]);
    assert_eq!(all(), ["stored", "stored", "stored"]);
    get(up.edge, &host, "/kept").expect(200, "none");
    up.run(&["purge", "shop"]).fails_saying(&["--everything"]);
    up.run(&["purge", "none", "--everything"]).fails_saying(&["app-not-found"]);
    up.run(&["purge", "shop", "--prefix", "https://shop.example/"]).fails_saying(&["purge-invalid", "scheme"]);
}

/// A name can come to somebody else; what is cached under it does not.
#[test]
fn the_next_app_of_a_name_finds_nothing_of_the_one_before() {
    let up = Up::start();
    let project = project("shop", "[atoll.cache]\nenabled = true\n");
    let path = "/?cache-control=max-age=86400";
    for _ in 0..2 {
        up.deploy(project.path());
        assert_eq!(asked(&up, "shop.localhost", path, &[]).0, "stored");
        assert_eq!(asked(&up, "shop.localhost", path, &[]).0, "hit");
        up.get("shop", "/kept").expect(200, "none");
        up.get("shop", "/put?secret").expect(200, "put");
        up.get("shop", "/kept").expect(200, "?secret");
        up.run(&["delete", "shop", "--yes"]).ok();
    }
}
