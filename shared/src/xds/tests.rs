//! The codec against itself, against noise, and against what other control
//! planes send.

mod encoding;
mod faults;
mod foreign;
mod round_trip;
mod samples;
mod strategies;
