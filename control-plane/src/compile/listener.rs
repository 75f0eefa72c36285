//! `Listener` to [`ir::Listener`].

use evenkeel_shared::ir;
use evenkeel_shared::names::{ListenerName, RouteTableName};

use crate::model::Listener;

/// A listener asks for the route table of its own name.
pub(super) fn compile(name: &str, listener: &Listener) -> ir::Listener {
    let Listener {
        address,
        protocol,
        timeouts,
        limits,
        tls,
        proxy_protocol_from,
        trusted_hops,
        trusted_addresses,
        upgrades,
        access_log,
        trace_sampling,
    } = listener;
    ir::Listener {
        name: ListenerName::from(name),
        address: *address,
        protocol: *protocol,
        routes: ir::RouteSource::Named(RouteTableName::from(name)),
        timeouts: *timeouts,
        limits: *limits,
        tls: tls.clone(),
        proxy_protocol_from: proxy_protocol_from.clone(),
        trusted_hops: *trusted_hops,
        trusted_addresses: trusted_addresses.clone(),
        upgrades: upgrades.clone(),
        access_log: access_log.clone(),
        trace_sampling: *trace_sampling,
    }
}
