//! TLS of listeners and clusters, checked and complete.

use std::net::IpAddr;

use evenkeel_shared::error::Faults;
use evenkeel_shared::ir;
use evenkeel_shared::names::SecretName;
use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::alt_name::Name;
use evenkeel_shared::proto::v1::name_match::Match;

use super::defaults::SYSTEM_TRUST;
use super::fields::{self, within};

/// TLS between clients and a listener, with its defaults filled in.
pub(super) fn of_listener(
    proto: v1::ListenerTls,
    faults: &mut Faults,
) -> Option<ir::DownstreamTls> {
    let v1::ListenerTls {
        certificates,
        min_version,
        client_certificates,
        handshake_timeout,
    } = proto;
    if certificates.is_empty() {
        faults.add("certificates", "required: at least one `Secret`");
    }
    for (index, name) in certificates.iter().enumerate() {
        if name.is_empty() {
            faults.add(format!("certificates[{index}]"), "must not be empty");
        }
    }
    let names = certificates.iter().map(String::as_str);
    fields::distinct(names, "certificates", faults);
    let min_version = version(min_version, faults);
    let clients = client_certificates.map(|clients| {
        within(faults, "clientCertificates", |faults| {
            verification(&clients, faults)
        })
    });
    let handshake_timeout = fields::positive(handshake_timeout, "handshakeTimeout", faults);
    Some(ir::DownstreamTls {
        certificates: certificates
            .iter()
            .map(|name| ir::CertificateRef::Secret(SecretName::from(name.as_str())))
            .collect(),
        min_version: min_version?,
        clients,
        handshake_timeout: Some(handshake_timeout),
    })
}

fn verification(proto: &v1::ClientCertificates, faults: &mut Faults) -> ir::ClientVerification {
    let v1::ClientCertificates {
        trust,
        optional,
        names,
    } = proto;
    if trust.is_empty() {
        faults.add("trust", "required: a `Secret` with `trust`");
    }
    ir::ClientVerification {
        trust: ir::TrustRef::Secret(SecretName::from(trust.as_str())),
        required: !optional,
        names: alt_names(names, faults),
    }
}

/// TLS between proxies and endpoints.
pub(super) fn of_cluster(proto: &v1::ClusterTls, faults: &mut Faults) -> Option<ir::UpstreamTls> {
    let v1::ClusterTls {
        server_name,
        trust,
        names,
        certificate,
        min_version,
        insecure_skip_verify,
    } = proto;
    let server_name = read_server_name(server_name, faults);
    let names = alt_names(names, faults);
    let verification = if *insecure_skip_verify {
        if !trust.is_empty() || !names.is_empty() {
            faults.add(
                "insecureSkipVerify",
                "cannot be set together with `trust` or `names`, which say what is verified",
            );
        }
        None
    } else {
        Some(ir::ServerVerification {
            trust: if trust.is_empty() {
                ir::TrustRef::File(SYSTEM_TRUST.to_owned())
            } else {
                ir::TrustRef::Secret(SecretName::from(trust.as_str()))
            },
            names: expected(names, server_name.as_deref(), faults),
        })
    };
    let certificate = SecretName::from(certificate.as_str());
    Some(ir::UpstreamTls {
        server_name,
        verification,
        certificate: (!certificate.as_str().is_empty())
            .then_some(ir::CertificateRef::Secret(certificate)),
        min_version: version(*min_version, faults)?,
    })
}

/// A host name or an address, in lower case; `None` if it is not set.
fn read_server_name(text: &str, faults: &mut Faults) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    if text.parse::<IpAddr>().is_ok() {
        return Some(text.to_owned());
    }
    Some(fields::hostname(text, "serverName", faults))
}

/// The names of which an endpoint's certificate must carry one.
fn expected(
    names: Vec<ir::AltName>,
    server_name: Option<&str>,
    faults: &mut Faults,
) -> Vec<ir::AltName> {
    if !names.is_empty() {
        return names;
    }
    let Some(host) = server_name else {
        faults.add(
            "serverName",
            "required, or `names`: without either, any certificate that the authorities signed would do",
        );
        return names;
    };
    if host.parse::<IpAddr>().is_ok() {
        faults.add(
            "serverName",
            format!(
                "invalid value {host:?}: an address is not looked for in certificates; give the `names` that they carry"
            ),
        );
    }
    vec![ir::AltName::Dns(ir::StringMatch::Exact(host.to_owned()))]
}

fn version(version: i32, faults: &mut Faults) -> Option<ir::TlsVersion> {
    match v1::TlsVersion::try_from(version) {
        Ok(v1::TlsVersion::Unspecified | v1::TlsVersion::Tls12) => Some(ir::TlsVersion::Tls12),
        Ok(v1::TlsVersion::Tls13) => Some(ir::TlsVersion::Tls13),
        Err(_) => {
            faults.add(
                "minVersion",
                format!("invalid value {version}: must be TLS1_2 or TLS1_3"),
            );
            None
        }
    }
}

fn alt_names(names: &[v1::AltName], faults: &mut Faults) -> Vec<ir::AltName> {
    let mut read = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        let path = format!("names[{index}]");
        within(faults, &path, |faults| match &name.name {
            None => faults.add("", "required: one of `uri` and `dns`"),
            Some(Name::Uri(text)) => {
                read.extend(name_match(text, "uri", faults).map(ir::AltName::Uri));
            }
            Some(Name::Dns(text)) => {
                read.extend(name_match(text, "dns", faults).map(ir::AltName::Dns));
            }
        });
    }
    read
}

fn name_match(from: &v1::NameMatch, path: &str, faults: &mut Faults) -> Option<ir::StringMatch> {
    let Some(wanted) = &from.r#match else {
        faults.add(
            path,
            "required: one of `exact`, `prefix`, `suffix` and `regex`",
        );
        return None;
    };
    let (field, text) = match wanted {
        Match::Exact(text) => ("exact", text),
        Match::Prefix(text) => ("prefix", text),
        Match::Suffix(text) => ("suffix", text),
        Match::Regex(text) => ("regex", text),
    };
    let path = format!("{path}.{field}");
    if let Match::Regex(text) = wanted {
        fields::regex(text, &path, faults);
    } else if text.is_empty() {
        faults.add(path, "must not be empty");
    }
    let text = text.clone();
    Some(match wanted {
        Match::Exact(_) => ir::StringMatch::Exact(text),
        Match::Prefix(_) => ir::StringMatch::Prefix(text),
        Match::Suffix(_) => ir::StringMatch::Suffix(text),
        Match::Regex(_) => ir::StringMatch::Regex(text),
    })
}
