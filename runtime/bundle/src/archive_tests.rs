//! The archive format: what is packed comes back, and nothing else is accepted.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use crate::{Bundle, BundleError, BundleHash, BundleLimits, Module, ModuleKind};

fn module(name: &str, kind: ModuleKind, content: &[u8]) -> Module {
    Module { name: name.into(), kind, content: Bytes::copy_from_slice(content) }
}

fn bundle(modules: Vec<Module>) -> Bundle {
    Bundle {
        main: "index.js".into(),
        compatibility_date: "2026-11-01".into(),
        compatibility_flags: vec!["nodejs_compat".into()],
        modules,
    }
}

fn hello() -> Bundle {
    bundle(vec![
        module("data.bin", ModuleKind::Data, &[0xff, 0]),
        module("index.js", ModuleKind::EsModule, b"export {}"),
    ])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn refused(bundle: &Bundle) -> &'static str {
    let (archive, _) = bundle.pack();
    Bundle::unpack(&archive, None, &BundleLimits::default()).unwrap_err().code()
}

#[test]
fn a_bundle_comes_back_as_it_was() {
    let (archive, hash) = hello().pack();
    let (back, same) = Bundle::unpack(&archive, Some(hash), &BundleLimits::default()).unwrap();
    assert_eq!(back, hello());
    assert_eq!(same, hash);
    assert_eq!(hash.to_string().parse::<BundleHash>().unwrap(), hash);
    assert_eq!(back.module("data.bin").unwrap().content.as_ref(), [0xff, 0]);
}

#[test]
fn another_hash_is_refused_and_both_are_named() {
    let (archive, hash) = hello().pack();
    let wrong = BundleHash::of(b"something else");
    let error = Bundle::unpack(&archive, Some(wrong), &BundleLimits::default()).unwrap_err();
    assert_eq!(error.code(), "bundle-hash-mismatch");
    assert!(error.to_string().contains(&wrong.to_string()) && error.to_string().contains(&hash.to_string()), "{error}");
}

#[test]
fn a_decompression_bomb_stops_at_the_limit() {
    let limits = BundleLimits { uncompressed: 1 << 20, ..BundleLimits::default() };
    let error = Bundle::unpack(&gzip(&vec![0; 8 << 20]), None, &limits).unwrap_err();
    assert!(matches!(error, BundleError::TooLarge { size, limit, .. } if size == limit + 1), "{error}");
}

#[test]
fn names_kinds_and_sizes_are_checked() {
    let entry = || module("index.js", ModuleKind::EsModule, b"");
    for name in ["../a", "/a", "a//b", "a/./b", "", "a\\b", "a\nb"] {
        let mut modules = vec![module(name, ModuleKind::Text, b""), entry()];
        modules.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(refused(&bundle(modules)), "bundle-module-invalid", "{name:?}");
    }
    assert_eq!(refused(&bundle(vec![entry(), entry()])), "bundle-module-invalid");
    assert_eq!(refused(&bundle(vec![entry(), module("a.txt", ModuleKind::Text, b"")])), "bundle-module-invalid");
    assert_eq!(refused(&bundle(vec![module("index.js", ModuleKind::EsModule, &[0xff])])), "bundle-module-invalid");
    assert_eq!(refused(&bundle(vec![module("index.js", ModuleKind::Text, b"")])), "bundle-module-invalid");
    assert_eq!(refused(&bundle(vec![])), "bundle-module-invalid");

    let limits = BundleLimits { module: 3, ..BundleLimits::default() };
    let large = bundle(vec![module("index.js", ModuleKind::EsModule, b"1234")]);
    assert!(matches!(large.validate(&limits), Err(BundleError::TooLarge { size: 4, limit: 3, .. })));
    let limits = BundleLimits { modules: 1, ..BundleLimits::default() };
    assert!(matches!(hello().validate(&limits), Err(BundleError::TooManyModules { count: 2, limit: 1 })));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), wrap in any::<bool>()) {
        let archive = if wrap { gzip(&bytes) } else { bytes };
        prop_assert!(Bundle::unpack(&archive, None, &BundleLimits::default()).is_err());
    }

    #[test]
    fn a_damaged_archive_is_never_taken_for_the_original(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let original = hello();
        let hash = BundleHash::of(&original.encode());
        let mut canonical = original.encode();
        let at = at.index(canonical.len());
        canonical[at] ^= flip;
        prop_assert!(Bundle::unpack(&gzip(&canonical), Some(hash), &BundleLimits::default()).is_err());
        if let Ok((other, _)) = Bundle::unpack(&gzip(&canonical), None, &BundleLimits::default()) {
            prop_assert_ne!(other, original);
        }
    }
}
