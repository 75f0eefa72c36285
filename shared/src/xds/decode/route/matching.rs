//! `RouteMatch` and the matchers in it.

use crate::ir;
use crate::units::Percent;
use crate::xds::decode::findings::{Findings, Read, set};
use crate::xds::decode::text;
use crate::xds::decode::values::{fraction, is_false};
use crate::xds::wire::{matcher, route};

/// Reads the conditions of a route.
pub(super) fn route_match(from: route::RouteMatch, found: &mut Findings) -> Option<ir::RouteMatch> {
    let route::RouteMatch {
        case_sensitive,
        runtime_fraction,
        headers,
        query_parameters,
        cookies,
        grpc,
        tls_context,
        dynamic_metadata,
        filter_state,
        path_specifier,
    } = from;
    let share = match &runtime_fraction {
        Some(_) => fraction(runtime_fraction.as_ref(), "runtime_fraction", found),
        None => Some(Percent::HUNDRED),
    };
    found.unsupported_if([
        (
            "runtime_fraction",
            share.is_some_and(|share| share != Percent::HUNDRED),
        ),
        ("cookies", set(&cookies)),
        ("grpc", set(&grpc)),
        ("tls_context", set(&tls_context)),
        ("dynamic_metadata", set(&dynamic_metadata)),
        ("filter_state", set(&filter_state)),
    ]);
    let any_case = is_false(case_sensitive.as_ref());
    let path = path(path_specifier, any_case, found);
    let conditions = found.each("headers", headers, condition);
    let query = found.each("query_parameters", query_parameters, query);
    let mut methods = Vec::new();
    let mut headers = Vec::new();
    for condition in conditions?.into_iter().flatten() {
        match condition {
            Condition::Methods(_) if !methods.is_empty() => {
                let reason = "more than one condition on :method is not supported by evenkeel";
                return found.fault("headers", reason);
            }
            Condition::Methods(names) => methods = names,
            Condition::Header(header) => headers.push(header),
        }
    }
    Some(ir::RouteMatch {
        path: path?,
        methods,
        headers,
        query: query?,
    })
}

fn path(
    from: Option<route::route_match::PathSpecifier>,
    any_case: bool,
    found: &mut Findings,
) -> Option<ir::PathMatch> {
    use route::route_match::PathSpecifier;

    match from {
        Some(PathSpecifier::Prefix(prefix)) if any_case && prefix != "/" => {
            let pattern = format!("(?is){}.*", ::regex::escape(&prefix));
            text::any_case(pattern, "prefix", found).map(ir::PathMatch::Regex)
        }
        Some(PathSpecifier::Prefix(prefix)) => {
            // An empty prefix is every path, and so is a slash.
            let prefix = if prefix.is_empty() {
                "/".to_owned()
            } else {
                prefix
            };
            Some(ir::PathMatch::Prefix(prefix))
        }
        Some(PathSpecifier::Path(path)) if any_case => {
            let pattern = format!("(?i){}", ::regex::escape(&path));
            text::any_case(pattern, "path", found).map(ir::PathMatch::Regex)
        }
        Some(PathSpecifier::Path(path)) => Some(ir::PathMatch::Exact(path)),
        Some(PathSpecifier::PathSeparatedPrefix(path)) => {
            let last = path.chars().next_back().filter(|last| *last != '/');
            if last.is_none() || path.chars().count() < 2 || path.contains(['?', '#']) {
                let rule = "must not end with / and have no query";
                return found.invalid("path_separated_prefix", path, rule);
            }
            if any_case {
                let pattern = format!("(?is){}(?:/.*)?", ::regex::escape(&path));
                return text::any_case(pattern, "path_separated_prefix", found)
                    .map(ir::PathMatch::Regex);
            }
            Some(ir::PathMatch::Segments(path))
        }
        // Envoy leaves case to the expression.
        Some(PathSpecifier::SafeRegex(pattern)) => {
            text::regex(pattern, "safe_regex", found).map(ir::PathMatch::Regex)
        }
        Some(PathSpecifier::ConnectMatcher(_)) => found.unsupported("connect_matcher"),
        Some(PathSpecifier::PathMatchPolicy(_)) => found.unsupported("path_match_policy"),
        None => found.fault("", "must have a condition on the path"),
    }
}

