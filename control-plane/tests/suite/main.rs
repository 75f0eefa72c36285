//! A control plane as its clients see it over the network: who gets in, and what
//! they get.

#![cfg(test)]

mod access;
mod identity;
mod plane;
mod tls;
