//! Who was kept out, and why.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::door::Full;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Port {
    port: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    port: &'static str,
    what: &'static str,
    bound: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    port: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

/// The instruments of the ports and of authorisation.
#[derive(Debug, Default)]
pub struct Security {
    /// Refusals that the audit log has no room for.
    pub audit_dropped: Counter,
    connections: Family<Port, Gauge>,
    refused: Family<Refused, Counter>,
    handshakes: Family<Failed, Counter>,
    reloads: Family<Outcome, Counter>,
    denied: Family<Reason, Counter>,
    api_denied: Family<Reason, Counter>,
    ended: Family<Reason, Counter>,
}

impl Security {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "connections_open",
            "Connections open now, by port",
            self.connections.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections closed at once because a bound was reached",
            self.refused.clone(),
        );
        registry.register(
            "tls_handshakes_failed",
            "TLS handshakes that failed",
            self.handshakes.clone(),
        );
        registry.register(
            "tls_reloads",
            "Times that the files of certificates were read again after a change",
            self.reloads.clone(),
        );
        registry.register(
            "xds_denied",
            "Requests of proxies that their certificate does not entitle them to",
            self.denied.clone(),
        );
        registry.register(
            "api_denied",
            "Calls of the management API that were refused, by reason",
            self.api_denied.clone(),
        );
        registry.register(
            "xds_streams_ended",
            "Streams refused or ended because the client went beyond a bound",
            self.ended.clone(),
        );
        registry.register(
            "audit_dropped",
            "Refusals missing in the audit log because it was behind",
            self.audit_dropped.clone(),
        );
    }

    /// The connections of a port.
    pub fn open_connections(&self, port: &'static str) -> Gauge {
        self.connections.get_or_create(&Port { port }).clone()
    }

    /// Counts a connection for which there was no place.
    pub fn note_refused(&self, port: &'static str, what: &'static str, full: Full) {
        let bound = full.label();
        let labels = Refused { port, what, bound };
        self.refused.get_or_create(&labels).inc();
    }

    /// Counts a handshake that failed.
    pub fn note_handshake(&self, port: &'static str, reason: &'static str) {
        self.handshakes
            .get_or_create(&Failed { port, reason })
            .inc();
    }

    /// Counts a change of certificates.
    pub fn note_reload(&self, result: &'static str) {
        self.reloads.get_or_create(&Outcome { result }).inc();
    }

    /// Counts a refused call of the management API.
    pub fn note_api_denied(&self, reason: &'static str) {
        self.api_denied.get_or_create(&Reason { reason }).inc();
    }

    /// Counts what a proxy is not entitled to.
    pub fn note_denied(&self, reason: &'static str) {
        self.denied.get_or_create(&Reason { reason }).inc();
    }

    /// Counts a stream that went beyond a bound.
    pub fn note_ended(&self, reason: &'static str) {
        self.ended.get_or_create(&Reason { reason }).inc();
    }
}