/// A condition on a header field, or on the method, which looks like one.
enum Condition {
    Methods(Vec<String>),
    Header(ir::HeaderMatch),
}

/// Reads a condition; `Some(None)` if it always holds.
#[expect(deprecated, reason = "older control planes still send these")]
fn condition(from: route::HeaderMatcher, found: &mut Findings) -> Read<Option<Condition>> {
    use matcher::string_matcher::MatchPattern;
    use route::header_matcher::HeaderMatchSpecifier;

    let route::HeaderMatcher {
        name,
        invert_match,
        treat_missing_header_as_empty,
        header_match_specifier,
    } = from;
    found.unsupported_if([(
        "treat_missing_header_as_empty",
        treat_missing_header_as_empty,
    )]);
    let old = |pattern| matcher::StringMatcher {
        ignore_case: false,
        match_pattern: Some(pattern),
    };
    let (field, wanted) = match header_match_specifier {
        None => ("present_match", Err(true)),
        Some(HeaderMatchSpecifier::PresentMatch(present)) => ("present_match", Err(present)),
        Some(HeaderMatchSpecifier::StringMatch(text)) => ("string_match", Ok(text)),
        Some(HeaderMatchSpecifier::ExactMatch(text)) => {
            ("exact_match", Ok(old(MatchPattern::Exact(text))))
        }
        Some(HeaderMatchSpecifier::PrefixMatch(text)) => {
            ("prefix_match", Ok(old(MatchPattern::Prefix(text))))
        }
        Some(HeaderMatchSpecifier::SuffixMatch(text)) => {
            ("suffix_match", Ok(old(MatchPattern::Suffix(text))))
        }
        Some(HeaderMatchSpecifier::ContainsMatch(text)) => {
            ("contains_match", Ok(old(MatchPattern::Contains(text))))
        }
        Some(HeaderMatchSpecifier::SafeRegexMatch(pattern)) => (
            "safe_regex_match",
            Ok(old(MatchPattern::SafeRegex(pattern))),
        ),
        Some(HeaderMatchSpecifier::RangeMatch(_)) => return found.unsupported("range_match"),
    };
    let test = match wanted {
        Err(present) => ir::HeaderTest::Present(present),
        Ok(text) => ir::HeaderTest::Value(text::string_match(text, field, found)?),
    };
    if name.eq_ignore_ascii_case(":method") {
        return method(test, invert_match, found);
    }
    Some(Some(Condition::Header(ir::HeaderMatch {
        name: text::field_name(&name, "name", found)?,
        test,
        invert: invert_match,
    })))
}

/// A condition on the method must be a list of methods.
fn method(test: ir::HeaderTest, invert: bool, found: &mut Findings) -> Read<Option<Condition>> {
    use ir::{HeaderTest, StringMatch};

    let names = match test {
        HeaderTest::Present(present) if present != invert => return Some(None),
        HeaderTest::Value(StringMatch::Exact(name)) if !invert => Some(vec![name]),
        HeaderTest::Value(StringMatch::Regex(pattern)) if !invert => text::alternatives(&pattern),
        HeaderTest::Present(_) | HeaderTest::Value(_) => None,
    };
    let Some(names) = names else {
        let reason = "not supported by evenkeel on :method: must be methods joined with |";
        return found.fault("", reason);
    };
    if let Some(wrong) = names.iter().find(|name| !text::is_token(name)) {
        return found.invalid("", wrong, "must be a method");
    }
    Some(Some(Condition::Methods(names)))
}

fn query(from: route::QueryParameterMatcher, found: &mut Findings) -> Option<ir::QueryMatch> {
    use route::query_parameter_matcher::QueryParameterMatchSpecifier;

    let route::QueryParameterMatcher {
        name,
        query_parameter_match_specifier,
    } = from;
    let name = text::name(name, "name", found);
    let test = match query_parameter_match_specifier {
        None => ir::QueryTest::Present(true),
        Some(QueryParameterMatchSpecifier::PresentMatch(present)) => {
            ir::QueryTest::Present(present)
        }
        Some(QueryParameterMatchSpecifier::StringMatch(text)) => {
            ir::QueryTest::Value(text::string_match(text, "string_match", found)?)
        }
    };
    Some(ir::QueryMatch { name: name?, test })
}
