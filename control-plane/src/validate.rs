//! What may be in a request: names, route patterns, weights, limits, variables. Pure.

use std::collections::HashSet;

use atoll_protocol::api::{CronClaims, NodeReport, PurgeRequest, Target};
use atoll_protocol::config::{
    AssetSettings, CacheSettings, LimitOverrides, ProxySettings, QuerySettings, VersionConfig,
};
use atoll_protocol::sync::PurgeScope;
use http::{HeaderName, Uri};

use crate::error::ApiError;
use crate::urls;

/// The most services a version may have.
const MAX_SERVICES: usize = 64;
/// The most cron expressions of a version, and the most bytes of each.
const MAX_CRONS: usize = 32;
const MAX_CRON: usize = 128;
/// The most due times that a node can ask for at once.
const MAX_CLAIMS: usize = 1000;
/// The most routes of an app.
const MAX_ROUTES: usize = 1000;
/// The most bytes of a variable's or secret's value.
pub(crate) const MAX_VALUE: usize = 64 << 10;
/// The most bytes of a version's message and of a token's name.
const MAX_NOTE: usize = 1024;

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// An app's name is a DNS label (RFC 1123 §2.1), because it becomes part of a host name.
pub(crate) fn app_name(name: &str) -> Result<(), ApiError> {
    if is_label(name) {
        return Ok(());
    }
    let message = format!(
        "{} is no app name; it is 1 to 63 of a-z, 0-9 and -, and starts and ends with a letter or digit",
        quoted(name)
    );
    Err(ApiError::bad_request("app-name-invalid", message))
}

/// A node's name.
pub(crate) fn node_name(name: &str) -> Result<(), ApiError> {
    if (1..=63).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return Ok(());
    }
    let message = format!("{} is no node name; it is 1 to 63 letters, digits, -, _ and .", quoted(name));
    Err(ApiError::bad_request("node-name-invalid", message))
}

/// The name of an uploaded certificate.
pub(crate) fn certificate_name(name: &str) -> Result<(), ApiError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    let message =
        format!("{} is no name of a certificate to upload; it is 1 to 64 of a-z, 0-9, -, _ and .", quoted(name));
    Err(ApiError::bad_request("certificate-name-invalid", message))
}

/// The name of a variable or secret in `env`.
pub(crate) fn binding_name(name: &str) -> Result<(), ApiError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.$".contains(&byte);
    if (1..=128).contains(&name.len()) && name.bytes().all(allowed) && name != "__proto__" {
        return Ok(());
    }
    let message = format!(
        "{} cannot be the name of a variable or secret; it is 1 to 128 letters, digits, _, -, . and $",
        quoted(name)
    );
    Err(ApiError::unprocessable("binding-name-invalid", message))
}

/// Route patterns in the form in which they are stored and compared: hosts in lower case.
pub(crate) fn routes(patterns: &[String]) -> Result<Vec<String>, ApiError> {
    if patterns.len() > MAX_ROUTES {
        let message = format!("there are {} routes; the limit is {MAX_ROUTES}", patterns.len());
        return Err(ApiError::unprocessable("too-many-routes", message));
    }
    let canonical = |pattern: &String| {
        route(pattern).map_err(|problem| {
            let message = format!(
                "route {} is not valid: {problem}; routes look like example.com/api/*, *.example.com/* or example.com",
                quoted(pattern)
            );
            ApiError::unprocessable("route-invalid", message)
        })
    };
    patterns.iter().map(canonical).collect()
}

/// The most tags and prefixes of one purge.
const MAX_SCOPES: usize = 100;
/// The most bytes of a tag or prefix.
const MAX_SCOPE: usize = 1024;

