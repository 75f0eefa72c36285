//! Configuration documents: YAML or JSON with `kind`, `name` and `spec`, read
//! and written against the descriptor of `evenkeel.v1`, which is the only
//! schema. The JSON Schema and the reference manual come from it as well.
//!
//! ```text
//! text --yaml--> spanned tree --walk--> v1::Resource + where each part stood
//! v1::Resource --write--> YAML, JSON
//! ```
//!
//! Reading checks what the descriptor knows: fields, types and ranges of
//! numbers. What a value means (that a weight is at most 1000, that a cluster
//! exists) is checked elsewhere; [`Document::error`] shows such a fault at its
//! place in the file.

mod comments;
mod descriptor;
mod emit;
mod locate;
mod reader;
pub mod reference;
mod report;
mod scalar;
pub mod schema;
mod suggest;
mod tree;
mod walk;
mod write;
mod yaml;

pub use locate::Document;
pub use reader::{Reading, read, read_all, refuse_duplicates};
pub use report::{DocumentError, Location};
pub use suggest::nearest;
pub use write::{id, kind, list_json, to_json, write_json, write_yaml};

#[cfg(test)]
mod tests;
