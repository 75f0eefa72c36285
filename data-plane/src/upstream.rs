//! Clusters and their hosts as they live in the process, and the connections to
//! them.

pub(crate) mod body;
pub mod cluster;
pub(crate) mod connection;
pub(crate) mod convert;
pub(crate) mod dial;
pub(crate) mod exec;
pub(crate) mod failure;
pub(crate) mod handshake;
pub mod host;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod hyper_body;
pub(crate) mod permit;
pub(crate) mod pool;
pub(crate) mod pools;
pub(crate) mod pressure;
pub(crate) mod probe;
pub(crate) mod proxy_header;
pub(crate) mod request;
pub(crate) mod secured;
pub(crate) mod trailers;
pub(crate) mod wire;
