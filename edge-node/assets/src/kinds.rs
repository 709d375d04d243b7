//! Media types by a file's extension, and which of them are worth compressing.

/// Media types by extension. Text is UTF-8.
const TYPES: [(&str, &str); 68] = [
    ("aac", "audio/aac"),
    ("apng", "image/apng"),
    ("atom", "application/atom+xml"),
    ("avif", "image/avif"),
    ("bin", "application/octet-stream"),
    ("bmp", "image/bmp"),
    ("cjs", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("eot", "application/vnd.ms-fontobject"),
    ("epub", "application/epub+zip"),
    ("flac", "audio/flac"),
    ("geojson", "application/geo+json"),
    ("gif", "image/gif"),
    ("glb", "model/gltf-binary"),
    ("gltf", "model/gltf+json"),
    ("gz", "application/gzip"),
    ("heic", "image/heic"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/vnd.microsoft.icon"),
    ("ics", "text/calendar; charset=utf-8"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("jsonld", "application/ld+json"),
    ("jxl", "image/jxl"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/mp4"),
    ("map", "application/json"),
    ("md", "text/markdown; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("mpd", "application/dash+xml"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("otf", "font/otf"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("rss", "application/rss+xml"),
    ("rtf", "application/rtf"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("ts", "video/mp2t"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("weba", "audio/webm"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xhtml", "application/xhtml+xml"),
    ("xml", "application/xml"),
    ("yaml", "text/yaml; charset=utf-8"),
    ("yml", "text/yaml; charset=utf-8"),
    ("zip", "application/zip"),
];

/// The media type of a file by its name; `None` when the extension is not known.
pub fn content_type(name: &str) -> Option<&'static str> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let (_, extension) = file.rsplit_once('.')?;
    let extension = extension.to_ascii_lowercase();
    TYPES.binary_search_by(|(known, _)| (*known).cmp(&extension)).ok().map(|at| TYPES[at].1)
}

/// Whether content of a media type gets smaller by compression: text, and what is written as text. What is compressed
/// already (images, audio, video, archives, WOFF) is not, and neither is what is not known.
pub fn is_compressible(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    if kind.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("text/")) {
        return true;
    }
    let kind = kind.to_ascii_lowercase();
    let Some((family, name)) = kind.split_once('/') else { return false };
    if name.ends_with("+json") || name.ends_with("+xml") || name.ends_with("+text") {
        return true;
    }
    match family {
        "application" => matches!(
            name,
            "json"
                | "javascript"
                | "x-javascript"
                | "ecmascript"
                | "xml"
                | "wasm"
                | "graphql"
                | "rtf"
                | "x-ndjson"
                | "ndjson"
                | "jsonl"
                | "yaml"
                | "toml"
                | "sql"
                | "x-sh"
                | "x-tar"
                | "vnd.ms-fontobject"
                | "x-web-app-manifest+json"
                | "vnd.apple.mpegurl"
        ),
        "font" => matches!(name, "ttf" | "otf" | "sfnt" | "collection"),
        "image" => matches!(name, "bmp" | "x-icon" | "vnd.microsoft.icon" | "x-ms-bmp"),
        "model" => name == "obj",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_sorted_and_found_whatever_the_case() {
        assert!(TYPES.is_sorted_by_key(|(extension, _)| *extension));
        for (name, kind) in [
            ("/index.html", Some("text/html; charset=utf-8")),
            ("/a.b/app.min.JS", Some("text/javascript; charset=utf-8")),
            ("/a.png/x", None),
            ("/.html", Some("text/html; charset=utf-8")),
            ("/none", None),
            ("/x.unknown", None),
        ] {
            assert_eq!(content_type(name), kind, "{name}");
        }
    }

    #[test]
    fn text_is_compressed_and_pictures_are_not() {
        for kind in [
            "text/html; charset=utf-8",
            "TEXT/CSS",
            "text/event-stream",
            "application/json",
            "application/ld+json",
            "image/svg+xml",
            "application/wasm",
            "font/ttf",
        ] {
            assert!(is_compressible(kind), "{kind}");
        }
        for kind in ["image/png", "font/woff2", "video/mp4", "application/zip", "application/octet-stream", "", "text"]
        {
            assert!(!is_compressible(kind), "{kind}");
        }
    }
}
