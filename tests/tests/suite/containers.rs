//! The set-up of `docker-compose.yml`, as somebody runs it who has just found the
//! project, and what its containers may do to it.
//!
//! The ignored tests need a Docker engine on this machine with compose, and the
//! images: those of the registries, or what `deploy/offline/up.sh --images`
//! makes. `EVENKEEL_IMAGE` and `TRACES_IMAGE` name others.

mod account;
mod engine;
mod faults;
mod files;
mod fleet;
mod hardened;
mod partition;
mod project;
mod serves;
mod sizes;