/// What a purge covers.
pub(crate) fn purge(request: PurgeRequest) -> Result<Vec<PurgeScope>, ApiError> {
    let wrong = |message: String| Err(ApiError::unprocessable("purge-invalid", message));
    let count = request.tags.len() + request.prefixes.len();
    if request.everything == (count > 0) {
        return wrong("a purge is of everything, or names tags or prefixes".into());
    }
    if count > MAX_SCOPES {
        return wrong(format!("there are {count} tags and prefixes; one purge takes at most {MAX_SCOPES}"));
    }
    if request.everything {
        return Ok(vec![PurgeScope::Everything]);
    }
    let visible = |text: &str| (1..=MAX_SCOPE).contains(&text.len()) && !text.chars().any(char::is_control);
    let mut scopes = Vec::with_capacity(count);
    for tag in request.tags {
        if !visible(&tag) || tag.contains(',') || tag.trim() != tag {
            let message = "it is 1 to 1,024 bytes without commas, control characters and space around it";
            return wrong(format!("{} is no cache tag: {message}", quoted(&tag)));
        }
        scopes.push(PurgeScope::Tag(tag));
    }
    for prefix in request.prefixes {
        let (host, path) = prefix.find('/').map_or((prefix.as_str(), ""), |slash| prefix.split_at(slash));
        if !visible(&prefix) || host.is_empty() || prefix.contains("://") || path.contains(['?', '#']) {
            let message = "it is a host and the beginning of a path, such as shop.example/images/, without a scheme";
            return wrong(format!("{} is no prefix: {message}", quoted(&prefix)));
        }
        scopes.push(PurgeScope::Prefix(format!("{}{path}", host.to_ascii_lowercase())));
    }
    Ok(scopes)
}

/// What an app says of the cache in front of it.
fn cache(settings: &CacheSettings) -> Result<(), ApiError> {
    let wrong = |message: String| Err(ApiError::unprocessable("cache-settings-invalid", message));
    let query = match &settings.key.query {
        QuerySettings::All | QuerySettings::None => 0,
        QuerySettings::Only(names) | QuerySettings::Except(names) => names.len(),
    };
    let most = [settings.rules.len(), query, settings.key.headers.len(), settings.key.cookies.len()];
    if most.iter().any(|count| *count > MAX_SCOPES) {
        return wrong(format!("the cache's settings have a list of more than {MAX_SCOPES} entries"));
    }
    for rule in &settings.rules {
        let path = rule.path.strip_suffix('*').unwrap_or(&rule.path);
        if !path.starts_with('/') || path.contains(['*', '?', '#']) || rule.path.len() > MAX_SCOPE {
            let message = "it is a path such as /about, or the beginning of paths such as /api/*";
            return wrong(format!("{} is no path of a cache rule: {message}", quoted(&rule.path)));
        }
    }
    if let Some(name) = settings.key.headers.iter().find(|name| HeaderName::from_bytes(name.as_bytes()).is_err()) {
        return wrong(format!("{} in the cache's key is no name of a header", quoted(name)));
    }
    Ok(())
}

/// What a version says of its static files.
fn assets(settings: &AssetSettings, config: &VersionConfig) -> Result<(), ApiError> {
    let wrong = |message: String| Err(ApiError::unprocessable("assets-invalid", message));
    if let Some(name) = &settings.binding {
        binding_name(name)?;
        if config.vars.contains_key(name) || config.services.contains_key(name) {
            return wrong(format!("{} is the binding of the static files and a variable or service too", quoted(name)));
        }
    }
    if settings.without_worker && (settings.binding.is_some() || !settings.run_worker_first.is_empty()) {
        return wrong("without code, the static files can have no binding and no run_worker_first".into());
    }
    match atoll_assets::Globs::parse(&settings.run_worker_first) {
        Ok(_) => Ok(()),
        Err(problem) => wrong(problem),
    }
}

/// The rules of `wrangler.toml`'s route patterns.
fn route(pattern: &str) -> Result<String, &'static str> {
    if pattern.len() > 1024 {
        return Err("it is longer than 1,024 bytes");
    }
    if pattern.contains("://") {
        return Err("it starts with a scheme, but routes match every scheme");
    }
    if pattern.contains(['?', '#']) {
        return Err("it has a query or fragment, but routes match hosts and paths only");
    }
    let (host, path) = pattern.find('/').map_or((pattern, ""), |slash| pattern.split_at(slash));
    if path.strip_suffix('*').unwrap_or(path).contains('*') {
        return Err("in a path, * can stand only at the end");
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the path has spaces, control characters or characters outside ASCII; percent-encode them");
    }
    let domain = host.strip_prefix("*.").or_else(|| host.strip_prefix('*')).unwrap_or(host);
    let any = host == "*";
    if domain.contains('*') {
        return Err("in a host, * can stand only at the start");
    }
    if domain.contains(':') {
        return Err("the host has a port, but routes match every port");
    }
    let domain = domain.to_ascii_lowercase();
    // Host names in use have underscores, whatever the standards say.
    let label = |label: &str| is_label(&label.replace('_', "x"));
    if !any && (domain.len() > 253 || !domain.split('.').all(label)) {
        return Err("the host is no host name");
    }
    let wildcard = &host[..host.len() - domain.len()];
    Ok(format!("{wildcard}{domain}{path}"))
}

