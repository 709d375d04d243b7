//! The links of an app's pages, for early hints before their next answers: those that tell a browser to fetch or connect.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use http::header::LINK;
use http::{HeaderMap, HeaderValue};

/// Pages of a version that are remembered, the last that were answered.
const MOST_PAGES: usize = 64;
/// Bytes of a page's URL and links; a larger page is not remembered.
const MOST_OF_A_PAGE: usize = 2 << 10;
/// Bytes of all pages of a version.
const MOST_BYTES: usize = 32 << 10;
/// Relations that are worth a hint (HTML, "Early hints"; the others only describe).
const RELATIONS: [&str; 4] = ["preload", "modulepreload", "preconnect", "dns-prefetch"];

/// The pages of one version of an app.
#[derive(Debug, Default)]
pub struct PageLinks(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    /// The one that was answered last comes last.
    pages: VecDeque<Page>,
    bytes: usize,
}

#[derive(Debug)]
struct Page {
    url: Box<str>,
    links: Vec<HeaderValue>,
}

impl Page {
    fn bytes(&self) -> usize {
        self.url.len() + self.links.iter().map(HeaderValue::len).sum::<usize>()
    }
}

impl PageLinks {
    /// The links that a page was last answered with.
    pub fn of(&self, url: &str) -> Vec<HeaderValue> {
        let pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let page = pages.pages.iter().rev().find(|page| *page.url == *page_of(url));
        page.map(|page| page.links.clone()).unwrap_or_default()
    }

    /// A page was answered with these fields.
    pub fn note(&self, url: &str, headers: &HeaderMap) {
        let page = Page { url: page_of(url).into(), links: worth_a_hint(headers) };
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = pages.pages.iter().position(|known| known.url == page.url) {
            let known = pages.pages.remove(at);
            pages.bytes -= known.map_or(0, |known| known.bytes());
        }
        let bytes = page.bytes();
        if page.links.is_empty() || bytes > MOST_OF_A_PAGE {
            return;
        }
        pages.pages.push_back(page);
        pages.bytes += bytes;
        while pages.pages.len() > MOST_PAGES || pages.bytes > MOST_BYTES {
            let oldest = pages.pages.pop_front();
            pages.bytes -= oldest.map_or(0, |oldest| oldest.bytes());
        }
    }
}

/// A URL without its query: pages that differ in it alone look alike.
fn page_of(url: &str) -> &str {
    url.split_once('?').map_or(url, |(page, _)| page)
}

/// The values of `Link` that are worth a hint, one link each.
fn worth_a_hint(headers: &HeaderMap) -> Vec<HeaderValue> {
    let values = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let links = values.flat_map(links).filter(|link| relations(link).any(|relation| is_worth(&relation)));
    links.filter_map(|link| HeaderValue::from_str(link).ok()).collect()
}

fn is_worth(relation: &str) -> bool {
    RELATIONS.iter().any(|worth| worth.eq_ignore_ascii_case(relation))
}

/// Splits a value at the commas that are neither in a target nor in quotes (RFC 8288 §3).
fn links(value: &str) -> impl Iterator<Item = &str> {
    split(value, b',').map(str::trim).filter(|link| link.starts_with('<'))
}

/// The relations of a link: the words of its first `rel`.
fn relations(link: &str) -> impl Iterator<Item = String> {
    let parameters = split(link, b';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let rel = parameters.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("rel"));
    let words = rel.map(|(_, value)| value.trim().trim_matches('"')).unwrap_or_default();
    words.split_ascii_whitespace().map(str::to_owned)
}

/// Splits where `separator` stands outside of `<…>` and `"…"`.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut in_target, mut in_quotes, mut escaped) = (false, false, false);
        let end = text.bytes().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_quotes => escaped = true,
                b'"' if !in_target => in_quotes = !in_quotes,
                b'<' if !in_quotes => in_target = true,
                b'>' if !in_quotes => in_target = false,
                _ => return byte == separator && !in_target && !in_quotes,
            }
            false
        });
        rest = end.map(|end| &text[end + 1..]);
        Some(end.map_or(text, |end| &text[..end]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(links: &[&str]) -> HeaderMap {
        links.iter().map(|link| (LINK, HeaderValue::from_str(link).unwrap())).collect()
    }

    #[test]
    fn what_tells_to_fetch_or_connect_is_remembered_by_page() {
        let pages = PageLinks::default();
        let value =
            "</a,b;c.css>; rel=preload; as=style, <https://x.example>;rel=\"nofollow PreConnect\", </next>; rel=next";
        pages.note("https://a/x?q=1", &answered(&[value, "</d>; title=\"a, <b>; rel=preload\"; rel=icon", "nonsense"]));
        let links = ["</a,b;c.css>; rel=preload; as=style", "<https://x.example>;rel=\"nofollow PreConnect\""];
        assert_eq!(pages.of("https://a/x?q=2"), links);
        assert!(pages.of("https://a/").is_empty());
        assert!(pages.of("https://b/x").is_empty());
        pages.note("https://a/x", &answered(&[]));
        assert!(pages.of("https://a/x").is_empty(), "the page has none any more");
        assert_eq!(pages.0.lock().unwrap().bytes, 0);
    }

    #[test]
    fn pages_and_bytes_are_bounded() {
        let pages = PageLinks::default();
        for at in 0..1000 {
            pages.note(&format!("https://a/{at}"), &answered(&["</a.css>; rel=preload"]));
        }
        assert_eq!(pages.0.lock().unwrap().pages.len(), MOST_PAGES);
        assert!(pages.of("https://a/0").is_empty());
        assert_eq!(pages.of("https://a/999").len(), 1);
        let long = format!("</{}>; rel=preload", "a".repeat(MOST_OF_A_PAGE / 2));
        for at in 0..1000 {
            pages.note(&format!("https://b/{at}"), &answered(&[&long]));
        }
        let bytes = pages.0.lock().unwrap().bytes;
        assert!(bytes <= MOST_BYTES && bytes > MOST_BYTES / 2, "{bytes}");
        pages.note("https://c/", &answered(&[&long, &long]));
        assert!(pages.of("https://c/").is_empty(), "too large");
    }
}
