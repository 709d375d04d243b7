//! Positions in stacks, and source maps that nobody should have written.

use super::*;

/// The stack of what the worker throws, which imports another module, with this map of the entry.
async fn stack(map: &[u8]) -> String {
    let code = b"import './other.js';export default{fetch(){throw new Error('thrown')}}";
    let (isolate, _) = start_with(
        bundle(&[
            ("index.js", ModuleKind::EsModule, code),
            ("index.js.map", ModuleKind::SourceMap, map),
            ("other.js", ModuleKind::EsModule, b""),
        ]),
        patient(),
    );
    let Err(HandlerError::Exception { stack, .. }) = isolate.fetch(get("/")).await else { panic!("an exception") };
    stack
}

#[tokio::test]
async fn stacks_are_mapped_through_source_maps() {
    let code = b"export default{fetch(){throw new Error('mapped')}}";
    // One segment: generated 1:1 is line 3, column 5 of src/index.ts.
    let map = br#"{"version":3,"sources":["src/index.ts"],"sourcesContent":["a\nb\n    throw 1"],"names":[],"mappings":"AAEI"}"#;
    let (isolate, _) = start_with(
        bundle(&[("index.js", ModuleKind::EsModule, code), ("index.js.map", ModuleKind::SourceMap, map)]),
        patient(),
    );
    let Err(HandlerError::Exception { stack, .. }) = isolate.fetch(get("/")).await else { panic!("an exception") };
    assert!(stack.contains("src/index.ts:3:5"), "{stack}");
}

#[tokio::test]
async fn segments_without_a_source_change_nothing() {
    // The first segment names no source, as bundlers write for what they add; the second is line 3, column 5.
    let map =
        |mappings: &str| format!(r#"{{"version":3,"sources":["src/index.ts"],"names":[],"mappings":"{mappings}"}}"#);
    let mapped = stack(map("A,oBAEI").as_bytes()).await;
    assert!(mapped.contains("src/index.ts:3:5"), "{mapped}");
    let unmapped = stack(map("A").as_bytes()).await;
    assert!(unmapped.contains("file:///index.js:1:"), "{unmapped}");
}

#[tokio::test]
async fn what_cannot_be_linked_is_mapped_through_source_maps() {
    let code = b"import{nothing}from'./other.js';export default{fetch(){nothing()}}";
    let map = br#"{"version":3,"sources":["src/index.ts"],"names":[],"mappings":"AAEI"}"#;
    let (isolate, _) = start_with(
        bundle(&[
            ("index.js", ModuleKind::EsModule, code),
            ("index.js.map", ModuleKind::SourceMap, map),
            ("other.js", ModuleKind::EsModule, b""),
        ]),
        patient(),
    );
    let Err(HandlerError::Startup { message, stack }) = isolate.fetch(get("/")).await else { panic!("no start") };
    assert!(message.contains("nothing") && stack.contains("src/index.ts:3:5"), "{message} {stack}");
}

#[tokio::test]
async fn a_map_that_cannot_be_is_none() {
    // Lines before the first and after the last that a number can say, sources that are not there, other things.
    let lines = ["AADA", "AAggggggEA", "AA+/////DA,AACA", "ACAA", "AADAA,AAAA", "?", "AAAAAAAA"];
    let maps =
        lines.map(|mappings| format!(r#"{{"version":3,"sources":["a.ts"],"names":[],"mappings":"{mappings}"}}"#));
    for map in maps.iter().map(String::as_bytes).chain([&b""[..], b"[]", b"\xff", br#"{"version":3,"sections":[]}"#]) {
        let stack = stack(map).await;
        assert!(stack.contains("file:///index.js:1:"), "{stack} of {}", String::from_utf8_lossy(map));
    }
}
