use std::sync::atomic::Ordering;

use evenkeel_shared::xds::Resource;

use super::*;
use crate::runtime::retired::Retired;
use crate::xds::sample::{assignment, cluster, listener, table};
use crate::xds::state::ActiveCluster;
use crate::xds::state::Value;

struct Bench {
    builder: Builder,
    current: ArcSwap<Snapshot>,
}

fn active(
    clusters: &[(ir::Cluster, &[u16])],
    listeners: &[(ir::Listener, ir::RouteTable)],
) -> Active {
    let shared = |resource: Resource| Value::from(resource);
    let clusters = clusters.iter().map(|(spec, ports)| {
        let Value::Cluster(spec) = shared(Resource::Cluster(spec.clone())) else {
            unreachable!()
        };
        let assignment = Some(Arc::new(assignment(spec.name.as_str(), ports)));
        (spec.name.clone(), ActiveCluster { spec, assignment })
    });
    let listeners = listeners.iter().map(|(spec, routes)| {
        let active = ActiveListener {
            spec: Arc::new(spec.clone()),
            routes: Some(Arc::new(routes.clone())),
        };
        (spec.name.clone(), active)
    });
    Active {
        clusters: clusters.collect(),
        listeners: listeners.collect(),
        ..Active::default()
    }
}

impl Bench {
    fn new() -> Self {
        let hosts = HostSource {
            ids: Arc::default(),
            workers: 2,
        };
        Self {
            builder: Builder::new(hosts, 7),
            current: ArcSwap::default(),
        }
    }

    fn apply(&mut self, active: &Active) -> Arc<Snapshot> {
        let staged = self.builder.stage(active, "1").unwrap();
        self.builder.commit(staged, &self.current);
        self.current.load_full()
    }
}

fn host_ids(cluster: &Cluster) -> Vec<u64> {
    let hosts = cluster.hosts.load();
    hosts.members.iter().map(|member| member.host.id).collect()
}

#[test]
fn what_does_not_change_is_the_very_same() {
    let mut bench = Bench::new();
    let config = |ports| {
        active(
            &[(cluster("a"), ports), (cluster("b"), &[3])],
            &[(listener("edge", 1), table("edge", &["a", "b"]))],
        )
    };
    let first = bench.apply(&config(&[1, 2]));
    let second = bench.apply(&config(&[1, 2]));
    assert!(Arc::ptr_eq(&first.clusters["a"], &second.clusters["a"]));
    assert!(Arc::ptr_eq(
        &first.listeners["edge"],
        &second.listeners["edge"]
    ));

    let third = bench.apply(&config(&[2, 4]));
    assert!(Arc::ptr_eq(&first.clusters["a"], &third.clusters["a"]));
    assert!(Arc::ptr_eq(
        &first.listeners["edge"],
        &third.listeners["edge"]
    ));
    assert_eq!(third.clusters["a"].hosts.load().members.len(), 2);
}

#[test]
fn changed_settings_take_hosts_and_counts_over() {
    let mut bench = Bench::new();
    let first = bench.apply(&active(&[(cluster("a"), &[1, 2])], &[]));
    let mut changed = cluster("a");
    changed.load_balancing.policy = ir::LbPolicy::Random;
    let second = bench.apply(&active(&[(changed, &[1, 2])], &[]));
    let (old, new) = (&first.clusters["a"], &second.clusters["a"]);
    assert!(!Arc::ptr_eq(old, new));
    assert_eq!(host_ids(old), host_ids(new));
    assert!(Arc::ptr_eq(&old.counts, &new.counts));
    assert!(Arc::ptr_eq(&old.retry_budget, &new.retry_budget));
    let hosts = new.hosts.load();
    assert!(!hosts.members[0].host.shared.retired.load(Ordering::Acquire));
}

#[test]
fn another_protocol_begins_with_new_hosts() {
    let mut bench = Bench::new();
    let first = bench.apply(&active(&[(cluster("a"), &[1])], &[]));
    let old_host = Arc::clone(&first.clusters["a"].hosts.load().members[0].host);
    let mut changed = cluster("a");
    changed.protocol = ir::UpstreamProtocol::Http2;
    let second = bench.apply(&active(&[(changed, &[1])], &[]));
    assert_ne!(host_ids(&second.clusters["a"]), [old_host.id]);
    assert!(old_host.shared.retired.load(Ordering::Acquire));
}

#[test]
fn a_cluster_that_goes_retires_its_hosts() {
    let mut bench = Bench::new();
    let first = bench.apply(&active(&[(cluster("a"), &[1])], &[]));
    let host = Arc::clone(&first.clusters["a"].hosts.load().members[0].host);
    bench.apply(&Active::default());
    assert!(host.shared.retired.load(Ordering::Acquire));
}

#[test]
fn limits_and_counts_outlive_other_changes_of_a_route() {
    let mut bench = Bench::new();
    let limited = |tokens, status| {
        let mut table = table("edge", &["a"]);
        table.hosts[0].routes[0].rate_limit = Some(ir::RateLimit {
            tokens,
            per: std::time::Duration::from_secs(1),
            burst: 1,
            key: None,
        });
        table.hosts[0].routes[0].matches.methods = vec![status];
        active(&[(cluster("a"), &[1])], &[(listener("edge", 1), table)])
    };
    let route = |snapshot: &Snapshot| {
        let routes = &snapshot.listeners["edge"].routes;
        Arc::clone(routes.iter().next().unwrap())
    };
    let first = route(&bench.apply(&limited(5, "GET".to_owned())));
    let second = route(&bench.apply(&limited(5, "PUT".to_owned())));
    let third = route(&bench.apply(&limited(6, "PUT".to_owned())));
    let buckets = |route: &Route| Arc::clone(route.limiter.as_ref().unwrap());
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(&buckets(&first), &buckets(&second)));
    assert!(!Arc::ptr_eq(&buckets(&second), &buckets(&third)));
    assert!(Arc::ptr_eq(&first.counts, &third.counts));
}

