//! `Listener`, checked and complete.

use std::net::SocketAddr;

use evenkeel_shared::error::Faults;
use evenkeel_shared::ir;
use evenkeel_shared::proto::v1;
use evenkeel_shared::units::Percent;
use ipnet::IpNet;

use super::fields::{self, within};
use super::{defaults, merge, tls};

/// Where proxies accept connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// What is bound; port 0 is any free one.
    pub address: SocketAddr,
    /// HTTP versions spoken.
    pub protocol: ir::HttpProtocol,
    /// How long clients may take.
    pub timeouts: ir::Timeouts,
    /// How much clients may send and hold.
    pub limits: ir::Limits,
    /// TLS; `None` is in the clear.
    pub tls: Option<ir::DownstreamTls>,
    /// From where connections begin with a PROXY protocol header.
    pub proxy_protocol_from: Vec<IpNet>,
    /// Addresses from the right of `X-Forwarded-For` that are believed.
    pub trusted_hops: u32,
    /// From where forwarding headers are believed at all; empty is from
    /// anywhere.
    pub trusted_addresses: Vec<IpNet>,
    /// `Upgrade` protocols that may pass, in lower case.
    pub upgrades: Vec<String>,
    /// Where the access log goes, if anywhere.
    pub access_log: Option<ir::AccessLog>,
    /// Share of requests without a trace context that start a trace.
    pub trace_sampling: Percent,
}

pub(super) fn from_proto(proto: &v1::Listener, faults: &mut Faults) -> Option<Listener> {
    let v1::Listener {
        address,
        protocol,
        timeouts,
        limits,
        forwarded_headers,
        upgrades,
        access_log,
        tracing,
        tls,
        proxy_protocol,
    } = merge::listener(proto, &defaults::listener(proto));
    let address = read_address(&address, faults);
    let protocol = read_protocol(protocol, faults);
    let timeouts = read_timeouts(timeouts.unwrap_or_default(), faults);
    let limits = within(faults, "limits", |faults| {
        read_limits(limits.unwrap_or_default(), faults)
    });
    // A fault in it is noted, and then it does not matter what stands here.
    let tls = tls.and_then(|tls| within(faults, "tls", |faults| tls::of_listener(tls, faults)));
    let proxy_protocol_from = proxy_protocol.map(|proxy| read_proxy_protocol(&proxy, faults));
    let v1::ForwardedHeaders {
        trusted_hops,
        trusted_addresses,
    } = forwarded_headers.unwrap_or_default();
    let path = "forwardedHeaders.trustedAddresses";
    let trusted_addresses = fields::networks(&trusted_addresses, path, faults);
    let upgrades = read_upgrades(&upgrades, faults);
    let access_log = access_log.map(|log| read_access_log(&log.path, faults));
    let sampling = tracing.and_then(|tracing| tracing.sample_percent);
    let trace_sampling = fields::percent(sampling, "tracing.samplePercent", faults);
    Some(Listener {
        address: address?,
        protocol: protocol?,
        timeouts,
        limits,
        tls,
        proxy_protocol_from: proxy_protocol_from.unwrap_or_default(),
        trusted_hops: trusted_hops.unwrap_or_default(),
        trusted_addresses,
        upgrades,
        access_log,
        trace_sampling,
    })
}

fn read_address(text: &str, faults: &mut Faults) -> Option<SocketAddr> {
    if text.is_empty() {
        faults.add("address", "required");
        return None;
    }
    let address = text.parse().ok();
    if address.is_none() {
        faults.add(
            "address",
            format!(
                "invalid value {text:?}: must be an IP address and a port, such as 0.0.0.0:8080 or [::]:8080"
            ),
        );
    }
    address
}

fn read_protocol(protocol: i32, faults: &mut Faults) -> Option<ir::HttpProtocol> {
    match v1::ListenerProtocol::try_from(protocol) {
        Ok(v1::ListenerProtocol::Unspecified | v1::ListenerProtocol::Http) => {
            Some(ir::HttpProtocol::Auto)
        }
        Ok(v1::ListenerProtocol::Http1) => Some(ir::HttpProtocol::Http1),
        Ok(v1::ListenerProtocol::Http2) => Some(ir::HttpProtocol::Http2),
        Err(_) => {
            faults.add(
                "protocol",
                format!("invalid value {protocol}: must be HTTP, HTTP1 or HTTP2"),
            );
            None
        }
    }
}

fn read_timeouts(timeouts: v1::ListenerTimeouts, faults: &mut Faults) -> ir::Timeouts {
    let v1::ListenerTimeouts {
        header,
        idle,
        stream_idle,
    } = timeouts;
    ir::Timeouts {
        header: fields::timeout(header, "timeouts.header", faults),
        idle: fields::timeout(idle, "timeouts.idle", faults),
        stream_idle: fields::timeout(stream_idle, "timeouts.streamIdle", faults),
    }
}

/// Envoy counts header bytes in KiB, up to 8 MiB.
fn read_limits(limits: v1::ListenerLimits, faults: &mut Faults) -> ir::Limits {
    let v1::ListenerLimits {
        connections,
        header_bytes,
        headers,
        body_bytes,
        concurrent_streams,
    } = limits;
    let bytes = header_bytes.unwrap_or_default();
    let header_bytes = fields::range(bytes, 1024..=8_388_608, "headerBytes", faults);
    if !header_bytes.is_multiple_of(1024) {
        faults.add(
            "headerBytes",
            format!("invalid value {bytes}: must be a multiple of 1024"),
        );
    }
    let streams = concurrent_streams.unwrap_or_default();
    ir::Limits {
        connections: fields::at_least(connections, 1, "connections", faults),
        header_bytes,
        headers: fields::at_least(headers, 1, "headers", faults),
        body_bytes: body_bytes.filter(|bytes| *bytes > 0),
        concurrent_streams: fields::range(streams, 1..=2_147_483_647, "concurrentStreams", faults),
    }
}

fn read_proxy_protocol(proxy: &v1::ListenerProxyProtocol, faults: &mut Faults) -> Vec<IpNet> {
    let v1::ListenerProxyProtocol { from } = proxy;
    if from.is_empty() {
        faults.add("proxyProtocol.from", "required: at least one address");
    }
    fields::networks(from, "proxyProtocol.from", faults)
}

fn read_upgrades(upgrades: &[String], faults: &mut Faults) -> Vec<String> {
    let mut read = Vec::with_capacity(upgrades.len());
    for (index, text) in upgrades.iter().enumerate() {
        let path = format!("upgrades[{index}]");
        let name = text.to_ascii_lowercase();
        if !fields::is_token(&name) {
            faults.add(
                path,
                format!(
                    "invalid value {text:?}: must be the name of a protocol, such as websocket"
                ),
            );
        } else if name == "h2c" {
            faults.add(
                path,
                format!("invalid value {text:?}: would let requests pass around every rule; HTTP/2 needs no upgrade here"),
            );
        }
        read.push(name);
    }
    fields::distinct(read.iter().map(String::as_str), "upgrades", faults);
    read
}

fn read_access_log(path: &str, faults: &mut Faults) -> ir::AccessLog {
    let path = match path {
        "stdout" => "/dev/stdout",
        "stderr" => "/dev/stderr",
        other => {
            if !other.starts_with('/') || other.ends_with('/') || other.contains('\0') {
                faults.add(
                    "accessLog.path",
                    format!(
                        "invalid value {other:?}: must be stdout, stderr or the absolute path of a file"
                    ),
                );
            }
            other
        }
    };
    ir::AccessLog {
        path: path.to_owned(),
    }
}
