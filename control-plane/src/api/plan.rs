//! What a change would lead to. Pure; whatever can be refused is refused here.

use std::sync::Arc;

use evenkeel_shared::proto::v1;

use super::committer::{Edit, Head};
use super::rejected::Rejected;
use crate::access::{Caller, Denial};
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

/// A change, as far as it must be planned.
#[derive(Debug)]
pub(super) struct Asked {
    /// Who asks.
    pub by: Arc<Caller>,
    pub edit: Edit,
    pub allow_mass_removal: bool,
}

impl Edit {
    /// The resources that it names, for the audit log.
    pub(super) fn named(&self) -> Vec<v1::Change> {
        let keys: Vec<ResourceKey> = match self {
            Self::Apply {
                resources,
                deletions,
            } => {
                let given = resources.iter().map(ResourceKey::of);
                given.chain(deletions.iter().cloned()).collect()
            }
            Self::Replace(_) => Vec::new(),
        };
        let keys = keys.iter().map(|key| v1::Change {
            id: Some(key.to_id()),
            ..v1::Change::default()
        });
        keys.collect()
    }
}

/// Plans a change of `head`.
///
/// # Errors
/// The caller may not make it, it names what is not there, leaves references
/// dangling, makes the configuration invalid, or removes much without a
/// confirmation. Whoever may not make it is told nothing else.
pub(super) fn plan(head: &Head, asked: Asked) -> Result<Plan, Rejected> {
    let Asked {
        by,
        edit,
        allow_mass_removal,
    } = asked;
    let (state, changes) = match edit {
        Edit::Apply {
            resources,
            deletions,
        } => {
            may_apply(&by, &head.state, &resources, &deletions)?;
            let applied = apply(&head.state, resources, &deletions);
            let (state, changes) = applied.map_err(Rejected::Invalid)?;
            check_unused(&state, &deletions)?;
            (state, changes)
        }
        Edit::Replace(state) => {
            let changes = diff(&head.state, &state);
            may_replace(&by, &changes)?;
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

/// What changes takes the role `write`, what stays as it is `read`. Whether it
/// would stay is not told to somebody who may not read it.
fn may_apply(
    caller: &Caller,
    state: &DesiredState,
    resources: &[v1::Resource],
    deletions: &[ResourceKey],
) -> Result<(), Rejected> {
    let given = resources.iter().filter_map(|resource| {
        let key = ResourceKey::of(resource);
        let same = state.get(&key) == Some(resource);
        let held = same && caller.may(v1::Role::Read, &key);
        (!held).then_some(key)
    });
    let keys = given.chain(deletions.iter().cloned());
    let denied = keys.filter(|key| !caller.may(v1::Role::Write, key));
    refuse(caller, denied.map(|key| (key, true)).collect())
}

/// Going back takes `write` on all that it changes. What the caller may not see
/// is only counted.
fn may_replace(caller: &Caller, changes: &[v1::Change]) -> Result<(), Rejected> {
    let keys = changes.iter().filter_map(|change| change.id.as_ref());
    let keys = keys.map(ResourceKey::from);
    let denied = keys.filter(|key| !caller.may(v1::Role::Write, key));
    let denied = denied.map(|key| {
        let visible = caller.may(v1::Role::Read, &key);
        (key, visible)
    });
    refuse(caller, denied.collect())
}

fn refuse(caller: &Caller, denied: Vec<(ResourceKey, bool)>) -> Result<(), Rejected> {
    if denied.is_empty() {
        return Ok(());
    }
    let denial = |(key, visible)| Denial {
        key,
        role: v1::Role::Write,
        visible,
    };
    Err(Rejected::Denied {
        subject: caller.subject.clone(),
        denials: denied.into_iter().map(denial).collect(),
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
