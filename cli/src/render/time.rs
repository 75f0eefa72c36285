//! Points in time and lengths of time, short.

use jiff::Timestamp;

/// How long ago `then` was, in one or two units: `8s`, `3m12s`, `5h`, `12d`.
/// Empty if it is not given.
pub(crate) fn age(now: Timestamp, then: Option<&prost_types::Timestamp>) -> String {
    let Some(then) = then else {
        return String::new();
    };
    seconds(now.as_second().saturating_sub(then.seconds).max(0))
}

/// Whether `then` is less than `seconds` away from now; clocks of two machines
/// may differ either way.
pub(crate) fn is_near(now: Timestamp, then: Option<&prost_types::Timestamp>, seconds: u64) -> bool {
    then.is_some_and(|then| now.as_second().abs_diff(then.seconds) < seconds)
}

/// The time in UTC, to the second. Empty if it is not given.
pub(crate) fn at(time: Option<&prost_types::Timestamp>) -> String {
    time.and_then(|time| Timestamp::from_second(time.seconds).ok())
        .map(|time| time.to_string())
        .unwrap_or_default()
}

/// A length of time. Empty if it is not given.
pub(crate) fn span(span: Option<&prost_types::Duration>) -> String {
    match span {
        None => String::new(),
        Some(span) if span.seconds < 10 => {
            format!("{}.{}s", span.seconds, span.nanos / 100_000_000)
        }
        Some(span) => seconds(span.seconds),
    }
}

fn seconds(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        ..120 => format!("{seconds}s"),
        120..600 => format!("{minutes}m{}s", seconds % 60),
        600..7200 => format!("{minutes}m"),
        7200..28_800 => format!("{hours}h{}m", minutes % 60),
        28_800..172_800 => format!("{hours}h"),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_keep_the_units_that_matter() {
        let shown: Vec<String> = [8, 119, 192, 1800, 9000, 90_000, 1_000_000]
            .into_iter()
            .map(seconds)
            .collect();
        assert_eq!(shown, ["8s", "119s", "3m12s", "30m", "2h30m", "25h", "11d"]);
    }

    #[test]
    fn a_clock_that_runs_behind_shows_no_negative_age() {
        let now = Timestamp::from_second(100).unwrap();
        let then = prost_types::Timestamp {
            seconds: 105,
            nanos: 0,
        };
        assert_eq!(age(now, Some(&then)), "0s");
    }

    #[test]
    fn short_spans_show_tenths() {
        let span_of = |seconds, nanos| span(Some(&prost_types::Duration { seconds, nanos }));
        assert_eq!(span_of(2, 450_000_000), "2.4s");
        assert_eq!(span_of(30, 0), "30s");
    }
}
