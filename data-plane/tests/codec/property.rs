//! What must hold of any bytes at all. Tests and fuzzers call the same functions.

use std::num::NonZeroUsize;

use evenkeel_data_plane::head::Head;
use evenkeel_data_plane::http1::chunked::{self, Decoder, Part};
use evenkeel_data_plane::http1::write::{self, Connection, Length};
use evenkeel_data_plane::http1::{BodyLength, request, response};
use evenkeel_data_plane::message::name::Names;
use evenkeel_data_plane::message::{Fields, Known, Method};

use crate::ours::{self, LIMITS, Side, pairs};
use crate::reading::{End, Pairs};

/// Whatever pieces the bytes come in, the same is read. Of several reasons to
/// refuse a message, another one may be met first.
pub(crate) fn pieces_do_not_matter(side: Side, bytes: &[u8]) {
    let whole = ours::read(side, [bytes]);
    for size in [1, 2, 3, 7, 64] {
        let mut pieces = ours::read(side, bytes.chunks(size));
        if let (End::Refused(reason), End::Refused(_)) = (whole.end, pieces.end) {
            pieces.end = End::Refused(reason);
        }
        assert_eq!(pieces, whole, "in pieces of {size}");
    }
}

/// A request that was read can be written, and what is written is read as the
/// same request.
pub(crate) fn written_requests_are_read(bytes: &[u8]) {
    let mut buffer = bytes.to_vec();
    let read = request::read(&mut buffer, &mut 0, &LIMITS, &mut Fields::default());
    let Ok(Some(mut first)) = read else {
        return;
    };
    let host = first.head.fields.first(Known::Host).unwrap_or_default();
    if let Ok(host) = String::from_utf8(host.to_vec()) {
        first.head.set_authority(host.as_bytes());
    }
    let length = match first.length {
        BodyLength::Chunked => Length::Chunked,
        _ => Length::AsGiven,
    };
    let mut out = Vec::new();
    if write::request(&mut out, &first.head, length, Connection::AsUsual).is_err() {
        assert!(out.is_empty());
        assert!(
            !first
                .head
                .authority()
                .bytes()
                .all(|byte| byte.is_ascii_graphic())
        );
        return;
    }
    let limits = roomy();
    let again = request::read(&mut out, &mut 0, &limits, &mut Fields::default());
    let again = again.expect("accepted").expect("complete");
    assert!(out.is_empty());
    assert_eq!(again.head.method(), first.head.method());
    assert_eq!(again.head.target(), first.head.target());
    assert_eq!(again.length, first.length);
    assert!(again.keep_alive);
    let host = again.head.fields.first(Known::Host).unwrap_or_default();
    assert_eq!(host, first.head.authority().as_bytes());
    assert_eq!(payload(&again.head.fields), payload(&first.head.fields));
}

/// A response that was read can be written, and what is written is read as the
/// same response.
pub(crate) fn written_responses_are_read(method: Method, bytes: &[u8]) {
    let mut buffer = bytes.to_vec();
    let read = response::read(&mut buffer, &mut 0, &LIMITS, &mut Fields::default(), method);
    let Ok(Some(first)) = read else {
        return;
    };
    let length = match first.length {
        BodyLength::Chunked => Length::Chunked,
        _ => Length::AsGiven,
    };
    let mut out = Vec::new();
    let head = &first.head;
    write::response(
        &mut out,
        head.status,
        &head.fields,
        length,
        Connection::AsUsual,
    );
    let limits = roomy();
    let again = response::read(&mut out, &mut 0, &limits, &mut Fields::default(), method);
    let again = again.expect("accepted").expect("complete");
    assert!(out.is_empty());
    assert_eq!(again.head.status, first.head.status);
    assert_eq!(again.length, first.length);
    assert_eq!(payload(&again.head.fields), payload(&first.head.fields));
}

/// Room for what is written beside what was read.
fn roomy() -> evenkeel_data_plane::http1::Limits {
    evenkeel_data_plane::http1::Limits {
        bytes: LIMITS.bytes * 2,
        fields: LIMITS.fields + 4,
    }
}

/// Fields but for those that are written by themselves.
fn payload(fields: &Fields) -> Pairs {
    let own = Names::of(&[
        Known::Host,
        Known::Connection,
        Known::KeepAlive,
        Known::ProxyConnection,
        Known::TransferEncoding,
        Known::Upgrade,
    ]);
    let mut left = fields.clone();
    left.remove_all(own);
    pairs(&left)
}

/// Chunks of any data are read as that data.
pub(crate) fn written_chunks_are_read(data: &[u8]) {
    let mut out = Vec::new();
    let sizes = [1, 15, 16, 17, 255, 256, 4096];
    let mut rest = data;
    for size in sizes.into_iter().cycle() {
        let (piece, more) = rest.split_at(size.min(rest.len()));
        chunked::write(&mut out, piece);
        rest = more;
        if rest.is_empty() {
            break;
        }
    }
    if let Some(size) = NonZeroUsize::new(data.len()) {
        chunked::begin(&mut out, size);
        out.extend_from_slice(data);
        out.extend_from_slice(chunked::END_OF_CHUNK);
    }
    let mut trailers = Fields::default();
    trailers.add(b"x-sum", b"1");
    chunked::end(&mut out, Some(&trailers));
    let mut decoder = Decoder::new(LIMITS);
    let (mut at, mut read) = (0, Vec::new());
    loop {
        let (used, part) = decoder.read(&out[at..]).expect("proper chunks");
        match part {
            Part::Data(place) => read.extend_from_slice(&out[at..][place]),
            Part::End => break assert_eq!(at + used, out.len()),
            Part::More => panic!("they are complete"),
        }
        at += used;
    }
    assert_eq!(read, [data, data].concat());
    assert_eq!(pairs(&decoder.take_trailers().unwrap()), pairs(&trailers));
}
