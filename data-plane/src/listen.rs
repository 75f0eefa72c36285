//! Where requests come in: sockets, connections, and how long clients may take.
//! What a request says and where it goes is not known here.

pub(crate) mod accept;
pub(crate) mod connection;
mod framing;
mod http1;
mod http2;
pub(crate) mod io;
pub mod socket;
mod stall;
pub(crate) mod watch;
