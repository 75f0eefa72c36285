//! A proxy without its sockets: what it knows of its hosts, and what it decides.
//! All decisions are made by the code that proxies run.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use evenkeel_data_plane::balance::affinity::Affinity;
use evenkeel_data_plane::balance::latency::Latency;
use evenkeel_data_plane::balance::{HostIndex, Loads, Pick};
use evenkeel_data_plane::health::outlier::Verdict;
use evenkeel_data_plane::limit::Limiter;
use evenkeel_data_plane::outcome::Outcome;
use evenkeel_data_plane::retry::{Budget, Decision, Plan, Situation, Stop};
use evenkeel_data_plane::runtime::membership::{HostSource, Membership};
use evenkeel_data_plane::tick::Tick;
use evenkeel_data_plane::upstream::cluster::HostSet;
use evenkeel_data_plane::upstream::host::Host;
use evenkeel_shared::ir;

use super::asked::Asked;
use super::settings::Settings;

/// What a proxy knows and counts.
#[derive(Debug)]
pub(super) struct Proxy {
    settings: Rc<Settings>,
    source: HostSource,
    membership: Membership,
    hosts: HostSet,
    budget: Budget,
    limiter: Option<Limiter>,
    seed: u64,
    /// Requests in progress.
    active: u32,
    /// What it has counted.
    pub(super) counts: Counts,
}

/// What a proxy counts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    /// Retries begun.
    pub(super) retries: u64,
    /// Retries that the budget forbade.
    pub(super) denied: u64,
    /// Requests refused because they came too fast.
    pub(super) limited: u64,
    /// Requests refused because too many were in progress.
    pub(super) overflows: u64,
    /// Requests for which there was no host.
    pub(super) no_host: u64,
    /// Ejections that were not made because too many hosts were out.
    pub(super) spared: u64,
}

/// The retries of a request so far.
#[derive(Debug)]
pub(super) struct Tries {
    /// What was asked.
    pub(super) asked: Asked,
    /// When it must be over.
    pub(super) deadline: Option<Tick>,
    /// Hash of what ties it to a host.
    pub(super) affinity: Option<u64>,
    /// Hosts to avoid.
    tried: Vec<u64>,
    granted: u32,
    /// Whether the budget holds a retry for it.
    holds_retry: bool,
}

impl Counts {
    /// Adds what another proxy has counted.
    pub(super) fn add(&mut self, other: &Self) {
        self.retries += other.retries;
        self.denied += other.denied;
        self.limited += other.limited;
        self.overflows += other.overflows;
        self.no_host += other.no_host;
        self.spared += other.spared;
    }
}

impl Tries {
    /// Of a request that has had none.
    pub(super) fn new(asked: Asked, deadline: Option<Tick>) -> Self {
        Self {
            asked,
            deadline,
            affinity: None,
            tried: Vec::new(),
            granted: 0,
            holds_retry: false,
        }
    }
}

/// Its hosts and its requests in progress, as its balancer sees them.
struct Live<'a>(&'a HostSet, u32);

impl Loads for Live<'_> {
    fn latency(&self, host: HostIndex) -> Option<&Latency> {
        let place = usize::try_from(host.0).ok()?;
        let member = self.0.members.get(place)?;
        Some(&member.host.shared.latency)
    }

    /// Without the request that asks.
    fn total(&self, _: &[HostIndex]) -> u32 {
        self.1.saturating_sub(1)
    }

    fn active(&self, host: HostIndex) -> u32 {
        let place = usize::try_from(host.0).unwrap_or(usize::MAX);
        let member = self.0.members.get(place);
        member.map_or(0, |member| {
            member.host.shared.in_flight.load(Ordering::Relaxed)
        })
    }
}

impl Proxy {
    /// With no host yet.
    pub(super) fn new(settings: &Rc<Settings>, seed: u64) -> Self {
        let membership = Membership::default();
        let hosts = membership.host_set(&settings.cluster.load_balancing, seed);
        Self {
            settings: Rc::clone(settings),
            source: HostSource {
                ids: Arc::default(),
                workers: 1,
            },
            limiter: settings
                .limit
                .as_ref()
                .map(|limit| Limiter::new(limit, seed)),
            budget: Budget::new(settings.cluster.breakers.retries),
            membership,
            hosts,
            seed,
            active: 0,
            counts: Counts::default(),
        }
    }

    /// The control plane names its endpoints.
    pub(super) fn assign(&mut self, endpoints: &[ir::Endpoint]) {
        self.membership.assign(endpoints, &self.source);
        self.refresh();
    }

    /// How requests are sent that may, or may not, be executed twice.
    pub(super) fn forward(&self, asked: Asked) -> &ir::Forward {
        if asked.is_safe {
            &self.settings.safe
        } else {
            &self.settings.careful
        }
    }

    /// Hash of what ties a request to a host, where hosts are chosen by it.
    pub(super) fn affinity(&self, asked: Asked, entropy: impl FnMut() -> u64) -> Option<u64> {
        if !self.settings.cluster.load_balancing.policy.is_hashing() {
            return None;
        }
        let policies = &self.forward(asked).hash_policy;
        Affinity::of(policies, &asked.head(), asked.address(), entropy).hash
    }

