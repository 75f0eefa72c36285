//! What a change would lead to. Pure; whatever can be refused is refused here.

use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel_shared::error::Invalid;
use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::resource::Spec;

use super::committer::{Edit, Head};
use super::rejected::Rejected;
use super::status::NOT_SHOWN;
use crate::access::{Caller, Denial};
use crate::compile::{ConfigSet, compile, removal, secret};
use crate::model::{self, ModelFault, named};
use crate::seal::{Seal, redact_changes};
use crate::store::diff::diff;
use crate::store::state::apply;
use crate::store::{DesiredState, ResourceKey};

/// The state after a change, ready to be stored and published.
#[derive(Debug)]
pub(super) struct Plan {
    pub state: DesiredState,
    /// Redacted, for everybody to see.
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
                let given = resources.keys();
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
pub(super) fn plan(head: &Head, asked: Asked, seal: &Seal) -> Result<Plan, Rejected> {
    let Asked {
        by,
        edit,
        allow_mass_removal,
    } = asked;
    let mut unreadable = Vec::new();
    let (state, mut changes) = match edit {
        Edit::Apply {
            resources,
            deletions,
        } => {
            let resources = resources.settle(&head.state);
            may_apply(&by, &head.state, &resources, &deletions)?;
            unreadable = text_faults(&resources, seal);
            let applied = apply(&head.state, resources, &deletions);
            let (state, changes) = applied.map_err(Rejected::Invalid)?;
            may_name(&by, &head.state, &state, &changes)?;
            check_unused(&by, &state, &deletions)?;
            (state, changes)
        }
        Edit::Replace(state) => {
            let changes = diff(&head.state, &state);
            may_replace(&by, &changes)?;
            may_name(&by, &head.state, &state, &changes)?;
            (state, changes)
        }
    };
    redact_changes(&mut changes);
    let config = checked(&state, unreadable, seal);
    let config = config.map_err(|faults| Rejected::Invalid(seen_by(&by, faults)))?;
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
    let denied = denied.map(|key| Denial {
        key,
        role: v1::Role::Write,
        visible: true,
    });
    refuse(caller, denied.collect())
}

/// Whoever names a secret lets proxies use it, and learns whether it is there.
/// That takes the role `read` on those that a resource did not name before.
fn may_name(
    caller: &Caller,
    before: &DesiredState,
    after: &DesiredState,
    changes: &[v1::Change],
) -> Result<(), Rejected> {
    let keys = changes.iter().filter_map(|change| change.id.as_ref());
    let mut denied = BTreeSet::new();
    for key in keys.map(ResourceKey::from) {
        let known: Vec<_> = before.get(&key).into_iter().flat_map(named).collect();
        let news = after.get(&key).into_iter().flat_map(named);
        denied.extend(news.filter(|to| {
            to.kind == v1::Kind::Secret && !known.contains(to) && !caller.may(v1::Role::Read, to)
        }));
    }
    let denied = denied.into_iter().map(|key| Denial {
        key,
        role: v1::Role::Read,
        visible: true,
    });
    refuse(caller, denied.collect())
}

/// Going back takes `write` on all that it changes. What the caller may not see
/// is only counted.
fn may_replace(caller: &Caller, changes: &[v1::Change]) -> Result<(), Rejected> {
    let keys = changes.iter().filter_map(|change| change.id.as_ref());
    let keys = keys.map(ResourceKey::from);
    let denied = keys.filter(|key| !caller.may(v1::Role::Write, key));
    let denied = denied.map(|key| Denial {
        visible: caller.may(v1::Role::Read, &key),
        key,
        role: v1::Role::Write,
    });
    refuse(caller, denied.collect())
}

fn refuse(caller: &Caller, denials: Vec<Denial>) -> Result<(), Rejected> {
    if denials.is_empty() {
        return Ok(());
    }
    Err(Rejected::Denied {
        subject: caller.subject.clone(),
        denials,
    })
}

/// Faults as a caller may know them: of what it may not read, that there are
/// some.
fn seen_by(caller: &Caller, faults: Vec<ModelFault>) -> Vec<ModelFault> {
    let (mut seen, unseen): (Vec<_>, Vec<_>) = faults
        .into_iter()
        .partition(|fault| caller.may(v1::Role::Read, &fault.key));
    if !unseen.is_empty() {
        let reason = "would not be valid with this change, and you may not read it";
        seen.push(ModelFault {
            key: not_shown(),
            invalid: Invalid::new("", reason),
        });
    }
    seen
}

/// Stands for resources that a caller may not know of.
fn not_shown() -> ResourceKey {
    ResourceKey::new(v1::Kind::Unspecified, NOT_SHOWN)
}

/// What a state is compiled to.
///
/// # Errors
/// Every fault of it, those that were `known` before included.
pub(super) fn checked(
    state: &DesiredState,
    mut known: Vec<ModelFault>,
    seal: &Seal,
) -> Result<ConfigSet, Vec<ModelFault>> {
    match model::check(state) {
        Ok(model) if known.is_empty() => Ok(compile(&model, secret::open(&model, seal)?)),
        Ok(_) => Err(known),
        Err(found) => {
            known.extend(found);
            known.sort_by(|a, b| a.key.cmp(&b.key));
            Err(known)
        }
    }
}

/// What is wrong with the texts of secrets that came in just now. Those that are
/// stored were checked when they did.
fn text_faults(resources: &[v1::Resource], seal: &Seal) -> Vec<ModelFault> {
    let mut found = Vec::new();
    for resource in resources {
        let Some(Spec::Secret(secret)) = &resource.spec else {
            continue;
        };
        let faults = model::text_faults(secret, &|text| seal.open(text).ok());
        found.extend(faults.into_iter().map(|invalid| ModelFault {
            key: ResourceKey::of(resource),
            invalid,
        }));
    }
    found
}

/// What is deleted must not be referred to by what stays.
fn check_unused(
    caller: &Caller,
    state: &DesiredState,
    deletions: &[ResourceKey],
) -> Result<(), Rejected> {
    let mut used = Vec::new();
    for key in deletions {
        let (_, mut by) = model::references(state, key);
        let all = by.len();
        by.retain(|key| caller.may(v1::Role::Read, key));
        if by.len() < all {
            by.push(not_shown());
        }
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
