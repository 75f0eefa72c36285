//! Real sockets on both sides of real workers.

mod affinity;
mod announced;
mod backends;
mod bodies;
mod certificates;
mod clients;
mod drain;
mod endpoint_protocols;
mod endpoints;
mod handshakes;
mod health;
mod http1_clients;
mod latency;
mod messages;
mod origins;
mod pools;
mod protocols;
mod retries;
mod secure;
mod support;
