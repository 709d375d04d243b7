//! Makes snapshot S0: the web platform, evaluated. Scripts that S0 does not contain, because they are rarely used, are put
//! into the binary as text.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

use deno_core::snapshot::{CreateSnapshotOptions, create_snapshot};
use deno_core::{ExtensionFileSource, wrap_lazy_ext_script};

fn main() {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let all = extensions();
    let files = |select: fn(&deno_core::Extension) -> &[ExtensionFileSource]| -> Vec<(String, String)> {
        let load = |file: &ExtensionFileSource| {
            let source = file.load().expect("an extension's script is readable at build time");
            (file.specifier.to_owned(), source.as_str().to_owned())
        };
        // The engine finds them by binary search.
        all.iter().flat_map(select).map(load).collect::<BTreeMap<_, _>>().into_iter().collect()
    };
    let scripts = files(|extension| &extension.lazy_loaded_js_files);
    let modules = files(|extension| &extension.lazy_loaded_esm_files);

    atoll_web::set_snapshot_flags();
    let output = create_snapshot(
        CreateSnapshotOptions {
            cargo_manifest_dir: env!("CARGO_MANIFEST_DIR"),
            startup_snapshot: None,
            skip_op_registration: false,
            extensions: extensions(),
            extension_transpiler: None,
            with_runtime_cb: Some(Box::new(|runtime| {
                atoll_web::warm_up(runtime);
                runtime.execute_script("<s0>", "__atoll__.addNode()").expect("the global can be added to");
            })),
        },
        None,
    )
    .expect("the web platform's own scripts evaluate");
    std::fs::write(out.join("s0.bin"), &output.output).expect("OUT_DIR is writable");

    let consumed: HashSet<&str> = output.consumed_lazy_specifiers.iter().map(String::as_str).collect();
    let mut hasher = DefaultHasher::new();
    hasher.write(&output.output);
    let mut table = String::new();
    writeln!(table, "/// Stands for the bytes of S0.\npub(crate) const S0_TAG: u64 = {};", hasher.finish())
        .expect("writing to memory");
    write_table(&mut table, &out, "RESIDUAL_JS", &scripts, &consumed);
    write_table(&mut table, &out, "RESIDUAL_ESM", &modules, &consumed);
    std::fs::write(out.join("residual_sources.rs"), table).expect("OUT_DIR is writable");

    for file in &output.files_loaded_during_snapshot {
        println!("cargo:rerun-if-changed={}", file.display());
    }
    println!("cargo:rerun-if-changed=build.rs");
}

/// As every runtime that is restored has them.
fn extensions() -> Vec<deno_core::Extension> {
    let mut extensions = atoll_web::extensions();
    extensions.extend(atoll_node::extensions());
    extensions
}

fn write_table(table: &mut String, out: &Path, name: &str, sources: &[(String, String)], consumed: &HashSet<&str>) {
    writeln!(table, "/// Scripts by specifier that are not in S0.").expect("writing to memory");
    writeln!(table, "pub(crate) static {name}: &[(&str, &str)] = &[").expect("writing to memory");
    for (index, (specifier, source)) in sources.iter().enumerate() {
        if consumed.contains(specifier.as_str()) {
            continue;
        }
        let file = out.join(format!("{name}-{index}.js"));
        // In this form the engine takes it as it is, without a copy on the heap of the isolate; if it is ASCII.
        let wrapped =
            if name == "RESIDUAL_JS" && source.is_ascii() { wrap_lazy_ext_script(source) } else { source.clone() };
        std::fs::write(&file, wrapped).expect("OUT_DIR is writable");
        writeln!(table, "    ({specifier:?}, include_str!({file:?})),").expect("writing to memory");
    }
    writeln!(table, "];").expect("writing to memory");
}
