//! Clusters whose endpoints are the addresses of a name. What to do with an
//! answer and when to ask next is decided in [`plan`]; [`task`] asks, and tells
//! the configuration side, for which an answer is what an assignment is for other
//! clusters.

pub mod plan;
pub mod resolver;
#[cfg(test)]
pub(crate) mod server;
pub mod shown;
pub mod task;
