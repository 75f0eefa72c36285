//! Compares what both codecs made of the same bytes. They may differ in what is
//! listed here and in nothing else.

use crate::ours::Side;
use crate::reading::{End, Message, Reading};

/// What we refuse although hyper reads it, and why.
const STRICTER: &[(&str, &str)] = &[
    (
        "a line feed without a carriage return",
        "others do not end a line there (RFC 9112, section 2.2: may, not must)",
    ),
    (
        "Content-Length beside Transfer-Encoding",
        "the sign of an attack (RFC 9112, section 6.1: may be refused)",
    ),
    (
        "more than one Content-Length",
        "others go by the first, or by the last, or refuse (RFC 9110, section 8.6)",
    ),
    (
        "a Content-Length that is no number",
        "beyond 63 bits others count below zero; or beside Transfer-Encoding, or \
         in a response without a body, where hyper does not look",
    ),
    (
        "more than one Transfer-Encoding",
        "others look at one of them only",
    ),
    (
        "a transfer coding beside chunked",
        "nobody decodes it here, and what passes would not be what was meant",
    ),
    (
        "a transfer coding that does not end in chunked",
        "of responses: hyper reads until the connection ends, but who reads after us \
         is not told of the coding",
    ),
    ("too many empty lines", "a client that sends nothing else"),
    (
        "a character that cannot stand in a target",
        "beyond ASCII, or a fragment: servers read on in different ways",
    ),
    (
        "the method is too long",
        "no method is; it would be copied into logs and metrics",
    ),
    (
        "it does not begin like a response of HTTP/1",
        "empty lines before a response are what is left of something else",
    ),
    (
        "a chunk size that is too large",
        "more than 16 digits, or beyond 63 bits: see the length",
    ),
    (
        "a control character in a chunk extension",
        "others take some of them for the end of the line",
    ),
    (
        "chunk extensions of too many bytes",
        "counts white space as well",
    ),
    (
        "the head has too many bytes",
        "hyper does not count empty lines before it the same way",
    ),
];

/// `None` if it is as it must be.
pub(crate) fn objection(side: Side, ours: &Reading, theirs: &Reading) -> Option<String> {
    let both = ours.messages.iter().zip(&theirs.messages);
    for (number, (our, their)) in both.enumerate() {
        if let Some(what) = difference(side, our, their) {
            return Some(format!("message {number}: {what}"));
        }
    }
    let (our_count, their_count) = (ours.messages.len(), theirs.messages.len());
    if our_count > their_count {
        let extra = &ours.messages[their_count];
        let excused = is_engines(extra) || is_counted_differently(extra);
        return (!excused).then(|| format!("only we read message {their_count}"));
    }
    match ours.end {
        End::Refused(reason) if STRICTER.iter().any(|(listed, _)| *listed == reason) => None,
        End::Refused(reason) if our_count < their_count => {
            Some(format!("only we refuse message {our_count}: {reason}"))
        }
        _ if our_count < their_count => Some(format!("only they read message {our_count}")),
        End::Clean if theirs.end != End::Clean => Some("only we see a clean end".to_owned()),
        End::Refused(_) | End::Cut if theirs.end == End::Clean => {
            Some("only they see a clean end".to_owned())
        }
        _ => None,
    }
}

/// A target that is no path is looked at by who knows what to do with it; hyper
/// makes a URI of it at once.
fn is_engines(message: &Message) -> bool {
    !message.target.starts_with('/') && !message.subject.chars().all(char::is_numeric)
}

/// hyper refuses a quotation mark in a query, although it takes one in a path.
fn is_counted_differently(message: &Message) -> bool {
    let query = message.target.split_once('?').map(|(_, query)| query);
    query.is_some_and(|query| query.contains('"'))
}

fn difference(side: Side, our: &Message, their: &Message) -> Option<String> {
    let mut wanted = their.clone();
    if is_engines(our) || side != Side::Requests {
        wanted.target.clone_from(&our.target);
    }
    if side != Side::Requests {
        wanted.fields = passed_on(our, &their.fields);
    }
    (wanted != *our).then(|| format!("ours {our:?}\ntheirs {wanted:?}"))
}

/// What is left of the fields of a response: a length that does not count is
/// taken away, several that are the same are made one.
fn passed_on(our: &Message, fields: &[(String, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    let is_length = |name: &str| name == "content-length";
    let coded = fields.iter().any(|(name, _)| name == "transfer-encoding");
    let bodiless = our.subject == "204" || our.subject == "101";
    let mut left = fields.to_vec();
    if bodiless || coded {
        left.retain(|(name, _)| !is_length(name));
    }
    let times: usize = left
        .iter()
        .filter(|(name, _)| is_length(name))
        .map(|(_, value)| value.split(|byte| *byte == b',').count())
        .sum();
    if times > 1 {
        let at = left.iter().position(|(name, _)| is_length(name)).unwrap();
        let first = left[at].1.split(|byte| *byte == b',').next().unwrap();
        let number: u64 = String::from_utf8(first.to_vec())
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        left.retain(|(name, _)| !is_length(name));
        left.insert(
            at,
            ("content-length".to_owned(), number.to_string().into_bytes()),
        );
    }
    left
}
