//! Parses `multipart/form-data` (RFC 7578, RFC 2046 section 5.1) for `formData()`.

use deno_core::convert::Uint8Array;
use deno_core::{ToV8, op2};

/// The body is not what its content type says.
#[derive(Debug, PartialEq, Eq, thiserror::Error, deno_error::JsError)]
#[class(type)]
#[error("the body is not valid multipart/form-data: {0}")]
pub(crate) struct FormError(&'static str);

/// One field as JavaScript takes it: `text` of a plain field, or `data` of a file.
#[derive(ToV8)]
pub(crate) struct Field {
    name: String,
    filename: Option<String>,
    content_type: Option<String>,
    text: Option<String>,
    data: Option<Uint8Array>,
}

/// The fields of a form.
#[op2]
pub(crate) fn op_atoll_form_parse(#[buffer] body: &[u8], #[string] boundary: String) -> Result<Vec<Field>, FormError> {
    let parts = parse(body, &boundary)?;
    Ok(parts
        .into_iter()
        .map(|part| {
            let is_file = part.filename.is_some();
            Field {
                name: part.name,
                filename: part.filename,
                content_type: part.content_type,
                text: (!is_file).then(|| String::from_utf8_lossy(part.data).into_owned()),
                data: is_file.then(|| part.data.to_vec().into()),
            }
        })
        .collect())
}

#[derive(Debug, PartialEq, Eq)]
struct Part<'a> {
    name: String,
    filename: Option<String>,
    content_type: Option<String>,
    data: &'a [u8],
}

fn parse<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<Part<'a>>, FormError> {
    let delimiter = format!("\r\n--{boundary}").into_bytes();
    // The first delimiter may stand at the very start, without the line break before it.
    let mut rest = if body.starts_with(&delimiter[2..]) {
        &body[delimiter.len() - 2..]
    } else {
        let start = find(body, &delimiter).ok_or(FormError("its boundary does not occur"))?;
        &body[start + delimiter.len()..]
    };
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        let line_end = find(rest, b"\r\n").ok_or(FormError("it ends without the closing boundary"))?;
        if !rest[..line_end].iter().all(|byte| matches!(byte, b' ' | b'\t')) {
            return Err(FormError("something follows a boundary on its line"));
        }
        rest = &rest[line_end..];
        let end = find(rest, &delimiter).ok_or(FormError("it ends without the closing boundary"))?;
        parts.push(part(&rest[..end])?);
        rest = &rest[end + delimiter.len()..];
    }
}

/// Reads one part, which begins with the line break after its boundary.
fn part(bytes: &[u8]) -> Result<Part<'_>, FormError> {
    let head_end = find(bytes, b"\r\n\r\n").ok_or(FormError("a part has no end of its headers"))?;
    let (head, data) = (&bytes[..head_end], &bytes[head_end + 4..]);
    let mut disposition = None;
    let mut content_type = None;
    for line in String::from_utf8_lossy(head).split("\r\n").filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(FormError("a part has a header line without a colon"))?;
        if name.eq_ignore_ascii_case("content-disposition") {
            disposition = Some(value.trim().to_owned());
        } else if name.eq_ignore_ascii_case("content-type") {
            content_type = Some(value.trim().to_owned());
        }
    }
    let disposition = disposition.ok_or(FormError("a part has no Content-Disposition header"))?;
    let mut parameters = Parameters(disposition.strip_prefix("form-data").ok_or(FormError("a part is no form-data"))?);
    let (mut name, mut filename) = (None, None);
    while let Some((key, value)) = parameters.next() {
        match key {
            "name" => name = Some(value),
            "filename" => filename = Some(value),
            _ => {}
        }
    }
    Ok(Part { name: name.ok_or(FormError("a part has no name"))?, filename, content_type, data })
}

/// `; key="value"` after `; key="value"`. In a quoted value `%22`, `%0D` and `%0A` stand for a quotation mark and line
/// breaks, as the HTML standard has browsers write them; a backslash is an ordinary character unless a quotation mark
/// follows.
struct Parameters<'a>(&'a str);

impl<'a> Parameters<'a> {
    fn next(&mut self) -> Option<(&'a str, String)> {
        let rest = self.0.trim_start().strip_prefix(';')?.trim_start();
        let (key, rest) = rest.split_once('=')?;
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let bytes = quoted.as_bytes();
                let end = (0..bytes.len()).find(|&i| bytes[i] == b'"' && (i == 0 || bytes[i - 1] != b'\\'))?;
                (quoted[..end].replace("\\\"", "\""), &quoted[end + 1..])
            }
            None => {
                let end = rest.find(';').unwrap_or(rest.len());
                (rest[..end].trim().to_owned(), &rest[end..])
            }
        };
        self.0 = rest;
        Some((key.trim(), value.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n")))
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (String, Option<String>, Option<String>, String);

    fn text(body: &str) -> Result<Vec<Row>, FormError> {
        Ok(parse(body.as_bytes(), "b")?
            .into_iter()
            .map(|p| (p.name, p.filename, p.content_type, String::from_utf8(p.data.to_vec()).unwrap()))
            .collect())
    }

    #[test]
    fn fields_and_files() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n2\r\n--b \r\n\
                    content-disposition: form-data; name=\"f\"; filename=\"x %22y%22; z.txt\"\r\nContent-Type: text/x\r\n\r\n\
                    --data\r\n--b--\r\n";
        let parts = text(body).unwrap();
        assert_eq!(parts[0], ("a".into(), None, None, "1\r\n2".into()));
        assert_eq!(parts[1], ("f".into(), Some("x \"y\"; z.txt".into()), Some("text/x".into()), "--data".into()));
        assert_eq!(text("--b--\r\n").unwrap(), []);
        assert_eq!(text("preamble\r\n--b--").unwrap(), []);
    }

    #[test]
    fn malformed_bodies_are_refused() {
        for body in [
            "",
            "--c--",
            "--b",
            "--b\r\n",
            "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nno end",
            "--b\r\nContent-Disposition: form-data\r\n\r\n\r\n--b--",
            "--b\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\n\r\n--b--",
            "--b\r\nX: y\r\n\r\n\r\n--b--",
            "--b\r\nno colon\r\n\r\n\r\n--b--",
        ] {
            assert!(text(body).is_err(), "{body:?}");
        }
    }
}
