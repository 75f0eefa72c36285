//! The filters of a rule, folded into one change of each kind.

use std::collections::BTreeSet;

use evenkeel_shared::error::Faults;
use evenkeel_shared::ir;
use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::filter::Filter;

use super::action;
use crate::model::fields::{self, within};

/// Changes of header fields in one rule; more is a mistake, and every request
/// would pay for it.
const MOST_EDITS: usize = 256;

/// What all filters of a rule come to.
#[derive(Debug, Default)]
pub(super) struct Filters {
    pub(super) request_headers: ir::HeaderEdits,
    pub(super) response_headers: ir::HeaderEdits,
    /// Where the URL rewrite stands in the list, if there is one.
    pub(super) rewrite_at: Option<usize>,
    pub(super) host_rewrite: Option<String>,
    pub(super) path_rewrite: Option<ir::PathRewrite>,
}

/// Reads the filters of a rule that has these conditions.
pub(super) fn from_proto(
    protos: &[v1::Filter],
    matches: &[ir::RouteMatch],
    faults: &mut Faults,
) -> Filters {
    let mut filters = Filters::default();
    let edits: usize = protos.iter().map(number_of_edits).sum();
    if edits > MOST_EDITS {
        faults.add(
            "filters",
            format!("have {edits} changes of header fields: must have at most {MOST_EDITS}"),
        );
        return filters;
    }
    for (index, proto) in protos.iter().enumerate() {
        within(
            faults,
            &format!("filters[{index}]"),
            |faults| match &proto.filter {
                Some(Filter::RequestHeaders(edits)) => {
                    within(faults, "requestHeaders", |faults| {
                        edit(&mut filters.request_headers, edits, faults);
                    });
                }
                Some(Filter::ResponseHeaders(edits)) => {
                    within(faults, "responseHeaders", |faults| {
                        edit(&mut filters.response_headers, edits, faults);
                    });
                }
                Some(Filter::UrlRewrite(rewrite)) => {
                    within(faults, "urlRewrite", |faults| {
                        let first = filters.rewrite_at.replace(index).is_none();
                        if !first {
                            faults.add("", "a rule can rewrite the URL only once");
                        }
                        read_rewrite(&mut filters, rewrite, matches, faults);
                    });
                }
                None => faults.add(
                    "",
                    "required: one of `requestHeaders`, `responseHeaders` and `urlRewrite`",
                ),
            },
        );
    }
    filters
}

fn number_of_edits(proto: &v1::Filter) -> usize {
    match &proto.filter {
        Some(Filter::RequestHeaders(edits) | Filter::ResponseHeaders(edits)) => {
            edits.set.len() + edits.add.len() + edits.remove.len()
        }
        Some(Filter::UrlRewrite(_)) | None => 0,
    }
}

/// Adds the edits of one more filter to those of the filters before it.
fn edit(all: &mut ir::HeaderEdits, proto: &v1::HeaderEdits, faults: &mut Faults) {
    let v1::HeaderEdits { set, add, remove } = proto;
    for (index, name) in remove.iter().enumerate() {
        let name = fields::editable_header(name, &format!("remove[{index}]"), faults);
        all.set.retain(|value| value.name != name);
        all.add.retain(|value| value.name != name);
        if !all.remove.contains(&name) {
            all.remove.push(name);
        }
    }
    let mut seen = BTreeSet::new();
    for (index, value) in set.iter().enumerate() {
        let path = format!("set[{index}]");
        let value = read_value(value, &path, faults);
        if !seen.insert(value.name.clone()) {
            faults.add(
                format!("{path}.name"),
                format!("invalid value {:?}: is set twice", value.name),
            );
        }
        all.set.retain(|other| other.name != value.name);
        all.add.retain(|other| other.name != value.name);
        all.set.push(value);
    }
    for (index, value) in add.iter().enumerate() {
        all.add
            .push(read_value(value, &format!("add[{index}]"), faults));
    }
    if set.is_empty() && add.is_empty() && remove.is_empty() {
        faults.add("", "required: at least one of `set`, `add` and `remove`");
    }
}

fn read_value(proto: &v1::HeaderValue, path: &str, faults: &mut Faults) -> ir::HeaderValue {
    let v1::HeaderValue { name, value } = proto;
    let name = fields::editable_header(name, &format!("{path}.name"), faults);
    fields::header_value(value, &format!("{path}.value"), faults);
    ir::HeaderValue {
        name,
        value: value.clone(),
    }
}

fn read_rewrite(
    filters: &mut Filters,
    proto: &v1::UrlRewrite,
    matches: &[ir::RouteMatch],
    faults: &mut Faults,
) {
    let v1::UrlRewrite { hostname, path } = proto;
    if hostname.is_empty() && path.is_none() {
        faults.add("", "required: at least one of `hostname` and `path`");
    }
    if !hostname.is_empty() {
        filters.host_rewrite = Some(fields::hostname(hostname, "hostname", faults));
    }
    if let Some(path) = path {
        filters.path_rewrite = within(faults, "path", |faults| {
            action::path_rewrite(path, matches, faults)
        });
    }
}
