//! Where bytes are. What is inline is taken over as a secret at once, so that
//! nothing of it gets into a fault and it is wiped in the end, whatever becomes
//! of the message.

use crate::ir::DataSource;
use crate::secret::SecretBytes;
use crate::xds::decode::findings::{Findings, Read, set};
use crate::xds::wire::core;
use core::data_source::Specifier;

/// A source; `Some(None)` when it is absent.
pub(super) fn optional(
    from: Option<core::DataSource>,
    field: &str,
    found: &mut Findings,
) -> Read<Option<DataSource>> {
    match from {
        None => Some(None),
        some => required(some, field, found).map(Some),
    }
}

/// A source that must be there.
pub(super) fn required(
    from: Option<core::DataSource>,
    field: &str,
    found: &mut Findings,
) -> Option<DataSource> {
    let Some(core::DataSource {
        watched_directory,
        specifier,
    }) = from
    else {
        return found.fault(field, "is missing");
    };
    found.at(field, |found| {
        // Every file is watched.
        found.ignore_if([("watched_directory", set(&watched_directory))]);
        let (field, source) = match specifier {
            Some(Specifier::Filename(path)) => ("filename", DataSource::File(path)),
            Some(Specifier::InlineBytes(bytes)) => {
                ("inline_bytes", DataSource::Inline(SecretBytes::new(bytes)))
            }
            Some(Specifier::InlineString(text)) => (
                "inline_string",
                DataSource::Inline(SecretBytes::new(text.into_bytes())),
            ),
            Some(Specifier::EnvironmentVariable(_)) => {
                return found.unsupported("environment_variable");
            }
            None => return found.fault("", "must have a filename or be inline"),
        };
        let empty = match &source {
            DataSource::File(path) => path.is_empty(),
            DataSource::Inline(bytes) => bytes.expose().is_empty(),
        };
        if empty {
            return found.fault(field, "must not be empty");
        }
        Some(source)
    })
}

/// The path of a source in a context, where nothing can be inline: contexts are
/// kept on disk and shown to whoever asks for the configuration.
pub(super) fn path(from: DataSource, field: &str, found: &mut Findings) -> Option<String> {
    match from {
        DataSource::File(path) => Some(path),
        DataSource::Inline(_) => found.fault(
            field,
            "not supported by evenkeel inline: must stand in a Secret (SDS) or in a file",
        ),
    }
}
