//! TLS, secrets, the PROXY protocol, and who is believed.

use evenkeel_shared::names::SecretName;

use super::super::samples::certificate;
use super::*;

fn with_tls(tls: &Value) -> Value {
    json!({"name": "l", "listener": {"address": "127.0.0.1:1", "tls": tls}})
}

fn cluster_with_tls(tls: &Value) -> Value {
    json!({"name": "c", "cluster": {"endpoints": {}, "tls": tls}})
}

fn pair(chain: &str, key: &str) -> Value {
    json!({"name": "s", "secret": {"certificate": {
        "chain": {"inline": chain}, "privateKey": {"inline": key}}}})
}

fn in_files(name: &str) -> Value {
    json!({"name": name, "secret": {"certificate": {
        "chain": {"file": "/tls.crt"}, "privateKey": {"file": "/tls.key"}}}})
}

fn trust_in_file(name: &str) -> Value {
    json!({"name": name, "secret": {"trust": {"certificates": {"file": "/ca.crt"}}}})
}

#[test]
fn tls_of_a_listener_is_complete() {
    let model = check(&state(&[
        with_tls(&json!({"certificates": ["a", "b"], "clientCertificates": {
            "trust": "ca", "names": [{"uri": {"prefix": "spiffe://shop/"}}, {"dns": {"exact": "x"}}]}})),
        in_files("a"),
        in_files("b"),
        trust_in_file("ca"),
    ]))
    .unwrap();
    let secret = |name: &str| ir::CertificateRef::Secret(SecretName::from(name));
    let expected = ir::DownstreamTls {
        certificates: vec![secret("a"), secret("b")],
        min_version: ir::TlsVersion::Tls12,
        clients: Some(ir::ClientVerification {
            trust: ir::TrustRef::Secret(SecretName::from("ca")),
            required: true,
            names: vec![
                ir::AltName::Uri(ir::StringMatch::Prefix("spiffe://shop/".to_owned())),
                ir::AltName::Dns(ir::StringMatch::Exact("x".to_owned())),
            ],
        }),
        handshake_timeout: Some(Duration::from_secs(10)),
    };
    assert_eq!(model.listeners["l"].tls.as_ref(), Some(&expected));
}

#[test]
fn tls_of_a_cluster_verifies_its_server_name_with_the_systems_authorities() {
    let model = check(&state(&[cluster_with_tls(
        &json!({"serverName": "API.example"}),
    )]))
    .unwrap();
    let expected = ir::UpstreamTls {
        server_name: Some("api.example".to_owned()),
        verification: Some(ir::ServerVerification {
            trust: ir::TrustRef::File("/etc/ssl/certs/ca-certificates.crt".to_owned()),
            names: vec![ir::AltName::Dns(ir::StringMatch::Exact(
                "api.example".to_owned(),
            ))],
        }),
        certificate: None,
        min_version: ir::TlsVersion::Tls12,
    };
    assert_eq!(model.clusters["c"].tls.as_ref(), Some(&expected));

    for (tls, names) in [
        (json!({"insecureSkipVerify": true}), None),
        (
            json!({"names": [{"uri": {"exact": "spiffe://a"}}]}),
            Some(1),
        ),
        (
            json!({"serverName": "10.0.0.1", "names": [{"dns": {"suffix": ".a"}}]}),
            Some(1),
        ),
    ] {
        let model = check(&state(&[cluster_with_tls(&tls)])).unwrap();
        let read = model.clusters["c"].tls.clone().unwrap();
        let found = read.verification.map(|servers| servers.names.len());
        assert_eq!(found, names, "{tls}");
    }
}

#[test]
fn every_fault_of_tls_is_reported_with_its_path() {
    let found = [
        with_tls(&json!({})),
        with_tls(&json!({"certificates": ["a", "a", ""], "handshakeTimeout": "0s",
            "clientCertificates": {"names": [{}, {"uri": {}}, {"dns": {"exact": ""}}, {"dns": {"regex": "("}}]}})),
        cluster_with_tls(&json!({})),
        cluster_with_tls(&json!({"serverName": "10.0.0.1"})),
        cluster_with_tls(&json!({"serverName": "a:443"})),
        cluster_with_tls(&json!({"insecureSkipVerify": true, "trust": "ca"})),
        json!({"name": "l", "listener": {"address": "127.0.0.1:1", "proxyProtocol": {},
            "forwardedHeaders": {"trustedAddresses": ["10.1.2.3/8", "x", "10.0.0.0/8", "10.0.0.0/8"]}}}),
        json!({"name": "g", "proxyGroup": {"listeners": ["l"], "identities": [
            "*", "spiffe://*/a", "a b", "spiffe://shop/edge-*", "edge-*", "edge.example"]}}),
    ]
    .iter()
    .map(|value| faults(value).join("\n"))
    .collect::<Vec<_>>();
    insta::assert_snapshot!(found.join("\n\n"));
}

