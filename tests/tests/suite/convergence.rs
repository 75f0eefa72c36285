//! Both halves of the configuration protocol against each other, in memory,
//! under any interleaving of edits, deliveries, cuts and refusals.
//!
//! Whatever happens, a proxy never has a route without its cluster, and once
//! things are quiet it holds exactly what the control plane wants it to hold.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use evenkeel_control_plane::compile::secret::Opened;
use evenkeel_control_plane::snapshot::{NodeIdentity, Snapshot};
use evenkeel_control_plane::store::state;
use evenkeel_control_plane::xds::message;
use evenkeel_control_plane::xds::subscription::{Conversation, Subscription};
use evenkeel_control_plane::{compile, model};
use evenkeel_data_plane::tick::Tick;
use evenkeel_data_plane::xds::session::{Session, Step};
use evenkeel_data_plane::xds::state::Key;
use evenkeel_shared::error::Invalid;
use evenkeel_shared::ir::Action;
use evenkeel_shared::xds::ResourceType;
use evenkeel_shared::{document, ir};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

const CLUSTERS: usize = 4;
const ROUTES: usize = 3;
const MILLISECOND: u64 = 1_000_000;

/// What users want, small enough to be hit from all sides.
#[derive(Debug, Clone, Default)]
struct World {
    /// Endpoints of each cluster, if there is one: a number that stands for a
    /// list of addresses.
    clusters: [Option<u8>; CLUSTERS],
    /// The cluster of each route, if there is one.
    routes: [Option<usize>; ROUTES],
    /// Changes every cluster without changing its endpoints.
    timeout: u8,
    /// The listener is on an address that the proxy cannot bind.
    unbindable: bool,
}

#[derive(Debug, Clone)]
enum Event {
    Cluster(usize, Option<u8>),
    Route(usize, Option<usize>),
    Timeout(u8),
    Unbindable(bool),
    ToProxy,
    ToControlPlane,
    Cut,
    Connect,
    Wait,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => (0..CLUSTERS, proptest::option::weighted(0.8, 0..4_u8))
            .prop_map(|(index, endpoints)| Event::Cluster(index, endpoints)),
        3 => (0..ROUTES, proptest::option::weighted(0.8, 0..CLUSTERS))
            .prop_map(|(index, cluster)| Event::Route(index, cluster)),
        1 => (0..3_u8).prop_map(Event::Timeout),
        1 => any::<bool>().prop_map(Event::Unbindable),
        9 => Just(Event::ToProxy),
        9 => Just(Event::ToControlPlane),
        1 => Just(Event::Cut),
        2 => Just(Event::Connect),
        2 => Just(Event::Wait),
    ];
    vec(event, 1..80)
}

impl World {
    /// As a user would write it; a route whose cluster is gone goes too.
    fn documents(&self) -> String {
        let port = if self.unbindable { 1 } else { 2 };
        let mut text =
            format!("kind: Listener\nname: edge\nspec: {{address: \"127.0.0.1:{port}\"}}\n---\n");
        for (index, endpoints) in self.clusters.iter().enumerate() {
            let Some(endpoints) = endpoints else { continue };
            let _ = write!(
                text,
                "kind: Cluster\nname: c{index}\nspec:\n  connection: {{connectTimeout: {}s}}\n  \
                 endpoints: {{static: [{{address: \"127.0.0.1:{}\"}}]}}\n---\n",
                1 + self.timeout,
                9000 + u16::from(*endpoints),
            );
        }
        for (index, cluster) in self.routes.iter().enumerate() {
            let cluster = cluster.filter(|cluster| self.clusters[*cluster].is_some());
            let Some(cluster) = cluster else { continue };
            let _ = write!(
                text,
                "kind: Route\nname: r{index}\nspec: {{listeners: [edge], hostnames: [\"r{index}.test\"], \
                 rules: [{{clusters: [{{name: c{cluster}}}]}}]}}\n---\n"
            );
        }
        text
    }
}

/// The stream, and what is on its way.
#[derive(Debug)]
struct Stream {
    server: Subscription,
    to_proxy: VecDeque<DeltaDiscoveryResponse>,
    to_control_plane: VecDeque<DeltaDiscoveryRequest>,
}

#[derive(Debug)]
struct Game {
    now: u64,
    world: World,
    config: compile::ConfigSet,
    snapshot: Snapshot,
    session: Session,
    stream: Option<Stream>,
}

impl Game {
    fn new() -> Self {
        let mut game = Self {
            now: 0,
            world: World::default(),
            config: compile::ConfigSet::default(),
            snapshot: Snapshot::of(0, 0, std::sync::Arc::default()),
            session: Session::new(envoy_types::pb::envoy::config::core::v3::Node::default()),
            stream: None,
        };
        game.publish();
        game.connect();
        game
    }

    fn play(&mut self, event: &Event) {
        match event {
            Event::Cluster(index, endpoints) => self.world.clusters[*index] = *endpoints,
            Event::Route(index, cluster) => self.world.routes[*index] = *cluster,
            Event::Timeout(timeout) => self.world.timeout = *timeout,
            Event::Unbindable(unbindable) => self.world.unbindable = *unbindable,
            Event::ToProxy => return self.deliver_response(),
            Event::ToControlPlane => return self.deliver_request(),
            Event::Cut => return self.cut(),
            Event::Connect => return self.connect(),
            Event::Wait => {
                self.now += 10 * MILLISECOND;
                return self.pump();
            }
        }
        self.publish();
    }

