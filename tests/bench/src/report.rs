//! Results: what is kept of them in JSON, and how they read as tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::peer::Peer;
use crate::statistics::float;

pub(crate) mod cpu;
pub(crate) mod latency;
mod machine;

pub(crate) use machine::Machine;

/// Everything that one run has measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) cpu: Vec<cpu::Comparison>,
    pub(crate) latency: Option<latency::Latency>,
    pub(crate) memory: Vec<Footprint>,
    pub(crate) syscalls: Vec<Calls>,
}

/// Memory of one proxy in KiB (PSS).
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Footprint {
    pub(crate) peer: Peer,
    /// Without connections.
    pub(crate) idle: u64,
    /// With 1,000.
    pub(crate) with_some: u64,
    /// With 9,000.
    pub(crate) with_many: u64,
}

/// System calls of one proxy for each request.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Calls {
    pub(crate) peer: Peer,
    pub(crate) receive: f64,
    pub(crate) send: f64,
    pub(crate) wait: f64,
    pub(crate) other: f64,
}

impl Results {
    pub(crate) fn new(machine: Machine) -> Self {
        Self {
            machine,
            cpu: Vec::new(),
            latency: None,
            memory: Vec::new(),
            syscalls: Vec::new(),
        }
    }

    pub(crate) fn memory_table(&self) -> String {
        let mut text = String::from(
            "memory, KiB (PSS)    no connection  1,000 idle  9,000 idle  bytes for each\n",
        );
        for row in &self.memory {
            let _ = writeln!(
                text,
                "  {:<18} {:>13} {:>11} {:>11} {:>15.0}",
                row.peer.name(),
                row.idle,
                row.with_some,
                row.with_many,
                row.bytes_each()
            );
        }
        text
    }

    pub(crate) fn syscalls_table(&self) -> String {
        let mut text = String::from("system calls/request  receive    send    wait   other\n");
        for row in &self.syscalls {
            let _ = writeln!(
                text,
                "  {:<18} {:>8.2} {:>7.2} {:>7.2} {:>7.2}",
                row.peer.name(),
                row.receive,
                row.send,
                row.wait,
                row.other
            );
        }
        text
    }
}

impl Footprint {
    /// Slope between none and 9,000 connections.
    fn bytes_each(&self) -> f64 {
        let kibibytes = self.with_many.saturating_sub(self.idle);
        float(usize::try_from(kibibytes).unwrap_or(usize::MAX)) * 1024.0 / 9_000.0
    }
}

impl Calls {
    /// Sorts counted calls into kinds. Writing to an eventfd, which wakes another
    /// thread, is a `write` like any other.
    pub(crate) fn new(peer: Peer, counts: &BTreeMap<String, u64>, requests: f64) -> Self {
        let sum = |is: &dyn Fn(&str) -> bool| {
            let these = counts.iter().filter(|(name, _)| is(name));
            let sum: u64 = these.map(|(_, count)| count).sum();
            float(usize::try_from(sum).unwrap_or(usize::MAX)) / requests
        };
        let receive = |name: &str| name.starts_with("recv") || name.starts_with("read");
        let send = |name: &str| name.starts_with("send") || name.starts_with("write");
        let wait = |name: &str| name.starts_with("epoll_") && name.contains("wait");
        Self {
            peer,
            receive: sum(&receive),
            send: sum(&send),
            wait: sum(&wait),
            other: sum(&|name| !receive(name) && !send(name) && !wait(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_sorted_by_kind() {
        let counts = [
            ("recvfrom", 150),
            ("read", 50),
            ("writev", 100),
            ("epoll_pwait2", 10),
            ("epoll_ctl", 5),
            ("futex", 15),
        ];
        let counts = counts.map(|(name, count)| (name.to_owned(), count)).into();
        let calls = Calls::new(Peer::Nginx, &counts, 100.0);
        assert!((calls.receive - 2.0).abs() < 1e-9);
        assert!((calls.send - 1.0).abs() < 1e-9);
        assert!((calls.wait - 0.1).abs() < 1e-9);
        assert!((calls.other - 0.2).abs() < 1e-9);
    }

    #[test]
    fn memory_is_a_slope() {
        let row = Footprint {
            peer: Peer::Nginx,
            idle: 1_000,
            with_some: 2_000,
            with_many: 10_000,
        };
        assert!((row.bytes_each() - 1024.0).abs() < 1e-9);
    }
}
