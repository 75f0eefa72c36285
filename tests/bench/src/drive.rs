//! Load, whoever makes it: started, waited for until it is warm, and let go.

use std::path::Path;

use crate::load::{Load, LoadArgs, Report};
use crate::process::Placement;

pub(crate) mod h2load;

use h2load::H2load;

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Amount {
    /// So many requests.
    Requests(u64),
    /// As many as there are in so many seconds.
    Seconds(f64),
}

/// Who makes the load.
#[derive(Debug, Clone)]
pub(crate) enum Driver {
    /// Our own generator.
    Own(LoadArgs),
    /// The generator of nghttp2.
    H2load(H2load),
}

/// Load that waits for the word to go.
#[derive(Debug)]
pub(crate) enum Ready {
    /// Our own generator, with open connections.
    Own(Load),
    /// The generator of nghttp2, which has no way to wait: its connections are new.
    H2load(H2load, Amount, Placement),
}

impl Driver {
    /// Warms the target up.
    ///
    /// # Errors
    /// If the target does not answer.
    pub(crate) fn start(
        &self,
        amount: Amount,
        placement: Placement,
        directory: &Path,
    ) -> anyhow::Result<Ready> {
        match self {
            Self::Own(args) => {
                let mut args = args.clone();
                match amount {
                    Amount::Requests(count) => args.requests = Some(count),
                    Amount::Seconds(seconds) => args.seconds = seconds,
                }
                Ok(Ready::Own(Load::start(&args, placement, directory)?))
            }
            Self::H2load(h2load) => {
                h2load.run(Amount::Requests(500), placement)?;
                Ok(Ready::H2load(h2load.clone(), amount, placement))
            }
        }
    }
}

impl Ready {
    /// Sends what counts.
    ///
    /// # Errors
    /// If the generator fails.
    pub(crate) fn go(self) -> anyhow::Result<Report> {
        match self {
            Self::Own(mut load) => load.go(),
            Self::H2load(h2load, amount, placement) => h2load.run(amount, placement),
        }
    }
}
