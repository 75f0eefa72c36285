//! The one task that changes the configuration: it checks, stores, and then
//! publishes. A caller that goes away does not tear a change.
//!
//! ```text
//! request -> apply -> check -> compile -> durable commit -> encode -> publish
//! ```
//!
//! Invariant: nothing is published that is not durable, and what is published
//! only gets newer.

use std::sync::Arc;

use evenkeel_shared::proto::v1;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::aside::off_thread;
use super::plan::{Asked, Plan, checked, plan};
use super::rejected::Rejected;
use crate::access::{Auditor, Caller, loggable};
use crate::admin::metrics::Metrics;
use crate::compile::ConfigSet;
use crate::seal::{Admitted, Seal};
use crate::snapshot::Snapshot;
use crate::store::{CommitError, Committed, ConfigStore, DesiredState, Proposal, ResourceKey};
use crate::xds::clock::Clock;
use crate::xds::nodes::Nodes;

/// Changes that wait for their turn; more callers wait to be let in.
const WAITING: usize = 64;

/// What is to be changed.
#[derive(Debug)]
pub(super) enum Edit {
    /// Create or replace, and delete.
    Apply {
        resources: Admitted,
        deletions: Vec<ResourceKey>,
    },
    /// Go to this state.
    Replace(DesiredState),
}

/// A change, as somebody asks for it.
#[derive(Debug)]
pub(super) struct Change {
    /// Who asks. What it may is decided here, where it is known what changes.
    pub by: Arc<Caller>,
    /// What it is called in the audit log.
    pub action: &'static str,
    pub edit: Edit,
    pub apply_id: String,
    pub expected_revision: u64,
    pub dry_run: bool,
    pub message: String,
    pub author: String,
    pub allow_mass_removal: bool,
}

/// What a change did.
#[derive(Debug)]
pub(super) struct Outcome {
    pub revision: u64,
    pub changes: Vec<v1::Change>,
    pub proxies: u32,
}

/// The present configuration.
#[derive(Debug)]
pub struct Head {
    /// Its revision; number 0 before the first.
    pub revision: v1::Revision,
    /// What users want. Secrets in it are sealed; whoever shows something of it
    /// redacts it.
    pub state: DesiredState,
    /// What proxies can get.
    pub config: ConfigSet,
}

type Reply = oneshot::Sender<Result<Outcome, Rejected>>;

/// The way to the committer, and its results.
#[derive(Debug, Clone)]
pub struct Configuration {
    changes: mpsc::Sender<(Change, Reply)>,
    head: watch::Receiver<Arc<Head>>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    seal: Arc<Seal>,
}

/// The task's state.
#[derive(Debug)]
pub struct Committer<S> {
    store: Arc<S>,
    seal: Arc<Seal>,
    changes: mpsc::Receiver<(Change, Reply)>,
    head: watch::Sender<Arc<Head>>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    nodes: Arc<Nodes>,
    metrics: Arc<Metrics>,
    clock: Clock,
    audit: Auditor,
}

impl Outcome {
    fn new(revision: u64, changes: Vec<v1::Change>, proxies: usize) -> Self {
        Self {
            revision,
            changes,
            proxies: u32::try_from(proxies).unwrap_or(u32::MAX),
        }
    }
}

impl Configuration {
    /// The present configuration.
    pub fn head(&self) -> Arc<Head> {
        Arc::clone(&self.head.borrow())
    }

    /// What is published.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// What secrets are sealed with.
    pub(super) fn seal(&self) -> &Seal {
        &self.seal
    }

    pub(super) async fn change(&self, change: Change) -> Result<Outcome, Rejected> {
        let (reply, outcome) = oneshot::channel();
        let sent = self.changes.send((change, reply)).await;
        sent.map_err(|_| Rejected::Closed)?;
        outcome.await.map_err(|_| Rejected::Closed)?
    }
}

