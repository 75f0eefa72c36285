//! Clusters and their hosts as they live in the process, and the connections to
//! them.

pub mod cluster;
pub mod host;
