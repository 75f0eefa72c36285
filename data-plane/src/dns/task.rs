//! Asks for names, and tells the configuration side what came of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_shared::ir::DnsTarget;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::plan::{Answer, Names};
use super::resolver::{Resolver, look_up};
use crate::clock::Clock;
use crate::xds::applier::{Command, Handle};
use crate::xds::view::Status;

/// How often it is looked for names that are new or due.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Lookups at once.
const MOST_LOOKUPS: usize = 128;

/// What came of a lookup.
type Done = (DnsTarget, Result<Answer, String>);

/// The lookups of all clusters.
#[derive(Debug)]
pub struct Task {
    /// Asks.
    pub resolver: Resolver,
    /// Is told what was found.
    pub applier: Handle,
    /// Says which names there are, and shows what came of them.
    pub status: Arc<Status>,
    /// Now.
    pub clock: Clock,
    /// For the pauses.
    pub entropy: StdRng,
    /// Ends the task.
    pub shutdown: CancellationToken,
}

impl Task {
    /// Asks until the shutdown.
    #[tracing::instrument(name = "dns", skip_all)]
    pub async fn run(mut self) {
        let mut names = Names::default();
        let mut wanted: Arc<BTreeSet<DnsTarget>> = Arc::default();
        let mut lookups: JoinSet<Done> = JoinSet::new();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // All futures may be dropped without loss.
            let done = tokio::select! {
                Some(done) = lookups.join_next() => Some(done),
                _ = look.tick() => None,
                () = self.shutdown.cancelled() => return,
            };
            let now = self.clock.now();
            let config = self.status.config.load();
            let changed = !Arc::ptr_eq(&wanted, &config.names);
            if changed {
                wanted = Arc::clone(&config.names);
                names.settle(&wanted, now);
            }
            let heard = done.is_some();
            if let Some(done) = done {
                self.hear(done, &mut names);
            }
            while let Some(done) = lookups.try_join_next() {
                self.hear(done, &mut names);
            }
            self.ask(&mut names, &mut lookups);
            let news = names.news(&config.found, now);
            if !news.is_empty() {
                self.applier.tell(Command::Found(news));
            }
            if changed || heard {
                self.status.names.store(Arc::new(names.shown()));
            }
        }
    }

    fn hear(&mut self, done: Result<Done, JoinError>, names: &mut Names) {
        match done {
            Ok((target, answer)) => {
                if let Err(reason) = &answer {
                    debug!(name = target.host, reason, "lookup failed");
                }
                let entropy = self.entropy.next_u64();
                names.answered(&target, answer, self.clock.now(), entropy);
            }
            Err(reason) => error!(?reason, "a lookup has died"),
        }
    }

    fn ask(&mut self, names: &mut Names, lookups: &mut JoinSet<Done>) {
        let now = self.clock.now();
        let room = MOST_LOOKUPS.saturating_sub(lookups.len());
        for target in names.due(room, now) {
            let resolver = self.resolver.ready(target.family, now);
            lookups.spawn(async move {
                let answer = match resolver {
                    Ok(resolver) => look_up(resolver, &target).await,
                    Err(reason) => Err(reason),
                };
                (target, answer)
            });
        }
    }
}
