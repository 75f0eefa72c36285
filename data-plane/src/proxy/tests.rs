//! Real sockets on both sides of real workers.

mod backends;
mod bodies;
mod clients;
mod drain;
mod endpoint_protocols;
mod endpoints;
mod messages;
mod origins;
mod pools;
mod protocols;
mod retries;
mod support;
