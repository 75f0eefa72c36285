//! What a NACK says.

use std::collections::{BTreeMap, BTreeSet};

use super::Rejected;
use crate::xds::state::Key;

/// Longest text of a NACK, in bytes.
pub const MAX_NACK_BYTES: usize = 4_096;

/// Everything wrong with a response, one fault a line; `None` if nothing is.
pub(super) fn nack_text(
    touched: &BTreeSet<Key>,
    rejected: &BTreeMap<Key, Rejected>,
    complaints: &[String],
) -> Option<String> {
    let faults = touched
        .iter()
        .filter_map(|key| Some((key, rejected.get(key)?)))
        .flat_map(|(key, rejected)| {
            rejected
                .faults
                .iter()
                .map(move |fault| format!("{key}: {fault}"))
        });
    let lines: Vec<String> = complaints
        .iter()
        .cloned()
        .chain(faults)
        .map(|line| line.replace(['\n', '\r'], " "))
        .collect();
    (!lines.is_empty()).then(|| bounded(&lines))
}

/// The lines, up to [`MAX_NACK_BYTES`], and how many did not fit.
pub(super) fn bounded(lines: &[String]) -> String {
    const ROOM_FOR_REST: usize = 32;
    let limit = MAX_NACK_BYTES - ROOM_FOR_REST;
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        let room = limit.saturating_sub(text.len() + 1);
        if line.len() > room && index > 0 {
            let rest = lines.len() - index;
            return format!("{text}\nand {rest} more");
        }
        if index > 0 {
            text.push('\n');
        }
        text.push_str(&line[..line.floor_char_boundary(room.min(line.len()))]);
    }
    text
}
