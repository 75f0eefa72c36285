//! Real sockets on both sides of real workers.

mod announced;
mod bodies;
mod certificates;
mod clients;
mod drain;
mod handshakes;
mod messages;
mod pools;
mod protocols;
mod retries;
mod secure;
mod support;
