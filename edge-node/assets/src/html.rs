//! Which file a path is answered with: HTML without its extension, folders by their `index.html`, and the one address
//! that every page has (`html_handling`).

use atoll_protocol::config::{HtmlHandling, NotFoundHandling};

/// What a path comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// This file.
    File(String),
    /// The page is at this path.
    Moved(String),
    /// There is none.
    Nothing,
}

/// What the (decoded) path comes to.
pub(crate) fn resolve(mode: HtmlHandling, path: &str, exists: &impl Fn(&str) -> bool) -> Found {
    if mode == HtmlHandling::None {
        return if exists(path) { Found::File(path.into()) } else { Found::Nothing };
    }
    if let Some(file) = served(mode, path, exists) {
        return Found::File(file);
    }
    for file in candidates(path) {
        if exists(&file) {
            let address = address(mode, &file);
            if address != path && served(mode, &address, exists).as_deref() == Some(&file) {
                return Found::Moved(address);
            }
        }
    }
    if exists(path) { Found::File(path.into()) } else { Found::Nothing }
}

/// The file that a path shows when it is a page's own address, or the name of a file that is no page.
fn served(mode: HtmlHandling, path: &str, exists: &impl Fn(&str) -> bool) -> Option<String> {
    let there = |file: String| exists(&file).then_some(file);
    let index = |path: &str| there(format!("{path}index.html"));
    // A folder's page is at the folder's address.
    let page = |path: &str| if path.ends_with("/index") { None } else { there(format!("{path}.html")) };
    let exact = || if path.ends_with(".html") { None } else { there(path.into()) };
    match (mode, path.strip_suffix('/')) {
        (_, Some("")) => index("/"),
        (HtmlHandling::AutoTrailingSlash, Some(_)) => index(path),
        (HtmlHandling::AutoTrailingSlash, None) => exact().or_else(|| page(path)),
        (HtmlHandling::ForceTrailingSlash, Some(stem)) => index(path).or_else(|| page(stem)),
        (HtmlHandling::ForceTrailingSlash, None) => exact(),
        (HtmlHandling::DropTrailingSlash, Some(_)) => None,
        (HtmlHandling::DropTrailingSlash, None) => {
            exact().or_else(|| page(path)).or_else(|| index(&format!("{path}/")))
        }
        (HtmlHandling::None, _) => there(path.into()),
    }
}

/// The pages that a path may be another spelling of, the likeliest first.
fn candidates(path: &str) -> [String; 2] {
    let of = |stem: &str| (format!("{stem}/index.html"), format!("{stem}.html"));
    let folder = ["/index.html", "/index", "/"].iter().find_map(|end| path.strip_suffix(end));
    match folder {
        Some(stem) => {
            let (index, page) = of(stem);
            [index, page]
        }
        None => {
            let (index, page) = of(path.strip_suffix(".html").unwrap_or(path));
            [page, index]
        }
    }
}

/// The address of a page.
fn address(mode: HtmlHandling, file: &str) -> String {
    let slash = |stem: &str| format!("{stem}/");
    match (file.strip_suffix("/index.html"), mode) {
        (Some(""), _) => "/".into(),
        (Some(stem), HtmlHandling::DropTrailingSlash) => stem.into(),
        (Some(stem), _) => slash(stem),
        (None, HtmlHandling::ForceTrailingSlash) => slash(file.strip_suffix(".html").unwrap_or(file)),
        (None, _) => file.strip_suffix(".html").unwrap_or(file).into(),
    }
}

