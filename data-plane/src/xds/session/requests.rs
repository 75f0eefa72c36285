//! Requests for resources by name. Pure.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use evenkeel_shared::xds::ResourceType;

use crate::xds::state::{Held, Key};

/// The request that turns one set of names into another; `None` if they are the
/// same.
pub(super) fn named(
    kind: ResourceType,
    before: &BTreeSet<Key>,
    after: &BTreeSet<Key>,
    held: &Held,
) -> Option<DeltaDiscoveryRequest> {
    let names = |keys: &mut dyn Iterator<Item = &Key>| -> Vec<String> {
        keys.filter(|key| key.kind == kind)
            .map(|key| key.name.as_ref().to_owned())
            .collect()
    };
    let subscribe = names(&mut after.difference(before));
    let unsubscribe = names(&mut before.difference(after));
    if subscribe.is_empty() && unsubscribe.is_empty() {
        return None;
    }
    let first_on_stream = !before.iter().any(|key| key.kind == kind);
    let versions = subscribe.iter().filter(|_| first_on_stream);
    let versions = versions.filter_map(|name| {
        let held = held.get(kind, name)?;
        Some((name.clone(), held.version.as_ref().to_owned()))
    });
    Some(DeltaDiscoveryRequest {
        type_url: kind.type_url().to_owned(),
        initial_resource_versions: versions.collect(),
        resource_names_subscribe: subscribe,
        resource_names_unsubscribe: unsubscribe,
        ..DeltaDiscoveryRequest::default()
    })
}

/// Requests for resources that were refused at first and then taken in: asking
/// for them again lets the control plane see that they are accepted.
pub(super) fn ask_again(thawed: &BTreeSet<Key>) -> Vec<DeltaDiscoveryRequest> {
    ResourceType::ALL
        .into_iter()
        .filter_map(|kind| {
            let names: Vec<String> = thawed
                .iter()
                .filter(|key| key.kind == kind)
                .map(|key| key.name.as_ref().to_owned())
                .collect();
            (!names.is_empty()).then(|| DeltaDiscoveryRequest {
                type_url: kind.type_url().to_owned(),
                resource_names_subscribe: names,
                ..DeltaDiscoveryRequest::default()
            })
        })
        .collect()
}
