//! Scalars: what a word means in YAML 1.2 (core schema), and whether it is a
//! value of a field's type. Nothing is converted silently: `"302"` is no
//! number, and `302` is no text.

use std::borrow::Cow;

use prost_reflect::{DynamicMessage, EnumDescriptor, Kind, MessageDescriptor, Value};

use super::descriptor;
use super::report::Complaint;
use super::suggest;
use super::tree::{Content, Scalar};
use crate::units::parse_duration;

/// Longest part of a wrong value that is repeated in an error, in characters.
const SHOWN: usize = 60;

/// What a scalar is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Null,
    Bool(bool),
    /// A number; which one is decided by the type that is asked for.
    Number,
    Text,
}

/// What a scalar is in the core schema of YAML 1.2: `yes` is a text.
pub(super) fn meaning(scalar: &Scalar) -> Meaning {
    if !scalar.plain {
        return Meaning::Text;
    }
    match scalar.text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Meaning::Null,
        "true" | "True" | "TRUE" => Meaning::Bool(true),
        "false" | "False" | "FALSE" => Meaning::Bool(false),
        text if is_number(text) => Meaning::Number,
        _ => Meaning::Text,
    }
}

/// Whether a plain word is a number in the core schema.
pub(super) fn is_number(text: &str) -> bool {
    integer(text).is_some() || is_special(text) || is_decimal(text)
}

fn is_special(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_decimal(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = text
        .split_once(['e', 'E'])
        .map_or((text, None), |(mantissa, exponent)| {
            (mantissa, Some(exponent))
        });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent
}

/// The value of a whole number; one that is beyond everything becomes the
/// largest or smallest there is, which no type accepts.
fn integer(text: &str) -> Option<i128> {
    let (digits, radix) = match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
        (Some(hex), _) => (hex, 16),
        (_, Some(octal)) => (octal, 8),
        _ => (text.strip_prefix(['+', '-']).unwrap_or(text), 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let size = i128::from_str_radix(digits, radix).unwrap_or(i128::MAX);
    Some(if text.starts_with('-') { -size } else { size })
}

/// The value of `content` as a `kind` that is neither message nor enum.
pub(super) fn read(kind: &Kind, content: &Content) -> Result<Value, Complaint> {
    match kind {
        Kind::Bool => boolean(content).map(Value::Bool),
        Kind::String => text(content).map(|text| Value::String(text.to_owned())),
        Kind::Double => finite(content).map(Value::F64),
        Kind::Uint32 | Kind::Fixed32 => whole(content, 0, u32::MAX.into()).map(Value::U32),
        Kind::Uint64 | Kind::Fixed64 => whole(content, 0, u64::MAX.into()).map(Value::U64),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            whole(content, i32::MIN.into(), i32::MAX.into()).map(Value::I32)
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            whole(content, i64::MIN.into(), i64::MAX.into()).map(Value::I64)
        }
        Kind::Float | Kind::Bytes | Kind::Message(_) | Kind::Enum(_) => Err(Complaint::new(
            "a value of this type cannot be written in a document",
        )),
    }
}

fn boolean(content: &Content) -> Result<bool, Complaint> {
    if let Content::Scalar(scalar) = content {
        if let Meaning::Bool(value) = meaning(scalar) {
            return Ok(value);
        }
        let meant = match scalar.text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" | "true" | "1" => Some("write true"),
            "no" | "off" | "n" | "false" | "0" => Some("write false"),
            _ => None,
        };
        return Err(wrong(content, "true or false").maybe(meant.map(ToOwned::to_owned)));
    }
    Err(wrong(content, "true or false"))
}

/// The text of a scalar that is one.
pub(super) fn text(content: &Content) -> Result<&str, Complaint> {
    match content {
        Content::Scalar(scalar) => match meaning(scalar) {
            Meaning::Text => Ok(&scalar.text),
            Meaning::Null => Err(wrong(content, "text").hint("write \"\" for an empty text")),
            Meaning::Bool(_) | Meaning::Number => {
                let hint = format!("write it in quotes: {:?}", shorten(&scalar.text));
                Err(wrong(content, "text").hint(hint))
            }
        },
        Content::List(_) | Content::Mapping(_) => Err(wrong(content, "text")),
    }
}

