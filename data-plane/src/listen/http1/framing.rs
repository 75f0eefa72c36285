//! How the end of an answer is told, and what becomes of the connection.

use crate::http1::write::Length;
use crate::message::name::Names;
use crate::message::{Fields, Known, Method, Version};

/// What of a request its answer depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) version: Version,
    pub(super) keep_alive: bool,
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is no body.
    None,
    /// It ends after so many bytes.
    Exactly(u64),
    /// It comes in chunks.
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

const CONTENT_LENGTH: Names = Names::of(&[Known::ContentLength]);

/// What the head says, and what follows it, for a body of `length`, which is
/// `None` if nobody knows. What the body is counts, not what the fields say of it.
pub(super) fn frame(
    asked: Asked,
    status: u16,
    fields: &mut Fields,
    length: Option<u64>,
) -> (Length, Framing) {
    if status < 200 || status == 204 {
        fields.remove_all(CONTENT_LENGTH);
        return (Length::AsGiven, Framing::None);
    }
    if asked.method == Method::Head || status == 304 {
        // Says what the body would be, if that is known.
        let said = fields.has(Known::ContentLength) || status == 304;
        let length = length.filter(|length| !said && *length > 0);
        return (
            length.map_or(Length::AsGiven, Length::Exactly),
            Framing::None,
        );
    }
    match length {
        Some(length) if is_said(fields, length) => (Length::AsGiven, Framing::Exactly(length)),
        Some(length) => (Length::Exactly(length), Framing::Exactly(length)),
        None if asked.version == Version::Http10 => {
            fields.remove_all(CONTENT_LENGTH);
            (Length::AsGiven, Framing::UntilClose)
        }
        None => (Length::Chunked, Framing::Chunked),
    }
}

/// Whether the fields say this length, once and in plain digits.
fn is_said(fields: &Fields, length: u64) -> bool {
    let Ok(Some(said)) = fields.only(Known::ContentLength) else {
        return false;
    };
    let number = fields.at(said).iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    });
    !said.is_empty() && number == Some(length)
}

/// Whether an answer says itself that it is the last.
pub(super) fn says_close(fields: &Fields) -> bool {
    let mut said = fields.all(Known::Connection);
    said.any(|value| value.eq_ignore_ascii_case(b"close"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(
        method: &[u8],
        version: Version,
        said: Option<&str>,
        answer: (u16, Option<u64>),
    ) -> (Length, Framing) {
        let asked = Asked {
            method: Method::of(method),
            version,
            keep_alive: true,
        };
        let mut fields = Fields::default();
        if let Some(said) = said {
            fields.set("content-length", said.as_bytes());
        }
        frame(asked, answer.0, &mut fields, answer.1)
    }

    #[test]
    fn the_body_counts_whatever_the_fields_say() {
        use Version::{Http10, Http11};
        let given = Length::AsGiven;
        for (version, said, length, framed_as) in [
            (Http11, Some("5"), Some(5), (given, Framing::Exactly(5))),
            (
                Http11,
                None,
                Some(0),
                (Length::Exactly(0), Framing::Exactly(0)),
            ),
            (
                Http11,
                Some("7"),
                Some(5),
                (Length::Exactly(5), Framing::Exactly(5)),
            ),
            (
                Http11,
                Some("+5"),
                Some(5),
                (Length::Exactly(5), Framing::Exactly(5)),
            ),
            (Http11, Some("5"), None, (Length::Chunked, Framing::Chunked)),
            (Http10, None, None, (given, Framing::UntilClose)),
            (Http10, Some("5"), Some(5), (given, Framing::Exactly(5))),
        ] {
            let found = framed(b"GET", version, said, (200, length));
            assert_eq!(found, framed_as, "{version:?} {said:?} {length:?}");
        }
    }

    #[test]
    fn some_answers_have_no_body() {
        let given = (Length::AsGiven, Framing::None);
        assert_eq!(
            framed(b"HEAD", Version::Http11, Some("7"), (200, Some(0))),
            given
        );
        assert_eq!(
            framed(b"HEAD", Version::Http11, None, (200, Some(0))),
            given
        );
        let text = framed(b"HEAD", Version::Http11, None, (404, Some(3)));
        assert_eq!(text, (Length::Exactly(3), Framing::None));
        for status in [101, 204, 304] {
            assert_eq!(
                framed(b"GET", Version::Http11, None, (status, Some(0))),
                given
            );
        }
    }
}
