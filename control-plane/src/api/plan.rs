//! What a change would lead to. Pure; whatever can be refused is refused here.

use evenkeel_shared::proto::v1;

use super::committer::{Edit, Head};
use super::rejected::Rejected;
use crate::compile::{ConfigSet, compile, removal};
use crate::model;
use crate::store::diff::diff;
use crate::store::state::apply;
use crate::store::{DesiredState, ResourceKey};

/// The state after a change, ready to be stored and published.
#[derive(Debug)]
pub(super) struct Plan {
    pub state: DesiredState,
    pub changes: Vec<v1::Change>,
    pub config: ConfigSet,
}

/// Plans a change of `head`.
///
/// # Errors
/// It names what is not there, leaves references dangling, makes the
/// configuration invalid, or removes much without a confirmation.
pub(super) fn plan(head: &Head, edit: Edit, allow_mass_removal: bool) -> Result<Plan, Rejected> {
    let (state, changes) = match edit {
        Edit::Apply {
            resources,
            deletions,
        } => {
            let applied = apply(&head.state, resources, &deletions);
            let (state, changes) = applied.map_err(Rejected::Invalid)?;
            check_unused(&state, &deletions)?;
            (state, changes)
        }
        Edit::Replace(state) => {
            let changes = diff(&head.state, &state);
            (state, changes)
        }
    };
    let model = model::check(&state).map_err(Rejected::Invalid)?;
    let config = compile(&model);
    if !allow_mass_removal && let Some(reason) = removal::check(&head.config, &config) {
        return Err(Rejected::MassRemoval(reason));
    }
    Ok(Plan {
        state,
        changes,
        config,
    })
}

/// What is deleted must not be referred to by what stays.
fn check_unused(state: &DesiredState, deletions: &[ResourceKey]) -> Result<(), Rejected> {
    let mut used = Vec::new();
    for key in deletions {
        let (_, by) = model::references(state, key);
        if !by.is_empty() {
            used.push((key.clone(), by));
        }
    }
    if used.is_empty() {
        Ok(())
    } else {
        Err(Rejected::Referenced(used))
    }
}
