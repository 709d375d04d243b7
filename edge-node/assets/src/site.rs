//! A manifest that is ready to decide for requests.

use std::collections::HashMap;

use atoll_protocol::config::{HtmlHandling, NotFoundHandling};
use http::{HeaderMap, Method};

use crate::html::{self, Found};
use crate::manifest::{File, Manifest, ManifestError};
use crate::redirects::Target;
use crate::{headers, redirects};

/// The static files of a version with their rules.
#[derive(Debug)]
pub struct Site {
    files: HashMap<String, File>,
    headers: Vec<headers::Compiled>,
    /// Redirects without placeholders, by their paths.
    fixed: HashMap<String, redirects::Compiled>,
    /// The others, in their order.
    dynamic: Vec<redirects::Compiled>,
}

/// A request for static files.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a Method,
    /// The host without its port, in lower case.
    pub host: &'a str,
    /// The path as it was sent.
    pub path: &'a str,
    /// The query as it was sent, without its question mark.
    pub query: Option<&'a str>,
}

/// What a request comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    /// A file, with the status 200 or 404.
    File(&'a File, u16),
    /// The client is sent on: status and `Location`.
    Redirect(u16, String),
    /// There is a file, but only GET and HEAD are for files.
    MethodNotAllowed,
    /// A rewrite leads to a file that is not there.
    NotFound,
    /// There is nothing.
    Nothing,
}

impl Site {
    /// A site of a manifest.
    pub fn new(manifest: Manifest) -> Result<Self, ManifestError> {
        let headers = manifest.headers.iter().map(headers::Compiled::new).collect::<Result<_, _>>();
        let (mut fixed, mut dynamic) = (HashMap::new(), Vec::new());
        for rule in &manifest.redirects {
            let compiled = redirects::Compiled::new(rule).map_err(ManifestError)?;
            match compiled.pattern.fixed().map(str::to_owned) {
                Some(path) => {
                    fixed.entry(path).or_insert(compiled);
                }
                None => dynamic.push(compiled),
            }
        }
        let files = manifest.files.into_iter().collect();
        Ok(Self { files, headers: headers.map_err(ManifestError)?, fixed, dynamic })
    }

    /// What a request comes to. `missing` is what answers when there is nothing.
    pub fn decide<'a>(&'a self, html: HtmlHandling, missing: NotFoundHandling, asked: &Asked<'_>) -> Decision<'a> {
        let mut path = asked.path.to_owned();
        let mut rewritten = false;
        match self.redirect(asked) {
            Some(Target::Location(status, location)) => return Decision::Redirect(status, location),
            Some(Target::Rewrite(to)) => {
                path = to;
                rewritten = true;
            }
            None => {}
        }
        let nothing = if rewritten { Decision::NotFound } else { Decision::Nothing };
        let Some(decoded) = decode(&path) else { return nothing };
        let exists = |file: &str| self.files.contains_key(file);
        let (file, status) = match html::resolve(html, &decoded, &exists) {
            Found::File(file) => (file, 200),
            Found::Moved(address) if is_read(asked.method) && !rewritten => {
                let query = asked.query.map(|query| format!("?{query}")).unwrap_or_default();
                return Decision::Redirect(307, format!("{}{query}", encode(&address)));
            }
            // A rewrite shows the page wherever its own address is.
            Found::Moved(address) => match html::resolve(html, &address, &exists) {
                Found::File(file) => (file, 200),
                _ => return nothing,
            },
            Found::Nothing => match html::missing(missing, &decoded, &exists) {
                Some(found) => found,
                None => return nothing,
            },
        };
        match self.files.get(&file) {
            Some(_) if !is_read(asked.method) => Decision::MethodNotAllowed,
            Some(file) => Decision::File(file, status),
            None => nothing,
        }
    }

    fn redirect(&self, asked: &Asked<'_>) -> Option<Target> {
        let rules = self.fixed.get(asked.path).into_iter().chain(&self.dynamic);
        rules.into_iter().find_map(|rule| {
            let captures = rule.pattern.matches(asked.host, asked.path)?;
            Some(rule.target(&captures, asked.query))
        })
    }

