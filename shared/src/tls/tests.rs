//! Handshakes in memory, between both sides' settings.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Error, ServerConnection};

use super::*;
use crate::ir::{AltName, StringMatch};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).unwrap();
    Authority {
        pem: certificate.pem(),
        issuer: Issuer::new(params, key),
    }
}

impl Authority {
    fn trust(&self) -> Trust {
        Trust::read(self.pem.as_bytes(), None).unwrap()
    }

    fn pair(&self, dns: &[&str], uri: Option<&str>) -> Pair {
        let names: Vec<String> = dns.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let uri = uri.map(|uri| SanType::URI(uri.try_into().unwrap()));
        params.subject_alt_names.extend(uri);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair::read(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }
}

fn server(certificates: Vec<Pair>, clients: Option<ClientRules>) -> ServerSettings {
    ServerSettings {
        certificates,
        clients,
        lowest: TlsVersion::Tls12,
        alpn: vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()],
    }
}

fn client(trust: Trust, names: NameRules, certificate: Option<Pair>) -> ClientSettings {
    ClientSettings {
        server: Some(ServerRules { trust, names }),
        certificate,
        lowest: TlsVersion::Tls12,
        alpn: vec![ALPN_HTTP1.to_vec()],
        names_server: true,
    }
}

/// Of the client and of the server.
type Errors = (Option<Error>, Option<Error>);

/// Shakes hands; the names that the client saw, or the first error of the client
/// and of the server.
fn shake(
    server: ServerSettings,
    client: ClientSettings,
    name: &str,
) -> Result<Identity, Box<Errors>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client.build().unwrap()), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server.build().unwrap())).unwrap();
    let (mut client_error, mut server_error) = (None, None);
    for _ in 0..10 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut read = bytes.as_slice();
        while !read.is_empty() {
            server.read_tls(&mut read).unwrap();
            if let Err(error) = server.process_new_packets() {
                server_error.get_or_insert(error);
                break;
            }
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut read = bytes.as_slice();
        while !read.is_empty() {
            client.read_tls(&mut read).unwrap();
            if let Err(error) = client.process_new_packets() {
                client_error.get_or_insert(error);
                break;
            }
        }
    }
    if client_error.is_some() || server_error.is_some() {
        return Err(Box::new((client_error, server_error)));
    }
    Ok(Identity::read(&client.peer_certificates().unwrap()[0]).unwrap())
}

#[test]
fn the_certificate_with_the_name_asked_for_is_shown() {
    let authority = authority();
    let pairs = vec![
        authority.pair(&["first.test"], None),
        authority.pair(&["shop.test", "*.shop.test"], None),
    ];
    for (asked, shown) in [
        ("first.test", "first.test"),
        ("shop.test", "shop.test"),
        ("cart.shop.test", "shop.test"),
        ("other.test", "first.test"),
    ] {
        let any = NameRules::build(&[]).unwrap();
        let client = client(authority.trust(), any, None);
        let seen = shake(server(pairs.clone(), None), client, asked).unwrap();
        assert_eq!(seen.dns[0], shown, "{asked}");
    }
}

#[test]
fn a_server_of_another_name_or_authority_is_refused() {
    let (ours, other) = (authority(), authority());
    let pair = ours.pair(&["shop.test"], None);
    let reason = |trust, host: &str| {
        let settings = client(trust, NameRules::host(host), None);
        let refused = shake(server(vec![pair.clone()], None), settings, host);
        refusal(refused.unwrap_err().0.as_ref().unwrap())
    };
    assert_eq!(reason(ours.trust(), "else.test"), "wrong_name");
    assert_eq!(reason(other.trust(), "shop.test"), "unknown_issuer");
    // The authority counts first, so a right name does not hide a wrong one.
    assert_eq!(reason(other.trust(), "else.test"), "unknown_issuer");
}

#[test]
fn clients_need_a_certificate_of_the_authority_with_a_name_on_the_list() {
    let authority = authority();
    let rules = |required| ClientRules {
        trust: authority.trust(),
        required,
        names: NameRules::build(&[AltName::Uri(StringMatch::Prefix(
            "spiffe://shop/".to_owned(),
        ))])
        .unwrap(),
    };
    let shown = authority.pair(&["shop.test"], None);
    let attempt = |required, certificate| {
        let server = server(vec![shown.clone()], Some(rules(required)));
        let client = client(authority.trust(), NameRules::host("shop.test"), certificate);
        shake(server, client, "shop.test").map_err(|errors| refusal(errors.1.as_ref().unwrap()))
    };
    let cart = authority.pair(&[], Some("spiffe://shop/cart"));
    let bank = authority.pair(&[], Some("spiffe://bank/teller"));
    let stranger = self::authority().pair(&[], Some("spiffe://shop/cart"));
    assert!(attempt(true, Some(cart)).is_ok());
    assert_eq!(attempt(true, Some(bank.clone())), Err("wrong_name"));
    assert_eq!(attempt(true, Some(stranger)), Err("unknown_issuer"));
    assert_eq!(attempt(true, None), Err("no_certificate"));
    assert!(attempt(false, None).is_ok());
    assert_eq!(attempt(false, Some(bank)), Err("wrong_name"));
}

#[test]
fn a_key_of_another_certificate_is_refused_and_never_shown() {
    let key = KeyPair::generate().unwrap();
    let other = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["shop.test".to_owned()]).unwrap();
    let chain = params.self_signed(&key).unwrap().pem();
    let fault = Pair::read(chain.as_bytes(), other.serialize_pem().as_bytes()).unwrap_err();
    assert_eq!(fault, TlsFault::Mismatch);
    let garbage = Pair::read(chain.as_bytes(), b"canary").unwrap_err();
    assert!(!format!("{garbage:?} {garbage}").contains("canary"));
    let pair = Pair::read(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    assert!(!format!("{pair:?}").contains("PRIVATE"));
}

#[test]
fn names_match_as_rfc_6125_has_it() {
    let identity = authority().pair(&["*.shop.test"], None).identity;
    assert!(NameRules::host("cart.shop.test").allow(&identity));
    assert!(NameRules::host("CART.shop.test").allow(&identity));
    assert!(!NameRules::host("a.cart.shop.test").allow(&identity));
    assert!(!NameRules::host("shop.test").allow(&identity));
    let suffix = AltName::Dns(StringMatch::Suffix(".shop.test".to_owned()));
    assert!(NameRules::build(&[suffix]).unwrap().allow(&identity));
}
