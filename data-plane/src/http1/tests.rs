use std::num::NonZeroUsize;

use super::chunked::{Decoder, Part};
use super::request::Request;
use super::response::Response;
use super::write::{Connection, Length, Unwritable};
use super::*;
use crate::head::Head;
use crate::message::{Fields, Known, Method, Version};

const LIMITS: Limits = Limits {
    bytes: 200,
    fields: 5,
};

fn request(text: &str) -> Result<Option<Request>, Refused> {
    let mut buffer = text.as_bytes().to_vec();
    request::read(&mut buffer, &mut 0, &LIMITS, &mut Fields::default())
}

fn accepted(text: &str) -> Request {
    request(text).unwrap().unwrap()
}

fn response(method: Method, text: &str) -> Result<Option<Response>, Malformed> {
    let mut buffer = text.as_bytes().to_vec();
    response::read(&mut buffer, &mut 0, &LIMITS, &mut Fields::default(), method)
}

fn answered(method: Method, text: &str) -> Response {
    response(method, text).unwrap().unwrap()
}

fn written(fields: &Fields) -> String {
    let mut out = Vec::new();
    fields.write_to(&mut out);
    String::from_utf8(out).unwrap()
}

/// Body, what is left behind it, and trailers.
fn decoded(bytes: &str) -> Result<(String, &str, Option<String>), Malformed> {
    let mut decoder = Decoder::new(LIMITS);
    let (mut rest, mut body) = (bytes, String::new());
    loop {
        let (used, part) = decoder.read(rest.as_bytes())?;
        match part {
            Part::Data(place) => body.push_str(&rest[place]),
            Part::More => return Err(Malformed("cut")),
            Part::End => {
                let trailers = decoder.take_trailers().map(|fields| written(&fields));
                return Ok((body, &rest[used..], trailers));
            }
        }
        rest = &rest[used..];
    }
}

#[test]
fn a_request_is_places_in_what_came() {
    let text = "POST /a?b=c HTTP/1.1\r\nHost: Shop\r\nContent-Length:5 \r\nX-Empty:\r\n\r\n";
    let read = accepted(text);
    assert_eq!(read.head.method(), "POST");
    assert_eq!(read.head.method, Method::Bodied);
    assert_eq!(read.head.target(), "/a?b=c");
    assert_eq!(read.head.authority(), "");
    assert_eq!(read.head.version, Version::Http11);
    assert_eq!(read.length, BodyLength::Exactly(5));
    assert_eq!(
        written(&read.head.fields),
        "host: Shop\r\ncontent-length: 5\r\nx-empty: \r\n"
    );
}

#[test]
fn a_head_is_taken_when_it_is_complete_and_the_rest_is_left() {
    let bytes = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET";
    let (mut buffer, mut seen, mut spare) = (Vec::new(), 0, Fields::default());
    for (number, byte) in bytes.iter().enumerate().take(bytes.len() - 4) {
        buffer.push(*byte);
        let read = request::read(&mut buffer, &mut seen, &LIMITS, &mut spare);
        assert!(read.unwrap().is_none(), "after byte {number}");
        assert_eq!(seen, buffer.len());
    }
    buffer.extend_from_slice(&bytes[bytes.len() - 4..]);
    let read = request::read(&mut buffer, &mut seen, &LIMITS, &mut spare);
    assert!(read.unwrap().is_some());
    assert_eq!((buffer.as_slice(), seen), (&b"GET"[..], 0));
}

#[test]
fn the_memory_of_old_fields_is_used_again() {
    let bytes = b"GET / HTTP/1.1\r\nhost: a\r\naccept: b\r\n\r\n";
    let mut buffer = Vec::with_capacity(1000);
    let mut spare = Fields::over(Vec::with_capacity(2000));
    for expected in [2000, 1000, 2000] {
        buffer.extend_from_slice(bytes);
        let read = request::read(&mut buffer, &mut 0, &LIMITS, &mut spare);
        spare = read.unwrap().unwrap().head.fields;
        assert_eq!(buffer.capacity(), expected);
    }
}

#[test]
fn without_memory_to_use_again_nothing_is_allocated_for_nothing() {
    let mut buffer = b"GET / HTTP/1.1\r\n\r\n".to_vec();
    let read = request::read(&mut buffer, &mut 0, &LIMITS, &mut Fields::default());
    assert!(read.unwrap().is_some());
    assert_eq!(buffer.capacity(), 0);
}

