//! The answer to what must not be taken for a request.

use crate::http1::Refused;
use crate::http1::write::{self, Connection, Length};
use crate::message::Fields;
use crate::proxy::error::{REASON, flag};
use crate::telemetry::record::Reason;

/// The whole answer.
pub(super) fn answer(refused: &Refused) -> Vec<u8> {
    let reason = match refused.status {
        431 => Reason::HeaderTooLarge,
        _ => Reason::BadRequest,
    };
    let mut fields = Fields::default();
    fields.set(REASON, flag(reason).as_bytes());
    fields.set("content-type", b"text/plain; charset=utf-8");
    let text = refused.reason.as_bytes();
    let mut out = Vec::new();
    let length = Length::Exactly(text.len() as u64);
    write::response(&mut out, refused.status, &fields, length, Connection::Close);
    out.extend_from_slice(text);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_why_and_that_it_is_the_last_word() {
        let answer = answer(&Refused {
            status: 431,
            reason: "too much",
        });
        assert_eq!(
            String::from_utf8(answer).unwrap(),
            "HTTP/1.1 431 Request Header Fields Too Large\r\n\
             x-evenkeel-reason: header-too-large\r\n\
             content-type: text/plain; charset=utf-8\r\n\
             content-length: 8\r\nconnection: close\r\n\r\ntoo much"
        );
    }
}
