//! The codec against itself, against noise, and against what other control
//! planes send.

mod encoding;
mod faults;
mod foreign;
mod round_trip;
mod samples;
mod secret_faults;
mod strategies;
mod tls_encoding;
mod tls_faults;
mod tls_foreign;
mod tls_samples;
mod tls_strategies;
