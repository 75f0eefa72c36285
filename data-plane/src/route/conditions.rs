//! What a route asks of a request, compiled.

use evenkeel_shared::error::{Faults, Invalid};
use evenkeel_shared::ir::{HeaderTest, PathMatch, QueryTest, RouteMatch};
use regex::bytes::Regex;
use smallvec::SmallVec;

use super::text::{Text, full_match};
use crate::head::Head;

/// Everything that a route asks of a request.
#[derive(Debug)]
pub(super) struct Conditions {
    path: Path,
    methods: Box<[Box<str>]>,
    headers: Box<[HeaderCondition]>,
    query: Box<[QueryCondition]>,
}

#[derive(Debug)]
enum Path {
    Exact(Box<str>),
    Prefix(Box<str>),
    Segments(Box<str>),
    Regex(Box<Regex>),
}

#[derive(Debug)]
struct HeaderCondition {
    name: Box<str>,
    test: Test,
    invert: bool,
}

#[derive(Debug)]
struct QueryCondition {
    name: Box<str>,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Present(bool),
    Value(Text),
}

impl Conditions {
    /// # Errors
    /// All expressions that cannot be compiled.
    pub(super) fn build(matches: &RouteMatch) -> Result<Self, Vec<Invalid>> {
        let mut faults = Faults::new();
        let path = note(&mut faults, "path", Path::build(&matches.path));
        let mut headers = Vec::new();
        for (i, header) in matches.headers.iter().enumerate() {
            let test = match &header.test {
                HeaderTest::Present(present) => Ok(Test::Present(*present)),
                HeaderTest::Value(value) => Text::build(value).map(Test::Value),
            };
            headers.extend(
                note(&mut faults, &format!("headers[{i}]"), test).map(|test| HeaderCondition {
                    name: header.name.as_str().into(),
                    test,
                    invert: header.invert,
                }),
            );
        }
        let mut query = Vec::new();
        for (i, parameter) in matches.query.iter().enumerate() {
            let test = match &parameter.test {
                QueryTest::Present(present) => Ok(Test::Present(*present)),
                QueryTest::Value(value) => Text::build(value).map(Test::Value),
            };
            let name = parameter.name.as_str().into();
            let test = note(&mut faults, &format!("query[{i}]"), test);
            query.extend(test.map(|test| QueryCondition { name, test }));
        }
        let methods = matches.methods.iter().map(|method| method.as_str().into());
        match path {
            Some(path) => faults.into_result(Self {
                path,
                methods: methods.collect(),
                headers: headers.into(),
                query: query.into(),
            }),
            None => Err(faults.into_vec()),
        }
    }

    /// How many bytes of the path are covered, if all conditions hold. `path` is
    /// the one of `head`.
    pub(super) fn matched(&self, head: &(impl Head + ?Sized), path: &[u8]) -> Option<usize> {
        let matched = self.path.matched(path)?;
        let takes = |method: &str| self.methods.iter().any(|one| **one == *method);
        let holds = (self.methods.is_empty() || takes(head.method()))
            && self.headers.iter().all(|condition| condition.holds(head))
            && self.query.iter().all(|condition| condition.holds(head));
        holds.then_some(matched)
    }
}

impl Path {
    fn build(path: &PathMatch) -> Result<Self, String> {
        Ok(match path {
            PathMatch::Exact(text) => Self::Exact(text.as_str().into()),
            PathMatch::Prefix(text) => Self::Prefix(text.as_str().into()),
            PathMatch::Segments(text) => Self::Segments(text.as_str().into()),
            PathMatch::Regex(text) => Self::Regex(Box::new(full_match(text)?)),
        })
    }

    fn matched(&self, path: &[u8]) -> Option<usize> {
        match self {
            Self::Exact(whole) => (whole.as_bytes() == path).then_some(path.len()),
            Self::Prefix(begin) => path.starts_with(begin.as_bytes()).then_some(begin.len()),
            Self::Segments(begin) => {
                let rest = path.strip_prefix(begin.as_bytes())?;
                (rest.is_empty() || rest.starts_with(b"/")).then_some(begin.len())
            }
            Self::Regex(regex) => regex.is_match(path).then_some(path.len()),
        }
    }
}

impl HeaderCondition {
    /// A missing field fails every condition on its value, inverted or not.
    fn holds(&self, head: &(impl Head + ?Sized)) -> bool {
        let answer = match &self.test {
            Test::Present(present) => Some(head.first_value(&self.name).is_some() == *present),
            Test::Value(text) => value_matches(head, &self.name, text),
        };
        answer.is_some_and(|answer| answer != self.invert)
    }
}

impl QueryCondition {
    /// Of several parameters of one name the first counts, as it stands in the
    /// URL: escapes are not resolved, as in Envoy.
    fn holds(&self, head: &(impl Head + ?Sized)) -> bool {
        let query = head.query().unwrap_or_default();
        let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
        let mut values = parameters
            .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
            .filter(|(name, _)| *name == &*self.name)
            .map(|(_, value)| value);
        match (&self.test, values.next()) {
            (Test::Present(present), value) => value.is_some() == *present,
            (Test::Value(text), Some(value)) => text.matches(value.as_bytes()),
            (Test::Value(_), None) => false,
        }
    }
}

/// Whether the value of a field matches; `None` if there is no such field.
/// Several are joined with `,`; one, the common case, is not copied.
fn value_matches(head: &(impl Head + ?Sized), name: &str, text: &Text) -> Option<bool> {
    let first = head.first_value(name)?;
    let mut count = 0_usize;
    head.each_value(name, &mut |_| count += 1);
    if count < 2 {
        return Some(text.matches(first));
    }
    let mut joined: SmallVec<[u8; 256]> = SmallVec::new();
    let mut separator: &[u8] = b"";
    head.each_value(name, &mut |value| {
        joined.extend_from_slice(separator);
        joined.extend_from_slice(value);
        separator = b",";
    });
    Some(text.matches(&joined))
}

/// The built part, or a note of why it could not be built.
fn note<T>(faults: &mut Faults, path: &str, part: Result<T, String>) -> Option<T> {
    part.map_err(|reason| faults.add(path, reason)).ok()
}
