//! What proxies were refused, on its way to the audit log.

use std::sync::Arc;

use evenkeel_shared::proto::v1;
use prost_types::Timestamp;
use tokio::sync::mpsc;
use tracing::warn;

use crate::access::{Auditor, Method};
use crate::admin::metrics::Metrics;
use crate::peer::Peer;
use crate::rate::Bucket;
use crate::xds::clock::Clock;

/// How many refusals may wait to be stored; what comes then is counted only.
const WAITING: usize = 1024;

/// How many refusals are logged in a second.
const LOGGED: u64 = 10;

/// A refusal.
#[derive(Debug, Clone, PartialEq)]
pub struct Denied {
    /// When.
    pub time: Timestamp,
    /// The name in the certificate; empty without one.
    pub subject: String,
    /// Where it came from: IP address and port.
    pub source: String,
    /// What was asked for: `stream` or `report`.
    pub action: &'static str,
    /// Why not.
    pub detail: String,
}

/// Where refusals are told. Telling never waits.
#[derive(Debug, Clone)]
pub struct Audit {
    sender: mpsc::Sender<Denied>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

impl Audit {
    /// Where refusals are told, and where they come out.
    pub fn open(metrics: Arc<Metrics>, clock: Clock) -> (Self, mpsc::Receiver<Denied>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let audit = Self {
            sender,
            metrics,
            clock,
        };
        (audit, receiver)
    }

    /// Counts a refusal by its reason, and passes it on.
    pub fn deny(
        &self,
        reason: &'static str,
        action: &'static str,
        peer: Option<&Peer>,
        detail: String,
    ) {
        self.metrics.security.note_denied(reason);
        let denied = Denied {
            time: self.clock.wall_now(),
            subject: peer.map_or_else(String::new, |peer| peer.label().to_owned()),
            source: peer.map_or_else(String::new, |peer| peer.address.to_string()),
            action,
            detail,
        };
        if self.sender.try_send(denied).is_err() {
            self.metrics.security.audit_dropped.inc();
        }
    }
}

/// Logs refusals as they come and hands them to the audit log, until nobody can
/// be refused any more.
pub async fn log(mut denials: mpsc::Receiver<Denied>, clock: Clock, auditor: Auditor) {
    let mut bucket = Bucket::new(LOGGED, LOGGED, clock.now());
    let mut unlogged = 0_u64;
    while let Some(denied) = denials.recv().await {
        if bucket.take(clock.now()) {
            let Denied {
                subject,
                source,
                action,
                detail,
                ..
            } = &denied;
            warn!(%subject, %source, action, unlogged, "refused: {detail}");
            unlogged = 0;
        } else {
            unlogged += 1;
        }
        auditor.refused_proxy(denied.into());
    }
}

impl From<Denied> for v1::AuditEntry {
    fn from(denied: Denied) -> Self {
        let by_certificate = !denied.subject.is_empty();
        let method = by_certificate.then(|| Method::Certificate.label().to_owned());
        Self {
            time: Some(denied.time),
            subject: denied.subject,
            method: method.unwrap_or_default(),
            source: denied.source,
            action: denied.action.to_owned(),
            detail: denied.detail,
            ..Self::default()
        }
    }
}
