//! The bootstrap of logging, so that all roles log alike. Traces and metrics
//! are not its business.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// What is logged when nobody says otherwise.
const DEFAULT_FILTER: &str = "info";

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Human,
    /// One JSON object on each line.
    Json,
}

/// How a process logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// Which events are logged, for example `info,evenkeel_data_plane=debug`.
    /// Without it the environment's `RUST_LOG` decides, and without that it is
    /// `info`.
    pub filter: Option<String>,
}

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum LoggingRefused {
    /// The filter cannot be read.
    #[error("invalid log filter {filter:?}: must be a level or target=level, joined with commas")]
    Filter {
        /// What it says.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// Someone set up logging before.
    #[error("logging is set up already")]
    AlreadySet,
}

/// Sends the log to standard error, for the rest of the process.
///
/// # Errors
/// If the filter cannot be read, or logging is set up already.
pub fn init_logging(settings: &LogSettings) -> Result<(), LoggingRefused> {
    let text = settings
        .filter
        .clone()
        .or_else(|| std::env::var(EnvFilter::DEFAULT_ENV).ok())
        .filter(|text| !text.trim().is_empty());
    let filter = parse_filter(text.as_deref().unwrap_or(DEFAULT_FILTER))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let terminal = std::io::stderr().is_terminal();
    let done = if is_json(settings.format, terminal) {
        lines.json().flatten_event(true).try_init()
    } else {
        lines.with_ansi(terminal).try_init()
    };
    done.map_err(|_| LoggingRefused::AlreadySet)
}

fn parse_filter(text: &str) -> Result<EnvFilter, LoggingRefused> {
    EnvFilter::try_new(text).map_err(|source| LoggingRefused::Filter {
        filter: text.to_owned(),
        source,
    })
}

fn is_json(format: LogFormat, terminal: bool) -> bool {
    match format {
        LogFormat::Auto => !terminal,
        LogFormat::Human => false,
        LogFormat::Json => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_cannot_be_read_is_quoted() {
        let refused = parse_filter("evenkeel=loud").unwrap_err();
        assert!(refused.to_string().contains("evenkeel=loud"), "{refused}");
        assert!(parse_filter("info,evenkeel_data_plane=debug").is_ok());
    }

    #[test]
    fn people_get_text_and_machines_get_json() {
        assert!(!is_json(LogFormat::Auto, true));
        assert!(is_json(LogFormat::Auto, false));
        assert!(!is_json(LogFormat::Human, false));
        assert!(is_json(LogFormat::Json, true));
    }

    #[test]
    fn logging_is_set_up_once() {
        let settings = LogSettings {
            format: LogFormat::Json,
            filter: Some("warn".to_owned()),
        };
        assert!(init_logging(&settings).is_ok());
        assert!(matches!(
            init_logging(&settings),
            Err(LoggingRefused::AlreadySet)
        ));
    }
}