/// One or two different versions, with weights that add up to 100.
pub(crate) fn targets(targets: &[Target]) -> Result<(), ApiError> {
    let wrong = |message: String| Err(ApiError::unprocessable("targets-invalid", message));
    if !(1..=2).contains(&targets.len()) {
        return wrong(format!("a deployment has one or two targets, not {}", targets.len()));
    }
    if targets.len() == 2 && targets[0].version == targets[1].version {
        return wrong(format!("version {} is there twice; name it once", targets[0].version));
    }
    if let Some(target) = targets.iter().find(|target| !(1..=100).contains(&target.weight)) {
        return wrong(format!("version {} has weight {}; weights are 1 to 100", target.version, target.weight));
    }
    let sum = targets.iter().map(|target| u32::from(target.weight)).sum::<u32>();
    if sum != 100 {
        return wrong(format!("the weights add up to {sum}; they must add up to 100"));
    }
    Ok(())
}

/// A version's settings and message.
pub(crate) fn version(config: &VersionConfig, message: Option<&str>) -> Result<(), ApiError> {
    for (name, value) in &config.vars {
        binding_name(name)?;
        let size = value.to_string().len();
        if size > MAX_VALUE {
            let message = format!("variable {name:?} has {size} bytes; the limit is {MAX_VALUE}");
            return Err(ApiError::unprocessable("variable-too-large", message));
        }
    }
    limits(&config.limits)?;
    services(config)?;
    crons(&config.crons)?;
    cache(&config.cache)?;
    if let Some(settings) = &config.assets {
        assets(settings, config)?;
    }
    if let Some(origin) = &config.origin
        && !is_origin(origin)
    {
        let message = format!("origin {} is not of the form http(s)://host[:port]", quoted(origin));
        return Err(ApiError::unprocessable("origin-invalid", message));
    }
    if let Some(proxy) = &config.proxy {
        self::proxy(proxy)?;
    }
    note("message", message.unwrap_or_default())
}

/// What a version calls other apps by. That they exist is for the caller to see.
fn services(config: &VersionConfig) -> Result<(), ApiError> {
    let wrong = |message: String| Err(ApiError::unprocessable("service-invalid", message));
    if config.services.len() > MAX_SERVICES {
        return wrong(format!("there are {} services; the limit is {MAX_SERVICES}", config.services.len()));
    }
    for (name, binding) in &config.services {
        binding_name(name)?;
        if config.vars.contains_key(name) {
            return wrong(format!("{name} is both a variable and a service; give one of them another name"));
        }
        if !is_label(&binding.service) {
            return wrong(format!("the service {name} is bound to {}, which is no app name", quoted(&binding.service)));
        }
        if !(1..=128).contains(&binding.entrypoint().len()) {
            return wrong(format!("the entrypoint of the service {name} has a name of 1 to 128 bytes"));
        }
    }
    Ok(())
}

fn crons(crons: &[String]) -> Result<(), ApiError> {
    let wrong = |message: String| Err(ApiError::unprocessable("cron-invalid", message));
    if crons.len() > MAX_CRONS {
        return wrong(format!("there are {} cron expressions; the limit is {MAX_CRONS}", crons.len()));
    }
    let mut seen = HashSet::new();
    for cron in crons {
        if cron.len() > MAX_CRON {
            return wrong(format!("a cron expression has {} bytes; the limit is {MAX_CRON}", cron.len()));
        }
        if let Err(error) = atoll_protocol::cron::parse(cron) {
            return wrong(format!("{} is no cron expression: {error}", quoted(cron)));
        }
        if !seen.insert(cron) {
            return wrong(format!("the cron expression {} is there twice; name it once", quoted(cron)));
        }
    }
    Ok(())
}