#[test]
fn addresses_are_networks() {
    let model = check(&state(&[json!({"name": "l", "listener": {
        "address": "127.0.0.1:1", "proxyProtocol": {"from": ["10.0.0.0/8", "::1"]},
        "forwardedHeaders": {"trustedHops": 1, "trustedAddresses": ["192.168.1.1"]}}})]))
    .unwrap();
    let listener = &model.listeners["l"];
    let from: Vec<String> = listener
        .proxy_protocol_from
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(from, ["10.0.0.0/8", "::1/128"]);
    assert_eq!(listener.trusted_addresses[0].to_string(), "192.168.1.1/32");
}

#[test]
fn a_reference_to_a_secret_that_holds_something_else_is_refused() {
    let found = all_faults(&[
        with_tls(&json!({"certificates": ["ca", "gone"], "clientCertificates": {"trust": "a"}})),
        cluster_with_tls(&json!({"serverName": "x", "trust": "a", "certificate": "ca"})),
        in_files("a"),
        trust_in_file("ca"),
    ]);
    let (certificate, trust) = (
        "a certificate with its key (`certificate`)",
        "certificates to trust (`trust`)",
    );
    assert_eq!(
        found,
        [
            format!("Listener/l: tls.certificates[0]: invalid value \"ca\": this Secret holds {trust}, not {certificate}"),
            format!("Listener/l: tls.clientCertificates.trust: invalid value \"a\": this Secret holds {certificate}, not {trust}"),
            "Listener/l: tls.certificates[1]: invalid value \"gone\": there is no Secret of this name".to_owned(),
            format!("Cluster/c: tls.trust: invalid value \"a\": this Secret holds {certificate}, not {trust}"),
            format!("Cluster/c: tls.certificate: invalid value \"ca\": this Secret holds {trust}, not {certificate}"),
        ]
    );
}

#[test]
fn a_pair_that_fits_together_is_sound() {
    let (chain, key) = certificate("a.example");
    assert_eq!(faults(&pair(&chain, &key)), [""; 0]);
    let trust = json!({"name": "s", "secret": {"trust": {"certificates": {"inline": chain}}}});
    assert_eq!(faults(&trust), [""; 0]);
}

/// One fault, which begins like this and repeats no line of the texts.
#[track_caller]
fn assert_fault(value: &Value, expected: &str, texts: &[&str]) {
    let found = faults(value);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(expected), "{found:?}");
    let lines = texts.iter().flat_map(|text| text.lines());
    let mut body = lines.filter(|line| !line.starts_with("---"));
    assert!(!body.any(|line| found[0].contains(line)), "{found:?}");
}

#[test]
fn what_is_wrong_with_a_pair_is_said_without_its_content() {
    let (chain, key) = certificate("a.example");
    let (_, other) = certificate("b.example");
    let folded = key.replace('\n', " ");
    let sealed = format!("evenkeel-sealed:v1:{key}");
    let long = "x".repeat(2 << 20);
    let cases = [
        (
            &chain,
            &other,
            "privateKey.inline: the private key is not that",
        ),
        (
            &chain,
            &chain,
            "privateKey.inline: the private key cannot be used",
        ),
        (
            &chain,
            &folded,
            "privateKey.inline: the private key cannot be used",
        ),
        (&key, &chain, "chain.inline: must be PEM"),
        (&folded, &key, "chain.inline: must be PEM"),
        (&String::new(), &key, "chain.inline: must not be empty"),
        (&sealed, &key, "chain.inline: is the form"),
        (&long, &key, "chain.inline: must be at most 1048576 bytes"),
    ];
    for (first, second, expected) in cases {
        let expected = format!("certificate.{expected}");
        assert_fault(&pair(first, second), &expected, &[&chain, &key, &other]);
    }
}

