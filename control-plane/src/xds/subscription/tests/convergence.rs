//! Whatever a client does on the way, it ends with exactly the view.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::watched::Content;
use super::*;

const KINDS: [ResourceType; 5] = [CDS, EDS, SDS, LDS, RDS];
/// Those that are asked for by name, because others name them.
const NAMED: [ResourceType; 3] = [EDS, SDS, RDS];

#[derive(Debug, Clone)]
enum Step {
    /// A new view, drawn from a seed.
    Publish(u32),
    /// The same, as it is after revisions that the stream did not see.
    Skip(u32),
    /// The client reads one response.
    Read,
    /// The client reads one response and refuses it.
    Refuse,
    /// The stream breaks and a new one opens.
    Reconnect,
    /// The client asks again for something.
    Again(usize),
    /// Time goes by, in tenths of a second.
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => any::<u32>().prop_map(Step::Publish),
        1 => any::<u32>().prop_map(Step::Skip),
        8 => Just(Step::Read),
        1 => Just(Step::Refuse),
        1 => Just(Step::Reconnect),
        1 => (0..KINDS.len()).prop_map(Step::Again),
        2 => (0..30_u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 0..60)
}

type OwnedRow = (ResourceType, String, String, Vec<(ResourceType, String)>);

/// Up to four clusters, each with endpoints, and up to two listeners with a
/// table each that routes to the clusters that exist. Each may need one of two
/// secrets, which exist when something needs them.
fn random_view(seed: u32, salt: u64) -> View {
    let version = |part: u32| format!("{}", (seed >> part) & 3);
    let mut rows: Vec<OwnedRow> = Vec::new();
    let clusters: Vec<String> = (0..4)
        .filter(|n| seed & (1 << n) != 0)
        .map(|n| format!("c{n}"))
        .collect();
    let mut secrets = BTreeSet::new();
    let mut secret = |part: u32| {
        let needed = [None, Some("s0"), Some("s1"), None][(seed >> part) as usize & 3];
        secrets.extend(needed.map(str::to_owned));
        needed.map(|name| (SDS, name.to_owned()))
    };
    for (part, name) in (8..).zip(&clusters) {
        let mut needs = vec![(EDS, name.clone())];
        needs.extend(secret(part + 10));
        // What a resource needs is part of its content.
        let content = format!("{}-{needs:?}", version(part));
        rows.push((CDS, name.clone(), content, needs));
        rows.push((EDS, name.clone(), version(part + 3), Vec::new()));
    }
    for n in 0..2 {
        if seed & (16 << n) != 0 {
            let name = format!("l{n}");
            let needs = clusters.iter().map(|name| (CDS, name.clone())).collect();
            let mut listener = vec![(RDS, name.clone())];
            listener.extend(secret(26 + n));
            let content = format!("{}-{listener:?}", version(20 + n));
            rows.push((LDS, name.clone(), content, listener));
            let content = format!("{}-{}-{salt}", version(24), clusters.join("+"));
            rows.push((RDS, name, content, needs));
        }
    }
    for (part, name) in (28..).zip(secrets) {
        rows.push((SDS, name, format!("{}-{salt}", version(part)), Vec::new()));
    }
    let mut view = View::default();
    for (kind, name, version, needs) in rows {
        let value = Bytes::from(format!("{name}={version}"));
        let encoded = Encoded {
            version,
            value,
            needs,
        };
        view.resources
            .entry(kind)
            .or_default()
            .insert(name, Arc::new(encoded));
    }
    view
}

type Having = BTreeMap<ResourceType, BTreeMap<String, Arc<Encoded>>>;

fn wanted(view: &View) -> Having {
    KINDS
        .into_iter()
        .map(|kind| (kind, view.resources.get(&kind).cloned().unwrap_or_default()))
        .collect()
}

/// Names that the present clusters or listeners refer to.
fn referred(content: &Having, kind: ResourceType) -> Vec<String> {
    let parents = [CDS, LDS]
        .into_iter()
        .flat_map(|kind| content[&kind].values());
    let needs = parents.flat_map(|parent| &parent.needs);
    let list: BTreeSet<String> = needs
        .filter(|(needed, _)| *needed == kind)
        .map(|(_, name)| name.clone())
        .collect();
    list.into_iter().collect()
}

/// How the two variants differ for a client.
trait Speaks: Conversation + Sized {
    /// The first requests of a stream.
    fn hello(content: &Having) -> Vec<Self::Request>;
    /// What the response makes of the content, and what the client says to it.
    /// Clients that refuse a response remove what it takes away all the same.
    fn answer(content: &mut Having, response: &Response, refuse: bool) -> Vec<Self::Request>;
    /// Asks once more.
    fn again(content: &Having, kind: ResourceType) -> Option<Self::Request>;
    fn exchange(&self) -> &Exchange;
}

