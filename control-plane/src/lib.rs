//! The control plane: it stores what users want, compiles it to xDS, streams it
//! to proxies, and tells what they made of it.

pub mod access;
pub mod admin;
pub mod api;
pub mod app;
pub mod audit_sink;
pub mod compile;
pub mod config;
pub mod door;
pub mod entitle;
pub mod fleet;
pub mod model;
pub mod peer;
pub mod rate;
pub mod seal;
pub mod snapshot;
pub mod store;
pub mod xds;
