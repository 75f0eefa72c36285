//! The client's half of xDS: what the control plane says, what of it holds, and
//! what is told back.
//!
//! ```text
//! stream -> Session::receive -> Step -> runtime::build -> swap -> Session::commit -> ACK or NACK
//! ```
//!
//! [`session`], [`state`] and [`guard`] decide and touch neither clock nor
//! socket; [`task`], [`connect`] and [`applier`] act.

pub mod applier;
pub mod cache;
pub mod connect;
pub mod doors;
pub mod guard;
#[cfg(test)]
pub(crate) mod sample;
pub mod session;
pub mod state;
pub mod task;
pub mod view;