fn proxy(settings: &ProxySettings) -> Result<(), ApiError> {
    let wrong = |message| Err(ApiError::unprocessable("origin-invalid", message));
    if !is_origin(&settings.url) {
        return wrong(format!("the app's origin {} is not of the form http(s)://host[:port]", quoted(&settings.url)));
    }
    let times = [("answer_timeout_ms", settings.answer_timeout_ms), ("idle_timeout_ms", settings.idle_timeout_ms)];
    for (name, value) in times {
        if let Some(value) = value.filter(|value| !(1..=3_600_000).contains(value)) {
            return wrong(format!("the app's origin has {name} {value}; it can be 1 to 3600000"));
        }
    }
    Ok(())
}

/// A text that people write for people.
pub(crate) fn note(what: &str, text: &str) -> Result<(), ApiError> {
    if text.len() <= MAX_NOTE {
        return Ok(());
    }
    let message = format!("the {what} has {} bytes; the limit is {MAX_NOTE}", text.len());
    Err(ApiError::unprocessable("text-too-long", message))
}

fn is_origin(origin: &str) -> bool {
    origin.parse::<Uri>().is_ok_and(|uri| {
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && !authority.contains('@')
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none()
    })
}

/// The widest values that make sense anywhere; a node's own ceilings are narrower.
fn limits(limits: &LimitOverrides) -> Result<(), ApiError> {
    let ranges = [
        ("cpu_ms", limits.cpu_ms, 1, 300_000),
        ("startup_cpu_ms", limits.startup_cpu_ms, 1, 300_000),
        ("wall_ms", limits.wall_ms, 1, 3_600_000),
        ("memory_mb", limits.memory_mb, 1, 4096),
        ("subrequests", limits.subrequests.map(u64::from), 0, 100_000),
        ("request_body_bytes", limits.request_body_bytes, 0, 1 << 40),
        ("concurrency", limits.concurrency.map(u64::from), 1, 1_000_000),
    ];
    for (name, value, least, most) in ranges {
        if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
            let message = format!("limit {name} is {value}; it can be {least} to {most}");
            return Err(ApiError::unprocessable("limit-invalid", message));
        }
    }
    Ok(())
}

/// What a node would run.
pub(crate) fn cron_claims(request: &CronClaims) -> Result<(), ApiError> {
    let wrong = |message: String| Err(ApiError::unprocessable("cron-claim-invalid", message));
    if request.claims.len() > MAX_CLAIMS {
        return wrong(format!("there are {} claims; the limit is {MAX_CLAIMS}", request.claims.len()));
    }
    if !(1..=64).contains(&request.holder.len()) {
        return wrong(format!("the holder has {} bytes; it has 1 to 64", request.holder.len()));
    }
    match request.claims.iter().find(|claim| !is_label(&claim.app) || claim.cron.len() > MAX_CRON) {
        Some(claim) => wrong(format!("{} of {} is no cron of an app", quoted(&claim.cron), quoted(&claim.app))),
        None => Ok(()),
    }
}

/// What a node reports of itself.
pub(crate) fn report(report: &NodeReport) -> Result<(), ApiError> {
    let wrong = |message| Err(ApiError::unprocessable("report-invalid", message));
    if urls::parts(&report.edge_url).is_none() {
        return wrong(format!("edge_url {} is not of the form http(s)://host[:port]", quoted(&report.edge_url)));
    }
    if !report.default_domain.split('.').all(is_label) {
        return wrong(format!("default_domain {} is no domain in lower case", quoted(&report.default_domain)));
    }
    let mut names = HashSet::new();
    if report.failures.keys().all(|app| names.insert(app) && is_label(app)) {
        return Ok(());
    }
    wrong("failures names something that is no app".to_owned())
}

