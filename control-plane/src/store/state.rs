//! The state after a change.

use std::collections::BTreeSet;

use evenkeel_shared::error::Invalid;
use evenkeel_shared::proto::v1;

use super::diff::change;
use super::{DesiredState, ResourceKey};
use crate::model::ModelFault;

/// The state after creating or replacing `resources` and deleting `deletions`,
/// and what became of each of them, ordered by kind and name.
///
/// # Errors
/// A resource without a kind, one that is named twice, and a deletion of what
/// is not there; all of them at once.
pub fn apply(
    state: &DesiredState,
    resources: Vec<v1::Resource>,
    deletions: &[ResourceKey],
) -> Result<(DesiredState, Vec<v1::Change>), Vec<ModelFault>> {
    let mut after = state.clone();
    let mut named = BTreeSet::new();
    let mut faults = Vec::new();
    for resource in resources {
        let key = ResourceKey::of(&resource);
        if key.kind == v1::Kind::Unspecified {
            faults.push(fault(&key, "has no `spec`, which tells its kind"));
        } else if !named.insert(key.clone()) {
            faults.push(fault(&key, "is given twice"));
        }
        after.insert(key, resource);
    }
    for key in deletions {
        if !named.insert(key.clone()) {
            faults.push(fault(
                key,
                "is to be deleted, and is given or deleted already",
            ));
        } else if after.remove(key).is_none() {
            faults.push(fault(key, "cannot be deleted: it does not exist"));
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let changes = named
        .iter()
        .filter_map(|key| change(key, state.get(key), after.get(key)))
        .collect();
    Ok((after, changes))
}

fn fault(key: &ResourceKey, reason: &str) -> ModelFault {
    ModelFault {
        key: key.clone(),
        invalid: Invalid::new("", reason),
    }
}

#[cfg(test)]
mod tests;
