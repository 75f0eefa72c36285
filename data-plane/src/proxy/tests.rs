//! Real sockets on both sides of real workers.

mod bodies;
mod clients;
mod drain;
mod messages;
mod pools;
mod protocols;
mod retries;
mod support;