/// A text of the request for an error message, cut to a readable length.
fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(120).collect();
    let cut = if shown.len() < text.len() { "…" } else { "" };
    format!("\"{}{cut}\"", shown.escape_debug())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn app_names_are_dns_labels() {
        for name in ["a", "my-app", "0", &"a".repeat(63)] {
            assert!(app_name(name).is_ok(), "{name}");
        }
        for name in ["", "-a", "a-", "App", "a_b", "a.b", "ä", &"a".repeat(64)] {
            let error = app_name(name).unwrap_err();
            assert!(error.code == "app-name-invalid" && error.message.contains(name), "{name}");
        }
    }

    #[test]
    fn routes_are_hosts_with_paths() {
        for (pattern, stored) in [
            ("example.com", "example.com"),
            ("Example.COM/Api/*", "example.com/Api/*"),
            ("*.example.com/*", "*.example.com/*"),
            ("*example.com/", "*example.com/"),
            ("*/x", "*/x"),
            ("a_b.example.com/%20*", "a_b.example.com/%20*"),
        ] {
            assert_eq!(routes(&[pattern.to_owned()]).unwrap(), [stored]);
        }
        for (pattern, rule) in [
            ("", "host"),
            ("/x", "host"),
            ("https://example.com/*", "scheme"),
            ("example.com:8080/", "port"),
            ("a.*.example.com/", "start"),
            ("*.*.example.com/", "start"),
            ("*.", "host"),
            ("example..com/", "host"),
            ("example.com/*/x", "end"),
            ("example.com/**", "end"),
            ("example.com/x?y=1", "query"),
            ("example.com/a b", "spaces"),
            ("exämple.com/", "host"),
            (&"a.".repeat(600), "1,024"),
        ] {
            let error = routes(&[pattern.to_owned()]).unwrap_err();
            assert!(error.message.contains(rule), "{pattern}: {}", error.message);
            assert!(error.message.contains(&pattern[..pattern.len().min(100)]), "{pattern}: {}", error.message);
        }
    }

    #[test]
    fn origins_of_proxies_are_checked() {
        let check = |proxy| version(&serde_json::from_value(json!({ "proxy": proxy })).unwrap(), None);
        assert!(check(json!({ "url": "https://example.com" })).is_ok());
        assert!(check(json!({ "url": "http://[::1]:81", "preserve_host": true, "protocol": "http2" })).is_ok());
        for wrong in [
            json!({ "url": "example.com" }),
            json!({ "url": "ftp://example.com" }),
            json!({ "url": "https://user@example.com" }),
            json!({ "url": "https://example.com/path" }),
            json!({ "url": "https://example.com", "answer_timeout_ms": 0 }),
            json!({ "url": "https://example.com", "idle_timeout_ms": 3_600_001 }),
        ] {
            assert_eq!(check(wrong.clone()).unwrap_err().code, "origin-invalid", "{wrong}");
        }
    }

    #[test]
    fn weights_of_different_versions_add_up() {
        let target = |version, weight| Target { version, weight };
        assert!(targets(&[target(1, 100)]).is_ok());
        assert!(targets(&[target(1, 99), target(2, 1)]).is_ok());
        for (wrong, word) in [
            (vec![], "one or two"),
            (vec![target(1, 40), target(2, 30), target(3, 30)], "one or two"),
            (vec![target(1, 50), target(1, 50)], "twice"),
            (vec![target(1, 100), target(2, 0)], "weight 0"),
            (vec![target(1, 60), target(2, 60)], "120"),
            (vec![target(1, 99)], "99"),
        ] {
            let error = targets(&wrong).unwrap_err();
            assert!(error.message.contains(word), "{}", error.message);
        }
    }

    #[test]
    fn settings_are_checked_by_name() {
        let check = |config: serde_json::Value| version(&serde_json::from_value(config).unwrap(), None);
        let origin = |origin: &str| check(json!({ "origin": origin }));
        assert!(check(json!({ "vars": { "A": "x", "B": { "c": [1] } }, "limits": { "cpu_ms": 5 } })).is_ok());
        assert!(origin("https://origin.example:8443").is_ok());
        for wrong in ["origin.example", "ftp://x", "http://u@x", "http://x/path", "http://"] {
            assert_eq!(origin(wrong).unwrap_err().code, "origin-invalid", "{wrong}");
        }
        let error = check(json!({ "limits": { "memory_mb": 0 } })).unwrap_err();
        assert!(error.message.contains("memory_mb is 0"), "{}", error.message);
        assert_eq!(check(json!({ "vars": { "a b": 1 } })).unwrap_err().code, "binding-name-invalid");
        assert_eq!(check(json!({ "vars": { "A": "x".repeat(70_000) } })).unwrap_err().code, "variable-too-large");
        assert_eq!(version(&VersionConfig::default(), Some(&"x".repeat(2000))).unwrap_err().code, "text-too-long");
    }
}
