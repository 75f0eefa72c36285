//! Streams configuration to proxies by Envoy's xDS v3 over gRPC (ADS), in both
//! variants of the protocol.

pub mod subscription;
