//! Project files: the first byte chooses format and environment, the rest is the text.
#![no_main]

use atoll_fuzz::project::{ProjectError, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, text)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let file = if first & 1 == 0 { "wrangler.toml" } else { "wrangler.jsonc" };
    let environment = (first & 2 != 0).then_some("staging");
    match parse(text, file, environment, "2026-01-01") {
        Ok(project) => {
            let config = project.config(None);
            let json = serde_json::to_vec(&config).expect("it is sent as JSON");
            assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok());
            assert!(!project.name.is_empty() && project.file == file);
        }
        Err(ProjectError::Syntax { error, .. }) => {
            assert!(error.line >= 1 && error.line <= text.lines().count() + 1, "line {} of {text:?}", error.line);
            assert!(error.column >= 1);
        }
        Err(error) => assert!(error.to_string().contains(file), "{error} names no file"),
    }
});
