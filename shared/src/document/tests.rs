//! Documents are read, refused, written and described as people expect.

mod bounds;
mod errors;
mod generated;
mod reading;
mod round_trip;

use super::{DocumentError, read_all};

/// The errors of a text, as lines.
fn complaints(text: &str) -> Vec<String> {
    let errors = read_all("shop.yaml", text).errors;
    errors.iter().map(DocumentError::to_string).collect()
}

/// The only error of a text.
fn complaint(text: &str) -> String {
    let all = complaints(text);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.into_iter().next().unwrap()
}