impl<S: ConfigStore> Committer<S> {
    /// Takes up the last durable revision.
    ///
    /// # Errors
    /// The store cannot be read, or holds what this program does not accept.
    pub async fn load(
        store: Arc<S>,
        seal: Arc<Seal>,
        nodes: Arc<Nodes>,
        metrics: Arc<Metrics>,
        audit: Auditor,
    ) -> anyhow::Result<(Self, Configuration)> {
        let Committed {
            revision, state, ..
        } = store.head().await?;
        let grant = store.removal_grant().await?;
        let config = checked(&state, Vec::new(), &seal).map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            anyhow::anyhow!(
                "revision {} is not valid for this version of the program:\n{}",
                revision.revision,
                faults.join("\n")
            )
        })?;
        let snapshot = Snapshot::build(revision.revision, grant, &config, None);
        metrics.set_revision(revision.revision);
        let (sender, changes) = mpsc::channel(WAITING);
        let head = Head {
            revision,
            state,
            config,
        };
        let (head, head_reader) = watch::channel(Arc::new(head));
        let (snapshots, snapshot_reader) = watch::channel(Arc::new(snapshot));
        let configuration = Configuration {
            changes: sender,
            head: head_reader,
            snapshots: snapshot_reader,
            seal: Arc::clone(&seal),
        };
        let committer = Self {
            store,
            seal,
            changes,
            head,
            snapshots,
            nodes,
            metrics,
            clock: audit.clock(),
            audit,
        };
        Ok((committer, configuration))
    }

    /// Makes changes, one after the other, until it is told to stop. A change
    /// that has begun is finished.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            // Receiving can be cancelled without losing a change.
            let next = tokio::select! {
                () = shutdown.cancelled() => return,
                next = self.changes.recv() => next,
            };
            let Some((change, reply)) = next else { return };
            let began = Instant::now();
            let dry_run = change.dry_run;
            let outcome = self.make(change).await;
            let label = match &outcome {
                Ok(_) if dry_run => "dry_run",
                Ok(_) => "ok",
                Err(rejected) => rejected.label(),
            };
            self.metrics.note_commit(label);
            self.metrics
                .commit_seconds
                .observe(began.elapsed().as_secs_f64());
            // The caller may be gone; the change is made all the same.
            let _ = reply.send(outcome);
        }
    }

    /// Makes a change, or writes down that it was refused. What only might have
    /// been done is written down only if it may not.
    async fn make(&mut self, change: Change) -> Result<Outcome, Rejected> {
        let (caller, action, dry_run) = (Arc::clone(&change.by), change.action, change.dry_run);
        let named = change.edit.named();
        let outcome = match caller.over(self.clock.wall_now().seconds) {
            Some(refusal) => Err(Rejected::Ended(refusal)),
            None => self.try_make(change).await,
        };
        if let Err(rejected) = &outcome {
            let forbidden = matches!(rejected, Rejected::Denied { .. } | Rejected::Ended(_));
            if forbidden {
                self.metrics.security.note_api_denied("permission");
            }
            if forbidden || !dry_run {
                let refused = self
                    .audit
                    .entry(&caller, action, Some(rejected.to_string()));
                let changes = rejected.denied().unwrap_or(named);
                let refused = v1::AuditEntry { changes, ..refused };
                self.audit.refused_change(refused).await;
            }
        }
        outcome
    }

    async fn try_make(&mut self, change: Change) -> Result<Outcome, Rejected> {
        let head = Arc::clone(&self.head.borrow());
        let current = head.revision.revision;
        if !change.apply_id.is_empty()
            && !change.dry_run
            && let Some(revision) = self.store.by_apply_id(&change.apply_id).await?
        {
            return Ok(self.repeated(revision, &change.by));
        }
        let expected = change.expected_revision;
        if expected != 0 && expected != current {
            return Err(Rejected::Conflict { expected, current });
        }
        let Change {
            by,
            action,
            edit,
            apply_id,
            dry_run,
            message,
            author,
            allow_mass_removal,
            ..
        } = change;
        let (planning, seal) = (Arc::clone(&head), Arc::clone(&self.seal));
        let asked = Asked {
            by: Arc::clone(&by),
            edit,
            allow_mass_removal,
        };
        let Plan {
            state,
            changes,
            config,
        } = off_thread(move || plan(&planning, asked, &seal)).await??;
        if dry_run || state == head.state {
            return Ok(Outcome::new(current, changes, self.nodes.connected().len()));
        }
        let proposal = Proposal {
            author,
            message,
            time: self.clock.wall_now(),
            apply_id,
            allow_mass_removal,
            audit: v1::AuditEntry {
                changes: loggable(&changes),
                ..self.audit.entry(&by, action, None)
            },
            state,
        };
        match self.store.commit(current, proposal).await {
            Ok(committed) => {
                let revision = committed.revision.revision;
                let proxies = self.publish(committed, config).await?;
                Ok(Outcome::new(revision, changes, proxies))
            }
            Err(refused) => self.not_committed(refused, current, &by).await,
        }
    }

    /// What becomes of a change that the store did not take; it may have been
    /// made all the same.
    async fn not_committed(
        &mut self,
        refused: CommitError,
        expected: u64,
        by: &Caller,
    ) -> Result<Outcome, Rejected> {
        self.catch_up().await;
        match refused {
            CommitError::Conflict { current } => Err(Rejected::Conflict { expected, current }),
            CommitError::AlreadyApplied(revision) => Ok(self.repeated(*revision, by)),
            CommitError::Store(error) => Err(error.into()),
        }
    }

    /// Publishes what the store has beyond the head: a change that was made
    /// although the store could not say so. Without this, every later change
    /// would be one of a revision that is not the newest.
    async fn catch_up(&mut self) {
        let known = self.head.borrow().revision.revision;
        let stored = match self.store.head().await {
            Ok(stored) if stored.revision.revision > known => stored,
            Ok(_) => return,
            Err(failure) => {
                warn!(%failure, "the configuration store does not say what it holds");
                return;
            }
        };
        let revision = stored.revision.revision;
        let seal = Arc::clone(&self.seal);
        let checked = off_thread(move || {
            let config = checked(&stored.state, Vec::new(), &seal);
            let config = config.map_err(Rejected::Invalid)?;
            Ok::<_, Rejected>((stored, config))
        });
        let published = match checked.await.and_then(|checked| checked) {
            Ok((stored, config)) => self.publish(stored, config).await.map(drop),
            Err(rejected) => Err(rejected),
        };
        if let Err(failure) = published {
            error!(revision, %failure, "a stored configuration cannot be published");
        }
    }

    /// Publishes what is durable; returns how many proxies were connected.
    async fn publish(
        &mut self,
        committed: Committed,
        config: ConfigSet,
    ) -> Result<usize, Rejected> {
        let revision = committed.revision.revision;
        let head = Arc::new(Head {
            revision: committed.revision,
            state: committed.state,
            config,
        });
        let proxies = self.nodes.capture_audience(revision);
        let before = self.head.send_replace(Arc::clone(&head));
        let previous = Arc::clone(&self.snapshots.borrow());
        let grant = if committed.allow_mass_removal {
            revision
        } else {
            previous.removal_grant
        };
        let build = move || {
            let previous = Some((&before.config, &*previous));
            Snapshot::build(revision, grant, &head.config, previous)
        };
        let snapshot = off_thread(build).await?;
        self.snapshots.send_replace(Arc::new(snapshot));
        self.metrics.set_revision(revision);
        info!(revision, proxies, "configuration published");
        Ok(proxies)
    }

    /// What a change did that was made before; of what the caller may see.
    fn repeated(&self, revision: v1::Revision, caller: &Caller) -> Outcome {
        let audience = self.nodes.audience(revision.revision);
        let proxies = audience.map_or(0, |ids| ids.len());
        let mut changes = revision.changes;
        changes.retain(|change| caller.sees(change.id.as_ref()));
        Outcome::new(revision.revision, changes, proxies)
    }
}

#[cfg(test)]
mod tests;
