//! What leads from one state to another.

use evenkeel_shared::proto::v1;

use super::{DesiredState, ResourceKey};

/// The changes that lead from one state to the other, ordered by kind and name.
/// Resources that are the same in both are left out.
pub fn diff(from: &DesiredState, to: &DesiredState) -> Vec<v1::Change> {
    let mut keys: Vec<&ResourceKey> = from.keys().chain(to.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter()
        .filter_map(|key| change(key, from.get(key), to.get(key)))
        .filter(|change| change.action() != v1::ChangeAction::Unchanged)
        .collect()
}

/// What became of one resource; `None` if it was never there.
pub(super) fn change(
    key: &ResourceKey,
    before: Option<&v1::Resource>,
    after: Option<&v1::Resource>,
) -> Option<v1::Change> {
    let action = match (before, after) {
        (None, None) => return None,
        (None, Some(_)) => v1::ChangeAction::Created,
        (Some(_), None) => v1::ChangeAction::Deleted,
        (Some(before), Some(after)) if before == after => v1::ChangeAction::Unchanged,
        (Some(_), Some(_)) => v1::ChangeAction::Configured,
    };
    Some(v1::Change {
        id: Some(key.to_id()),
        action: action.into(),
        before: before.cloned(),
        after: after.cloned(),
    })
}
