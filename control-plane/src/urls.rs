//! Where an app can be reached: its routes on the nodes that are connected.

use atoll_protocol::api::Node;
use http::Uri;

/// The URLs of an app on these nodes, its default route first. A route whose host starts with a wildcard is named by
/// the host without it, or left out when every host under it needs a name of its own (`*.example.com`).
pub(crate) fn urls(app: &str, default_route: bool, routes: &[String], nodes: &[Node]) -> Vec<String> {
    let mut urls = Vec::new();
    for report in nodes.iter().filter_map(|node| node.report.as_ref()) {
        let Some((scheme, port)) = parts(&report.edge_url) else { continue };
        let default = default_route.then(|| format!("{scheme}://{app}.{}{port}/", report.default_domain));
        let routed = routes.iter().filter_map(|route| {
            let (host, path) = route.split_once('/').unwrap_or((route, ""));
            let host = host.strip_prefix('*').unwrap_or(host);
            let named = !host.is_empty() && !host.starts_with('.');
            named.then(|| format!("{scheme}://{host}{port}/{}", path.strip_suffix('*').unwrap_or(path)))
        });
        for url in default.into_iter().chain(routed) {
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
    }
    urls
}

/// Scheme and, with its colon, port of a node's base URL; `None` when it is no such URL.
pub(crate) fn parts(edge_url: &str) -> Option<(String, String)> {
    let uri: Uri = edge_url.parse().ok()?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"))?;
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    uri.host().filter(|host| !host.is_empty())?;
    Some((scheme.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use atoll_protocol::api::NodeReport;

    use super::*;

    fn node(edge_url: &str, default_domain: &str) -> Node {
        let report = NodeReport {
            revision: 1,
            edge_url: edge_url.into(),
            default_domain: default_domain.into(),
            failures: Default::default(),
            certificate_failures: Default::default(),
        };
        Node { name: "n".into(), connected: true, report: Some(report), last_seen: None }
    }

    #[test]
    fn an_app_has_urls_on_each_node_that_reports() {
        let nodes = [
            node("http://127.0.0.1:8080", "localhost"),
            node("http://127.0.0.1:8080", "localhost"),
            node("https://edge.example", "apps.example"),
            node("nonsense", "x"),
        ];
        let routes = ["shop.example/api/*", "*.shop.example/*", "*shop.example", "*/x"].map(str::to_owned);
        assert_eq!(
            urls("shop", true, &routes, &nodes),
            [
                "http://shop.localhost:8080/",
                "http://shop.example:8080/api/",
                "http://shop.example:8080/",
                "https://shop.apps.example/",
                "https://shop.example/api/",
                "https://shop.example/",
            ]
        );
        assert!(urls("shop", false, &[], &nodes).is_empty());
        assert!(urls("shop", true, &routes, &[]).is_empty());
    }
}
