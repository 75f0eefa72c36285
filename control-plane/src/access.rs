//! Who may do what on the management API.
//!
//! ```text
//! request -> Gate (who is it?) -> method (may it?) -> committer (may it, of what changes?)
//!              |                    |                   |
//!              +---- refusals ------+-------> audit <---+ in the transaction of the change
//! ```
//!
//! Invariant: credentials that are shown and do not hold are refused. Nobody
//! who shows some is ever taken for a local caller instead.

mod audit;
mod bootstrap;
mod caller;
mod gate;
mod grants;
mod keeper;
mod refusal;
mod registry;
mod request;
mod service;
#[cfg(test)]
mod tests;
mod token;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use tokio_util::task::TaskTracker;

pub use audit::Auditor;
pub(crate) use audit::loggable;
pub use caller::{Caller, Method};
pub use gate::Gate;
pub use grants::allows;
pub use keeper::Keeper;
pub(crate) use refusal::denied_text;
pub use refusal::{Denial, Refusal};
use registry::Registry;

use crate::admin::metrics::Metrics;
use crate::store::access::AccessStore;
use crate::xds::clock::Clock;

/// Keeps who is let in.
#[derive(Debug)]
pub struct Access<S> {
    store: Arc<S>,
    gate: Gate,
    clock: Clock,
    tasks: TaskTracker,
    /// One change of tokens at a time, so that what was checked holds.
    changing: tokio::sync::Mutex<()>,
}

/// How a control plane lets callers in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Whether callers from this machine need no credentials.
    pub local: bool,
    /// Where the first token is written, if one is needed.
    pub directory: PathBuf,
}

impl<S: AccessStore> Access<S> {
    /// Takes up the tokens that are kept, and makes the first one if it is
    /// needed. The keeper writes down what happens; it is to be run.
    ///
    /// # Errors
    /// The store fails, or the first token cannot be written.
    pub async fn load(
        store: &Arc<S>,
        rules: Rules,
        clock: Clock,
        metrics: &Arc<Metrics>,
        tasks: &TaskTracker,
    ) -> anyhow::Result<(Self, Keeper<S>)> {
        let tokens = store.tokens().await.context("the tokens cannot be read")?;
        let (audit, queue) = Auditor::new(clock, Arc::clone(metrics));
        let registry = Arc::new(Registry::new(tokens));
        let keeper = Keeper {
            store: Arc::clone(store),
            registry: Arc::clone(&registry),
            queue,
            metrics: Arc::clone(metrics),
        };
        let access = Self {
            store: Arc::clone(store),
            gate: Gate::new(registry, rules.local, audit, Arc::clone(metrics)),
            clock,
            tasks: tasks.clone(),
            changing: tokio::sync::Mutex::new(()),
        };
        if !rules.local {
            access.bootstrap(&rules.directory).await?;
        }
        Ok((access, keeper))
    }

    /// What stands before a service and lets only callers through who are known.
    pub fn gate(&self) -> Gate {
        self.gate.clone()
    }

    /// The way into the audit log.
    pub fn auditor(&self) -> Auditor {
        self.gate.auditor().clone()
    }
}
