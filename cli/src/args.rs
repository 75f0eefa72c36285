//! Arguments that several verbs have in common.

use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;

use crate::render::Format;

/// How the answer is shown.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct OutputArgs {
    /// How to show the answer.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,
    /// Leave out the line with the names of the columns.
    #[arg(long)]
    pub(crate) no_headers: bool,
}

/// What goes with every change of the configuration.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ChangeArgs {
    /// Say what would happen, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Why the change is made; shown by `history`.
    #[arg(short, long, value_name = "TEXT", default_value = "")]
    pub(crate) message: String,
    /// Who makes it (default: $USER@host).
    #[arg(long, value_name = "WHO")]
    pub(crate) author: Option<String>,
    /// The revision the change is made for; if there is a newer one, nothing
    /// is changed, and the exit code is 4.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) expected_revision: u64,
    /// Confirm a change that removes more than half of the clusters or
    /// endpoints in use.
    #[arg(long)]
    pub(crate) allow_mass_removal: bool,
}

/// Whether to follow a change to the proxies.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct WaitArgs {
    /// Wait until every proxy that was connected has accepted the change; one
    /// that refuses it or goes away makes the exit code 1.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) wait: bool,
    /// How long to wait, for example `90s` or `2m`.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) timeout: Duration,
}

/// Reads `90s`, `2m`, `150ms`.
///
/// # Errors
/// Not a length of time, or a negative one.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let example = "write it like 500ms, 30s or 2m";
    let parsed: SignedDuration = text
        .parse()
        .map_err(|_| format!("not a length of time; {example}"))?;
    Duration::try_from(parsed).map_err(|_| format!("must not be negative; {example}"))
}

/// Reads `30d`, `12w`, `10y` (of 365 days), and what [`duration`] reads.
///
/// # Errors
/// Not a length of time, or none at all.
pub(crate) fn lifetime(text: &str) -> Result<Duration, String> {
    let example = "write it like 12h, 30d, 8w or 10y";
    let unit = text.chars().next_back().map(|unit| match unit {
        'd' => 1,
        'w' => 7,
        'y' => 365,
        _ => 0,
    });
    let read = match unit {
        Some(days @ 1..) => {
            let count = text.get(..text.len() - 1).unwrap_or_default();
            let count: Option<u64> = count.trim().parse().ok();
            let seconds = count.and_then(|count| count.checked_mul(days * 86_400));
            seconds.map(Duration::from_secs)
        }
        _ => duration(text).ok(),
    };
    let read = read.ok_or_else(|| format!("not a length of time; {example}"))?;
    if read.is_zero() {
        return Err(format!("must not be zero; {example}"));
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("150ms"), Ok(Duration::from_millis(150)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        assert!(duration("60").is_err());
        assert!(duration("-3s").is_err());
    }

    #[test]
    fn lifetimes_know_days_weeks_and_years() {
        assert_eq!(lifetime("12h"), Ok(Duration::from_hours(12)));
        assert_eq!(lifetime("30d"), Ok(Duration::from_hours(30 * 24)));
        assert_eq!(lifetime("2w"), Ok(Duration::from_hours(14 * 24)));
        assert_eq!(lifetime("10y"), Ok(Duration::from_hours(3650 * 24)));
        for bad in [
            "",
            "d",
            "0d",
            "-1d",
            "30",
            "1.5d",
            "99999999999999999y",
            "5é",
        ] {
            assert!(lifetime(bad).is_err(), "{bad}");
        }
    }
}
