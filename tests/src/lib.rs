//! Parts of the end-to-end tests: real processes, real backends with faults to
//! order, and clients that know the fate of every request.

pub mod backend;
pub mod client;
pub mod collector;
pub mod config;
pub mod pki;
pub mod process;
