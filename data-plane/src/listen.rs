//! Where requests come in: sockets, TLS, connections, and how long clients may
//! take. What a request says and where it goes is not known here.

pub(crate) mod accept;
pub(crate) mod body;
pub(crate) mod connection;
mod convert;
mod ending;
mod framing;
pub(crate) mod handshake;
pub(crate) mod http1;
mod http1_hyper;
mod http2;
pub(crate) mod io;
mod opening;
mod proxy_protocol;
pub mod socket;
mod stall;
mod transport;
pub(crate) mod watch;
