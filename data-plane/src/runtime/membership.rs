//! The hosts of a cluster: endpoints as told and ejections as decided. A host
//! keeps its identity, and with it its health, as long as its address stays.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use evenkeel_shared::ir;

use crate::balance::{Balancer, HostIndex, Usable};
use crate::health::active::{Checks, Standing};
use crate::health::outlier::{Cause, Ejections, Verdict, Windows};
use crate::health::panic;
use crate::telemetry::counters::Sharded;
use crate::tick::Tick;
use crate::upstream::cluster::{Cluster, Exclusion, HostSet, Member};
use crate::upstream::host::{Host, Shared};

mod checked;
mod compared;

/// Gives out ids of hosts, unique in the process.
#[derive(Debug, Default)]
pub struct HostIds(AtomicU64);

impl HostIds {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// What a new host needs beside its address.
#[derive(Debug, Clone)]
pub struct HostSource {
    /// Where its id comes from.
    pub ids: Arc<HostIds>,
    /// Number of workers that count for it.
    pub workers: usize,
}

/// A host and what the control plane says of it.
#[derive(Debug)]
struct Entry {
    host: Arc<Host>,
    weight: u32,
    health: ir::Health,
}

/// Endpoints as told and ejections as decided.
#[derive(Debug, Default)]
pub struct Membership {
    /// Grows with every change, so that a reader sees that it is out of date.
    pub generation: u64,
    /// Hosts taken out since the beginning, by detector.
    pub ejected_total: BTreeMap<Cause, u64>,
    /// Detectors that fired while too many hosts were out already.
    pub overflow_total: u64,
    /// Hosts that stood out and were spared, because the detector is not always
    /// obeyed; by detector.
    pub spared_total: BTreeMap<Cause, u64>,
    entries: BTreeMap<SocketAddr, Entry>,
    ejections: Ejections,
    windows: Windows,
    /// Checks that came out well, and those that did not.
    pub checks_total: [u64; 2],
    /// `None` without active checks.
    checks: Option<Checks>,
}

impl Membership {
    /// Takes in the endpoints as told. Addresses that stay keep their host;
    /// those that are gone are retired.
    pub fn assign(&mut self, endpoints: &[ir::Endpoint], source: &HostSource) {
        let mut old = std::mem::take(&mut self.entries);
        for endpoint in endpoints {
            let host = old
                .remove(&endpoint.address)
                .map_or_else(|| new_host(endpoint.address, source), |entry| entry.host);
            let entry = Entry {
                host,
                weight: endpoint.weight,
                health: endpoint.health,
            };
            self.entries.insert(endpoint.address, entry);
        }
        for entry in old.into_values() {
            entry.host.shared.retired.store(true, Ordering::Release);
            self.ejections.forget(entry.host.id);
        }
        if let Some(checks) = &mut self.checks {
            checks.settle(self.entries.values().map(|entry| entry.host.id));
        }
        self.generation += 1;
    }

    /// Retires every host.
    pub fn retire(&mut self) {
        for entry in self.entries.values() {
            entry.host.shared.retired.store(true, Ordering::Release);
        }
    }

    /// A detector of a host fired. `None` if the host is not here any more.
    pub fn on_trigger(
        &mut self,
        host: u64,
        cause: Cause,
        now: Tick,
        settings: &ir::Outlier,
    ) -> Option<(SocketAddr, Verdict)> {
        let address = self.address_of(host)?;
        let hosts = self.entries.len();
        let verdict = self.ejections.on_trigger(host, cause, hosts, now, settings);
        match verdict {
            Verdict::Ejected { .. } => {
                *self.ejected_total.entry(cause).or_default() += 1;
                self.generation += 1;
            }
            Verdict::Overflow => self.overflow_total += 1,
            Verdict::AlreadyOut => {}
        }
        Some((address, verdict))
    }

    /// Brings back the hosts whose time is over; returns their addresses.
    pub fn sweep(&mut self, now: Tick, settings: &ir::Outlier) -> Vec<SocketAddr> {
        let returned = self.ejections.sweep(now, settings);
        self.bring_back(&returned)
    }

    /// Brings every host back, as when detection is switched off.
    pub fn pardon(&mut self) -> Vec<SocketAddr> {
        let out: Vec<u64> = self
            .entries
            .values()
            .map(|entry| entry.host.id)
            .filter(|id| self.ejections.get(*id).is_some())
            .collect();
        for id in &out {
            self.ejections.forget(*id);
        }
        self.bring_back(&out)
    }

