//! The generated messages and services of `evenkeel.v1`, and their descriptors.

/// The management and fleet API.
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::str_to_string,
    clippy::clone_on_ref_ptr,
    clippy::allow_attributes_without_reason,
    missing_debug_implementations,
    unreachable_pub,
    rustdoc::all,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("evenkeel.v1");
}

/// Says where the bytes are, and never shows them.
impl std::fmt::Debug for v1::DataSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use v1::data_source::Source;

        match &self.source {
            Some(Source::File(path)) => f.debug_tuple("File").field(path).finish(),
            Some(Source::Inline(_)) => f.write_str("Inline([redacted])"),
            None => f.write_str("None"),
        }
    }
}

/// The encoded `FileDescriptorSet` of all files, with comments, for reflection
/// and for reading documents.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
