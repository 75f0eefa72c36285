//! Kinds of resources, in all the ways people write them.

use evenkeel_shared::proto::v1::{Kind, Resource, ResourceId, resource::Spec};

use crate::failure::Failure;

/// Every kind, in the order of lists: as in a document, plural, and short.
const KINDS: [(Kind, &str, &str, &str); 7] = [
    (Kind::Listener, "Listener", "listeners", "ls"),
    (Kind::Route, "Route", "routes", "rt"),
    (Kind::Cluster, "Cluster", "clusters", "cl"),
    (Kind::Policy, "Policy", "policies", "pol"),
    (Kind::Endpoints, "Endpoints", "endpoints", "ep"),
    (Kind::ProxyGroup, "ProxyGroup", "proxygroups", "pg"),
    (Kind::Secret, "Secret", "secrets", "sec"),
];

/// All kinds.
pub(crate) fn all() -> impl Iterator<Item = Kind> {
    KINDS.iter().map(|(kind, ..)| *kind)
}

/// The kind as a document writes it: `ProxyGroup`.
pub(crate) fn word(kind: Kind) -> &'static str {
    KINDS
        .iter()
        .find(|(known, ..)| *known == kind)
        .map_or("Resource", |(_, word, ..)| *word)
}

/// The kind as output writes it: `proxygroup`.
pub(crate) fn lower(kind: Kind) -> String {
    word(kind).to_ascii_lowercase()
}

/// Reads `route`, `routes`, `rt`, `Route`.
pub(crate) fn parse(text: &str) -> Result<Kind, Failure> {
    let wanted = text.to_ascii_lowercase();
    KINDS
        .iter()
        .find(|(_, word, plural, short)| {
            word.eq_ignore_ascii_case(&wanted) || wanted == *plural || wanted == *short
        })
        .map(|(kind, ..)| *kind)
        .ok_or_else(|| Failure::Usage(unknown(text)))
}

fn unknown(text: &str) -> String {
    let known: Vec<String> = KINDS
        .iter()
        .map(|(_, _, plural, short)| format!("{plural} ({short})"))
        .collect();
    format!("no kind `{text}`; there are {}", known.join(", "))
}

/// Reads `KIND NAME…` or `KIND/NAME…`.
pub(crate) fn ids(words: &[String]) -> Result<Vec<ResourceId>, Failure> {
    if words.iter().any(|word| word.contains('/')) {
        return words.iter().map(|word| slashed(word)).collect();
    }
    let Some((kind, names)) = words.split_first() else {
        return Ok(Vec::new());
    };
    let kind = parse(kind)?;
    if names.is_empty() {
        return Err(Failure::Usage(format!(
            "which {}? Give names after the kind, or KIND/NAME",
            lower(kind)
        )));
    }
    Ok(names.iter().map(|name| id(kind, name)).collect())
}

/// Reads `KIND/NAME`.
pub(crate) fn slashed(word: &str) -> Result<ResourceId, Failure> {
    match word.split_once('/') {
        Some((kind, name)) if !name.is_empty() => Ok(id(parse(kind)?, name)),
        _ => Err(Failure::Usage(format!(
            "`{word}` is not KIND/NAME, for example route/shop"
        ))),
    }
}

/// The id of a resource of this kind.
pub(crate) fn id(kind: Kind, name: &str) -> ResourceId {
    ResourceId {
        kind: kind.into(),
        name: name.to_owned(),
    }
}

/// The kind of a resource.
pub(crate) fn of(resource: &Resource) -> Kind {
    match &resource.spec {
        None => Kind::Unspecified,
        Some(Spec::Listener(_)) => Kind::Listener,
        Some(Spec::Route(_)) => Kind::Route,
        Some(Spec::Cluster(_)) => Kind::Cluster,
        Some(Spec::Policy(_)) => Kind::Policy,
        Some(Spec::Endpoints(_)) => Kind::Endpoints,
        Some(Spec::ProxyGroup(_)) => Kind::ProxyGroup,
        Some(Spec::Secret(_)) => Kind::Secret,
    }
}

/// `route/shop`.
pub(crate) fn label(id: &ResourceId) -> String {
    format!("{}/{}", lower(id.kind()), id.name)
}

/// `route/shop`.
pub(crate) fn label_of(resource: &Resource) -> String {
    format!("{}/{}", lower(of(resource)), resource.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_by_singular_plural_and_short_name() {
        for (kind, word, plural, short) in KINDS {
            for text in [word, plural, short, &word.to_uppercase()] {
                assert_eq!(parse(text).unwrap(), kind, "{text}");
            }
        }
    }

    #[test]
    fn an_unknown_kind_is_a_usage_error_that_lists_the_kinds() {
        let failure = parse("pods").unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(failure.to_string().contains("routes (rt)"), "{failure}");
    }

    #[test]
    fn resources_are_named_in_two_ways() {
        let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        let labels =
            |text: &str| -> Vec<String> { ids(&words(text)).unwrap().iter().map(label).collect() };
        assert_eq!(labels("routes shop blog"), ["route/shop", "route/blog"]);
        assert_eq!(labels("rt/shop cl/cart"), ["route/shop", "cluster/cart"]);
        assert_eq!(ids(&words("routes")).unwrap_err().exit_code(), 2);
        assert_eq!(ids(&words("rt/shop cart")).unwrap_err().exit_code(), 2);
    }
}