    /// Compiles the world as one more revision, whose author confirms removals.
    fn publish(&mut self) {
        let documents = document::read("world", &self.world.documents()).unwrap();
        let resources: Vec<_> = documents
            .into_iter()
            .map(|document| document.resource)
            .collect();
        let (state, _) = state::apply(&BTreeMap::new(), resources, &[]).unwrap();
        let config = compile::compile(&model::check(&state).unwrap(), Opened::default());
        let revision = self.snapshot.revision + 1;
        self.snapshot = Snapshot::build(
            revision,
            revision,
            &config,
            Some((&self.config, &self.snapshot)),
        );
        self.config = config;
        let view = self.snapshot.view(&NodeIdentity::default(), None).unwrap();
        if let Some(stream) = &mut self.stream {
            stream.server.on_snapshot(revision, view);
        }
        self.pump();
    }

    /// Sends what the server may send now.
    fn pump(&mut self) {
        if let Some(stream) = &mut self.stream {
            while let Some(response) = stream.server.next(self.now) {
                let sent = message::delta(&response, "test").content();
                let read = DeltaDiscoveryResponse::decode(sent.as_slice()).unwrap();
                stream.to_proxy.push_back(read);
            }
        }
    }

    fn connect(&mut self) {
        if self.stream.is_some() {
            return;
        }
        let mut server = Subscription::open(self.now);
        let view = self.snapshot.view(&NodeIdentity::default(), None).unwrap();
        server.on_snapshot(self.snapshot.revision, view);
        self.stream = Some(Stream {
            server,
            to_proxy: VecDeque::new(),
            to_control_plane: self.session.connect(Tick(self.now)).into(),
        });
        self.pump();
    }

    fn cut(&mut self) {
        self.stream = None;
        self.session.disconnect();
    }

    fn deliver_request(&mut self) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        if let Some(request) = stream.to_control_plane.pop_front() {
            stream.server.on_request(&request, self.now).unwrap();
        }
        self.pump();
    }

    fn deliver_response(&mut self) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        let Some(response) = stream.to_proxy.pop_front() else {
            return;
        };
        let mut step = self.session.receive(response);
        refuse_unbindable(&mut step);
        let requests = self.session.commit(step, Tick(self.now));
        stream.to_control_plane.extend(requests);
        self.judge();
    }

    /// No route in force leads to a cluster that is not.
    fn judge(&self) {
        let active = self.session.active();
        for (name, listener) in &active.listeners {
            let hosts = listener.routes.iter().flat_map(|table| &table.hosts);
            for route in hosts.flat_map(|host| &host.routes) {
                let Action::Forward(forward) = &route.action else {
                    continue;
                };
                for cluster in &forward.clusters {
                    let found = active.clusters.get(&cluster.name);
                    assert!(
                        found.is_some_and(|found| found.assignment.is_some()),
                        "{name} routes to {} without it",
                        cluster.name
                    );
                }
            }
        }
    }

    /// Lets everything arrive, with time enough for every deadline.
    fn settle(&mut self) {
        self.world.unbindable = false;
        self.publish();
        self.connect();
        for _ in 0..400 {
            let idle = self.stream.as_ref().is_none_or(|stream| {
                stream.to_proxy.is_empty() && stream.to_control_plane.is_empty()
            });
            if idle {
                self.now += 100 * MILLISECOND;
                self.pump();
            }
            self.deliver_request();
            self.deliver_response();
        }
    }
}

/// Port 1 stands for an address that is in use.
fn refuse_unbindable(step: &mut Step) {
    let bad: Vec<Key> = step
        .active()
        .listeners
        .values()
        .filter(|listener| is_unbindable(&listener.spec))
        .map(|listener| Key::new(ResourceType::Listener, listener.spec.name.as_str()))
        .collect();
    for key in bad {
        step.reject(&key, vec![Invalid::new("address", "in use")]);
    }
}

fn is_unbindable(listener: &ir::Listener) -> bool {
    listener.address.port() == 1
}

/// Names and versions of what the proxy holds.
fn held(session: &Session) -> BTreeMap<(ResourceType, String), String> {
    session
        .held()
        .iter()
        .map(|(kind, name, held)| ((kind, name.to_string()), held.version.to_string()))
        .collect()
}

/// Names and versions of what it should hold.
fn wanted(snapshot: &Snapshot) -> BTreeMap<(ResourceType, String), String> {
    let view = snapshot.view(&NodeIdentity::default(), None).unwrap();
    view.resources
        .iter()
        .flat_map(|(kind, encodings)| {
            encodings
                .iter()
                .map(|(name, encoded)| ((*kind, name.clone()), encoded.version.clone()))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("EVENKEEL_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(2000),
        ..ProptestConfig::default()
    })]

    #[test]
    fn both_halves_converge_under_any_interleaving(events in events()) {
        let mut game = Game::new();
        for event in &events {
            game.play(event);
        }
        game.settle();
        prop_assert_eq!(held(&game.session), wanted(&game.snapshot));
        prop_assert!(game.session.rejected().is_empty());
        prop_assert!(game.session.pending().is_none());
        let server = &game.stream.as_ref().unwrap().server;
        prop_assert_eq!(server.accepted_revision(), game.snapshot.revision);
        prop_assert!(server.rejections().is_empty());
    }
}