/// What is to be sent is what a look at everything finds, whether or not only the
/// changes were looked at.
fn check_goal(exchange: &Exchange) {
    for kind in KINDS {
        let watched = exchange.of(kind);
        let nothing = Encodings::new();
        let target = exchange.view.resources.get(&kind).unwrap_or(&nothing);
        let has = |name: &str, wanted: &Encoded| {
            let held = watched.held.get(name);
            held.is_some_and(|held| match &held.content {
                Content::Sent(sent) => sent.version == wanted.version,
                Content::Claimed(version) => *version == wanted.version,
                Content::Absent => false,
            })
        };
        let lacking: BTreeSet<&String> = target
            .iter()
            .filter(|(name, wanted)| watched.covers(name) && !has(name, wanted))
            .map(|(name, _)| name)
            .collect();
        let surplus: BTreeSet<&String> = watched
            .held
            .iter()
            .filter(|(_, held)| !matches!(held.content, Content::Absent))
            .map(|(name, _)| name)
            .filter(|name| !target.contains_key(*name))
            .collect();
        let to_send: BTreeSet<&String> = watched.due.union(&watched.owed).collect();
        assert!(
            lacking.is_subset(&to_send),
            "{kind:?}: {lacking:?} {to_send:?}"
        );
        assert!(
            watched.due.iter().all(|name| lacking.contains(name)),
            "{kind:?}"
        );
        assert_eq!(
            watched.gone.iter().collect::<BTreeSet<_>>(),
            surplus,
            "{kind:?}"
        );
    }
}

/// What the client no longer refers to it drops.
fn drop_orphans(content: &mut Having, kind: ResourceType) -> (Vec<String>, Vec<String>) {
    let list = referred(content, kind);
    let held = content.get_mut(&kind).unwrap();
    let orphans: Vec<String> = held
        .keys()
        .filter(|name| !list.contains(name))
        .cloned()
        .collect();
    held.retain(|name, _| list.contains(name));
    (list, orphans)
}

impl Speaks for Subscription {
    fn hello(content: &Having) -> Vec<Self::Request> {
        let requests = KINDS.into_iter().map(|kind| {
            let list = if NAMED.contains(&kind) {
                referred(content, kind)
            } else {
                Vec::new()
            };
            let have = content[&kind].iter();
            DeltaDiscoveryRequest {
                resource_names_subscribe: list,
                initial_resource_versions: have
                    .map(|(name, held)| (name.clone(), held.version.clone()))
                    .collect(),
                ..delta(kind)
            }
        });
        requests.collect()
    }

    fn answer(content: &mut Having, response: &Response, refuse: bool) -> Vec<Self::Request> {
        let kind = ResourceType::from_type_url(&response.type_url).unwrap();
        let before = NAMED.map(|kind| referred(content, kind));
        let held = content.get_mut(&kind).unwrap();
        let mut text = String::new();
        for (name, resource) in &response.resources {
            if refuse {
                text.extend([kind.label(), "/", name, ": x: no\n"]);
            } else {
                held.insert(name.clone(), Arc::clone(resource));
            }
        }
        for name in &response.removed {
            held.remove(name);
        }
        let reply = if refuse {
            nack(response, &text)
        } else {
            ack(response)
        };
        let mut requests = vec![reply];
        for (kind, before) in NAMED.into_iter().zip(before) {
            let (list, _) = drop_orphans(content, kind);
            let only = |left: &[String], right: &[String]| -> Vec<String> {
                left.iter()
                    .filter(|name| !right.contains(name))
                    .cloned()
                    .collect()
            };
            let request = DeltaDiscoveryRequest {
                resource_names_subscribe: only(&list, &before),
                resource_names_unsubscribe: only(&before, &list),
                ..delta(kind)
            };
            if request != delta(kind) {
                requests.push(request);
            }
        }
        requests
    }

    fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    fn again(content: &Having, kind: ResourceType) -> Option<Self::Request> {
        let list = if NAMED.contains(&kind) {
            referred(content, kind)
        } else {
            return None;
        };
        Some(DeltaDiscoveryRequest {
            resource_names_subscribe: list,
            ..delta(kind)
        })
    }
}

impl Speaks for SotwSubscription {
    fn hello(content: &Having) -> Vec<Self::Request> {
        let requests = KINDS.into_iter().map(|kind| DiscoveryRequest {
            resource_names: if NAMED.contains(&kind) {
                referred(content, kind)
            } else {
                Vec::new()
            },
            version_info: "of an earlier stream".to_owned(),
            ..sotw(kind)
        });
        requests.collect()
    }

