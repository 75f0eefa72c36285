//! A document that was read, and the way back from a field to its place in the
//! file.

use std::sync::Arc;

use super::report::{DocumentError, Location};
use super::tree::{Content, Node, Span};
use crate::error::Invalid;
use crate::proto::v1;

/// A resource and where it was read. If it is damaged, what is wrong is not set
/// in the resource.
#[derive(Debug, Clone)]
pub struct Document {
    /// What the document says.
    pub resource: v1::Resource,
    /// Kind and name, for example `Route/shop`.
    pub id: String,
    pub(super) file: Arc<str>,
    pub(super) kind: Span,
    pub(super) name: Span,
    pub(super) spec: Node,
    /// Paths of what could not be read.
    pub(super) damage: Vec<String>,
}

impl Document {
    /// Where the field at `path` (seen from `spec`, as in [`Invalid::path`])
    /// stands, or the nearest thing around it that is in the file. The empty
    /// path is the document's name.
    pub fn locate(&self, path: &str) -> Location {
        Location::new(&self.file, self.span(path))
    }

    /// Whether something in it could not be read.
    pub fn is_damaged(&self) -> bool {
        !self.damage.is_empty()
    }

    /// Whether what is wrong at `path` may be wrong only because something
    /// there, around it or in it could not be read.
    pub fn is_doubtful(&self, path: &str) -> bool {
        self.damage
            .iter()
            .any(|damaged| encloses(damaged, path) || encloses(path, damaged))
    }

    /// A fault that was found in the resource later on, at its place.
    pub fn error(&self, fault: Invalid) -> DocumentError {
        DocumentError {
            location: self.locate(&fault.path),
            resource: Some(self.id.clone()),
            path: fault.path,
            reason: fault.reason,
            hint: None,
        }
    }

    fn span(&self, path: &str) -> Span {
        let (mut node, mut key, mut rest) = (&self.spec, None, path);
        while let Some((step, tail)) = step(rest) {
            let Some((next_node, next_key)) = enter(node, step) else {
                break;
            };
            (node, key, rest) = (next_node, next_key, tail);
        }
        match path {
            _ if rest.len() < path.len() => node.focus(key),
            "kind" => self.kind,
            _ => self.name,
        }
    }
}

/// Whether the field at `outer` is the one at `inner` or holds it.
fn encloses(outer: &str, inner: &str) -> bool {
    outer.is_empty()
        || inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// One step of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step<'p> {
    Name(&'p str),
    Index(usize),
}

/// The first step of a path, and the rest of it; `None` at the end.
fn step(path: &str) -> Option<(Step<'_>, &str)> {
    let path = path.strip_prefix('.').unwrap_or(path);
    if let Some(bracket) = path.strip_prefix("[\"") {
        let (name, rest) = bracket.split_once("\"]")?;
        return Some((Step::Name(name), rest));
    }
    if let Some(bracket) = path.strip_prefix('[') {
        let (index, rest) = bracket.split_once(']')?;
        return Some((Step::Index(index.parse().ok()?), rest));
    }
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    (!name.is_empty()).then_some((Step::Name(name), rest))
}

/// The value one step below `node`, with its key.
fn enter<'t>(node: &'t Node, step: Step<'_>) -> Option<(&'t Node, Option<Span>)> {
    match (&node.content, step) {
        (Content::List(nodes), Step::Index(index)) => nodes.get(index).map(|node| (node, None)),
        (Content::Mapping(entries), Step::Name(name)) => entries
            .iter()
            .find(|entry| entry.key.text == name || is_same_field(&entry.key.text, name))
            .map(|entry| (&entry.value, Some(entry.key.span))),
        _ => None,
    }
}

/// Whether a key in the schema's own spelling (`per_try`) is the field that
/// documents call `perTry`.
fn is_same_field(key: &str, name: &str) -> bool {
    let mut letters = name.chars();
    let mut raised = false;
    for letter in key.chars() {
        if letter == '_' {
            raised = true;
            continue;
        }
        let wanted = if raised {
            letter.to_ascii_uppercase()
        } else {
            letter
        };
        raised = false;
        if letters.next() != Some(wanted) {
            return false;
        }
    }
    letters.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_falls_apart_into_steps() {
        let mut rest = r#"rules[2].metadata["a.b"].x"#;
        let mut steps = Vec::new();
        while let Some((next, tail)) = step(rest) {
            steps.push(next);
            rest = tail;
        }
        assert_eq!(
            steps,
            [
                Step::Name("rules"),
                Step::Index(2),
                Step::Name("metadata"),
                Step::Name("a.b"),
                Step::Name("x")
            ]
        );
    }

    #[test]
    fn a_field_encloses_itself_and_what_is_in_it() {
        assert!(encloses("", "rules[1].name"));
        assert!(encloses("rules[1]", "rules[1]"));
        assert!(encloses("rules", "rules[1].name"));
        assert!(encloses("rules[1]", "rules[1].name"));
        assert!(!encloses("rules[1]", "rules[12]"));
        assert!(!encloses("rule", "rules[1]"));
        assert!(!encloses("rules[1].name", "rules[1]"));
    }

    #[test]
    fn both_spellings_of_a_field_are_the_same() {
        assert!(is_same_field("per_try", "perTry"));
        assert!(is_same_field("consecutive_5xx", "consecutive5xx"));
        assert!(!is_same_field("per_try", "perTrying"));
        assert!(!is_same_field("per_tries", "perTry"));
    }
}
