//! Access logs to a file or a standard stream.

use crate::ir::AccessLog;
use crate::xds::decode::findings::{Findings, Read, set};
use crate::xds::decode::values::{holds, unpack};
use crate::xds::wire::{accesslog, file_log, pb, stream_log};

/// Reads the first log that can be written. Any other, a filter and a format
/// have no effect: they decide what is logged, not what is done.
pub(super) fn access_log(
    from: Vec<accesslog::AccessLog>,
    found: &mut Findings,
) -> Read<Option<AccessLog>> {
    let mut first = None;
    let mut faulty = false;
    for (index, log) in from.into_iter().enumerate() {
        let field = format!("access_log[{index}]");
        let accesslog::AccessLog {
            name: _,
            filter,
            config_type,
        } = log;
        let writable = config_type
            .map(|accesslog::access_log::ConfigType::TypedConfig(config)| config)
            .filter(|config| first.is_none() && is_writable(config));
        let Some(config) = writable else {
            found.ignore(&field);
            continue;
        };
        found.at(&field, |found| {
            found.ignore_if([("filter", set(&filter))]);
            first = found.at("typed_config", |found| destination(&config, found));
            faulty |= first.is_none();
        });
    }
    (!faulty).then_some(first)
}

fn is_writable(config: &pb::Any) -> bool {
    holds::<file_log::FileAccessLog>(config)
        || holds::<stream_log::StdoutAccessLog>(config)
        || holds::<stream_log::StderrAccessLog>(config)
}

fn destination(config: &pb::Any, found: &mut Findings) -> Option<AccessLog> {
    let (path, formatted) = if holds::<stream_log::StdoutAccessLog>(config) {
        let stream_log::StdoutAccessLog { access_log_format } = unpack(config, found)?;
        ("/dev/stdout".to_owned(), access_log_format.is_some())
    } else if holds::<stream_log::StderrAccessLog>(config) {
        let stream_log::StderrAccessLog { access_log_format } = unpack(config, found)?;
        ("/dev/stderr".to_owned(), access_log_format.is_some())
    } else {
        let file_log::FileAccessLog {
            path,
            access_log_format,
        } = unpack(config, found)?;
        (path, access_log_format.is_some())
    };
    found.ignore_if([("access_log_format", formatted)]);
    if path.is_empty() {
        return found.fault("path", "must not be empty");
    }
    Some(AccessLog { path })
}
