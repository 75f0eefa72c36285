//! The configuration in force: one immutable value behind one swap, and how it
//! is made from what the control plane sent.

pub mod build;
pub mod membership;
pub mod retired;
pub mod snapshot;