    /// How many hosts are out.
    pub fn ejected(&self) -> usize {
        self.ejections.count()
    }

    /// The members, in the order of their addresses.
    pub fn members(&self) -> Vec<Member> {
        self.entries
            .values()
            .map(|entry| Member {
                host: Arc::clone(&entry.host),
                weight: entry.weight,
                excluded: self.exclusion(entry),
            })
            .collect()
    }

    /// The members and a balancer over those that may be chosen. If too few are
    /// healthy, health is ignored; only hosts that are going away stay out.
    pub fn host_set(&self, settings: &ir::LoadBalancing, seed: u64) -> HostSet {
        let members = self.members();
        // New hosts wait for their first check, unless there is nobody else.
        let all_new = members
            .iter()
            .filter(|member| member.excluded != Some(Exclusion::Draining))
            .all(|member| member.excluded == Some(Exclusion::Unchecked));
        let staying = |member: &&(HostIndex, &Member)| match member.1.excluded {
            Some(Exclusion::Draining) => false,
            Some(Exclusion::Unchecked) => all_new,
            _ => true,
        };
        let indexed: Vec<(HostIndex, &Member)> = (0_u32..)
            .zip(&members)
            .map(|(index, member)| (HostIndex(index), member))
            .collect();
        let total = indexed.iter().filter(staying).count();
        let healthy = indexed
            .iter()
            .filter(|(_, member)| member.excluded.is_none())
            .count();
        let panic = panic(healthy, total, settings.panic_threshold);
        let usable: Vec<Usable> = indexed
            .iter()
            .filter(|entry| {
                if panic {
                    staying(entry)
                } else {
                    entry.1.excluded.is_none()
                }
            })
            .map(|(index, member)| Usable {
                host: *index,
                weight: member.weight,
                address: member.host.address,
            })
            .collect();
        let balancer = Balancer::over(settings.policy, &usable, seed);
        HostSet {
            members,
            balancer,
            panic,
        }
    }

    fn exclusion(&self, entry: &Entry) -> Option<Exclusion> {
        match entry.health {
            ir::Health::Draining => Some(Exclusion::Draining),
            ir::Health::Unhealthy => Some(Exclusion::Unhealthy),
            ir::Health::Healthy => self
                .failed_check(entry.host.id)
                .or_else(|| self.ejected_until(entry.host.id)),
        }
    }

    fn failed_check(&self, host: u64) -> Option<Exclusion> {
        match self.checks.as_ref()?.standing(host) {
            Standing::Well => None,
            Standing::Unknown => Some(Exclusion::Unchecked),
            Standing::Failing(failure) => Some(Exclusion::FailsChecks(failure)),
        }
    }

    fn ejected_until(&self, host: u64) -> Option<Exclusion> {
        let ejection = self.ejections.get(host)?;
        Some(Exclusion::Ejected {
            cause: ejection.cause,
            until: ejection.until,
        })
    }

    fn address_of(&self, host: u64) -> Option<SocketAddr> {
        self.entries
            .values()
            .find(|entry| entry.host.id == host)
            .map(|entry| entry.host.address)
    }

    fn bring_back(&mut self, ids: &[u64]) -> Vec<SocketAddr> {
        let mut addresses = Vec::new();
        for entry in self.entries.values() {
            if ids.contains(&entry.host.id) {
                entry.host.shared.outlier.reset();
                addresses.push(entry.host.address);
            }
        }
        if !addresses.is_empty() {
            self.generation += 1;
        }
        addresses
    }
}

impl Cluster {
    /// Makes hosts and balancer anew from the membership. Returns the generation
    /// they show. Workers that hold the old ones go on with them.
    pub fn refresh(&self, seed: u64) -> u64 {
        let membership = self.membership.lock();
        let hosts = membership.host_set(&self.spec.load_balancing, seed);
        self.hosts.store(Arc::new(hosts));
        membership.generation
    }
}

/// The detector's name, as Envoy's settings call it.
pub fn cause_label(cause: Cause) -> &'static str {
    match cause {
        Cause::Consecutive5xx => "consecutive_5xx",
        Cause::ConsecutiveGatewayFailure => "consecutive_gateway_failure",
        Cause::ConsecutiveLocalOriginFailure => "consecutive_local_origin_failure",
        Cause::SuccessRate => "success_rate",
        Cause::LocalOriginSuccessRate => "local_origin_success_rate",
        Cause::FailurePercentage => "failure_percentage",
        Cause::LocalOriginFailurePercentage => "local_origin_failure_percentage",
        Cause::Latency => "latency",
    }
}

