//! `Link` fields that are remembered for early hints.
#![no_main]

use atoll_fuzz::headers;
use atoll_fuzz::links::PageLinks;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let fields = headers(bytes, &["link"]);
    let pages = PageLinks::default();
    pages.note("https://a/x?q", &fields);
    let links = pages.of("https://a/x");
    for link in &links {
        let part = link.as_bytes();
        assert_eq!(part.first(), Some(&b'<'));
        let is_of = |field: &http::HeaderValue| field.as_bytes().windows(part.len()).any(|window| window == part);
        assert!(fields.get_all("link").iter().any(is_of), "{link:?} was nowhere");
        assert!(part.to_ascii_lowercase().windows(3).any(|window| window == b"rel"));
    }
    // What is remembered is worth remembering again.
    pages.note("https://a/y", &links.iter().map(|link| (http::header::LINK, link.clone())).collect());
    assert_eq!(pages.of("https://a/y"), links);
    pages.note("https://a/x", &http::HeaderMap::new());
    assert!(pages.of("https://a/x").is_empty());
});
