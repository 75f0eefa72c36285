//! Where a worker's random numbers come from.

use std::io;

use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng};

/// A generator of its own for each worker, seeded by the system, so that nobody
/// waits for anybody and nothing can be guessed.
#[derive(Debug)]
pub(super) struct Entropy(StdRng);

impl Entropy {
    /// A generator seeded by the system.
    pub(super) fn from_system() -> io::Result<Self> {
        StdRng::try_from_rng(&mut SysRng)
            .map(Self)
            .map_err(|error| io::Error::other(error.to_string()))
    }

    /// The next number.
    pub(super) fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}