fn whole<T: TryFrom<i128>>(content: &Content, least: i128, most: i128) -> Result<T, Complaint> {
    let rule = || format!("a whole number from {least} to {most}");
    number(content)
        .and_then(integer)
        .filter(|number| (least..=most).contains(number))
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| wrong(content, &rule()).maybe(unquote(content)))
}

fn finite(content: &Content) -> Result<f64, Complaint> {
    number(content)
        .filter(|text| is_decimal(text))
        .and_then(|text| text.parse::<f64>().ok())
        .filter(|number| number.is_finite())
        .ok_or_else(|| wrong(content, "a number").maybe(unquote(content)))
}

/// The text of a number.
fn number(content: &Content) -> Option<&str> {
    match content {
        Content::Scalar(scalar) if meaning(scalar) == Meaning::Number => Some(&scalar.text),
        _ => None,
    }
}

/// Advice for a number that stands in quotes.
fn unquote(content: &Content) -> Option<String> {
    match content {
        Content::Scalar(scalar) if !scalar.plain && is_number(&scalar.text) => {
            Some(format!("write {} without quotes", shorten(&scalar.text)))
        }
        _ => None,
    }
}

/// A `google.protobuf.Duration`, written like `1.5s`.
pub(super) fn duration(
    message: &MessageDescriptor,
    content: &Content,
) -> Result<DynamicMessage, Complaint> {
    let rule = "a duration such as 250ms, 1.5s, 2m or 1h";
    let Content::Scalar(scalar) = content else {
        return Err(wrong(content, rule));
    };
    if meaning(scalar) != Meaning::Text || scalar.text.len() > SHOWN {
        let hint = (meaning(scalar) == Meaning::Number)
            .then(|| "a unit is missing: ns, us, ms, s, m or h".to_owned());
        return Err(wrong(content, rule).maybe(hint));
    }
    let value = parse_duration(&scalar.text).map_err(Complaint::new)?;
    let value = prost_types::Duration::try_from(value)
        .map_err(|_| Complaint::new("must be a shorter duration"))?;
    let mut duration = DynamicMessage::new(message.clone());
    duration
        .transcode_from(&value)
        .map_err(|error| Complaint::new(error.to_string()))?;
    Ok(duration)
}

/// A value of an enum, by its short or its full name.
pub(super) fn enumerated(kind: &EnumDescriptor, content: &Content) -> Result<Value, Complaint> {
    let values = descriptor::choices(kind);
    let shorts: Vec<&str> = values.iter().map(|(short, _)| short.as_str()).collect();
    let rule = format!("one of {}", shorts.join(", "));
    let Content::Scalar(scalar) = content else {
        return Err(wrong(content, &rule));
    };
    values
        .iter()
        .find(|(short, value)| *short == scalar.text || value.name() == scalar.text)
        .map(|(_, value)| Value::EnumNumber(value.number()))
        .ok_or_else(|| {
            let meant = suggest::nearest(&scalar.text, shorts);
            let hint = meant.map(|meant| format!("did you mean {meant:?}?"));
            wrong(content, &rule).maybe(hint)
        })
}

/// Says that `content` breaks `rule` ("must be …").
pub(super) fn wrong(content: &Content, rule: &str) -> Complaint {
    Complaint::new(match content {
        Content::Scalar(scalar) => match meaning(scalar) {
            Meaning::Null => format!("empty value: must be {rule}"),
            Meaning::Text => format!("invalid value {:?}: must be {rule}", shorten(&scalar.text)),
            Meaning::Bool(_) | Meaning::Number => {
                format!("invalid value {}: must be {rule}", shorten(&scalar.text))
            }
        },
        Content::List(_) => format!("must be {rule}, not a list"),
        Content::Mapping(_) => format!("must be {rule}, not a mapping"),
    })
}

/// The beginning of a text that came from outside.
pub(super) fn shorten(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}
