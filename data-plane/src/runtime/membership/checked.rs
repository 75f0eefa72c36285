//! Keeps out the hosts that do not answer when they are asked.

use std::net::SocketAddr;

use evenkeel_shared::ir;

use super::Membership;
use crate::health::active::{Checks, Failure, Moment, Standing};
use crate::tick::Tick;
use crate::upstream::cluster::Exclusion;

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The host.
    pub address: SocketAddr,
    /// What it counts as from now on, if that has changed.
    pub change: Option<Standing>,
    /// Whether its ejection has ended.
    pub returned: bool,
}

impl Membership {
    /// Whether hosts are to be asked from now on. To be said before
    /// [`Self::assign`]: those that are there by then have served without it.
    pub fn check(&mut self, on: bool) {
        if on && self.checks.is_none() {
            let hosts = self.entries.values().map(|entry| entry.host.id);
            self.checks = Some(Checks::trusting(hosts));
        }
        if !on && self.checks.take().is_some() {
            self.generation += 1;
        }
    }

    /// The hosts that are to be asked now, at most so many.
    pub fn ask(&mut self, room: usize, now: Tick) -> Vec<(u64, SocketAddr)> {
        let Some(checks) = &mut self.checks else {
            return Vec::new();
        };
        let ask = checks.ask(room, now);
        if ask.is_empty() {
            return Vec::new();
        }
        let hosts = self.entries.values().map(|entry| &entry.host);
        hosts
            .filter(|host| ask.binary_search(&host.id).is_ok())
            .map(|host| (host.id, host.address))
            .collect()
    }

    /// A host has answered, or has not; `None` if it is not here any more.
    pub fn heard(
        &mut self,
        host: u64,
        answer: Result<(), Failure>,
        spec: &ir::Cluster,
        moment: Moment,
    ) -> Option<Heard> {
        let settings = spec.health_check.as_ref()?;
        let address = self.address_of(host)?;
        let checks = self.checks.as_mut()?;
        let [good, bad] = &mut self.checks_total;
        *(if answer.is_ok() { good } else { bad }) += 1;
        let change = checks.heard(host, answer, settings, moment);
        let well = answer.is_ok() && checks.standing(host) == Standing::Well;
        let ends = spec
            .outlier
            .is_some_and(|outlier| outlier.return_when_healthy);
        let returned = well && ends && self.ejections.end(host, moment.now);
        if returned {
            self.bring_back(&[host]);
        }
        if change.is_some() {
            self.generation += 1;
        }
        Some(Heard {
            address,
            change,
            returned,
        })
    }

    /// How many hosts are kept out by checks.
    pub fn failing_checks(&self) -> usize {
        let out = self.entries.values().filter(|entry| {
            matches!(
                self.failed_check(entry.host.id),
                Some(Exclusion::FailsChecks(_) | Exclusion::Unchecked)
            )
        });
        out.count()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use evenkeel_shared::units::Percent;

    use super::*;
    use crate::health::outlier::Cause;
    use crate::runtime::membership::HostSource;

    fn endpoints(ports: &[u16]) -> Vec<ir::Endpoint> {
        let endpoint = |port: &u16| ir::Endpoint {
            address: SocketAddr::from(([127, 0, 0, 1], *port)),
            weight: 1,
            health: ir::Health::Healthy,
            locality: ir::Locality::default(),
        };
        ports.iter().map(endpoint).collect()
    }

    fn source() -> HostSource {
        HostSource {
            ids: Arc::default(),
            workers: 1,
        }
    }

    fn spec() -> ir::Cluster {
        ir::Cluster {
            health_check: Some(ir::HealthCheck {
                probe: ir::Probe::Tcp,
                interval: Duration::from_secs(5),
                no_traffic_interval: Duration::from_secs(5),
                jitter_percent: 0,
                timeout: Duration::from_secs(1),
                healthy_threshold: 1,
                unhealthy_threshold: 1,
            }),
            ..crate::xds::sample::cluster("api")
        }
    }

    fn moment() -> Moment {
        Moment {
            now: Tick(0),
            entropy: 0,
            used: true,
        }
    }

    /// Ports of the hosts that are not chosen, and whether health is ignored.
    fn out(membership: &Membership) -> (Vec<u16>, bool) {
        let balancing = ir::LoadBalancing {
            policy: ir::LbPolicy::RoundRobin,
            panic_threshold: Percent::whole(50),
        };
        let set = membership.host_set(&balancing, 0);
        let excluded = |member: &&crate::upstream::cluster::Member| member.excluded.is_some();
        let out = set.members.iter().filter(excluded);
        let out = out.map(|member| member.host.address.port()).collect();
        (out, set.panic)
    }

    #[test]
    fn a_new_host_waits_for_its_first_check_without_causing_panic() {
        let (mut membership, source) = (Membership::default(), source());
        membership.check(true);
        membership.assign(&endpoints(&[1]), &source);
        assert_eq!(out(&membership), (vec![1], true));
        let asked = membership.ask(10, Tick(0));
        let heard = membership.heard(asked[0].0, Ok(()), &spec(), moment());
        assert_eq!(heard.unwrap().change, Some(Standing::Well));
        assert_eq!(out(&membership), (vec![], false));
        membership.assign(&endpoints(&[1, 2, 3, 4]), &source);
        assert_eq!(out(&membership), (vec![2, 3, 4], false));
        assert_eq!(membership.failing_checks(), 3);
    }

    #[test]
    fn hosts_that_serve_already_go_on_when_checks_are_switched_on() {
        let (mut membership, source) = (Membership::default(), source());
        membership.check(false);
        membership.assign(&endpoints(&[1, 2]), &source);
        membership.check(true);
        membership.assign(&endpoints(&[1, 2]), &source);
        assert_eq!(out(&membership), (vec![], false));
        let asked = membership.ask(10, Tick(0));
        assert_eq!(asked.len(), 2);
        let failed = Err(Failure::Connect);
        membership.heard(asked[0].0, failed, &spec(), moment());
        assert_eq!(out(&membership), (vec![1], false));
        membership.check(false);
        assert_eq!(out(&membership), (vec![], false));
    }

    #[test]
    fn a_check_that_succeeds_ends_an_ejection_if_it_may() {
        let (mut membership, source) = (Membership::default(), source());
        membership.check(true);
        membership.assign(&endpoints(&[1, 2]), &source);
        let settings = ir::Outlier {
            consecutive_5xx: 5,
            consecutive_gateway_failure: 0,
            consecutive_local_origin_failure: 0,
            split_local_origin: true,
            interval: Duration::from_secs(1),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_mins(5),
            max_ejection_percent: 50,
            always_eject_one: true,
            success_rate: None,
            failure_percentage: None,
            latency: None,
            return_when_healthy: true,
        };
        let keeps = ir::Cluster {
            outlier: Some(ir::Outlier {
                return_when_healthy: false,
                ..settings
            }),
            ..spec()
        };
        let returns = ir::Cluster {
            outlier: Some(settings),
            ..spec()
        };
        let asked = membership.ask(10, Tick(0));
        for (host, _) in &asked {
            membership.heard(*host, Ok(()), &keeps, moment());
        }
        let host = asked[0].0;
        membership.on_trigger(host, Cause::Consecutive5xx, Tick(0), &settings);
        let heard = membership.heard(host, Ok(()), &keeps, moment()).unwrap();
        assert!(!heard.returned);
        assert_eq!(out(&membership).0, [1]);
        let heard = membership.heard(host, Ok(()), &returns, moment()).unwrap();
        assert!(heard.returned);
        assert_eq!(out(&membership).0, [0; 0]);
    }
}