#[test]
fn what_is_refused_is_answered_by_its_kind() {
    let long = "x".repeat(200);
    let many = "a: b\r\n".repeat(6);
    for (text, status) in [
        ("GET / HTTP/1.1\nhost: a\r\n\r\n".to_owned(), 400),
        ("GET  / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1 \r\n\r\n".to_owned(), 400),
        ("{".to_owned(), 400),
        ("GET / HTTP/1.2\r\n\r\n".to_owned(), 505),
        ("PRI * HTTP/2.0\r\n\r\n".to_owned(), 505),
        ("GET / HTTP/1.1\r\na : b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\na: b\r\n c\r\n\r\n".to_owned(), 400),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), 431),
        (format!("GET /{long}"), 431),
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), 431),
        (format!("{} / HTTP/1.1\r\n\r\n", "M".repeat(33)), 501),
        (
            "GET / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n".to_owned(),
            501,
        ),
        (
            "GET / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n".to_owned(),
            400,
        ),
        (
            "GET / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(),
            400,
        ),
        (
            "GET / HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n".to_owned(),
            400,
        ),
        (
            "GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n".to_owned(),
            400,
        ),
    ] {
        let refused = request(&text).unwrap_err();
        assert_eq!(refused.status, status, "{text:?}: {refused}");
    }
}

#[test]
fn a_head_may_be_as_large_as_its_limit() {
    let head = |size: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(size));
    let frame = head(0).len();
    assert!(request(&head(LIMITS.bytes - frame)).unwrap().is_some());
    assert!(request(&head(LIMITS.bytes - frame + 1)).is_err());
}

#[test]
fn the_life_of_a_connection_is_read_from_its_fields() {
    for (line, fields, kept) in [
        ("HTTP/1.1", "", true),
        ("HTTP/1.1", "connection: x, Close\r\n", false),
        (
            "HTTP/1.1",
            "connection: keep-alive\r\nconnection: close\r\n",
            false,
        ),
        ("HTTP/1.1", "connection: closed\r\n", true),
        ("HTTP/1.0", "", false),
        ("HTTP/1.0", "connection: Keep-Alive\r\n", true),
        ("HTTP/1.0", "connection: keep-alive, close\r\n", false),
    ] {
        let read = accepted(&format!("GET / {line}\r\n{fields}\r\n"));
        assert_eq!(read.keep_alive, kept, "{line} {fields:?}");
    }
}

#[test]
fn only_http_1_1_waits_to_be_told_to_continue() {
    let expects = |line: &str| {
        let text = format!("POST / {line}\r\nexpect: 100-Continue\r\ncontent-length: 1\r\n\r\n");
        accepted(&text).expects_continue
    };
    assert!(expects("HTTP/1.1"));
    assert!(!expects("HTTP/1.0"));
    assert!(!accepted("POST / HTTP/1.1\r\nexpect: x\r\n\r\n").expects_continue);
}

#[test]
fn the_body_of_a_response_depends_on_the_request() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    let get = answered(Method::Get, head);
    assert_eq!(get.length, BodyLength::Exactly(5));
    let head = answered(Method::Head, head);
    assert_eq!(head.length, BodyLength::None);
    assert_eq!(written(&head.head.fields), "content-length: 5\r\n");
    assert!(get.keep_alive && head.keep_alive);
}

#[test]
fn a_response_without_a_length_ends_with_its_connection() {
    let read = answered(Method::Get, "HTTP/1.1 200 OK\r\n\r\n");
    assert_eq!(read.length, BodyLength::UntilClose);
    assert!(!read.keep_alive);
}

#[test]
fn a_response_that_says_its_length_in_two_ways_is_the_last_of_its_connection() {
    for (line, length) in [
        ("200 OK", BodyLength::Chunked),
        ("204 No Content", BodyLength::None),
        ("304 Not Modified", BodyLength::None),
    ] {
        let fields = "content-length: 5\r\ntransfer-encoding: chunked\r\n";
        let read = answered(Method::Get, &format!("HTTP/1.1 {line}\r\n{fields}\r\n"));
        assert_eq!(read.length, length, "{line}");
        assert!(!read.keep_alive, "{line}");
        assert!(!read.head.fields.has(Known::ContentLength), "{line}");
    }
    let text = "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n";
    let read = answered(Method::Get, text);
    assert!(!read.keep_alive && read.head.fields.is_empty());
    let text = "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n";
    assert!(answered(Method::Get, text).keep_alive);
}

