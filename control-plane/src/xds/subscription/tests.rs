use std::collections::HashMap;

use bytes::Bytes;
use envoy_types::pb::google::rpc::Status;
use evenkeel_shared::xds::ResourceType;

use super::*;
use crate::snapshot::{Encoded, Encodings};

mod convergence;
mod gate;
mod rules;
mod secrets;

const SECOND: u64 = 1_000_000_000;
const CDS: ResourceType = ResourceType::Cluster;
const EDS: ResourceType = ResourceType::Assignment;
const SDS: ResourceType = ResourceType::Secret;
const LDS: ResourceType = ResourceType::Listener;
const RDS: ResourceType = ResourceType::RouteTable;

/// A resource in the notation of these tests: type, name, version, needs.
type Row<'a> = (
    ResourceType,
    &'a str,
    &'a str,
    &'a [(ResourceType, &'a str)],
);

fn view(rows: &[Row<'_>]) -> Arc<View> {
    let mut view = View::default();
    for (kind, name, version, needs) in rows {
        let encodings: &mut Encodings = view.resources.entry(*kind).or_default();
        let needs = needs.iter().map(|(kind, name)| (*kind, (*name).to_owned()));
        let encoded = Encoded {
            version: (*version).to_owned(),
            value: Bytes::from(format!("{name}={version}")),
            needs: needs.collect(),
        };
        encodings.insert((*name).to_owned(), Arc::new(encoded));
    }
    Arc::new(view)
}

/// One cluster with its endpoints, a route table to it, and a listener.
fn shop(version: &str) -> Arc<View> {
    view(&[
        (CDS, "api", version, &[(EDS, "api")]),
        (EDS, "api", "1", &[]),
        (LDS, "web", "1", &[(RDS, "web")]),
        (RDS, "web", version, &[(CDS, "api")]),
    ])
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|&name| name.to_owned()).collect()
}

fn error(text: &str) -> Status {
    Status {
        code: 3,
        message: text.to_owned(),
        ..Status::default()
    }
}

fn delta(kind: ResourceType) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: kind.type_url().to_owned(),
        ..DeltaDiscoveryRequest::default()
    }
}

fn sotw(kind: ResourceType) -> DiscoveryRequest {
    DiscoveryRequest {
        type_url: kind.type_url().to_owned(),
        ..DiscoveryRequest::default()
    }
}

fn subscribe(kind: ResourceType, list: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        resource_names_subscribe: names(list),
        ..delta(kind)
    }
}

fn unsubscribe(kind: ResourceType, list: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        resource_names_unsubscribe: names(list),
        ..delta(kind)
    }
}

fn resume(kind: ResourceType, list: &[&str], have: &[(&str, &str)]) -> DeltaDiscoveryRequest {
    let versions = have.iter();
    DeltaDiscoveryRequest {
        initial_resource_versions: versions
            .map(|(name, version)| ((*name).to_owned(), (*version).to_owned()))
            .collect::<HashMap<_, _>>(),
        ..subscribe(kind, list)
    }
}

fn ask(kind: ResourceType, list: &[&str], nonce: &str) -> DiscoveryRequest {
    DiscoveryRequest {
        resource_names: names(list),
        response_nonce: nonce.to_owned(),
        ..sotw(kind)
    }
}

fn ack(response: &Response) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: response.type_url.clone(),
        response_nonce: response.nonce.clone(),
        ..DeltaDiscoveryRequest::default()
    }
}

fn nack(response: &Response, text: &str) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        error_detail: Some(error(text)),
        ..ack(response)
    }
}

/// What a response says, in short: `Cluster +api=1 -old`.
fn told(response: &Response) -> String {
    let kind = ResourceType::from_type_url(&response.type_url);
    let mut text = kind.map_or("?", ResourceType::label).to_owned();
    for (name, resource) in &response.resources {
        text.extend([" +", name, "=", &resource.version]);
    }
    for name in &response.removed {
        text.extend([" -", name]);
    }
    text
}

/// Everything that may be sent now.
fn drain(conversation: &mut impl Conversation, now: u64) -> Vec<Response> {
    std::iter::from_fn(|| conversation.next(now)).collect()
}

fn told_all(conversation: &mut impl Conversation, now: u64) -> Vec<String> {
    drain(conversation, now).iter().map(told).collect()
}

fn open_delta(view: &Arc<View>) -> Subscription {
    let mut stream = Subscription::open(0);
    stream.on_snapshot(1, Arc::clone(view));
    stream
}

fn open_sotw(view: &Arc<View>) -> SotwSubscription {
    let mut stream = SotwSubscription::open(0);
    stream.on_snapshot(1, Arc::clone(view));
    stream
}

/// Sends a request; the stream must not end.
fn say<C: Conversation>(stream: &mut C, request: &C::Request) -> Heard {
    stream.on_request(request, 0).unwrap()
}

/// Acknowledges everything until there is no more to say.
fn follow(stream: &mut Subscription, now: u64) -> Vec<String> {
    let mut log = Vec::new();
    while let Some(response) = stream.next(now) {
        log.push(told(&response));
        stream.on_request(&ack(&response), now).unwrap();
    }
    log
}

/// A proxy that has all of `view`.
fn synced(view: &Arc<View>) -> Subscription {
    let mut stream = open_delta(view);
    for (kind, list) in [
        (CDS, &[][..]),
        (EDS, &["api"][..]),
        (LDS, &[][..]),
        (RDS, &["web"][..]),
    ] {
        say(&mut stream, &subscribe(kind, list));
        follow(&mut stream, 0);
    }
    assert_eq!(stream.accepted_revision(), 1);
    stream
}
