//! Compares the hosts of a cluster with one another, and takes out those that
//! stand out.

use std::net::SocketAddr;

use evenkeel_shared::ir;

use super::{Entry, Membership};
use crate::health::outlier::{Cause, Tally, Totals, Verdict, findings};
use crate::tick::Tick;

impl Membership {
    /// Ends the interval and judges what the hosts did in it; `entropy` gives a
    /// random number for each host that stands out. To be called each
    /// `interval`, after [`Self::sweep`].
    pub fn compare(
        &mut self,
        now: Tick,
        settings: &ir::Outlier,
        mut entropy: impl FnMut() -> u64,
    ) -> Vec<(SocketAddr, Cause, Verdict)> {
        if !settings.compares() {
            self.windows.clear();
            return Vec::new();
        }
        let counted = self.entries.values().map(|entry| {
            let totals = totals(entry);
            (entry.host.id, totals)
        });
        let mut interval = self.windows.turn(counted);
        // What is out is not judged, nor what the others are measured by.
        interval.retain(|(host, _)| self.ejections.get(*host).is_none());
        let mut judged = Vec::new();
        for finding in findings(&interval, settings) {
            if !finding.is_enforced(entropy()) {
                *self.spared_total.entry(finding.cause).or_default() += 1;
                continue;
            }
            let verdict = self.on_trigger(finding.host, finding.cause, now, settings);
            judged.extend(verdict.map(|(address, verdict)| (address, finding.cause, verdict)));
        }
        judged
    }
}

/// What all workers counted of a host. From the first time on, they do.
fn totals(entry: &Entry) -> Totals {
    let mut totals = Totals::default();
    for counts in entry.host.counts.iter() {
        totals.add(counts.tally.get_or_init(Box::<Tally>::default));
    }
    totals
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::outcome::Outcome;
    use crate::runtime::membership::HostSource;
    use crate::upstream::cluster::Exclusion;

    fn settings() -> ir::Outlier {
        ir::Outlier {
            consecutive_5xx: 0,
            consecutive_gateway_failure: 0,
            consecutive_local_origin_failure: 0,
            split_local_origin: true,
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_mins(5),
            max_ejection_percent: 50,
            always_eject_one: true,
            success_rate: None,
            failure_percentage: None,
            latency: Some(ir::LatencyOutlier {
                minimum_hosts: 3,
                request_volume: 10,
                mad_factor: 5000,
                minimum_difference: Duration::from_millis(50),
                enforcing: 100,
            }),
            return_when_healthy: true,
        }
    }

    fn four_hosts() -> Membership {
        let mut membership = Membership::default();
        let endpoints: Vec<ir::Endpoint> = (1..=4)
            .map(|port| ir::Endpoint {
                address: SocketAddr::from(([127, 0, 0, 1], port)),
                weight: 1,
                health: ir::Health::Healthy,
                locality: ir::Locality::default(),
            })
            .collect();
        let source = HostSource {
            ids: std::sync::Arc::default(),
            workers: 2,
        };
        membership.assign(&endpoints, &source);
        membership
    }

    /// Each host answers twenty times; the last one takes its time.
    fn traffic(membership: &Membership) {
        let answer = Outcome::Response {
            status: 200,
            grpc_status: None,
        };
        for member in membership.members() {
            let slow = member.host.address.port() == 4;
            let took = Duration::from_millis(if slow { 400 } else { 5 });
            for worker in [0, 1].repeat(10) {
                if let Some(tally) = member.host.counts.of(worker).tally.get() {
                    tally.observe(answer, took);
                }
            }
        }
    }

    fn at(seconds: u64) -> Tick {
        Tick(0).plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_slow_host_goes_out_after_a_whole_interval_and_comes_back() {
        let mut membership = four_hosts();
        traffic(&membership);
        assert!(membership.compare(at(10), &settings(), || 0).is_empty());
        traffic(&membership);
        let judged = membership.compare(at(20), &settings(), || 0);
        assert!(matches!(
            judged[..],
            [(address, Cause::Latency, Verdict::Ejected { .. })] if address.port() == 4
        ));
        let out = membership.members().pop().unwrap().excluded;
        assert!(matches!(
            out,
            Some(Exclusion::Ejected {
                cause: Cause::Latency,
                ..
            })
        ));
        traffic(&membership);
        assert!(membership.compare(at(30), &settings(), || 0).is_empty());
        assert_eq!(membership.sweep(at(50), &settings()).len(), 1);
        assert!(membership.compare(at(50), &settings(), || 0).is_empty());
        assert_eq!(membership.ejected(), 0);
    }

    #[test]
    fn what_is_not_enforced_is_counted_and_stays() {
        let mut membership = four_hosts();
        let trial = ir::Outlier {
            latency: settings().latency.map(|latency| ir::LatencyOutlier {
                enforcing: 0,
                ..latency
            }),
            ..settings()
        };
        membership.compare(at(10), &trial, || 0);
        traffic(&membership);
        assert!(membership.compare(at(20), &trial, || 0).is_empty());
        assert_eq!(membership.spared_total[&Cause::Latency], 1);
        assert_eq!(membership.ejected(), 0);
    }

    #[test]
    fn without_a_detector_that_compares_nothing_is_counted() {
        let mut membership = four_hosts();
        let off = ir::Outlier {
            latency: None,
            ..settings()
        };
        assert!(membership.compare(at(10), &off, || 0).is_empty());
        for member in membership.members() {
            assert!(member.host.counts.of(0).tally.get().is_none());
        }
    }
}
