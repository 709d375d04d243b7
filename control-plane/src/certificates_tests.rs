use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::*;

/// 2025-01-01, in the middle of what [`Made`] is valid.
const NOW: UnixMillis = 1_735_689_600_000;

struct Made {
    chain: String,
    root: String,
    key: String,
    root_key: String,
}

fn params(names: &[&str], years: (i32, i32)) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(years.0, 1, 1), rcgen::date_time_ymd(years.1, 1, 1));
    params
}

fn made(names: &[&str], years: (i32, i32)) -> Made {
    let root_key = KeyPair::generate().unwrap();
    let mut root = params(&[], (2020, 2040));
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name.push(DnType::CommonName, "Root");
    let root_der = root.self_signed(&root_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::from_params(&root, &root_key);
    let leaf = params(names, years).signed_by(&key, &issuer).unwrap();
    Made {
        chain: pem("CERTIFICATE", leaf.der()),
        root: pem("CERTIFICATE", root_der.der()),
        key: pem("PRIVATE KEY", &key.serialize_der()),
        root_key: pem("PRIVATE KEY", &root_key.serialize_der()),
    }
}

#[test]
fn a_good_certificate_tells_its_facts_and_loses_what_is_around_it() {
    let made = made(&["shop.example", "*.Shop.example"], (2024, 2026));
    let chain = format!("a comment\n{}{}", made.chain, made.root);
    let checked = check(&chain, &made.key, NOW).unwrap();
    assert_eq!(checked.facts.names, ["shop.example", "*.shop.example"]);
    assert_eq!(checked.facts.issuer, "CN=Root");
    assert_eq!((checked.facts.not_before, checked.facts.not_after), (1_704_067_200_000, 1_767_225_600_000));
    assert_eq!(checked.facts.fingerprint.len(), 64);
    assert_eq!(checked.chain, format!("{}{}", made.chain, made.root));
    assert_eq!(checked.key, made.key);
}

#[test]
fn what_is_wrong_is_named() {
    let good = made(&["shop.example"], (2024, 2026));
    let other = made(&["other.example"], (2024, 2026));
    let code = |chain: &str, key: &str, words: &str| {
        let error = check(chain, key, NOW).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        error.code()
    };
    let backwards = format!("{}{}", good.root, good.chain);
    let mixed = format!("{}{}{}", good.chain, other.chain, good.root);
    // Another root of the same name.
    let forged = format!("{}{}", good.chain, other.root);
    let encrypted = good.key.replace("PRIVATE", "ENCRYPTED PRIVATE");
    for (chain, key, wanted, words) in [
        ("", &good.key, "certificate-invalid", "no certificate"),
        (&good.chain, &String::new(), "certificate-key-invalid", "no private key"),
        (&good.chain, &encrypted, "certificate-key-invalid", "passphrase"),
        (&good.chain, &other.key, "certificate-key-invalid", "not the private key of the certificate for shop.example"),
        (&backwards, &good.key, "certificate-key-invalid", "certificate 2 of the chain"),
        (&mixed, &good.key, "certificate-invalid", "certificate 2"),
        (&forged, &good.key, "certificate-invalid", "certificate 2"),
        (&good.root, &good.root_key, "certificate-invalid", "no DNS name"),
        (&good.chain.repeat(11), &good.key, "certificate-invalid", "more than 10"),
        (&good.chain.repeat(200), &good.key, "certificate-invalid", "the limit is 65536"),
        (&good.chain.replace("MII", "MIX"), &good.key, "certificate-invalid", "certificate 1"),
    ] {
        assert_eq!(code(chain, key, words), wanted, "{words}");
    }
    for (years, words) in [((2020, 2024), "expired at 2024-01-01"), ((2030, 2031), "only from 2030-01-01")] {
        let made = made(&["shop.example"], years);
        assert_eq!(code(&made.chain, &made.key, words), "certificate-expired");
    }
}

#[test]
fn a_wildcard_covers_one_label() {
    for (name, host, covered) in [
        ("a.example", "a.example", true),
        ("a.example", "b.a.example", false),
        ("*.a.example", "b.a.example", true),
        ("*.a.example", "c.b.a.example", false),
        ("*.a.example", "a.example", false),
    ] {
        assert_eq!(covers(name, host), covered, "{name} {host}");
    }
}
