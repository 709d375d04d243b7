//! Has the linker put functions that run together beside each other: in the order of `functions.order`, or of the file that
//! `ATOLL_FUNCTIONS_ORDER` names (`cargo xtask order` writes the one, `cargo xtask dist` the other).

use std::env;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=functions.order");
    println!("cargo:rerun-if-env-changed=ATOLL_FUNCTIONS_ORDER");
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("functions.order");
    let file = env::var_os("ATOLL_FUNCTIONS_ORDER").map_or(own, Into::into);
    // A name that is not there is passed over: Rust's symbols change with the versions of the compiler and of dependencies.
    if links_with_lld() && env::var("PROFILE").is_ok_and(|profile| profile == "release") && file.is_file() {
        println!("cargo:rustc-link-arg-bins=-Wl,--symbol-ordering-file={}", file.display());
        println!("cargo:rustc-link-arg-bins=-Wl,--no-warn-symbol-ordering");
    }
}

/// Whether the linker is the one that comes with the compiler, which knows these options. It is for this target, unless somebody
/// has chosen another.
fn links_with_lld() -> bool {
    let chosen = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    env::var("TARGET").is_ok_and(|target| target == "x86_64-unknown-linux-gnu")
        && env::var_os("RUSTC_LINKER").is_none()
        && !["linker", "fuse-ld"].iter().any(|option| chosen.contains(option))
}
