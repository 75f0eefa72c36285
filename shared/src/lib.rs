//! The contract between the planes: names, units, the validated intermediate
//! representation, and the codecs between it and the wire.
//!
//! It ends where a clock, a socket, a lock or a task begins; the one exception
//! is the telemetry bootstrap, so that all roles log alike.

pub mod document;
pub mod error;
pub mod ir;
pub mod names;
pub mod proto;
pub mod secret;
pub mod telemetry;
pub mod tls;
pub mod units;
pub mod xds;
