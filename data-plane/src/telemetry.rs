//! What happened, told afterwards. Telemetry is a sink: the request path fills
//! a record and adds to counters of its own worker, and never waits.

pub mod access_log;
pub mod counters;
pub(crate) mod exchange;
pub mod export;
pub mod handshakes;
pub mod metrics;
pub mod record;
pub mod sink;
pub mod trace;