#[test]
fn a_route_to_an_unknown_cluster_is_built_without_it() {
    let mut bench = Bench::new();
    let edge = [(listener("edge", 1), table("edge", &["a"]))];
    let first = bench.apply(&active(&[], &edge));
    let target = |snapshot: &Snapshot| {
        let route = Arc::clone(snapshot.listeners["edge"].routes.iter().next().unwrap());
        route.clusters.pick(0).cloned().flatten()
    };
    assert!(target(&first).is_none());
    let second = bench.apply(&active(&[(cluster("a"), &[1])], &edge));
    assert!(target(&second).is_some());
}

#[test]
fn two_listeners_cannot_have_one_address() {
    let mut bench = Bench::new();
    let edge = (listener("edge", 1), table("edge", &[]));
    bench.apply(&active(&[], std::slice::from_ref(&edge)));
    let thief = (listener("a-thief", 1), table("a-thief", &[]));
    let faults = bench
        .builder
        .stage(&active(&[], &[thief, edge]), "2")
        .unwrap_err();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].0.to_string(), "Listener/a-thief");
    assert!(faults[0].1[0].reason.contains("127.0.0.1:1 is taken"));
}

#[test]
fn a_cluster_that_begins_to_encrypt_begins_with_new_hosts() {
    let mut bench = Bench::new();
    let first = bench.apply(&active(&[(cluster("a"), &[1])], &[]));
    let mut changed = cluster("a");
    let trust = ir::TrustRef::Secret("ca".into());
    changed.tls = Some(crate::tls::sample::upstream(trust));
    let second = bench.apply(&active(&[(changed, &[1])], &[]));
    assert!(first.clusters["a"].tls.is_none());
    assert_ne!(
        host_ids(&second.clusters["a"]),
        host_ids(&first.clusters["a"])
    );
    let refused = second.clusters["a"].tls.as_ref().unwrap().settings();
    assert!(refused.unwrap_err().starts_with("secret \"ca\" is missing"));
}

#[test]
fn a_listener_keeps_its_tls_when_other_settings_change() {
    let mut bench = Bench::new();
    let directory = tempfile::tempdir().unwrap();
    let pair = crate::tls::sample::Authority::new().pair("shop.test");
    let paths = crate::tls::sample::write(directory.path(), &pair);
    let mut spec = listener("edge", 1);
    let shown = vec![crate::tls::sample::files(&paths)];
    spec.tls = Some(crate::tls::sample::downstream(shown));
    let edge = |spec: &ir::Listener| active(&[], &[(spec.clone(), table("edge", &[]))]);
    let tls = |snapshot: &Snapshot| {
        let front = &snapshot.listeners["edge"].front;
        Arc::clone(front.tls.as_ref().unwrap())
    };
    let first = tls(&bench.apply(&edge(&spec)));
    assert!(first.settings().is_ok());
    spec.limits.headers = 7;
    let second = tls(&bench.apply(&edge(&spec)));
    assert!(Arc::ptr_eq(&first, &second));
    assert!(first.settings().is_ok());
}

#[test]
fn what_a_worker_still_uses_is_freed_by_whoever_retired_it() {
    let mut bench = Bench::new();
    let edge = |version| {
        active(
            &[(cluster("a"), &[version]), (cluster("b"), &[3])],
            &[(listener("edge", version), table("edge", &["a", "b"]))],
        )
    };
    let before = bench.apply(&edge(1));
    let listener = Arc::clone(&before.listeners["edge"]);
    let staged = bench.builder.stage(&active(&[], &[]), "2").unwrap();
    let mut retired = Retired::default();
    retired.take(bench.builder.commit(staged, &bench.current));
    let routes = Arc::downgrade(&listener.routes);
    let gone = Arc::downgrade(&before.clusters["b"]);
    retired.free(&bench.current.load());
    drop(before);
    retired.free(&bench.current.load());
    // The worker is not the last to have it.
    assert!(Arc::strong_count(&listener) > 1);
    drop(listener);
    assert!(routes.upgrade().is_some() && gone.upgrade().is_some());
    retired.free(&bench.current.load());
    assert!(routes.upgrade().is_none());
    retired.free(&bench.current.load());
    assert!(gone.upgrade().is_none());
}

#[test]
fn what_is_still_in_force_is_not_retired() {
    let mut bench = Bench::new();
    let kept = (cluster("a"), &[1_u16][..]);
    let first = active(&[kept.clone(), (cluster("b"), &[3])], &[]);
    bench.apply(&first);
    let staged = bench.builder.stage(&active(&[kept], &[]), "2").unwrap();
    let mut retired = Retired::default();
    retired.take(bench.builder.commit(staged, &bench.current));
    retired.free(&bench.current.load());
    let current = bench.current.load_full();
    let held = Arc::strong_count(&current.clusters["a"]);
    drop(retired);
    assert_eq!(Arc::strong_count(&current.clusters["a"]), held);
}
