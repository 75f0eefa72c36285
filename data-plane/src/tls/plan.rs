//! Which listeners and clusters are to have TLS, as it is staged with the rest
//! of the configuration. Nothing is read here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_shared::ir;
use evenkeel_shared::names::{ClusterName, ListenerName, SecretName};
use rustls::pki_types::ServerName;

use super::place::Place;
use super::{BackTls, FrontTls};

/// All TLS that is to be in force.
#[derive(Debug, Default)]
pub struct Plan {
    /// Of listeners.
    pub(super) fronts: BTreeMap<ListenerName, Front>,
    /// Of clusters.
    pub(super) backs: BTreeMap<ClusterName, Back>,
    /// What the control plane has sent.
    pub(super) secrets: BTreeMap<SecretName, Arc<ir::Secret>>,
}

/// TLS of a listener, and what it is made of.
#[derive(Debug, Clone)]
pub(super) struct Front {
    pub(super) spec: ir::DownstreamTls,
    pub(super) protocol: ir::HttpProtocol,
    pub(super) tls: Arc<FrontTls>,
}

/// TLS of a cluster, and what it is made of.
#[derive(Debug, Clone)]
pub(super) struct Back {
    pub(super) spec: ir::UpstreamTls,
    pub(super) protocol: ir::UpstreamProtocol,
    pub(super) tls: Arc<BackTls>,
}

/// What new settings say until they are read, which is before anybody sees
/// them.
const UNREAD: &str = "the certificates have not been read yet";

impl Plan {
    /// Of nobody yet, with these secrets.
    pub fn new(secrets: BTreeMap<SecretName, Arc<ir::Secret>>) -> Self {
        Self {
            secrets,
            ..Self::default()
        }
    }

    /// TLS of a listener: the one of `before` if nothing of it changed. `None`
    /// is in the clear.
    pub fn front(&mut self, before: &Self, listener: &ir::Listener) -> Option<Arc<FrontTls>> {
        let spec = listener.tls.as_ref()?;
        let known = before.fronts.get(&listener.name);
        let same = known.filter(|old| old.spec == *spec && old.protocol == listener.protocol);
        let front = same.cloned().unwrap_or_else(|| Front {
            spec: spec.clone(),
            protocol: listener.protocol,
            tls: Arc::new(FrontTls::new(Err(UNREAD.into()), spec.handshake_timeout)),
        });
        let tls = Arc::clone(&front.tls);
        self.fronts.insert(listener.name.clone(), front);
        Some(tls)
    }

    /// TLS of a cluster, likewise.
    pub fn back(&mut self, before: &Self, cluster: &ir::Cluster) -> Option<Arc<BackTls>> {
        let spec = cluster.tls.as_ref()?;
        let known = before.backs.get(&cluster.name);
        let same = known.filter(|old| old.spec == *spec && old.protocol == cluster.protocol);
        let back = same.cloned().unwrap_or_else(|| {
            let name = spec.server_name.clone();
            // A name that is none is said with the settings.
            let name = name.and_then(|name| ServerName::try_from(name).ok());
            Back {
                spec: spec.clone(),
                protocol: cluster.protocol,
                tls: Arc::new(BackTls::new(Err(UNREAD.into()), name)),
            }
        });
        let tls = Arc::clone(&back.tls);
        self.backs.insert(cluster.name.clone(), back);
        Some(tls)
    }

    /// All places that certificates come from.
    pub(super) fn places(&self) -> BTreeSet<Place> {
        let fronts = self.fronts.values().flat_map(Front::places);
        let backs = self.backs.values().flat_map(Back::places);
        fronts.chain(backs).collect()
    }
}

impl Front {
    pub(super) fn places(&self) -> Vec<Place> {
        let shown = self.spec.certificates.iter().map(Place::from);
        let trusted = self
            .spec
            .clients
            .iter()
            .map(|rules| Place::from(&rules.trust));
        shown.chain(trusted).collect()
    }
}

impl Back {
    pub(super) fn places(&self) -> Vec<Place> {
        let shown = self.spec.certificate.iter().map(Place::from);
        let rules = self.spec.verification.iter();
        shown
            .chain(rules.map(|rules| Place::from(&rules.trust)))
            .collect()
    }
}
