//! What is sent through the proxies.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::certificates::Certificates;
use crate::drive::Driver;
use crate::drive::h2load::H2load;
use crate::load::{Handshakes, LoadArgs};
use crate::peer::{Doors, Peer};

/// Bytes of a body that is sent.
const BODY: usize = 16 * 1024;

/// A kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Workload {
    /// GET with an answer of 128 bytes, 64 connections.
    SmallGet,
    /// The same over one connection.
    OneConnection,
    /// GET with an answer of 16 KiB, 64 connections.
    #[value(name = "get-16k")]
    #[serde(rename = "get-16k")]
    Get16k,
    /// GET with an answer of 1 MiB, 16 connections.
    #[value(name = "get-1m")]
    #[serde(rename = "get-1m")]
    Get1m,
    /// POST of 16 KiB, 64 connections.
    #[value(name = "post-16k")]
    #[serde(rename = "post-16k")]
    Post16k,
    /// POST of 16 KiB in chunks, an answer of 16 KiB in chunks, 64 connections.
    Chunked,
    /// HTTP/2 from the client, 8 connections of 16 streams; HTTP/1.1 to the endpoints.
    Http2,
    /// gRPC unary calls, HTTP/2 on both sides, 8 connections of 16 streams.
    Grpc,
    /// The small GET over TLS 1.3, 64 connections that stay.
    Tls,
    /// The small GET over TLS 1.3 with a full handshake for each, 16 connections.
    TlsFull,
    /// The same with a resumed handshake.
    TlsResumed,
    /// The small GET to 1,000 endpoints, 64 connections.
    ManyEndpoints,
}

impl Workload {
    /// Its name on the command line and in files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SmallGet => "small-get",
            Self::OneConnection => "one-connection",
            Self::Get16k => "get-16k",
            Self::Get1m => "get-1m",
            Self::Post16k => "post-16k",
            Self::Chunked => "chunked",
            Self::Http2 => "http2",
            Self::Grpc => "grpc",
            Self::Tls => "tls",
            Self::TlsFull => "tls-full",
            Self::TlsResumed => "tls-resumed",
            Self::ManyEndpoints => "many-endpoints",
        }
    }

    /// Whether a proxy can do it.
    pub(crate) fn suits(self, peer: Peer) -> bool {
        // Records make a difference to requests, which one workload shows.
        peer != Peer::EvenkeelRecords || self == Self::SmallGet
    }

    /// Who sends it, and how.
    pub(crate) fn driver(self, doors: &Doors, certificates: &Certificates) -> Driver {
        let http = LoadArgs::new(doors.http);
        let tls = |connections, handshakes| LoadArgs {
            authority: Some(certificates.authority.clone()),
            connections,
            handshakes,
            ..LoadArgs::new(doors.tls)
        };
        let path = |path: &str, connections| LoadArgs {
            path: path.to_owned(),
            connections,
            ..http.clone()
        };
        let post = |path: &str, chunked| LoadArgs {
            path: path.to_owned(),
            body: Some(BODY),
            chunked,
            ..http.clone()
        };
        Driver::Own(match self {
            Self::SmallGet => http,
            Self::OneConnection => path("/128", 1),
            Self::Get16k => path("/16384", 64),
            Self::Get1m => path("/1048576", 16),
            Self::Post16k => post("/128", false),
            Self::Chunked => post("/chunked", true),
            Self::Http2 => return Driver::H2load(H2load::get(doors.http2)),
            Self::Grpc => return Driver::H2load(H2load::grpc(doors.grpc)),
            Self::Tls => tls(64, Handshakes::Kept),
            Self::TlsFull => tls(16, Handshakes::Full),
            Self::TlsResumed => tls(16, Handshakes::Resumed),
            Self::ManyEndpoints => LoadArgs {
                // Every endpoint gets its connection before it counts.
                warm: 3_000,
                ..LoadArgs::new(doors.many)
            },
        })
    }
}
