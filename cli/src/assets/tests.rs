//! Folders as projects have them.

use super::*;

fn project(folder: &Path, text: &str) -> Project {
    fs::write(folder.join("wrangler.toml"), format!("name = \"site\"\ncompatibility_date = \"2026-11-01\"\n{text}"))
        .unwrap();
    Project::load(folder, None, "2026-11-01").unwrap()
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (path, content) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn paths(collected: &Collected) -> Vec<String> {
    Manifest::decode(&collected.manifest).unwrap().files.into_keys().collect()
}

const PUBLIC: &str = "[assets]\ndirectory = \"public\"\n";

#[test]
fn a_folder_becomes_a_manifest() {
    let root = tempfile::tempdir().unwrap();
    write(
        root.path(),
        &[
            ("public/index.html", "home"),
            ("public/same.html", "home"),
            ("public/css/a.css", "a{}"),
            ("public/.well-known/x", "1"),
            ("public/src.map", "{}"),
            ("public/old/x.txt", "x"),
            ("public/.assetsignore", "*.map\nold/\n!_headers"),
            ("public/_headers", "/*\n  X-A: 1\n"),
            ("public/_redirects", "/a /b 301\n"),
        ],
    );
    let project = project(root.path(), PUBLIC);
    let mut known = Known::default();
    let collected = collect(&project, &mut known).unwrap().unwrap();
    assert_eq!(paths(&collected), ["/.well-known/x", "/css/a.css", "/index.html", "/same.html"]);
    assert_eq!((collected.count, collected.files.len(), collected.size), (4, 3, 8));
    assert!(collected.settings.without_worker);
    let manifest = Manifest::decode(&collected.manifest).unwrap();
    assert_eq!(manifest.files["/css/a.css"].kind.as_deref(), Some("text/css; charset=utf-8"));
    assert_eq!((manifest.headers.len(), manifest.redirects.len()), (1, 1));

    let again = collect(&project, &mut known).unwrap().unwrap();
    assert_eq!(again.settings, collected.settings, "the same folder has the same manifest");
    fs::write(root.path().join("public/index.html"), "other").unwrap();
    assert_ne!(collect(&project, &mut known).unwrap().unwrap().settings, collected.settings);
}

#[test]
fn what_the_project_is_made_of_is_not_served() {
    let root = tempfile::tempdir().unwrap();
    write(
        root.path(),
        &[
            ("index.html", "1"),
            (".dev.vars", "KEY=1"),
            (".env.local", "K=1"),
            ("node_modules/a/index.js", "1"),
            (".git/x", "1"),
        ],
    );
    let project = project(root.path(), "[assets]\ndirectory = \".\"\n");
    assert_eq!(paths(&collect(&project, &mut Known::default()).unwrap().unwrap()), ["/index.html"]);
}

#[test]
fn what_is_wrong_is_named() {
    let root = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    write(root.path(), &[("node_modules/p/index.html", "1"), ("file", "1"), ("public/a.txt", "1")]);
    let fails = |text: &str| collect(&project(root.path(), text), &mut Known::default()).unwrap_err();
    let directory = |name: &str| fails(&format!("[assets]\ndirectory = {name:?}\n"));
    for (name, word) in [
        ("dist", "no such folder"),
        ("file", "not a folder"),
        ("..", "outside"),
        ("node_modules/p", "node_modules"),
        (outside.path().to_str().unwrap(), "outside"),
    ] {
        let error = directory(name);
        assert_eq!(error.code(), "assets-directory");
        assert!(error.to_string().contains(word) && error.to_string().contains("wrangler.toml"), "{error}");
    }
    let with = |path: &str, content: &str, code: &str, words: &[&str]| {
        write(root.path(), &[(path, content)]);
        let error = fails(PUBLIC);
        assert_eq!(error.code(), code, "{error}");
        for word in words {
            assert!(error.to_string().contains(word), "{error}");
        }
        fs::remove_file(root.path().join(path)).unwrap();
    };
    with("public/_headers", "/*\n  X-A: 1\n  nonsense\n", "assets-rules", &["public/_headers", "line 3", "nonsense"]);
    with("public/_redirects", "\n/a /b 999\n", "assets-rules", &["public/_redirects", "line 2", "999"]);
    with("public/_worker.js", "export default {}", "assets-file", &["public/_worker.js", ".assetsignore", "main"]);
    let large = fs::File::create(root.path().join("public/large.bin")).unwrap();
    large.set_len(MAX_FILE + 1).unwrap();
    let error = fails(PUBLIC);
    assert!(error.code() == "assets-limit" && error.to_string().contains("public/large.bin has 25.0 MiB"), "{error}");
    fs::remove_file(root.path().join("public/large.bin")).unwrap();
    std::os::unix::fs::symlink(outside.path(), root.path().join("public/link")).unwrap();
    assert!(fails(PUBLIC).to_string().contains("out of the project"));
    fs::remove_file(root.path().join("public/link")).unwrap();
    std::os::unix::fs::symlink(root.path().join("public"), root.path().join("public/link")).unwrap();
    assert!(fails(PUBLIC).to_string().contains("a folder that it is in"));
}

#[test]
fn the_folder_of_a_build_may_be_anywhere_in_the_project() {
    let root = tempfile::tempdir().unwrap();
    let config = r#"{"name": "built", "compatibility_date": "2026-11-01", "assets": {"directory": "../client"}}"#;
    write(
        root.path(),
        &[
            ("wrangler.toml", "name = \"source\"\n"),
            (".wrangler/deploy/config.json", r#"{"configPath": "../../build/server/wrangler.json"}"#),
            ("build/server/wrangler.json", config),
            ("build/client/app.js", "1"),
        ],
    );
    let built = Project::load(root.path(), None, "2026-11-01").unwrap();
    assert_eq!(paths(&collect(&built, &mut Known::default()).unwrap().unwrap()), ["/app.js"]);
    let alone = Project::load(&root.path().join("build/server/wrangler.json"), None, "2026-11-01").unwrap();
    assert!(collect(&alone, &mut Known::default()).unwrap_err().to_string().contains("outside of the project"));
}