/// What answers a path that nothing is at: a file and its status.
pub(crate) fn missing(mode: NotFoundHandling, path: &str, exists: &impl Fn(&str) -> bool) -> Option<(String, u16)> {
    match mode {
        NotFoundHandling::None => None,
        NotFoundHandling::SinglePageApplication => {
            let file = "/index.html".to_owned();
            exists(&file).then_some((file, 200))
        }
        // The nearest one in a folder above.
        NotFoundHandling::NotFoundPage => {
            let mut folder = path;
            while let Some(at) = folder.rfind('/') {
                folder = &folder[..at];
                let file = format!("{folder}/404.html");
                if exists(&file) {
                    return Some((file, 404));
                }
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [&str; 7] =
        ["/index.html", "/file.html", "/folder/index.html", "/raw", "/data.json", "/both.html", "/both/index.html"];

    fn at(mode: HtmlHandling, path: &str) -> String {
        match resolve(mode, path, &|file| FILES.contains(&file)) {
            Found::File(file) => file,
            Found::Moved(address) => format!("-> {address}"),
            Found::Nothing => "nothing".into(),
        }
    }

    #[test]
    fn every_page_has_one_address() {
        // Path, then what it comes to with auto-, force- and drop-trailing-slash.
        let table = [
            ("/", "/index.html", "/index.html", "/index.html"),
            ("/index", "-> /", "-> /", "-> /"),
            ("/index.html", "-> /", "-> /", "-> /"),
            ("/file", "/file.html", "-> /file/", "/file.html"),
            ("/file.html", "-> /file", "-> /file/", "-> /file"),
            ("/file/", "-> /file", "/file.html", "-> /file"),
            ("/file/index", "-> /file", "-> /file/", "-> /file"),
            ("/file/index.html", "-> /file", "-> /file/", "-> /file"),
            ("/folder", "-> /folder/", "-> /folder/", "/folder/index.html"),
            ("/folder.html", "-> /folder/", "-> /folder/", "-> /folder"),
            ("/folder/", "/folder/index.html", "/folder/index.html", "-> /folder"),
            ("/folder/index", "-> /folder/", "-> /folder/", "-> /folder"),
            ("/folder/index.html", "-> /folder/", "-> /folder/", "-> /folder"),
            ("/both", "/both.html", "-> /both/", "/both.html"),
            ("/both/", "/both/index.html", "/both/index.html", "-> /both"),
            ("/both.html", "-> /both", "-> /both/", "-> /both"),
            ("/raw", "/raw", "/raw", "/raw"),
            ("/raw/", "nothing", "nothing", "nothing"),
            ("/data.json", "/data.json", "/data.json", "/data.json"),
            ("/none", "nothing", "nothing", "nothing"),
        ];
        for (path, auto, force, drop) in table {
            assert_eq!(at(HtmlHandling::AutoTrailingSlash, path), auto, "auto {path}");
            assert_eq!(at(HtmlHandling::ForceTrailingSlash, path), force, "force {path}");
            assert_eq!(at(HtmlHandling::DropTrailingSlash, path), drop, "drop {path}");
        }
        for (path, found) in [("/", "nothing"), ("/file", "nothing"), ("/file.html", "/file.html"), ("/raw", "/raw")] {
            assert_eq!(at(HtmlHandling::None, path), found, "none {path}");
        }
    }

    #[test]
    fn redirects_end() {
        for mode in [HtmlHandling::AutoTrailingSlash, HtmlHandling::ForceTrailingSlash, HtmlHandling::DropTrailingSlash]
        {
            for stem in ["", "/file", "/folder", "/both", "/raw", "/both/index"] {
                for end in ["", "/", ".html", "/index", "/index.html"] {
                    let path = format!("{stem}{end}");
                    if let Some(address) = at(mode, &path).strip_prefix("-> ") {
                        assert!(!at(mode, address).starts_with("->"), "{mode:?} {path} {address}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_missing_has_a_page() {
        let files = ["/index.html", "/404.html", "/docs/404.html"];
        let exists = |file: &str| files.contains(&file);
        let page = |path: &str| missing(NotFoundHandling::NotFoundPage, path, &exists);
        assert_eq!(page("/x/y"), Some(("/404.html".into(), 404)));
        assert_eq!(page("/docs/a/b"), Some(("/docs/404.html".into(), 404)));
        assert_eq!(missing(NotFoundHandling::SinglePageApplication, "/x", &exists), Some(("/index.html".into(), 200)));
        assert_eq!(missing(NotFoundHandling::None, "/x", &exists), None);
    }
}
