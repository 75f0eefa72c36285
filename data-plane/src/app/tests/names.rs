//! Clusters whose endpoints are looked up, as a client and an operator see them.

use std::net::Ipv4Addr;

use evenkeel_shared::ir::Discovery;

use super::*;
use crate::dns::server::{Said, Server};
use crate::xds::sample::dns_target;

const CART: &str = "cart.test";

/// A configuration in which `/api` leads to the name, at the port.
async fn configure(stream: &mut Conversation, port: u16) {
    let mut api = cluster("api");
    api.discovery = Discovery::Dns(dns_target(CART, port));
    let edge = Resource::Listener(listener("edge", 0));
    let routes = Resource::RouteTable(table("edge", &["api"]));
    let api = Resource::Cluster(api);
    stream
        .accepts(response(ResourceType::Cluster, 1, &[api], &[]))
        .await;
    stream
        .accepts(response(ResourceType::Listener, 1, &[edge], &[]))
        .await;
    stream
        .accepts(response(ResourceType::RouteTable, 1, &[routes], &[]))
        .await;
}

async fn start(names: &Server, control_plane: SocketAddr, state: &std::path::Path) -> Proxy {
    let arguments = [
        format!("--control-plane=http://{control_plane}"),
        format!("--dns-server={}", names.address),
    ];
    Proxy::start_with(&arguments, state).await
}

/// Asks for the clusters until the text is as wanted.
async fn until_clusters(proxy: &Proxy, wanted: impl Fn(&str) -> bool) -> String {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let (_, text) = proxy.admin("GET /clusters").await;
        if wanted(&text) {
            return text;
        }
        assert!(tokio::time::Instant::now() < deadline, "{text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn addresses(last_bytes: &[u8]) -> Said {
    let address = |last: &u8| Ipv4Addr::new(127, 0, 0, *last);
    Said::Addresses(last_bytes.iter().map(address).collect())
}

#[tokio::test]
async fn endpoints_follow_the_answers_and_outlive_failures_and_restarts() {
    let state = tempfile::tempdir().unwrap();
    let backend = backend().await;
    let names = Server::start().await;
    names.say(CART, addresses(&[1]));
    let (address, mut streams) = control_plane().await;
    let proxy = start(&names, address, state.path()).await;
    configure(&mut streams.recv().await.unwrap(), backend.port()).await;
    proxy.until("GET /ready", 200).await;
    let (status, text) = exchange(proxy.listener("edge").unwrap(), "GET /api").await;
    assert_eq!(status, 200, "{text}");

    names.say(CART, addresses(&[1, 2]));
    let second = format!("127.0.0.2:{}", backend.port());
    until_clusters(&proxy, |text| text.contains(&second)).await;
    names.say(CART, addresses(&[1]));
    until_clusters(&proxy, |text| !text.contains(&second)).await;

    names.forget(CART);
    let text = until_clusters(&proxy, |text| text.contains("failing: no such name")).await;
    assert!(text.contains(&backend.to_string()), "{text}");
    let (status, _) = exchange(proxy.listener("edge").unwrap(), "GET /api").await;
    assert_eq!(status, 200);
    let (_, metrics) = proxy.admin("GET /metrics").await;
    let count = "evenkeel_dns_failures_total{cluster=\"api\"}";
    assert!(metrics.contains(count), "{metrics}");
    proxy.stop().await;
    drop(streams);

    names.say(CART, addresses(&[1]));
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let proxy = start(&names, nobody, state.path()).await;
    until_clusters(&proxy, |text| text.contains(&backend.to_string())).await;
    let (status, _) = exchange(proxy.listener("edge").unwrap(), "GET /api").await;
    assert_eq!(status, 200);
    proxy.stop().await;
}

#[tokio::test]
async fn a_name_that_is_not_answered_does_not_hold_the_proxy_up() {
    let state = tempfile::tempdir().unwrap();
    let names = Server::start().await;
    names.say(CART, Said::Silence);
    let (address, mut streams) = control_plane().await;
    let proxy = start(&names, address, state.path()).await;
    configure(&mut streams.recv().await.unwrap(), 80).await;
    proxy.until("GET /ready", 200).await;
    let (status, _) = exchange(proxy.listener("edge").unwrap(), "GET /api").await;
    assert_eq!(status, 503);
    let text = until_clusters(&proxy, |text| text.contains("api\n")).await;
    assert!(text.contains("dns cart.test:80 not answered"), "{text}");
    proxy.stop().await;
}