    /// How often ejected hosts are looked at.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.settings
            .cluster
            .outlier
            .map(|outlier| outlier.interval)
    }

    /// A request comes.
    ///
    /// # Errors
    /// It is not taken; the status of the answer.
    pub(super) fn enter(&mut self, asked: Asked, now: Tick) -> Result<(), u16> {
        if let Some(limiter) = &self.limiter
            && !limiter.take(&asked.head(), asked.address(), now).allowed
        {
            self.counts.limited += 1;
            return Err(429);
        }
        if self.active >= self.settings.cluster.breakers.requests {
            self.counts.overflows += 1;
            return Err(503);
        }
        self.active += 1;
        self.budget.on_request(now);
        Ok(())
    }

    /// A request has ended, however that came about.
    pub(super) fn leave(&mut self, tries: &Tries) {
        self.active -= 1;
        if tries.holds_retry {
            self.budget.end_retry();
        }
    }

    /// The host of the next attempt, which begins there.
    pub(super) fn choose(&mut self, tries: &Tries, now: Tick, entropy: u64) -> Option<Arc<Host>> {
        let avoided: Vec<HostIndex> = (0_u32..)
            .zip(&self.hosts.members)
            .filter(|(_, member)| tries.tried.contains(&member.host.id))
            .map(|(place, _)| HostIndex(place))
            .collect();
        let pick = Pick {
            now,
            entropy,
            affinity: tries.affinity,
            tried: &avoided,
        };
        let chosen = self
            .hosts
            .balancer
            .pick(&Live(&self.hosts, self.active), &pick);
        let place = chosen.and_then(|chosen| usize::try_from(chosen.0).ok());
        let Some(member) = place.and_then(|place| self.hosts.members.get(place)) else {
            self.counts.no_host += 1;
            return None;
        };
        let host = Arc::clone(&member.host);
        host.shared.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(host)
    }

    /// An attempt is over at its host.
    pub(super) fn release(host: &Host) {
        host.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Tells health how an attempt ended that began at this time; whether its host
    /// was ejected for it.
    pub(super) fn observe(
        &mut self,
        (host, began): (&Host, Tick),
        outcome: Outcome,
        now: Tick,
    ) -> bool {
        let balancing = &self.settings.cluster.load_balancing;
        if let ir::LbPolicy::PeakEwma(settings) = &balancing.policy {
            let (latency, failed) = (&host.shared.latency, outcome.is_failure());
            latency.observe(now.since(began), failed, now, settings);
        }
        if let Some(tally) = host.counts.of(0).tally.get() {
            tally.observe(outcome, now.since(began));
        }
        let Some(settings) = self.settings.cluster.outlier else {
            return false;
        };
        let Some(cause) = host.shared.outlier.observe(outcome, &settings) else {
            return false;
        };
        let verdict = self.membership.on_trigger(host.id, cause, now, &settings);
        match verdict {
            Some((_, Verdict::Ejected { .. })) => {
                self.refresh();
                true
            }
            Some((_, Verdict::Overflow)) => {
                self.counts.spared += 1;
                false
            }
            Some((_, Verdict::AlreadyOut)) | None => false,
        }
    }

    /// Whether there is another attempt, and after which time. `is_final` says
    /// that a proxy further on has given the request up.
    pub(super) fn decide(
        &mut self,
        tries: &mut Tries,
        (host, outcome, is_final): (&Host, Outcome, bool),
        (now, entropy): (Tick, u64),
    ) -> Option<Duration> {
        if std::mem::take(&mut tries.holds_retry) {
            self.budget.end_retry();
        }
        let settings = Rc::clone(&self.settings);
        let forward = if tries.asked.is_safe {
            &settings.safe
        } else {
            &settings.careful
        };
        let policy = forward.retry.as_ref();
        let mut plan = Plan::resumed(policy, tries.granted);
        if is_final || !plan.is_about(outcome) {
            return None;
        }
        let situation = Situation {
            replayable: true,
            deadline: tries.deadline,
            active: self.active,
            now,
            entropy,
        };
        match plan.next(outcome, &situation, &self.budget) {
            Decision::Retry { after } => {
                tries.granted = plan.retries();
                tries.holds_retry = true;
                if policy.is_some_and(|policy| policy.avoid_previous_hosts) {
                    tries.tried.push(host.id);
                }
                self.counts.retries += 1;
                Some(after)
            }
            Decision::Done(stop) => {
                self.counts.denied += u64::from(stop == Stop::Budget);
                None
            }
        }
    }

    /// Whether nothing is in progress, at any of its hosts or in its budget.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        let mut loads = self.hosts.members.iter().map(|member| &member.host.shared);
        let idle = loads.all(|shared| shared.in_flight.load(Ordering::Relaxed) == 0);
        idle && self.active == 0 && self.budget.active() == 0
    }

    /// Brings back the hosts whose time is over, and takes out those that stand out
    /// among the others: how many came back, and the addresses of those that are
    /// out.
    pub(super) fn sweep(
        &mut self,
        now: Tick,
        entropy: impl FnMut() -> u64,
    ) -> (usize, Vec<SocketAddr>) {
        let Some(settings) = self.settings.cluster.outlier else {
            return (0, Vec::new());
        };
        let before = self.membership.generation;
        let returned = self.membership.sweep(now, &settings).len();
        let judged = self.membership.compare(now, &settings, entropy);
        if self.membership.generation != before {
            self.refresh();
        }
        let mut ejected = Vec::new();
        for (address, _, verdict) in judged {
            match verdict {
                Verdict::Ejected { .. } => ejected.push(address),
                Verdict::Overflow => self.counts.spared += 1,
                Verdict::AlreadyOut => {}
            }
        }
        (returned, ejected)
    }

    fn refresh(&mut self) {
        let balancing = &self.settings.cluster.load_balancing;
        self.hosts = self.membership.host_set(balancing, self.seed);
    }
}
