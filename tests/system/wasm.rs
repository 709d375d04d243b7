//! WebAssembly out of compilers that nobody here wrote, deployed as projects that use it are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::project::{copy, repository};
use crate::support::{Project, Up, npm};

fn node_modules() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| npm::install_locked("tests/wasm"))
}

/// A copy of a project of `tests/wasm` with the package it uses.
fn project(name: &str, package: Option<&str>) -> Project {
    let project = Project::copy_of(&repository("tests/wasm").join(name));
    if let Some(package) = package {
        let target = project.path().join("node_modules").join(package);
        std::fs::create_dir_all(&target).unwrap();
        copy(&node_modules().join(package), &target);
    }
    project
}

#[test]
fn wasm_bindgen_output_runs() {
    let up = Up::start();
    up.deploy(project("resvg", Some("@resvg/resvg-wasm")).path());
    let svg = br##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 1"><rect width="2" height="1" fill="#f00"/></svg>"##;
    let image = up.post("resvg", "/", svg);
    assert_eq!((image.status, image.header("x-size")), (200, Some("16x8")), "{}", image.text());
    assert_eq!(image.body[..8], *b"\x89PNG\r\n\x1a\n");
    assert_eq!(image.body[16..24], [0, 0, 0, 16, 0, 0, 0, 8]);
    assert_eq!(up.post("resvg", "/", b"no image").status, 500);
    assert_eq!(up.post("resvg", "/", svg).status, 200);
}

#[test]
fn tinygo_output_runs() {
    let up = Up::start();
    up.deploy(project("gofmt", Some("@wasm-fmt/gofmt")).path());
    let source = b"package main\nimport \"fmt\"\nfunc  main( ) {\nfmt.Println( \"\xc3\xa9\" )}\n";
    let formatted = "package main\n\nimport \"fmt\"\n\nfunc main() {\n\tfmt.Println(\"é\")\n}\n";
    up.post("gofmt", "/", source).expect(200, formatted);
    up.post("gofmt", "/", formatted.as_bytes()).expect(200, formatted);
    let error = up.post("gofmt", "/", b"package main\nfunc {");
    assert_eq!(error.status, 400);
    assert!(error.text().contains("2:6: expected"), "{}", error.text());
}

#[test]
fn assemblyscript_output_runs() {
    let project = project("assemblyscript", None);
    let compiler = node_modules().join("assemblyscript/bin/asc.js");
    let mut asc = Command::new("node");
    asc.arg(compiler).args(["assembly/index.ts", "--outFile", "build/index.wasm", "--bindings", "raw", "-O"]);
    let status = asc.current_dir(project.path()).status().expect("node is needed for this test");
    assert!(status.success(), "asc failed");
    let up = Up::start();
    up.deploy(project.path());
    up.get("assemblyscript", "/count?text=b%20a%20B%20%C3%A9").expect(200, r#"[["a=1","b=1","é=1"],["4 words"]]"#);
    up.get("assemblyscript", "/primes?limit=10000").expect(200, "1229");
    let failed = up.get("assemblyscript", "/fail");
    assert!(failed.text().starts_with("as it should in assembly/index.ts"), "{}", failed.text());
}
