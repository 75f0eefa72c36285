use std::net::IpAddr;

use evenkeel_shared::ir::{HeaderValue, PathRewrite, Redirect};
use proptest::prelude::*;

use evenkeel_shared::tls::Identity;

use super::forwarded::{
    believed_hops, client_address, x_forwarded_client_cert, x_forwarded_for, x_forwarded_host,
    x_forwarded_proto,
};
use super::hop::{is_hop_by_hop, named_by_connection};
use super::*;
use crate::head::Head;

struct Request(Vec<(&'static str, String)>);

impl Head for Request {
    fn method(&self) -> &'static str {
        "GET"
    }
    fn authority(&self) -> &'static str {
        "shop.example"
    }
    fn target(&self) -> &'static str {
        "/"
    }
    fn each_value(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        let values = self.0.iter().filter(|(field, _)| *field == name);
        values.for_each(|(_, value)| each(value.as_bytes()));
    }
    fn first_value(&self, name: &str) -> Option<&[u8]> {
        let mut values = self.0.iter().filter(|(field, _)| *field == name);
        values.next().map(|(_, value)| value.as_bytes())
    }
}

fn request(fields: &[(&'static str, &str)]) -> Request {
    let owned = fields
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    Request(owned.collect())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn prefix(text: &str) -> PathRewrite {
    PathRewrite::Prefix(text.to_owned())
}

#[test]
fn edits_come_in_the_order_remove_set_add() {
    let field = |name: &str| HeaderValue {
        name: name.to_owned(),
        value: "v".to_owned(),
    };
    let edits = ir::HeaderEdits {
        add: vec![field("a")],
        set: vec![field("s")],
        remove: vec!["r".to_owned()],
    };
    let mut head = HeadEdits::default();
    request_edits(&edits, &mut head);
    assert_eq!(
        head.headers.as_slice(),
        [
            HeaderChange::Remove("r"),
            HeaderChange::Set("s", "v"),
            HeaderChange::Add("a", "v"),
        ]
    );
}

#[test]
fn a_prefix_is_replaced_and_the_rest_kept() {
    let rewrite = |to, target, matched| rewrite_target(&prefix(to), target, matched);
    assert_eq!(rewrite("/v2", "/api/x?q=1", 4), "/v2/x?q=1");
    assert_eq!(rewrite("/", "/api/x", 4), "/x");
    assert_eq!(rewrite("/", "/api", 4), "/");
    assert_eq!(rewrite("", "/api/x", 4), "/x");
    assert_eq!(rewrite("", "/api/x", 5), "/x");
    assert_eq!(rewrite("", "/api?q", 4), "/?q");
    assert_eq!(rewrite("/a/", "/x", 1), "/a/x");
    assert_eq!(rewrite("/v2", "/api", 99), "/v2");
}

#[test]
fn a_full_path_keeps_the_query_unless_it_has_one() {
    let rewrite = |to: &str, target| rewrite_target(&PathRewrite::Full(to.to_owned()), target, 1);
    assert_eq!(rewrite("/new", "/old?q=1"), "/new?q=1");
    assert_eq!(rewrite("/new?p=2", "/old?q=1"), "/new?p=2");
    assert_eq!(rewrite("new", "/old"), "/new");
}

fn location(redirect: &Redirect, scheme: &str, authority: &str) -> String {
    let request = Redirected {
        scheme,
        authority,
        target: "/api/x?q=1",
        matched: 4,
    };
    redirect_location(redirect, &request)
}

const STAY: Redirect = Redirect {
    scheme: None,
    host: None,
    port: None,
    path: None,
    status: 301,
};

#[test]
fn a_redirect_keeps_what_it_does_not_name() {
    assert_eq!(
        location(&STAY, "http", "shop.example:8080"),
        "http://shop.example:8080/api/x?q=1"
    );
    let moved = Redirect {
        host: Some("www.example".to_owned()),
        path: Some(prefix("/v2")),
        ..STAY
    };
    assert_eq!(
        location(&moved, "http", "shop.example:8080"),
        "http://www.example/v2/x?q=1"
    );
}

#[test]
fn a_redirect_to_https_drops_the_port_of_http_only() {
    let secure = || Redirect {
        scheme: Some("https".to_owned()),
        ..STAY
    };
    let to = |authority| location(&secure(), "http", authority);
    assert_eq!(to("shop.example"), "https://shop.example/api/x?q=1");
    assert_eq!(to("shop.example:80"), "https://shop.example/api/x?q=1");
    assert_eq!(to("[::1]:80"), "https://[::1]/api/x?q=1");
    assert_eq!(to("[::1]"), "https://[::1]/api/x?q=1");
    assert_eq!(to("[::1]:8443"), "https://[::1]:8443/api/x?q=1");
    let port = Redirect {
        port: Some(443),
        ..secure()
    };
    assert_eq!(location(&port, "http", "a:80"), "https://a/api/x?q=1");
}

#[test]
fn without_trusted_hops_nothing_from_outside_is_believed() {
    let spoofed = request(&[
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
    ]);
    let peer = ip("192.0.2.9");
    assert_eq!(client_address(&spoofed, peer, 0), peer);
    assert_eq!(x_forwarded_for(&spoofed, peer, 0), "192.0.2.9");
    assert_eq!(x_forwarded_proto(&spoofed, "http", 0), "http");
    assert_eq!(x_forwarded_host(&spoofed, 0), "shop.example");
}

#[test]
fn trusted_hops_are_counted_from_the_right() {
    let chain = request(&[
        ("x-forwarded-for", "6.6.6.6, 203.0.113.7"),
        ("x-forwarded-for", "198.51.100.2:4711"),
    ]);
    let peer = ip("192.0.2.9");
    assert_eq!(client_address(&chain, peer, 1), ip("198.51.100.2"));
    assert_eq!(client_address(&chain, peer, 2), ip("203.0.113.7"));
    assert_eq!(client_address(&chain, peer, 4), peer);
    assert_eq!(
        x_forwarded_for(&chain, peer, 2),
        "203.0.113.7, 198.51.100.2, 192.0.2.9"
    );
    assert_eq!(x_forwarded_for(&chain, peer, 4), "192.0.2.9");
}

#[test]
fn a_trusted_proxy_is_believed_about_scheme_and_host() {
    let head = request(&[
        ("x-forwarded-proto", "HTTPS"),
        ("x-forwarded-host", "www.example"),
    ]);
    assert_eq!(x_forwarded_proto(&head, "http", 1), "https");
    assert_eq!(x_forwarded_host(&head, 1), "www.example");
    let nonsense = request(&[("x-forwarded-proto", "ftp"), ("x-forwarded-host", "")]);
    assert_eq!(x_forwarded_proto(&nonsense, "http", 1), "http");
    assert_eq!(x_forwarded_host(&nonsense, 1), "shop.example");
}

#[test]
fn hops_are_believed_from_the_addresses_of_the_listener_only() {
    let networks = ["10.0.0.0/8", "2001:db8::/32"].map(|text| text.parse().unwrap());
    assert_eq!(believed_hops(2, &[], ip("192.0.2.9")), 2);
    assert_eq!(believed_hops(2, &networks, ip("192.0.2.9")), 0);
    assert_eq!(believed_hops(2, &networks, ip("10.1.2.3")), 2);
    assert_eq!(believed_hops(2, &networks, ip("::ffff:10.1.2.3")), 2);
    assert_eq!(believed_hops(2, &networks, ip("2001:db8::1")), 2);
    assert_eq!(believed_hops(0, &networks, ip("10.1.2.3")), 0);
}

fn identity(subject: &str, uris: &[&str], dns: &[&str]) -> Identity {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Identity {
        uris: owned(uris),
        dns: owned(dns),
        addresses: Vec::new(),
        subject: subject.to_owned(),
        fingerprint: "ab12".to_owned(),
        not_before: 0,
        not_after: 0,
    }
}

#[test]
fn a_client_certificate_is_told_as_envoy_does() {
    let all = identity(
        "CN=cart, O=Shop",
        &["spiffe://shop/cart", "spiffe://shop/old"],
        &["cart.test", "*.cart.test"],
    );
    assert_eq!(
        x_forwarded_client_cert(&all),
        "Hash=ab12;Subject=\"CN=cart, O=Shop\";URI=spiffe://shop/cart;\
         URI=spiffe://shop/old;DNS=cart.test;DNS=*.cart.test"
    );
    let bare = identity("", &[], &[]);
    assert_eq!(x_forwarded_client_cert(&bare), "Hash=ab12;Subject=\"\"");
}

#[test]
fn no_name_in_a_certificate_gets_out_of_its_quotes() {
    let evil = identity(
        "CN=\";URI=spiffe://bank,Hash=0\\",
        &["spiffe://shop/a;b=c,d", "spiffe://shop/\""],
        &["ü\r\nx: y"],
    );
    assert_eq!(
        x_forwarded_client_cert(&evil),
        concat!(
            r#"Hash=ab12;Subject="CN=\";URI=spiffe://bank,Hash=0\\";"#,
            r#"URI="spiffe://shop/a;b=c,d";URI="spiffe://shop/\"";"#,
            r#"DNS="\\C3\\BC\\0D\\0Ax: y""#,
        )
    );
}

#[test]
fn what_is_no_address_is_not_believed() {
    let peer = ip("192.0.2.9");
    for value in ["unknown", "", ",", "1.2.3", "evil\r\nx: y"] {
        let head = request(&[("x-forwarded-for", value)]);
        assert_eq!(client_address(&head, peer, 1), peer, "{value:?}");
        assert_eq!(x_forwarded_for(&head, peer, 1), "192.0.2.9", "{value:?}");
    }
    let head = request(&[("x-forwarded-for", "[2001:db8::1]:80")]);
    assert_eq!(client_address(&head, peer, 1), ip("2001:db8::1"));
}

#[test]
fn connection_names_further_fields_but_not_essential_ones() {
    let names: Vec<String> = named_by_connection(
        b"close, Keep-Alive, X-Internal ,Authorization,HOST,, x-forwarded-for,bad name",
    )
    .collect();
    assert_eq!(names, ["x-internal"]);
    assert!(is_hop_by_hop("upgrade"));
    assert!(!is_hop_by_hop("host"));
}

proptest! {
    /// Whatever clients put on the left, the address that a trusted proxy added
    /// is the one that is believed, and the leftmost that upstreams see.
    #[test]
    fn what_stands_left_of_the_trusted_hops_changes_nothing(
        spoofed in prop::collection::vec("[ -~]{0,20}", 0..4),
        client: [u8; 4],
        proxies in prop::collection::vec(any::<[u8; 4]>(), 0..3),
    ) {
        let client = IpAddr::from(client);
        let proxies: Vec<IpAddr> = proxies.into_iter().map(IpAddr::from).collect();
        let trusted = std::iter::once(&client).chain(&proxies).map(ToString::to_string);
        let entries: Vec<String> = spoofed.into_iter().chain(trusted).collect();
        let head = Request(vec![("x-forwarded-for", entries.join(","))]);
        let hops = u32::try_from(proxies.len() + 1).unwrap();
        let peer = ip("192.0.2.9");
        prop_assert_eq!(client_address(&head, peer, hops), client);
        let told = x_forwarded_for(&head, peer, hops);
        let begin = told.split(", ").next().unwrap();
        prop_assert_eq!(begin, client.to_string());
    }

    #[test]
    fn a_rewritten_target_is_always_a_path(
        to in "[a-z/]{0,6}",
        target in "/[a-zä/]{0,10}(\\?[a-z]{0,3})?",
        matched in 0_usize..14,
    ) {
        let full = PathRewrite::Full(to.clone());
        for rewrite in [prefix(&to), full] {
            prop_assert!(rewrite_target(&rewrite, &target, matched).starts_with('/'));
        }
    }
}
