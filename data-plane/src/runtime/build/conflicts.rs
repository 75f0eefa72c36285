//! Listeners that cannot be in force together.

use std::collections::BTreeMap;

use evenkeel_shared::error::Invalid;
use evenkeel_shared::ir;
use evenkeel_shared::names::ListenerName;
use evenkeel_shared::xds::ResourceType;

use super::Unbuildable;
use crate::runtime::snapshot::Snapshot;
use crate::xds::state::{Active, Key};

/// Listeners whose address another one has. The one in force wins, else the
/// first by name.
pub(super) fn addresses(in_force: &Snapshot, active: &Active) -> Unbuildable {
    let serves = |name: &ListenerName, spec: &ir::Listener| {
        let old = in_force.listeners.get(name);
        old.is_some_and(|old| old.front.spec.address == spec.address)
    };
    let mut listeners: Vec<(&ListenerName, &ir::Listener)> = active
        .listeners
        .iter()
        .map(|(name, listener)| (name, listener.spec.as_ref()))
        .filter(|(_, spec)| spec.address.port() != 0)
        .collect();
    listeners.sort_by_key(|(name, spec)| (!serves(name, spec), *name));
    let mut owners = BTreeMap::new();
    listeners
        .into_iter()
        .filter_map(|(name, spec)| {
            let owner = *owners.entry(spec.address).or_insert(name);
            (owner != name).then(|| {
                let rule = format!("{} is taken by listener {owner:?}", spec.address);
                let key = Key::new(ResourceType::Listener, name.as_str());
                (key, vec![Invalid::new("address", rule)])
            })
        })
        .collect()
}
