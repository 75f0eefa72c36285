//! Who may do what, as people write it: roles and grants.

use clap::ValueEnum;
use evenkeel_shared::proto::v1::{Grant, Kind, Role};

use crate::failure::Failure;
use crate::kind;

/// What somebody may do; each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleWord {
    /// See configuration, history, status and endpoints.
    Read,
    /// Take measures that do not change the configuration.
    Operate,
    /// Create, change and delete resources.
    Write,
    /// Make and end tokens, and read the audit log.
    Admin,
}

impl From<RoleWord> for Role {
    fn from(word: RoleWord) -> Self {
        match word {
            RoleWord::Read => Self::Read,
            RoleWord::Operate => Self::Operate,
            RoleWord::Write => Self::Write,
            RoleWord::Admin => Self::Admin,
        }
    }
}

/// A grant in its parts.
pub(crate) fn grant(role: RoleWord, kind: Kind, name: &str) -> Grant {
    Grant {
        role: Role::from(role).into(),
        kind: kind.into(),
        name: name.to_owned(),
    }
}

/// Reads `write:Cluster/cart-*`, `write:Cluster`, `read`.
///
/// # Errors
/// No such role or kind; a pattern that is none.
pub(crate) fn parse(text: &str) -> Result<Grant, String> {
    let (role, on) = text
        .split_once(':')
        .map_or((text, None), |(role, on)| (role, Some(on)));
    let role = RoleWord::from_str(role, true)
        .map_err(|_| format!("no role `{role}`; there are read, operate, write, admin"))?;
    let Some(on) = on else {
        return Ok(grant(role, Kind::Unspecified, ""));
    };
    let (kind, name) = on
        .split_once('/')
        .map_or((on, None), |(kind, name)| (kind, Some(name)));
    let kind = kind::parse(kind).map_err(|failure| failure.to_string())?;
    let name = name.map(pattern).transpose()?.unwrap_or_default();
    Ok(grant(role, kind, &name))
}

/// A name with `*` at the end at the most.
///
/// # Errors
/// `*` somewhere else; nothing at all.
pub(crate) fn pattern(text: &str) -> Result<String, String> {
    let head = text.strip_suffix('*').unwrap_or(text);
    if text.is_empty() || head.contains('*') {
        return Err(format!(
            "`{text}` must be a name, with `*` at the end for any rest"
        ));
    }
    Ok(text.to_owned())
}

/// The grants of `--role`, `--kind` and `--name`, and of each `--grant`.
///
/// # Errors
/// There is none.
pub(crate) fn grants(
    role: Option<RoleWord>,
    kind: Option<Kind>,
    names: &[String],
    more: &[Grant],
) -> Result<Vec<Grant>, Failure> {
    let mut grants = Vec::new();
    if let Some(role) = role {
        let kind = kind.unwrap_or(Kind::Unspecified);
        if names.is_empty() {
            grants.push(grant(role, kind, ""));
        }
        grants.extend(names.iter().map(|name| grant(role, kind, name)));
    }
    grants.extend(more.iter().cloned());
    if grants.is_empty() {
        return Err(Failure::Usage(
            "a token that allows nothing is of no use: give --role or --grant".to_owned(),
        ));
    }
    Ok(grants)
}

/// `write:Cluster/cart-*, read`.
pub(crate) fn words(grants: &[Grant]) -> String {
    let words: Vec<String> = grants.iter().map(word).collect();
    words.join(", ")
}

fn word(grant: &Grant) -> String {
    let role = match grant.role() {
        Role::Unspecified => "nothing",
        Role::Read => "read",
        Role::Operate => "operate",
        Role::Write => "write",
        Role::Admin => "admin",
    };
    match (grant.kind(), grant.name.as_str()) {
        (Kind::Unspecified, "") => role.to_owned(),
        (Kind::Unspecified, name) => format!("{role}:*/{name}"),
        (kind, "") => format!("{role}:{}", kind::word(kind)),
        (kind, name) => format!("{role}:{}/{name}", kind::word(kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_shown_as_they_are_written() {
        for text in ["read", "write:Cluster", "write:Cluster/cart-*", "admin"] {
            assert_eq!(words(&[parse(text).unwrap()]), text);
        }
        assert_eq!(
            words(&[parse("write:cl/cart").unwrap()]),
            "write:Cluster/cart"
        );
    }

    #[test]
    fn what_is_no_grant_is_explained() {
        for (text, said) in [
            ("own", "read, operate, write, admin"),
            ("write:Pod/x", "no kind `Pod`"),
            ("write:Cluster/", "must be a name"),
            ("write:Cluster/a*b", "`*` at the end"),
        ] {
            let fault = parse(text).unwrap_err();
            assert!(fault.contains(said), "{fault}");
        }
    }

    #[test]
    fn the_short_form_makes_one_grant_for_each_name() {
        let names = ["a".to_owned(), "b-*".to_owned()];
        let made = grants(
            Some(RoleWord::Write),
            Some(Kind::Route),
            &names,
            &[parse("read").unwrap()],
        );
        assert_eq!(
            words(&made.unwrap()),
            "write:Route/a, write:Route/b-*, read"
        );
        assert_eq!(grants(None, None, &[], &[]).unwrap_err().exit_code(), 2);
    }
}
