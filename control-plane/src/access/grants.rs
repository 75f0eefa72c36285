//! What grants allow. Pure.

use std::sync::Arc;

use evenkeel_shared::error::Invalid;
use evenkeel_shared::proto::v1;

use crate::store::ResourceKey;

/// How many grants somebody may have.
const MOST: usize = 64;

/// The longest name in a grant, in bytes.
const NAME_LIMIT: usize = 256;

/// Whether one of the grants has the role, or one that includes it, on a
/// resource. A kind without a name is all resources of the kind, neither is
/// everything; only a grant that holds for all of that allows it then.
pub fn allows(grants: &[v1::Grant], role: v1::Role, kind: v1::Kind, name: &str) -> bool {
    granted_by(grants, role, kind, name).is_some()
}

/// The grant that allows it.
pub(super) fn granted_by<'a>(
    grants: &'a [v1::Grant],
    role: v1::Role,
    kind: v1::Kind,
    name: &str,
) -> Option<&'a v1::Grant> {
    let wanted = |grant: &&v1::Grant| includes(grant, role) && covers(grant, kind, name);
    grants.iter().find(wanted)
}

/// The role of an administrator, on everything.
pub(super) fn everything() -> Arc<[v1::Grant]> {
    Arc::new([v1::Grant {
        role: v1::Role::Admin.into(),
        ..v1::Grant::default()
    }])
}

/// Whether a grant has the role on anything at all.
pub(super) fn somewhere(grants: &[v1::Grant], role: v1::Role) -> bool {
    grants.iter().any(|grant| includes(grant, role))
}

/// A number that is no role has none: a grant that is not understood gives
/// nothing.
fn includes(grant: &v1::Grant, role: v1::Role) -> bool {
    let held = v1::Role::try_from(grant.role);
    role != v1::Role::Unspecified && held.is_ok_and(|held| held >= role)
}

fn covers(grant: &v1::Grant, kind: v1::Kind, name: &str) -> bool {
    let kinds = match v1::Kind::try_from(grant.kind) {
        Ok(v1::Kind::Unspecified) => true,
        Ok(granted) => granted == kind,
        Err(_) => false,
    };
    let names = match grant.name.strip_suffix('*') {
        Some("") => true,
        Some(prefix) => name.starts_with(prefix),
        None => grant.name.is_empty() || grant.name == name,
    };
    kinds && names
}

/// The grants, if they can be given.
///
/// # Errors
/// All faults, with their paths.
pub(super) fn check(grants: &[v1::Grant]) -> Result<(), Vec<Invalid>> {
    let mut faults = Vec::new();
    if grants.is_empty() {
        faults.push(Invalid::new("grants", "must hold at least one grant"));
    }
    if grants.len() > MOST {
        faults.push(Invalid::new("grants", "must hold at most 64 grants"));
    }
    for (index, grant) in grants.iter().enumerate().take(MOST) {
        let mut fault = |field: &str, reason: &str| {
            faults.push(Invalid::new(format!("grants[{index}].{field}"), reason));
        };
        match v1::Role::try_from(grant.role) {
            Ok(v1::Role::Unspecified) => fault("role", "must be given"),
            Ok(_) => {}
            Err(_) => fault("role", "is none that this control plane knows"),
        }
        if v1::Kind::try_from(grant.kind).is_err() {
            fault("kind", "is none that this control plane knows");
        }
        let prefix = grant.name.strip_suffix('*').unwrap_or(&grant.name);
        if prefix.contains('*') {
            fault("name", "may have `*` only at its end");
        }
        if grant.name.len() > NAME_LIMIT || grant.name.chars().any(char::is_control) {
            fault(
                "name",
                "must be at most 256 bytes without control characters",
            );
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

/// A role as people write it.
pub(crate) fn role_label(role: v1::Role) -> &'static str {
    match role {
        v1::Role::Unspecified => "none",
        v1::Role::Read => "read",
        v1::Role::Operate => "operate",
        v1::Role::Write => "write",
        v1::Role::Admin => "admin",
    }
}

/// A resource, a kind or everything, as people write it.
pub(super) fn scope(kind: v1::Kind, name: &str) -> String {
    match (kind, name) {
        (v1::Kind::Unspecified, "") => "everything".to_owned(),
        (v1::Kind::Unspecified, name) => format!("{name} of any kind"),
        (kind, "") => format!("every {}", ResourceKey::new(kind, "").kind_label()),
        (kind, name) => ResourceKey::new(kind, name).to_string(),
    }
}

/// A grant as people write it, for example `write on Cluster/shop-*`.
pub(super) fn label(grant: &v1::Grant) -> String {
    let role = v1::Role::try_from(grant.role).map_or("unknown", role_label);
    let name = if grant.name == "*" { "" } else { &grant.name };
    format!("{role} on {}", scope(grant.kind(), name))
}

/// Grants as people write them.
pub(super) fn labels(grants: &[v1::Grant]) -> String {
    let labels: Vec<String> = grants.iter().map(label).collect();
    labels.join(", ")
}
