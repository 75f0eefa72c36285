//! `RouteMatch` and the matchers in it.

use crate::ir;
use crate::xds::encode::values::{boolean, regex, string_match};
use crate::xds::wire::route;

/// Writes the conditions of a route; those on the method come first among the
/// header fields.
pub(super) fn route_match(from: &ir::RouteMatch) -> route::RouteMatch {
    let methods = methods(&from.methods);
    route::RouteMatch {
        path_specifier: Some(path(&from.path)),
        case_sensitive: boolean(true),
        headers: methods
            .into_iter()
            .chain(from.headers.iter().map(header))
            .collect(),
        query_parameters: from.query.iter().map(query).collect(),
        ..route::RouteMatch::default()
    }
}

fn path(from: &ir::PathMatch) -> route::route_match::PathSpecifier {
    use route::route_match::PathSpecifier;

    match from {
        ir::PathMatch::Exact(path) => PathSpecifier::Path(path.clone()),
        ir::PathMatch::Prefix(prefix) => PathSpecifier::Prefix(prefix.clone()),
        ir::PathMatch::Segments(path) => PathSpecifier::PathSeparatedPrefix(path.clone()),
        ir::PathMatch::Regex(pattern) => PathSpecifier::SafeRegex(regex(pattern)),
    }
}

fn methods(from: &[String]) -> Option<route::HeaderMatcher> {
    let test = match from {
        [] => return None,
        [method] => ir::StringMatch::Exact(method.clone()),
        several => {
            let escaped: Vec<String> = several.iter().map(|name| ::regex::escape(name)).collect();
            ir::StringMatch::Regex(escaped.join("|"))
        }
    };
    Some(header(&ir::HeaderMatch {
        name: ":method".to_owned(),
        test: ir::HeaderTest::Value(test),
        invert: false,
    }))
}

fn header(from: &ir::HeaderMatch) -> route::HeaderMatcher {
    use route::header_matcher::HeaderMatchSpecifier;

    let test = match &from.test {
        ir::HeaderTest::Present(present) => HeaderMatchSpecifier::PresentMatch(*present),
        ir::HeaderTest::Value(value) => HeaderMatchSpecifier::StringMatch(string_match(value)),
    };
    route::HeaderMatcher {
        name: from.name.clone(),
        invert_match: from.invert,
        treat_missing_header_as_empty: false,
        header_match_specifier: Some(test),
    }
}

fn query(from: &ir::QueryMatch) -> route::QueryParameterMatcher {
    use route::query_parameter_matcher::QueryParameterMatchSpecifier;

    let test = match &from.test {
        ir::QueryTest::Present(present) => QueryParameterMatchSpecifier::PresentMatch(*present),
        ir::QueryTest::Value(value) => {
            QueryParameterMatchSpecifier::StringMatch(string_match(value))
        }
    };
    route::QueryParameterMatcher {
        name: from.name.clone(),
        query_parameter_match_specifier: Some(test),
    }
}
