//! `[acme]`: which certificate authority is asked for certificates, and for which hosts.

use std::path::PathBuf;

use atoll_protocol::certificates::ChallengeKind;
use http::Uri;
use serde::Deserialize;

/// `[acme]`. As long as it is there, each exact host name that an app has a route for gets a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcmeConfig {
    /// The authority's directory (RFC 8555 §7.1.1), `https:`.
    pub directory: String,
    /// Whom the authority writes to, such as `mailto:ops@example.com`. Default nobody.
    #[serde(default)]
    pub contact: Option<String>,
    /// That the operator agrees to the authority's terms of service. Without it nothing is asked for.
    #[serde(default)]
    pub terms_agreed: bool,
    /// Certificates, PEM, by which the authority's own server is known. Default those that the system trusts.
    #[serde(default)]
    pub roots: Option<PathBuf>,
    /// How the authority is to ask whether a host is ours: `"http-01"` at port 80, or `"tls-alpn-01"` at port 443.
    /// Default `"http-01"`.
    #[serde(default)]
    pub challenge: ChallengeKind,
    /// Hosts that certificates are asked for: exact names, and `*.example.com` for all names below one. Default all.
    #[serde(default)]
    pub hosts: Vec<String>,
}

/// What is wrong with `[acme]`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("acme.{key} {problem}")]
pub struct AcmeConfigError {
    key: &'static str,
    problem: String,
}

impl AcmeConfigError {
    pub(super) fn new(key: &'static str, problem: impl Into<String>) -> Self {
        Self { key, problem: problem.into() }
    }
}

impl AcmeConfig {
    /// Checks what types cannot say.
    pub fn validate(&self) -> Result<(), AcmeConfigError> {
        let directory: Option<Uri> = self.directory.parse().ok();
        if !directory.is_some_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some()) {
            let problem = format!(
                "is {:?}; it is the https: URL of a directory, such as https://acme-v02.api.letsencrypt.org/directory",
                self.directory
            );
            return Err(AcmeConfigError::new("directory", problem));
        }
        if !self.terms_agreed {
            let problem = "has to be true: no authority gives certificates to those who do not agree to its terms";
            return Err(AcmeConfigError::new("terms_agreed", problem));
        }
        if let Some(contact) = self.contact.as_ref().filter(|contact| !is_contact(contact)) {
            let problem = format!("is {contact:?}; it is an address such as \"mailto:ops@example.com\"");
            return Err(AcmeConfigError::new("contact", problem));
        }
        if let Some(host) = self.hosts.iter().find(|host| !is_pattern(host)) {
            let problem = format!("names {host:?}; hosts are written in lower case as example.com or *.example.com");
            return Err(AcmeConfigError::new("hosts", problem));
        }
        Ok(())
    }
}

fn is_contact(contact: &str) -> bool {
    contact.strip_prefix("mailto:").is_some_and(|address| {
        address.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.'))
            && address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
    })
}

fn is_pattern(host: &str) -> bool {
    let host = host.strip_prefix("*.").unwrap_or(host);
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    host.split('.').all(|label| !label.is_empty() && label.bytes().all(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_by_key() {
        let good = "directory = 'https://ca.example/dir'\nterms_agreed = true\n";
        let read = |rest: &str| toml::from_str::<AcmeConfig>(&format!("{good}{rest}"));
        assert_eq!(read("contact = 'mailto:a@b.example'\nhosts = ['*.b.example', 'c']").unwrap().validate(), Ok(()));
        assert_eq!(read("challenge = 'tls-alpn-01'").unwrap().challenge, ChallengeKind::TlsAlpn01);
        assert!(read("challenge = 'dns-01'").unwrap_err().to_string().contains("tls-alpn-01"));
        assert!(read("roofs = 'x'").unwrap_err().to_string().contains("roofs"));
        for (key, change) in [
            ("directory", AcmeConfig { directory: "http://ca.example".into(), ..read("").unwrap() }),
            ("directory", AcmeConfig { directory: "ca.example".into(), ..read("").unwrap() }),
            ("terms_agreed", AcmeConfig { terms_agreed: false, ..read("").unwrap() }),
            ("contact", AcmeConfig { contact: Some("ops@b.example".into()), ..read("").unwrap() }),
            ("hosts", AcmeConfig { hosts: vec!["https://b.example".into()], ..read("").unwrap() }),
            ("hosts", AcmeConfig { hosts: vec!["a.*.example".into()], ..read("").unwrap() }),
        ] {
            let error = change.validate().unwrap_err();
            assert!(error.to_string().contains(&format!("acme.{key}")), "{error}");
        }
    }
}