#[test]
fn what_is_wrong_with_trust_is_said_without_its_content() {
    let (chain, key) = certificate("a.example");
    let with = |trust: &Value| json!({"name": "s", "secret": {"trust": trust}});
    let cases = [
        (
            json!({"certificates": {"inline": key}}),
            "certificates.inline: must be PEM",
        ),
        (
            json!({"certificates": {"file": "ca.crt"}}),
            "certificates.file: invalid value",
        ),
        (
            json!({"certificates": {"inline": chain}, "revocations": {"inline": key}}),
            "revocations.inline: must be PEM",
        ),
        (
            json!({"certificates": {"inline": chain}, "revocations": {"inline": chain}}),
            "revocations.inline: must be PEM",
        ),
    ];
    for (trust, expected) in cases {
        assert_fault(&with(&trust), &format!("trust.{expected}"), &[&chain, &key]);
    }
}

#[test]
fn a_secret_has_one_content_and_each_part_a_source() {
    let (chain, _) = certificate("a.example");
    let with = |secret: &Value| json!({"name": "s", "secret": secret});
    let mixed = json!({"certificate": {"chain": {"inline": chain}, "privateKey": {"file": "/k"}}});
    let half = json!({"certificate": {"chain": {"file": "/c"}, "privateKey": {}}});
    for (secret, expected) in [
        (json!({}), "required: one of `certificate` and `trust`"),
        (mixed, "certificate: `chain` and `privateKey` must both be"),
        (
            half,
            "certificate.privateKey: required: one of `file` and `inline`",
        ),
    ] {
        assert_fault(&with(&secret), expected, &[&chain]);
    }
}

#[test]
fn what_is_stored_must_be_sealed() {
    let (chain, key) = certificate("a.example");
    assert_eq!(
        all_faults(&[pair(&chain, &key)]),
        [
            "Secret/s: certificate.chain.inline: is not sealed",
            "Secret/s: certificate.privateKey.inline: is not sealed",
        ]
    );
    let found = all_faults(&[pair("redacted:sha256:00", "redacted:sha256:00")]);
    assert_eq!(found.len(), 2);
    assert!(found[0].contains("is not what is stored here"), "{found:?}");
    // Offline nobody knows what is stored.
    assert_eq!(faults(&pair("redacted:sha256:00", &key)), [""; 0]);
}

#[test]
fn secrets_that_are_used_are_referred_to() {
    let state = state(&[
        with_tls(&json!({"certificates": ["a"]})),
        cluster_with_tls(&json!({"serverName": "x", "trust": "ca", "certificate": "a"})),
        in_files("a"),
        trust_in_file("ca"),
    ]);
    let (_, by) = references(&state, &key(v1::Kind::Secret, "a"));
    assert_eq!(
        by,
        [key(v1::Kind::Listener, "l"), key(v1::Kind::Cluster, "c")]
    );
    let (to, _) = references(&state, &key(v1::Kind::Cluster, "c"));
    assert_eq!(
        to,
        [key(v1::Kind::Secret, "a"), key(v1::Kind::Secret, "ca")]
    );
}

#[test]
fn effective_values_of_tls_say_where_they_come_from() {
    let state = state(&[
        with_tls(&json!({"certificates": ["a"], "clientCertificates": {
            "trust": "ca", "names": [{"dns": {"exact": "x"}}]}})),
        cluster_with_tls(&json!({"serverName": "x", "minVersion": "TLS_VERSION_TLS1_3"})),
        pair("evenkeel-sealed:v1:AAAAAAAAAAAAAAAA", "plain text"),
    ]);
    let shown = |kind, name: &str| -> Vec<String> {
        effective(&state, &key(kind, name))
            .into_iter()
            .filter(|value| value.path.contains("tls") || kind == v1::Kind::Secret)
            .map(|value| format!("{} = {} ({})", value.path, value.value, value.origin))
            .collect()
    };
    assert_eq!(
        shown(v1::Kind::Listener, "l"),
        [
            "tls.certificates = [a] (set)",
            "tls.minVersion = TLS1_2 (default)",
            "tls.clientCertificates.trust = ca (set)",
            "tls.clientCertificates.names = [{dns: {exact: x}}] (set)",
            "tls.handshakeTimeout = 10s (default)",
        ]
    );
    assert_eq!(
        shown(v1::Kind::Cluster, "c"),
        [
            "tls.serverName = x (set)",
            "tls.trust = /etc/ssl/certs/ca-certificates.crt (default)",
            "tls.minVersion = TLS1_3 (set)",
        ]
    );
    assert_eq!(
        shown(v1::Kind::Secret, "s"),
        [
            "certificate.chain.inline = redacted:sha256:0000000000000000 (set)",
            "certificate.privateKey.inline = redacted:sha256: (set)",
        ]
    );
}