    /// Does to the fields of an answer what the rules of `_headers` say.
    pub fn apply_headers(&self, host: &str, path: &str, fields: &mut HeaderMap) {
        let mut touched = Vec::new();
        for rule in &self.headers {
            if let Some(captures) = rule.matches(host, path) {
                rule.apply(&captures, fields, &mut touched);
            }
        }
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// A path as it was sent, decoded, with one slash for several; `None` when it is not UTF-8 or no path of a file.
fn decode(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let byte = match (first, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest = after;
                let digit = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default();
                u8::try_from(digit(*high) << 4 | digit(*low)).unwrap_or_default()
            }
            _ => *first,
        };
        if byte == 0 {
            return None;
        }
        if byte != b'/' || bytes.last() != Some(&b'/') {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// A path of a file as it is sent.
fn encode(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use atoll_bundle::BundleHash;

    use super::*;
    use crate::{parse_headers, parse_redirects};

    fn site(files: &[&str], redirects: &str, headers: &str) -> Site {
        let file = |path: &&str| {
            let file = File { hash: BundleHash::of(path.as_bytes()), size: 1, kind: None };
            ((*path).to_owned(), file)
        };
        Site::new(Manifest {
            files: files.iter().map(file).collect(),
            headers: parse_headers(headers).unwrap(),
            redirects: parse_redirects(redirects).unwrap(),
        })
        .unwrap()
    }

    fn ask(site: &Site, method: &Method, target: &str) -> String {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let asked = Asked { method, host: "h.example", path, query };
        match site.decide(HtmlHandling::AutoTrailingSlash, NotFoundHandling::None, &asked) {
            Decision::File(file, status) => {
                let name = site.files.iter().find(|(_, known)| *known == file).map(|(name, _)| name.as_str());
                format!("{status} {}", name.unwrap_or_default())
            }
            Decision::Redirect(status, location) => format!("{status} -> {location}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn files_redirects_and_rewrites_in_their_order() {
        let rules =
            "/old /new 301\n/blog/* /news/:splat 308\n/users/:id /user.html 200\n/ghost /none 200\n/a.txt /b.txt";
        let site = site(&["/index.html", "/user.html", "/a.txt", "/b.txt", "/gr\u{fc}n & x.txt"], rules, "");
        let get = |target| ask(&site, &Method::GET, target);
        assert_eq!(get("/?x=1"), "200 /index.html");
        assert_eq!(get("/index.html?x=1"), "307 -> /?x=1");
        assert_eq!(get("/old?x"), "301 -> /new?x");
        assert_eq!(get("/blog/a/b"), "308 -> /news/a/b");
        assert_eq!(get("/users/7"), "200 /user.html");
        assert_eq!(get("/ghost"), "NotFound");
        assert_eq!(get("/a.txt"), "302 -> /b.txt", "redirects come before files");
        assert_eq!(get("/gr%c3%bcn%20&%20x.txt"), "200 /gr\u{fc}n & x.txt");
        assert_eq!(get("/none"), "Nothing");
        for odd in ["/%00", "/%ff", "/..%2f..%2fetc/passwd", "/%", "//"] {
            assert!(["Nothing", "200 /index.html"].contains(&get(odd).as_str()), "{odd}");
        }
        assert_eq!(ask(&site, &Method::POST, "/b.txt"), "MethodNotAllowed");
        assert_eq!(ask(&site, &Method::POST, "/none"), "Nothing");
    }

    #[test]
    fn redirects_never_leave_the_host() {
        let site = site(&["/evil.example/index.html"], "", "");
        assert_eq!(ask(&site, &Method::GET, "//evil.example"), "307 -> /evil.example/");
        assert_eq!(ask(&site, &Method::GET, "/%2fevil.example"), "307 -> /evil.example/");
    }

    #[test]
    fn headers_follow_the_path_that_was_asked_for() {
        let site = site(&["/index.html"], "", "/secret/*\n X-A: :splat\nhttps://h.example/*\n X-B: 1");
        let mut fields = HeaderMap::new();
        site.apply_headers("h.example", "/secret/x", &mut fields);
        assert!(fields["x-a"] == "x" && fields["x-b"] == "1");
    }
}
