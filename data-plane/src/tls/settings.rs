//! Makes settings of what was read.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_shared::ir::{
    CertificateRef, ClientVerification, HttpProtocol, ServerVerification, TrustRef,
    UpstreamProtocol,
};
use evenkeel_shared::tls::{
    ALPN_HTTP1, ALPN_HTTP2, ClientRules, ClientSettings, NameRules, Pair, ServerRules,
    ServerSettings, TlsFault, Trust,
};
use rustls::{ClientConfig, ServerConfig};

use super::Ready;
use super::load::Material;
use super::place::{Place, unknown};
use super::plan::{Back, Front};
use super::secrets::Item;

/// All that was read, by where it came from.
#[derive(Debug, Default)]
pub(super) struct Shelf(pub(super) BTreeMap<Place, Item>);

impl Shelf {
    /// The settings of a listener, or why there are none.
    pub(super) fn server(&self, front: &Front) -> Ready<ServerConfig> {
        let spec = &front.spec;
        let certificates: Result<_, _> = spec.certificates.iter().map(|at| self.pair(at)).collect();
        let clients = spec.clients.as_ref().map(|rules| self.clients(rules));
        let settings = ServerSettings {
            certificates: certificates?,
            clients: clients.transpose()?,
            lowest: spec.min_version,
            alpn: match front.protocol {
                HttpProtocol::Auto => vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()],
                HttpProtocol::Http1 => vec![ALPN_HTTP1.to_vec()],
                HttpProtocol::Http2 => vec![ALPN_HTTP2.to_vec()],
            },
        };
        settings.build().map(Arc::new).map_err(in_words)
    }

    /// The settings of a cluster, or why there are none.
    pub(super) fn client(&self, back: &Back) -> Ready<ClientConfig> {
        let spec = &back.spec;
        if let (Some(name), None) = (&spec.server_name, &back.tls.server_name) {
            return Err(format!("server name {name:?} is not a host name or an address").into());
        }
        let server = spec.verification.as_ref().map(|rules| self.servers(rules));
        let certificate = spec.certificate.as_ref().map(|at| self.pair(at));
        let settings = ClientSettings {
            server: server.transpose()?,
            certificate: certificate.transpose()?,
            lowest: spec.min_version,
            alpn: match back.protocol {
                UpstreamProtocol::Http1 => vec![ALPN_HTTP1.to_vec()],
                UpstreamProtocol::Http2 => vec![ALPN_HTTP2.to_vec()],
            },
            names_server: spec.server_name.is_some(),
        };
        settings.build().map(Arc::new).map_err(in_words)
    }

    fn clients(&self, rules: &ClientVerification) -> Result<ClientRules, Arc<str>> {
        Ok(ClientRules {
            trust: self.trust(&rules.trust)?,
            required: rules.required,
            names: NameRules::build(&rules.names).map_err(in_words)?,
        })
    }

    fn servers(&self, rules: &ServerVerification) -> Result<ServerRules, Arc<str>> {
        Ok(ServerRules {
            trust: self.trust(&rules.trust)?,
            names: NameRules::build(&rules.names).map_err(in_words)?,
        })
    }

    fn pair(&self, at: &CertificateRef) -> Result<Pair, Arc<str>> {
        let place = Place::from(at);
        match self.material(&place)? {
            Material::Pair(pair) => Ok(pair.clone()),
            Material::Trust(..) => {
                let reason = format!("{place} holds certificates to trust, and no private key");
                Err(reason.into())
            }
        }
    }

    fn trust(&self, at: &TrustRef) -> Result<Trust, Arc<str>> {
        let place = Place::from(at);
        match self.material(&place)? {
            Material::Trust(trust, _) => Ok(trust.clone()),
            Material::Pair(_) => {
                let reason = format!("{place} holds a certificate with its key, and none to trust");
                Err(reason.into())
            }
        }
    }

    /// The last good of a place.
    fn material(&self, place: &Place) -> Result<&Material, Arc<str>> {
        let item = self.0.get(place).ok_or_else(|| unknown(place))?;
        let error = || item.error.clone().unwrap_or_else(|| unknown(place));
        item.good.as_ref().ok_or_else(error)
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it ends a chain of results, which hand it over"
)]
fn in_words(fault: TlsFault) -> Arc<str> {
    fault.to_string().into()
}
