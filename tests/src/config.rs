//! Configuration files for tests, written as a user would write them.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// One listener for one proxy, which its group selects by id.
pub fn proxy_listener(proxy: &str, address: SocketAddr) -> String {
    format!(
        "kind: Listener\nname: edge-{proxy}\nspec:\n  address: \"{address}\"\n---\n\
         kind: ProxyGroup\nname: {proxy}\nspec:\n  selector: {{ids: [{proxy}]}}\n  \
         listeners: [edge-{proxy}]\n---\n"
    )
}

/// A route from every path of `host` to a cluster, on the listeners of the
/// given proxies.
pub fn route(name: &str, proxies: &[&str], host: &str, cluster: &str) -> String {
    let listeners: Vec<String> = proxies
        .iter()
        .map(|proxy| format!("edge-{proxy}"))
        .collect();
    format!(
        "kind: Route\nname: {name}\nspec:\n  listeners: [{}]\n  hostnames: [\"{host}\"]\n  \
         rules:\n  - clusters: [{{name: {cluster}}}]\n---\n",
        listeners.join(", ")
    )
}

/// A cluster of the given endpoints, each with a weight.
pub fn cluster(name: &str, endpoints: &[(SocketAddr, u32)]) -> String {
    let mut text = format!("kind: Cluster\nname: {name}\nspec:\n  endpoints:\n    static:\n");
    for (address, weight) in endpoints {
        let _ = writeln!(text, "    - {{address: \"{address}\", weight: {weight}}}");
    }
    text.push_str("---\n");
    text
}
