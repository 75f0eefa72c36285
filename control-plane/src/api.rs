//! The management API: it changes the configuration through one
//! [`committer`], and tells what is known of it and of the proxies.
//!
//! One file per verb, or per group of verbs that do the same.

mod aside;
mod certificates;
pub mod committer;
mod endpoints;
mod plan;
mod read;
pub mod rejected;
pub mod service;
mod status;
#[cfg(test)]
mod tests;
mod wait;
mod write;
