//! The data plane: a stateless HTTP proxy that obeys an xDS control plane.
//!
//! Workers carry requests, one thread each; one control thread takes in
//! configuration, watches health and answers the admin port.

pub mod admin;
pub mod app;
pub mod balance;
pub mod clock;
pub mod config;
pub mod dns;
pub mod drain;
pub mod filter;
pub mod fleet;
pub mod head;
pub mod health;
pub mod http1;
pub mod limit;
pub mod listen;
pub mod message;
pub mod outcome;
pub mod proxy;
pub mod retry;
pub mod route;
pub mod runtime;
pub mod telemetry;
pub mod tick;
pub mod tls;
pub mod upstream;
pub mod worker;
pub mod xds;
