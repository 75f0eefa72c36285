//! The conditions of a rule.

use evenkeel_shared::error::Faults;
use evenkeel_shared::ir;
use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::{header_match, path_match, query_match};

use crate::model::fields::{self, within};

/// Reads what a rule matches; a rule without conditions matches everything.
pub(super) fn from_proto(matches: &[v1::RouteMatch], faults: &mut Faults) -> Vec<ir::RouteMatch> {
    if matches.is_empty() {
        return vec![read_match(&v1::RouteMatch::default(), faults)];
    }
    let mut read = Vec::with_capacity(matches.len());
    for (index, proto) in matches.iter().enumerate() {
        read.push(within(faults, &format!("matches[{index}]"), |faults| {
            read_match(proto, faults)
        }));
    }
    read
}

fn read_match(proto: &v1::RouteMatch, faults: &mut Faults) -> ir::RouteMatch {
    let v1::RouteMatch {
        path,
        method,
        headers,
        query,
    } = proto;
    fields::method(method, "method", faults);
    ir::RouteMatch {
        path: path.as_ref().map_or_else(every_path, |path| {
            within(faults, "path", |faults| read_path(path, faults))
        }),
        methods: (!method.is_empty())
            .then(|| method.clone())
            .into_iter()
            .collect(),
        headers: headers
            .iter()
            .enumerate()
            .filter_map(|(index, header)| {
                within(faults, &format!("headers[{index}]"), |faults| {
                    read_header(header, faults)
                })
            })
            .collect(),
        query: query
            .iter()
            .enumerate()
            .filter_map(|(index, query)| {
                within(faults, &format!("query[{index}]"), |faults| {
                    read_query(query, faults)
                })
            })
            .collect(),
    }
}

fn every_path() -> ir::PathMatch {
    ir::PathMatch::Prefix("/".to_owned())
}

fn read_path(proto: &v1::PathMatch, faults: &mut Faults) -> ir::PathMatch {
    match &proto.r#match {
        Some(path_match::Match::Exact(path)) => {
            fields::path(path, "exact", faults);
            ir::PathMatch::Exact(path.clone())
        }
        Some(path_match::Match::Prefix(path)) => {
            fields::path(path, "prefix", faults);
            match path.trim_end_matches('/') {
                "" => every_path(),
                path => ir::PathMatch::Segments(path.to_owned()),
            }
        }
        Some(path_match::Match::Regex(regex)) => {
            fields::regex(regex, "regex", faults);
            ir::PathMatch::Regex(regex.clone())
        }
        None => {
            faults.add("", "required: one of `exact`, `prefix` and `regex`");
            every_path()
        }
    }
}

fn read_header(proto: &v1::HeaderMatch, faults: &mut Faults) -> Option<ir::HeaderMatch> {
    let v1::HeaderMatch {
        name,
        invert,
        r#match,
    } = proto;
    let name = fields::header_name(name, "name", faults);
    if name == "host" {
        faults.add(
            "name",
            "invalid value \"host\": hosts are matched by the route's `hostnames`",
        );
    }
    let test = match r#match {
        Some(header_match::Match::Exact(text)) => {
            fields::header_value(text, "exact", faults);
            ir::HeaderTest::Value(ir::StringMatch::Exact(text.clone()))
        }
        Some(header_match::Match::Prefix(text)) => {
            if text.is_empty() {
                faults.add("prefix", "required; use `present` for any value");
            }
            ir::HeaderTest::Value(ir::StringMatch::Prefix(text.clone()))
        }
        Some(header_match::Match::Regex(regex)) => {
            fields::regex(regex, "regex", faults);
            ir::HeaderTest::Value(ir::StringMatch::Regex(regex.clone()))
        }
        Some(header_match::Match::Present(present)) => ir::HeaderTest::Present(*present),
        None => {
            faults.add(
                "",
                "required: one of `exact`, `prefix`, `regex` and `present`",
            );
            return None;
        }
    };
    Some(ir::HeaderMatch {
        name,
        test,
        invert: *invert,
    })
}

fn read_query(proto: &v1::QueryMatch, faults: &mut Faults) -> Option<ir::QueryMatch> {
    let v1::QueryMatch { name, r#match } = proto;
    if name.is_empty() {
        faults.add("name", "required");
    } else if name.len() > 1024 {
        faults.add("name", "must be at most 1024 bytes");
    }
    let test = match r#match {
        Some(query_match::Match::Exact(text)) => {
            ir::QueryTest::Value(ir::StringMatch::Exact(text.clone()))
        }
        Some(query_match::Match::Regex(regex)) => {
            fields::regex(regex, "regex", faults);
            ir::QueryTest::Value(ir::StringMatch::Regex(regex.clone()))
        }
        Some(query_match::Match::Present(present)) => ir::QueryTest::Present(*present),
        None => {
            faults.add("", "required: one of `exact`, `regex` and `present`");
            return None;
        }
    };
    Some(ir::QueryMatch {
        name: name.clone(),
        test,
    })
}
