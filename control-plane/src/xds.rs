//! Streams configuration to proxies by Envoy's xDS v3 over gRPC (ADS), in both
//! variants of the protocol, and keeps a register of who they are and how far
//! they have come.
//!
//! The rules of the protocol are in [`subscription`], which is pure; a thin
//! task per stream moves messages and calls it.

pub mod clock;
mod grpc;
pub mod message;
mod node;
pub mod nodes;
mod outlet;
pub mod service;
mod stream;
pub mod subscription;
mod variant;

pub(crate) use self::node::check_name;
