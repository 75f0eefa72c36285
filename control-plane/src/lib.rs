//! The control plane: it stores what users want, compiles it to xDS, streams it
//! to proxies, and tells what they made of it.

pub mod admin;
pub mod api;
pub mod app;
pub mod compile;
pub mod config;
pub mod fleet;
pub mod model;
pub mod peer;
pub mod snapshot;
pub mod store;
pub mod xds;
