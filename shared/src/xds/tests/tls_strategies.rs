//! Arbitrary TLS, secrets and PROXY protocols.

use ipnet::IpNet;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::strategies::{duration, name, string_match};
use crate::ir::*;
use crate::secret::SecretBytes;

pub(super) fn downstream_tls() -> impl Strategy<Value = DownstreamTls> {
    let certificates = prop_oneof![vec(by_name(), 1..4), vec(in_files(), 1..4)];
    let clients =
        (trust_ref(), any::<bool>(), vec(alt_name(), 0..3)).prop_map(|(trust, required, names)| {
            ClientVerification {
                trust,
                required,
                names,
            }
        });
    (
        certificates,
        version(),
        option::of(clients),
        option::of(duration()),
    )
        .prop_map(
            |(certificates, min_version, clients, handshake_timeout)| DownstreamTls {
                certificates,
                min_version,
                clients,
                handshake_timeout,
            },
        )
}

pub(super) fn upstream_tls() -> impl Strategy<Value = UpstreamTls> {
    let verification = (trust_ref(), vec(alt_name(), 0..3))
        .prop_map(|(trust, names)| ServerVerification { trust, names });
    (
        option::of("[a-z]{1,9}[.]example[.]com"),
        option::of(verification),
        option::of(prop_oneof![by_name(), in_files()]),
        version(),
    )
        .prop_map(
            |(server_name, verification, certificate, min_version)| UpstreamTls {
                server_name,
                verification,
                certificate,
                min_version,
            },
        )
}

pub(super) fn proxy_protocol() -> impl Strategy<Value = ProxyProtocol> {
    prop_oneof![Just(ProxyProtocol::V1), Just(ProxyProtocol::V2)]
}

pub(super) fn networks() -> impl Strategy<Value = Vec<IpNet>> {
    let network = any::<(std::net::IpAddr, u8)>().prop_map(|(address, bits)| {
        let most = if address.is_ipv4() { 32 } else { 128 };
        IpNet::new(address, bits % (most + 1)).unwrap()
    });
    vec(network, 0..3)
}

pub(super) fn secret() -> impl Strategy<Value = Secret> {
    let certificate = (data_source(), data_source())
        .prop_map(|(chain, key)| SecretContent::Certificate(CertificateSource { chain, key }));
    let trust =
        (data_source(), option::of(data_source())).prop_map(|(certificates, revocations)| {
            SecretContent::Trust(TrustSource {
                certificates,
                revocations,
            })
        });
    (name(), prop_oneof![certificate, trust]).prop_map(|(name, content)| Secret {
        name: name.as_str().into(),
        content,
    })
}

fn data_source() -> impl Strategy<Value = DataSource> {
    prop_oneof![
        path().prop_map(DataSource::File),
        vec(any::<u8>(), 1..40).prop_map(|bytes| DataSource::Inline(SecretBytes::new(bytes))),
    ]
}

fn path() -> impl Strategy<Value = String> {
    "/[a-z/.]{1,9}"
}

fn version() -> impl Strategy<Value = TlsVersion> {
    prop_oneof![Just(TlsVersion::Tls12), Just(TlsVersion::Tls13)]
}

fn by_name() -> impl Strategy<Value = CertificateRef> {
    name().prop_map(|name| CertificateRef::Secret(name.as_str().into()))
}

fn in_files() -> impl Strategy<Value = CertificateRef> {
    (path(), path()).prop_map(|(chain, key)| CertificateRef::Files { chain, key })
}

fn trust_ref() -> impl Strategy<Value = TrustRef> {
    prop_oneof![
        name().prop_map(|name| TrustRef::Secret(name.as_str().into())),
        path().prop_map(TrustRef::File),
    ]
}

fn alt_name() -> impl Strategy<Value = AltName> {
    prop_oneof![
        string_match().prop_map(AltName::Uri),
        string_match().prop_map(AltName::Dns),
    ]
}
