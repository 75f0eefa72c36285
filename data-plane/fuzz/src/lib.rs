//! What the fuzzers ask of any bytes: the same functions that the tests call.

use evenkeel_data_plane::message::Method;

#[expect(dead_code, reason = "part of it is for tests only")]
#[path = "../../tests/codec/ours.rs"]
mod ours;
#[path = "../../tests/codec/property.rs"]
mod property;
#[path = "../../tests/codec/reading.rs"]
mod reading;

use crate::ours::Side;

/// As bytes of a client.
pub fn request(bytes: &[u8]) {
    property::pieces_do_not_matter(Side::Requests, bytes);
    property::written_requests_are_read(bytes);
}

/// As bytes of an endpoint.
pub fn response(bytes: &[u8]) {
    for method in [Method::Get, Method::Head] {
        property::pieces_do_not_matter(Side::Response(method), bytes);
        property::written_responses_are_read(method, bytes);
    }
}

/// As a body in chunks, and as data that is sent in chunks.
pub fn chunked(bytes: &[u8]) {
    let head = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
    property::pieces_do_not_matter(Side::Requests, &[head, bytes].concat());
    property::written_chunks_are_read(bytes);
}
