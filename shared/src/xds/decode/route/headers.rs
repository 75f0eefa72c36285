//! Edits of header fields: of a route, a virtual host and a table, applied one
//! after another, are one edit.

use crate::ir::{HeaderEdits, HeaderValue};
use crate::xds::decode::findings::{Findings, Read};
use crate::xds::decode::text;
use crate::xds::wire::core;
use core::header_value_option::HeaderAppendAction;

/// Edits of one level, as they stand on the wire.
pub(super) struct Wire {
    pub(super) request_add: Vec<core::HeaderValueOption>,
    pub(super) request_remove: Vec<String>,
    pub(super) response_add: Vec<core::HeaderValueOption>,
    pub(super) response_remove: Vec<String>,
}

/// Edits of one level.
#[derive(Debug, Clone, Default)]
pub(super) struct Edits {
    pub(super) request: HeaderEdits,
    pub(super) response: HeaderEdits,
}

impl Wire {
    /// Whether there is nothing to edit.
    pub(super) fn is_empty(&self) -> bool {
        self.request_add.is_empty()
            && self.request_remove.is_empty()
            && self.response_add.is_empty()
            && self.response_remove.is_empty()
    }

    /// Reads them.
    pub(super) fn read(self, found: &mut Findings) -> Option<Edits> {
        let request = edits(self.request_remove, self.request_add, "request", found);
        let response = edits(self.response_remove, self.response_add, "response", found);
        Some(Edits {
            request: request?,
            response: response?,
        })
    }
}

impl Edits {
    /// These, and then those.
    pub(super) fn then(self, next: &Self) -> Self {
        Self {
            request: followed_by(self.request, &next.request),
            response: followed_by(self.response, &next.response),
        }
    }
}

/// Envoy removes first, whatever the order on the wire.
fn edits(
    remove: Vec<String>,
    add: Vec<core::HeaderValueOption>,
    side: &str,
    found: &mut Findings,
) -> Option<HeaderEdits> {
    let remove = found.each(
        &format!("{side}_headers_to_remove"),
        remove,
        |name, found| editable(&name, "", found),
    );
    let steps = found.each(&format!("{side}_headers_to_add"), add, step);
    let start = HeaderEdits {
        remove: remove?,
        ..HeaderEdits::default()
    };
    let steps = steps?;
    Some(steps.iter().flatten().fold(start, followed_by))
}

fn editable(from: &str, field: &str, found: &mut Findings) -> Option<String> {
    let name = text::field_name(from, field, found)?;
    if name == "host" {
        return found.invalid(field, name, "must not be edited");
    }
    Some(name)
}

/// One field that is set or added; `Some(None)` if it is dropped for being
/// empty.
#[expect(deprecated, reason = "names every field of the message once")]
fn step(from: core::HeaderValueOption, found: &mut Findings) -> Read<Option<HeaderEdits>> {
    let core::HeaderValueOption {
        header,
        append,
        append_action,
        keep_empty_value,
    } = from;
    let Some(core::HeaderValue {
        key,
        value,
        raw_value,
    }) = header
    else {
        return found.fault("header", "is missing");
    };
    let name = editable(&key, "header.key", found);
    let value = field_value(value, raw_value, found);
    let action = match append.map(|append| append.value) {
        Some(false) => HeaderAppendAction::OverwriteIfExistsOrAdd,
        Some(true) => HeaderAppendAction::AppendIfExistsOrAdd,
        None => match HeaderAppendAction::try_from(append_action) {
            Ok(action) => action,
            Err(_) => return found.invalid("append_action", append_action, "must be known"),
        },
    };
    let field = HeaderValue {
        name: name?,
        value: value?,
    };
    let mut edits = HeaderEdits::default();
    match action {
        HeaderAppendAction::AppendIfExistsOrAdd => edits.add.push(field),
        HeaderAppendAction::OverwriteIfExistsOrAdd => edits.set.push(field),
        HeaderAppendAction::AddIfAbsent | HeaderAppendAction::OverwriteIfExists => {
            let action = action.as_str_name();
            return found.invalid("append_action", action, "not supported by evenkeel");
        }
    }
    let empty = edits
        .add
        .iter()
        .chain(&edits.set)
        .all(|field| field.value.is_empty());
    Some((keep_empty_value || !empty).then_some(edits))
}

fn field_value(value: String, raw: Vec<u8>, found: &mut Findings) -> Option<String> {
    let value = if raw.is_empty() {
        value
    } else {
        match String::from_utf8(raw) {
            Ok(text) => text,
            Err(_) => return found.fault("header.raw_value", "must be visible ASCII"),
        }
    };
    if !text::is_field_value(&value) {
        return found.invalid(
            "header.value",
            value,
            "must be visible ASCII, spaces and tabs",
        );
    }
    text::without_variables(&value, "header.value", found)
}

/// One edit that does what two do, one after the other. What the second removes
/// or sets leaves nothing of what the first put there.
fn followed_by(mut first: HeaderEdits, second: &HeaderEdits) -> HeaderEdits {
    let gone = |field: &HeaderValue| {
        second.remove.contains(&field.name)
            || second.set.iter().any(|later| later.name == field.name)
    };
    if !second.remove.is_empty() || !second.set.is_empty() {
        first.set.retain(|field| !gone(field));
        first.add.retain(|field| !gone(field));
    }
    for name in &second.remove {
        if !first.remove.contains(name) {
            first.remove.push(name.clone());
        }
    }
    first.set.extend(second.set.iter().cloned());
    first.add.extend(second.add.iter().cloned());
    first
}