fn new_host(address: SocketAddr, source: &HostSource) -> Arc<Host> {
    Arc::new(Host {
        id: source.ids.next(),
        address,
        shared: Shared::default(),
        counts: Sharded::new(source.workers),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use evenkeel_shared::units::Percent;

    use super::*;

    fn endpoint(port: u16, health: ir::Health) -> ir::Endpoint {
        ir::Endpoint {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            weight: 1,
            health,
            locality: ir::Locality::default(),
        }
    }

    fn healthy(ports: &[u16]) -> Vec<ir::Endpoint> {
        ports
            .iter()
            .map(|port| endpoint(*port, ir::Health::Healthy))
            .collect()
    }

    fn source() -> HostSource {
        HostSource {
            ids: Arc::default(),
            workers: 1,
        }
    }

    fn outlier() -> ir::Outlier {
        ir::Outlier {
            consecutive_5xx: 5,
            consecutive_gateway_failure: 0,
            consecutive_local_origin_failure: 0,
            split_local_origin: false,
            interval: Duration::from_secs(1),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_mins(5),
            max_ejection_percent: 50,
            always_eject_one: true,
            success_rate: None,
            failure_percentage: None,
            latency: None,
            return_when_healthy: true,
        }
    }

    fn balancing(panic_percent: u32) -> ir::LoadBalancing {
        ir::LoadBalancing {
            policy: ir::LbPolicy::RoundRobin,
            panic_threshold: Percent::whole(panic_percent),
        }
    }

    fn ids(membership: &Membership) -> Vec<u64> {
        let members = membership.members();
        members.iter().map(|member| member.host.id).collect()
    }

    #[test]
    fn an_address_that_stays_keeps_its_host() {
        let (mut membership, source) = (Membership::default(), source());
        membership.assign(&healthy(&[1, 2, 3]), &source);
        let before = ids(&membership);
        let leaving = Arc::clone(&membership.members()[1].host);
        membership.assign(&healthy(&[1, 3, 4]), &source);
        let after = ids(&membership);
        assert_eq!((after[0], after[1]), (before[0], before[2]));
        assert!(!before.contains(&after[2]));
        assert!(leaving.shared.retired.load(Ordering::Acquire));
    }

    #[test]
    fn an_ejection_survives_new_endpoints() {
        let (mut membership, source) = (Membership::default(), source());
        membership.assign(&healthy(&[1, 2, 3]), &source);
        let host = ids(&membership)[0];
        let (address, verdict) = membership
            .on_trigger(host, Cause::Consecutive5xx, Tick(0), &outlier())
            .unwrap();
        assert_eq!(address.port(), 1);
        assert!(matches!(verdict, Verdict::Ejected { .. }));
        membership.assign(&healthy(&[1, 2, 3, 4]), &source);
        let first = &membership.members()[0];
        assert!(matches!(first.excluded, Some(Exclusion::Ejected { .. })));
        assert_eq!(membership.ejected_total[&Cause::Consecutive5xx], 1);
    }

    #[test]
    fn an_ejected_host_comes_back_with_the_sweep() {
        let (mut membership, source) = (Membership::default(), source());
        membership.assign(&healthy(&[1, 2]), &source);
        let host = ids(&membership)[0];
        membership.on_trigger(host, Cause::Consecutive5xx, Tick(0), &outlier());
        let early = Tick(0).plus(Duration::from_secs(29));
        assert!(membership.sweep(early, &outlier()).is_empty());
        let late = Tick(0).plus(Duration::from_secs(31));
        assert_eq!(membership.sweep(late, &outlier())[0].port(), 1);
        assert_eq!(membership.ejected(), 0);
    }

    #[test]
    fn a_trigger_of_a_host_that_left_is_nothing() {
        let mut membership = Membership::default();
        let verdict = membership.on_trigger(7, Cause::Consecutive5xx, Tick(0), &outlier());
        assert_eq!(verdict, None);
    }

    #[test]
    fn panic_ignores_health_but_not_draining() {
        let (mut membership, source) = (Membership::default(), source());
        membership.assign(
            &[
                endpoint(1, ir::Health::Healthy),
                endpoint(2, ir::Health::Unhealthy),
                endpoint(3, ir::Health::Unhealthy),
                endpoint(4, ir::Health::Draining),
            ],
            &source,
        );
        assert!(!membership.host_set(&balancing(30), 0).panic);
        assert!(membership.host_set(&balancing(50), 0).panic);
        assert!(!membership.host_set(&balancing(0), 0).panic);
    }
}
