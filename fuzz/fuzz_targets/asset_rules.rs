//! `_headers` and `_redirects`: what is read without complaint can be kept, read again and applied to any request, and
//! leads to no other host than a rule says.
#![no_main]

use std::collections::BTreeMap;

use atoll_assets::{Asked, Decision, Manifest, Site, parse_headers, parse_redirects};
use atoll_protocol::config::{HtmlHandling, NotFoundHandling};
use http::{HeaderMap, Method};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str, &str, Option<&str>)| {
    let (headers, redirects, path, query) = input;
    let Ok(headers) = parse_headers(headers) else { return };
    let Ok(redirects) = parse_redirects(redirects) else { return };
    let leaves = redirects.iter().any(|rule| !rule.to.starts_with('/') || rule.to.starts_with("//"));
    let manifest = Manifest { files: BTreeMap::new(), headers, redirects };
    let read = Manifest::decode(&manifest.encode()).expect("what is read from files passes the manifest's checks");
    assert_eq!(read, manifest);
    let site = Site::new(read).expect("and makes a site");
    let path = format!("/{path}");
    let asked = Asked { method: &Method::GET, host: "a.example", path: &path, query };
    if let Decision::Redirect(_, location) = site.decide(HtmlHandling::default(), NotFoundHandling::default(), &asked) {
        // Backslashes are slashes to browsers.
        let elsewhere = location.starts_with("//") || location.starts_with("/\\") || !location.starts_with('/');
        assert!(leaves || !elsewhere, "{location:?}");
    }
    site.apply_headers("a.example", &path, &mut HeaderMap::new());
});
