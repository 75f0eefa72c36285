//! From the intermediate representation to Envoy's messages: total, and
//! explicit in every value.

mod assignment;
mod cluster;
mod listener;
mod route;
mod secret;
mod tls;
mod transport;
mod values;

pub(super) use assignment::assignment;
pub(super) use cluster::cluster;
pub(super) use listener::listener;
pub(super) use route::route_table;
pub(super) use secret::secret_bytes;
