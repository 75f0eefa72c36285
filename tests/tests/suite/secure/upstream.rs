//! Endpoints with the wrong certificate.

use std::sync::Arc;

use evenkeel_tests::backend::{Backend, Mode};
use evenkeel_tests::client::Client;
use evenkeel_tests::pki::{Authority, Issued, Subject};
use rustls::ServerConfig;

use super::trust_secret;
use crate::Small;

fn served(authority: &Authority, issued: &Issued) -> Arc<ServerConfig> {
    authority.server(issued, false).unwrap()
}

/// What a client is told when the endpoint shows this.
async fn told(small: &Small, trusted: &Authority, shows: Arc<ServerConfig>) -> String {
    let backend = Backend::start_secure("s", shows).await.unwrap();
    let yaml = [
        trust_secret("ca", trusted),
        format!(
            "kind: Cluster\nname: shop\nspec:\n  endpoints:\n    static:\n    \
             - {{address: \"{}\"}}\n  tls: {{serverName: backend.test, trust: ca}}\n---\n",
            backend.address
        ),
    ]
    .concat();
    let flags = ["--wait", "--allow-mass-removal"];
    small.control_plane.apply(&yaml, &flags).await.unwrap();
    let mut client = Client::new(small.proxy.listener, "shop.test");
    let answer = client.get("/").await.unwrap();
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    format!("{} {}", answer.status.as_u16(), text.trim())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_with_the_wrong_certificate_is_refused_by_a_named_reason() {
    let small = Small::start([Mode::Serve, Mode::Serve]).await.unwrap();
    let trusted = Authority::new("trusted").unwrap();
    let other = Authority::new("other").unwrap();
    let named = |hosts: &[&str], expired| {
        let subject = Subject {
            hosts,
            expired,
            ..Subject::default()
        };
        trusted.issue(subject).unwrap()
    };
    let stranger = other
        .issue(Subject {
            hosts: &["backend.test"],
            ..Subject::default()
        })
        .unwrap();
    let good = served(&trusted, &named(&["backend.test"], false));
    assert!(told(&small, &trusted, good).await.starts_with("200"));
    let named = |host: &str, expired| served(&trusted, &named(&[host], expired));
    for (shows, reason, words) in [
        (named("else.test", false), "wrong_name", "another name"),
        (named("backend.test", true), "expired", "has expired"),
        (
            served(&other, &stranger),
            "unknown_issuer",
            "nobody trusted",
        ),
    ] {
        let told = told(&small, &trusted, shows).await;
        println!("{reason}: {told}");
        assert!(told.starts_with("503"), "{told}");
        assert!(told.contains(words), "{words} in {told}");
        let metrics = small.proxy.admin("/metrics").await.unwrap();
        let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
        let counted = metrics.lines().any(|line| {
            line.contains("upstream_tls_failures")
                && line.contains(&format!("reason=\"{reason}\""))
                && !line.ends_with(" 0")
        });
        assert!(counted, "{reason} is counted");
    }
}