#[test]
fn the_same_length_said_twice_is_passed_on_once() {
    for fields in [
        "content-length: 5\r\ncontent-length: 05\r\n",
        "content-length: 5, 5\r\n",
    ] {
        let read = answered(Method::Get, &format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
        assert_eq!(read.length, BodyLength::Exactly(5));
        assert_eq!(written(&read.head.fields), "content-length: 5\r\n");
    }
    let text = "HTTP/1.1 200 OK\r\ncontent-length: 5, 6\r\n\r\n";
    assert!(response(Method::Get, text).is_err());
}

#[test]
fn a_switch_of_protocols_ends_the_use_of_a_connection() {
    let text = "HTTP/1.1 101 Switching Protocols\r\nupgrade: a\r\n\r\n";
    let read = answered(Method::Get, text);
    assert_eq!((read.head.status, read.length), (101, BodyLength::None));
    assert!(!read.keep_alive);
    let text = "HTTP/1.1 100 Continue\r\n\r\n";
    assert!(answered(Method::Get, text).keep_alive);
}

#[test]
fn what_is_no_response_is_told_at_once() {
    for text in ["S", "HTTP/2", "\r\nHTTP/1.1 200 OK\r\n\r\n"] {
        assert!(response(Method::Get, text).is_err(), "{text:?}");
    }
    assert!(response(Method::Get, "HTTP/1").unwrap().is_none());
}

#[test]
fn chunks_are_pieces_of_what_came() {
    let bytes = "5;a=\"b\"\r\nhello\r\nA \r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\nnext";
    let expected = (
        "hello0123456789".to_owned(),
        "next",
        Some("x-sum: 1\r\n".to_owned()),
    );
    assert_eq!(decoded(bytes), Ok(expected));
    assert_eq!(decoded("0\r\n\r\n"), Ok((String::new(), "", None)));
}

#[test]
fn what_can_grow_in_chunks_is_bounded() {
    let extension = "x".repeat(10_000);
    let once = format!("1;{extension}\r\na\r\n");
    assert!(decoded(&format!("{once}0\r\n\r\n")).is_ok());
    assert!(decoded(&format!("{once}{once}0\r\n\r\n")).is_err());
    let trailers = "a: b\r\n".repeat(6);
    assert!(decoded(&format!("0\r\n{trailers}\r\n")).is_err());
    let trailer = "x".repeat(LIMITS.bytes);
    assert!(decoded(&format!("0\r\na: {trailer}")).is_err());
    assert!(decoded("8000000000000000\r\n").is_err());
}

#[test]
fn chunks_are_written_with_their_size() {
    let mut out = Vec::new();
    for size in [1, 15, 16, 255, 256, 0x1234_5678] {
        chunked::begin(&mut out, NonZeroUsize::new(size).unwrap());
    }
    assert_eq!(out, b"1\r\nf\r\n10\r\nff\r\n100\r\n12345678\r\n");
    out.clear();
    chunked::write(&mut out, b"");
    chunked::write(&mut out, b"hello");
    chunked::end(&mut out, None);
    assert_eq!(out, b"5\r\nhello\r\n0\r\n\r\n");
}

fn sent(text: &str, length: Length, connection: Connection<'_>) -> String {
    let mut head = accepted(text).head;
    head.set_authority(b"shop");
    let mut out = Vec::new();
    write::request(&mut out, &head, length, connection).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_request_says_in_one_way_where_it_goes_and_how_it_ends() {
    let text = "PUT /a HTTP/1.1\r\nHost: b\r\nAccept: c\r\nContent-Length: 5\r\n\
                Connection: x\r\n\r\n";
    assert_eq!(
        sent(text, Length::AsGiven, Connection::AsUsual),
        "PUT /a HTTP/1.1\r\nhost: shop\r\naccept: c\r\ncontent-length: 5\r\n\r\n"
    );
    assert_eq!(
        sent(text, Length::Chunked, Connection::Te),
        "PUT /a HTTP/1.1\r\nhost: shop\r\naccept: c\r\n\
         transfer-encoding: chunked\r\nconnection: te\r\n\r\n"
    );
    assert_eq!(
        sent(text, Length::Exactly(0), Connection::Upgrade(b"websocket")),
        "PUT /a HTTP/1.1\r\nhost: shop\r\naccept: c\r\ncontent-length: 0\r\n\
         connection: upgrade\r\nupgrade: websocket\r\n\r\n"
    );
}

#[test]
fn what_would_be_another_request_is_not_written() {
    for target in ["/a b", "/a\r\nevil: 1", "", "/\u{e9}"] {
        let mut head = accepted("GET / HTTP/1.1\r\n\r\n").head;
        head.set_target(target);
        let mut out = Vec::new();
        let tried = write::request(&mut out, &head, Length::AsGiven, Connection::AsUsual);
        let expected = Unwritable("a target that cannot stand in a request");
        assert_eq!((tried, out.len()), (Err(expected), 0), "{target:?}");
    }
    let mut head = accepted("GET / HTTP/1.1\r\n\r\n").head;
    head.set_authority(b"a\r\nb");
    let tried = write::request(&mut Vec::new(), &head, Length::AsGiven, Connection::AsUsual);
    assert!(tried.is_err());
}

#[test]
fn a_response_says_in_one_way_how_it_ends() {
    let mut fields = Fields::default();
    for (name, value) in [
        ("content-length", "7"),
        ("transfer-encoding", "x"),
        ("a", "b"),
    ] {
        fields.add(name.as_bytes(), value.as_bytes());
    }
    let sent = |status, length, connection| {
        let mut out = Vec::new();
        write::response(&mut out, status, &fields, length, connection);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        sent(200, Length::AsGiven, Connection::AsUsual),
        "HTTP/1.1 200 OK\r\ncontent-length: 7\r\na: b\r\n\r\n"
    );
    assert_eq!(
        sent(404, Length::Chunked, Connection::Close),
        "HTTP/1.1 404 Not Found\r\na: b\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(
        sent(299, Length::Exactly(1_234_567_890), Connection::KeepAlive),
        "HTTP/1.1 299 \r\na: b\r\ncontent-length: 1234567890\r\nconnection: keep-alive\r\n\r\n"
    );
}
