//! Pages rendered on the server: React, Preact, SvelteKit.

use crate::support::Up;
use crate::support::apps::{App, Bundler, has_header};

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
