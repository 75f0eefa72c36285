//! To be written.

/// Endpoints as told and ejections as decided.
#[derive(Debug)]
pub struct Membership {}
