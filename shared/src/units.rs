//! Durations and percentages as people write them, exactly and comparably.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Reads `250ms`, `1.5s`, `2m`, `1h`, `90us` or `10ns`; several may follow one
/// another, as in `1h30m`.
///
/// # Errors
/// A sentence that says what a duration looks like.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("invalid value {text:?}: must be a duration such as 250ms, 1.5s, 2m or 1h");
    let mut rest = text;
    let mut total: u128 = 0;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let nanos = nanos_of(number, unit).ok_or_else(wrong)?;
        total = total.checked_add(nanos).ok_or_else(wrong)?;
        rest = tail;
    }
    u64::try_from(total)
        .map(Duration::from_nanos)
        .map_err(|_| format!("invalid value {text:?}: must be at most 584 years"))
}

/// `number` of `unit` in nanoseconds; `None` if either is not one, or if the
/// number has digits below a nanosecond.
fn nanos_of(number: &str, unit: &str) -> Option<u128> {
    let scale: u128 = match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3_600 * 1_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 18 || (number.contains('.') && fraction.is_empty()) {
        return None;
    }
    let whole = whole.parse::<u128>().ok()?.checked_mul(scale)?;
    if fraction.is_empty() {
        return Some(whole);
    }
    let part = fraction.parse::<u128>().ok()?.checked_mul(scale)?;
    let divisor = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    part.is_multiple_of(divisor).then(|| whole + part / divisor)
}

/// Writes a duration in its one canonical form: the largest of `h`, `m`, `s`,
/// `ms`, `us`, `ns` in which it is a whole number, and `0s` for none.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let units: [(u128, &str); 6] = [
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    let (scale, unit) = units
        .into_iter()
        .find(|(scale, _)| nanos.is_multiple_of(*scale))
        .unwrap_or((1, "ns"));
    format!("{}{unit}", nanos / scale)
}

/// Serialises a [`Duration`] as text, for `#[serde(with = "…")]`.
pub mod duration_text {
    use super::{Deserialize, Deserializer, Duration, Serializer, format_duration, parse_duration};

    /// Writes the canonical form.
    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(*value))
    }

    /// Reads any form.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map_err(serde::de::Error::custom)
    }
}

/// Serialises an `Option<Duration>` as text or null, for `#[serde(with = "…")]`.
pub mod optional_duration_text {
    use super::{
        Deserialize, Deserializer, Duration, Serialize, Serializer, format_duration, parse_duration,
    };

    /// Writes the canonical form, or null.
    pub fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(format_duration).serialize(serializer)
    }

    /// Reads any form, or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|text| parse_duration(&text).map_err(serde::de::Error::custom))
            .transpose()
    }
}

/// A share between 0 and 100 %, in millionths, so that configuration can be
/// compared and hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u32);

impl Percent {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// Everything.
    pub const HUNDRED: Self = Self(1_000_000);

    /// From whole percents; what is above 100 becomes 100.
    pub const fn whole(percent: u32) -> Self {
        if percent >= 100 {
            Self::HUNDRED
        } else {
            Self(percent * 10_000)
        }
    }

    /// From millionths of the whole; `None` above a million.
    pub fn from_millionths(millionths: u32) -> Option<Self> {
        (millionths <= Self::HUNDRED.0).then_some(Self(millionths))
    }

    /// From percent, rounded to the nearest millionth of the whole; `None`
    /// outside 0 to 100.
    pub fn from_percent(percent: f64) -> Option<Self> {
        if !(0.0..=100.0).contains(&percent) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to lie between 0 and a million"
        )]
        let millionths = (percent * 10_000.0).round() as u32;
        Some(Self(millionths))
    }

    /// Millionths of the whole.
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// As a number between 0 and 100.
    pub fn as_percent(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }

    /// As a number between 0 and 1.
    pub fn as_fraction(self) -> f64 {
        f64::from(self.0) / 1_000_000.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.as_percent())
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_percent())
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let percent = f64::deserialize(deserializer)?;
        Self::from_percent(percent)
            .ok_or_else(|| serde::de::Error::custom("must be between 0 and 100"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(parse_duration("0s"), Ok(Duration::ZERO));
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in [
            "", "5", "s", "-1s", "1d", "1.s", ".5s", "1 s", "1e3s", "0.1ns",
        ] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
        assert!(parse_duration("99999999999999999999h").is_err());
    }

    #[test]
    fn a_duration_has_one_canonical_form() {
        for text in ["250ms", "1500ms", "2m", "90s", "1h", "10ns", "0s"] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(format_duration(duration), text);
        }
        assert_eq!(format_duration(Duration::from_mins(2)), "2m");
    }

    #[test]
    fn percents_are_exact_to_a_millionth() {
        assert_eq!(
            Percent::from_percent(12.5),
            Percent::from_millionths(125_000)
        );
        assert_eq!(Percent::from_percent(100.1), None);
        assert_eq!(Percent::from_percent(f64::NAN), None);
        assert!((Percent::whole(20).as_fraction() - 0.2).abs() < f64::EPSILON);
    }
}
