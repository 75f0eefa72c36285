//! Ports for programs that must be told theirs.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::bail;

/// Below the range from which the system takes ports for outgoing connections,
/// so that none of them can take a port between its choice and its use.
const PORTS: std::ops::Range<u16> = 10_240..32_000;

/// Hands out ports of 127.0.0.1, each once.
#[derive(Debug)]
pub(crate) struct Ports {
    next: u16,
    left: u16,
}

impl Default for Ports {
    fn default() -> Self {
        let size = PORTS.end - PORTS.start;
        // Two processes begin far apart.
        let start = std::process::id().wrapping_mul(7_919) % u32::from(size);
        Self {
            next: PORTS.start + u16::try_from(start).unwrap_or_default(),
            left: size,
        }
    }
}

impl Ports {
    /// A free one.
    ///
    /// # Errors
    /// If there is none left.
    pub(crate) fn take(&mut self) -> anyhow::Result<SocketAddr> {
        while self.left > 0 {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.next));
            self.left -= 1;
            self.next += 1;
            if self.next == PORTS.end {
                self.next = PORTS.start;
            }
            if TcpListener::bind(address).is_ok() {
                return Ok(address);
            }
        }
        bail!("no port of 127.0.0.1 is free")
    }
}
