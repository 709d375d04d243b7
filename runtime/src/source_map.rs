//! Makes a bundle's source maps (ECMA-426) fit for the engine, which reads one when an error's stack is asked for, and
//! when a module imports another that is loaded with it, but not while a worker starts.
//!
//! Who writes a bundle writes its maps. Segments that name no source are left out, because the engine's reader gives them
//! the largest possible line and counts on from there; a map with positions that cannot be is no map. Contents of sources
//! and names are left out too: only positions are looked up, and the contents are most of a map.

use std::borrow::Cow;

use deno_core::error::{CoreError, CoreErrorKind};
use deno_core::{SourceMapApplication, SourceMapper};
use serde::{Deserialize, Serialize};

/// Positions above this cannot be.
const LARGEST: i64 = i32::MAX as i64;

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Map<'a> {
    version: u32,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    source_root: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sources: Vec<Option<Cow<'a, str>>>,
    #[serde(skip_deserializing)]
    names: [(); 0],
    #[serde(borrow)]
    mappings: Cow<'a, str>,
}

/// The map as the engine may read it. `None` for one that is not a map, or an index of others.
pub(crate) fn fit(map: &[u8]) -> Option<Vec<u8>> {
    let mut map: Map<'_> = serde_json::from_slice(map).ok()?;
    map.mappings = Cow::Owned(with_sources(&map.mappings, map.sources.len())?);
    serde_json::to_vec(&map).ok()
}

/// Maps the positions of an error that came while source maps were withheld.
pub(crate) fn map_positions(error: &mut CoreError, mapper: &mut SourceMapper) {
    let CoreErrorKind::Js(js) = &mut *error.0 else { return };
    for frame in &mut js.frames {
        let (Some(file), Some(line), Some(column)) = (&frame.file_name, frame.line_number, frame.column_number) else {
            continue;
        };
        let (Ok(line @ 1..), Ok(column @ 1..)) = (u32::try_from(line), u32::try_from(column)) else { continue };
        match mapper.apply_source_map(file, line, column) {
            SourceMapApplication::Unchanged => {}
            SourceMapApplication::LineAndColumn { line_number, column_number } => {
                (frame.line_number, frame.column_number) = (Some(line_number.into()), Some(column_number.into()));
            }
            SourceMapApplication::LineAndColumnAndFileName { file_name, line_number, column_number } => {
                frame.file_name = Some(file_name);
                (frame.line_number, frame.column_number) = (Some(line_number.into()), Some(column_number.into()));
            }
        }
    }
}

/// The mappings without names, and without segments that name no source.
fn with_sources(mappings: &str, sources: usize) -> Option<String> {
    let mut out = String::with_capacity(mappings.len());
    // Column, source, line and column in the source: what the numbers of a segment are counted from.
    let (mut read, mut written) = ([0i64; 4], [0i64; 4]);
    for (index, line) in mappings.split(';').enumerate() {
        if index > 0 {
            out.push(';');
        }
        (read[0], written[0]) = (0, 0);
        let mut first = true;
        for segment in line.split(',').filter(|segment| !segment.is_empty()) {
            let (steps, count) = decode(segment)?;
            for (position, step) in read.iter_mut().zip(&steps[..count.min(4)]) {
                *position += step;
                if !(0..=LARGEST).contains(position) {
                    return None;
                }
            }
            if count == 1 {
                continue;
            }
            if usize::try_from(read[1]).ok()? >= sources {
                return None;
            }
            if !first {
                out.push(',');
            }
            first = false;
            for (position, last) in read.iter().zip(&written) {
                encode(position - last, &mut out);
            }
            written = read;
        }
    }
    Some(out)
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The one, four or five numbers of a segment.
fn decode(segment: &str) -> Option<([i64; 5], usize)> {
    let mut numbers = [0; 5];
    let (mut count, mut value, mut shift) = (0, 0i64, 0);
    for byte in segment.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        // A number has 32 bits, the lowest of them its sign.
        if shift > 30 {
            return None;
        }
        value |= i64::from(digit & 31) << shift;
        shift += 5;
        if digit & 32 == 0 {
            *numbers.get_mut(count)? = if value & 1 == 0 { value >> 1 } else { -(value >> 1) };
            (count, value, shift) = (count + 1, 0, 0);
        }
    }
    (shift == 0 && matches!(count, 1 | 4 | 5)).then_some((numbers, count))
}

fn encode(number: i64, out: &mut String) {
    let mut rest = number.unsigned_abs() << 1 | u64::from(number < 0);
    loop {
        let digit = rest & 31;
        rest >>= 5;
        let digit = if rest == 0 { digit } else { digit | 32 };
        out.push(char::from(DIGITS[digit as usize]));
        if rest == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{fit, with_sources};

    #[test]
    fn keeps_what_names_a_source() {
        assert_eq!(with_sources("AAAA,IAAI;;ACAAA,KDCH,gnB", 2).as_deref(), Some("AAAA,IAAI;;ACAA,KDCH"));
        assert_eq!(with_sources("A,CAAA,C,CAAC;A", 1).as_deref(), Some("CAAA,EAAC;"));
        assert_eq!(with_sources("", 0).as_deref(), Some(""));
        // The lowest and the highest line that can be.
        assert_eq!(with_sources("AA+/////DA", 1).as_deref(), Some("AA+/////DA"));
    }

    #[test]
    fn refuses_what_cannot_be() {
        for mappings in ["AADA", "D", "AAggggggEA", "AACA,AAD", "AA", "AAAAAA", "AAA*", "AAAg", "gggggggggggggC"] {
            assert_eq!(with_sources(mappings, 1), None, "{mappings}");
        }
        assert_eq!(with_sources("AAAA", 0), None);
    }

    #[test]
    fn a_map_is_smaller() {
        let map = br#"{"version":3,"file":"x","sourceRoot":"/r","sources":["a\u0062",null],
            "sourcesContent":["long"],"names":["n"],"mappings":"AAAAA,C","x_other":{}}"#;
        let fit = String::from_utf8(fit(map).unwrap()).unwrap();
        assert_eq!(fit, r#"{"version":3,"sourceRoot":"/r","sources":["ab",null],"names":[],"mappings":"AAAA"}"#);
    }

    #[test]
    fn what_is_no_map_is_none() {
        for map in ["", "{}", "null", r#"{"version":3,"sections":[]}"#, r#"{"version":3,"sources":[],"mappings":"?"}"#]
        {
            assert_eq!(fit(map.as_bytes()), None, "{map}");
        }
    }
}