    fn answer(content: &mut Having, response: &Response, refuse: bool) -> Vec<Self::Request> {
        let kind = ResourceType::from_type_url(&response.type_url).unwrap();
        let list = if NAMED.contains(&kind) {
            referred(content, kind)
        } else {
            Vec::new()
        };
        let reply = DiscoveryRequest {
            resource_names: list,
            response_nonce: response.nonce.clone(),
            error_detail: refuse.then(|| error("no")),
            ..sotw(kind)
        };
        let before = NAMED.map(|kind| referred(content, kind));
        let held = content.get_mut(&kind).unwrap();
        if matches!(kind, CDS | LDS) {
            held.retain(|name, _| response.resources.iter().any(|(sent, _)| sent == name));
        }
        if !refuse {
            held.extend(response.resources.iter().cloned());
        }
        let mut requests = vec![reply];
        for (kind, before) in NAMED.into_iter().zip(before) {
            let (list, _) = drop_orphans(content, kind);
            if list != before {
                requests.push(DiscoveryRequest {
                    resource_names: list,
                    ..sotw(kind)
                });
            }
        }
        requests
    }

    fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    fn again(_: &Having, _: ResourceType) -> Option<Self::Request> {
        None
    }
}

struct World<C: Conversation> {
    stream: C,
    inbox: VecDeque<Response>,
    content: Having,
    view: Arc<View>,
    revision: u64,
    now: u64,
}

impl<C: Speaks> World<C> {
    fn new() -> Self {
        let mut world = Self {
            stream: C::open(0),
            inbox: VecDeque::new(),
            content: wanted(&View::default()),
            view: Arc::default(),
            revision: 0,
            now: 0,
        };
        world.reconnect();
        world
    }

    fn reconnect(&mut self) {
        self.inbox.clear();
        self.stream = C::open(self.now);
        self.stream
            .on_snapshot(self.revision, Arc::clone(&self.view));
        self.send(C::hello(&self.content));
    }

    fn send(&mut self, requests: Vec<C::Request>) {
        for request in requests {
            self.stream.on_request(&request, self.now).unwrap();
        }
        self.pump();
    }

    fn pump(&mut self) {
        while let Some(response) = self.stream.next(self.now) {
            self.inbox.push_back(response);
        }
    }

    fn publish(&mut self, view: Arc<View>) {
        self.revision += 1;
        self.view = view;
        self.stream
            .on_snapshot(self.revision, Arc::clone(&self.view));
        check_goal(self.stream.exchange());
        self.pump();
    }

    fn read(&mut self, refuse: bool) {
        if let Some(response) = self.inbox.pop_front() {
            let requests = C::answer(&mut self.content, &response, refuse);
            self.send(requests);
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Publish(seed) => {
                let view = random_view(*seed, 0);
                self.publish(Arc::new(view.following(&self.view)));
            }
            Step::Skip(seed) => self.publish(Arc::new(random_view(*seed, 0))),
            Step::Read => self.read(false),
            Step::Refuse => self.read(true),
            Step::Reconnect => self.reconnect(),
            Step::Again(at) => {
                let request = C::again(&self.content, KINDS[*at]);
                self.send(request.into_iter().collect());
            }
            Step::Wait(tenths) => {
                self.now += tenths * SECOND / 10;
                self.pump();
            }
        }
    }

    /// Everybody behaves until nothing happens any more.
    fn rest(&mut self) {
        for _ in 0..1000 {
            if !self.inbox.is_empty() {
                self.read(false);
            } else if let Some(time) = self.stream.deadline() {
                self.now = self.now.max(time);
                self.pump();
            } else {
                return;
            }
        }
        panic!("never comes to rest");
    }
}

fn converges<C: Speaks>(steps: &[Step], last: u32) {
    let mut world = World::<C>::new();
    for step in steps {
        world.step(step);
    }
    // Having that was refused is not sent again, so the end is new content for
    // everything: first nothing at all, then the last view.
    world.publish(Arc::default());
    world.rest();
    let view = random_view(last, 1);
    world.publish(Arc::new(view.following(&world.view)));
    world.rest();
    assert_eq!(world.content, wanted(&world.view));
    assert_eq!(world.stream.accepted_revision(), world.revision);
    assert!(world.stream.rejections().is_empty());
}

proptest! {
    #[test]
    fn a_delta_client_ends_with_the_view(steps in steps(), last: u32) {
        converges::<Subscription>(&steps, last);
    }

    #[test]
    fn a_sotw_client_ends_with_the_view(steps in steps(), last: u32) {
        converges::<SotwSubscription>(&steps, last);
    }
}
