//! Source maps (ECMA-426): looking a position up, and keeping a map right when parts of a line are replaced.

use std::ops::Range;

use deno_ast::swc::sourcemap::{SourceMap, SourceMapBuilder};

/// The byte offset in `source` that the map gives for the byte offset `at` in `code`.
pub fn original_offset(map: &str, code: &str, source: &str, at: usize) -> Option<usize> {
    let map = SourceMap::from_slice(map.as_bytes()).ok()?;
    let (line, column) = position(code, at);
    let token = map.lookup_token(line, column)?;
    offset(source, token.get_src_line(), token.get_src_col())
}

/// `code` with the parts `edits` (sorted, not overlapping) replaced, and `map` moved along. A replacement takes as many
/// lines as what it replaces, so only columns change.
pub fn apply(code: &str, map: Option<&str>, edits: &[(Range<usize>, String)]) -> (String, Option<String>) {
    let mut text = String::with_capacity(code.len());
    // For each edit: the line, the column where the old text ended, and by how much what follows on that line moves.
    let mut moves: Vec<(u32, u32, i64)> = Vec::new();
    let mut last = 0;
    for (range, replacement) in edits {
        text.push_str(&code[last..range.start]);
        text.push_str(replacement);
        let replaced = &code[range.clone()];
        text.extend(replaced.matches('\n'));
        let (line, column) = position(code, range.end);
        moves.push((line, column, utf16(replacement) - utf16(replaced)));
        last = range.end;
    }
    text.push_str(&code[last..]);
    let moved = map.map(|map| move_columns(map, &moves).unwrap_or_else(|| map.to_owned()));
    (text, moved)
}

fn move_columns(map: &str, moves: &[(u32, u32, i64)]) -> Option<String> {
    let map = SourceMap::from_slice(map.as_bytes()).ok()?;
    let mut builder = SourceMapBuilder::new(None);
    for (id, source) in map.sources().enumerate() {
        let id = u32::try_from(id).ok()?;
        let new = builder.add_source(source.clone());
        builder.set_source_contents(new, map.get_source_contents(id).cloned());
    }
    let mut pending = moves;
    let (mut line, mut shift) = (0, 0);
    for token in map.tokens() {
        if token.get_dst_line() != line {
            (line, shift) = (token.get_dst_line(), 0);
        }
        while let Some((first, rest)) = pending.split_first()
            && (first.0, first.1) <= token.get_dst()
        {
            if first.0 == line {
                shift += first.2;
            }
            pending = rest;
        }
        let mut raw = token.get_raw_token();
        raw.dst_col = u32::try_from((i64::from(raw.dst_col) + shift).max(0)).ok()?;
        let source = token.has_source().then_some(raw.src_id);
        builder.add_raw(raw.dst_line, raw.dst_col, raw.src_line, raw.src_col, source, None, false);
    }
    let mut out = Vec::new();
    builder.into_sourcemap().to_writer(&mut out).ok()?;
    String::from_utf8(out).ok()
}

/// Makes the paths in a map's `sources` what `rename` gives for them; drops `sourceRoot`.
pub fn rename_sources(map: &str, rename: impl Fn(&str) -> String) -> Option<String> {
    let mut map: serde_json::Value = serde_json::from_str(map).ok()?;
    let object = map.as_object_mut()?;
    object.remove("sourceRoot");
    for source in object.get_mut("sources")?.as_array_mut()? {
        if let Some(path) = source.as_str() {
            *source = rename(path).into();
        }
    }
    serde_json::to_string(&map).ok()
}

/// Line and column (UTF-16 code units), both from 0.
fn position(text: &str, at: usize) -> (u32, u32) {
    let before = &text.as_bytes()[..at];
    let line = before.iter().filter(|byte| **byte == b'\n').count();
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |found| found + 1);
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(utf16(&text[start..at])).unwrap_or(u32::MAX))
}

fn offset(text: &str, line: u32, column: u32) -> Option<usize> {
    let start: usize = text.split_inclusive('\n').take(line as usize).map(str::len).sum();
    let mut units = 0;
    for (at, character) in text.get(start..)?.char_indices() {
        if units >= column || character == '\n' {
            return Some(start + at);
        }
        units += u32::try_from(character.len_utf16()).unwrap_or(1);
    }
    Some(text.len())
}

fn utf16(text: &str) -> i64 {
    i64::try_from(text.encode_utf16().count()).unwrap_or(i64::MAX)
}
