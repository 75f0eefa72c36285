//! The bytes that both codecs are asked about: what is proper, and what is known
//! to fool one implementation or another.

/// Behind every case: whether it is read tells where the case ended.
pub(crate) const NEXT_REQUEST: &[u8] = b"GET /next HTTP/1.1\r\nhost: next\r\n\r\n";

/// Heads of requests between line and empty line, each with the same body behind
/// it that is five bytes and two chunked bodies, depending on how it is read.
const FIELDS: &[&str] = &[
    "",
    "content-length: 0\r\n",
    "content-length: 5\r\n",
    "Content-Length:5\r\n",
    "content-length:\t5 \r\n",
    "content-length: 05\r\n",
    "content-length: 0000000000000000000000005\r\n",
    "content-length: 5\r\ncontent-length: 5\r\n",
    "content-length: 5, 5\r\n",
    "content-length: 5,\r\n",
    "content-length: 5 5\r\n",
    "content-length: 5\r\ncontent-length: 6\r\n",
    "content-length: 6\r\nContent-Length: 5\r\n",
    "content-length: 0\r\ncontent-length: 5\r\n",
    "content-length: +5\r\n",
    "content-length: -5\r\n",
    "content-length: 5.0\r\n",
    "content-length: 5e0\r\n",
    "content-length: 0x5\r\n",
    "content-length: \"5\"\r\n",
    "content-length: \r\n",
    "content-length: 5;a\r\n",
    "content-length: 9223372036854775807\r\n",
    "content-length: 9223372036854775808\r\n",
    "content-length: 18446744073709551615\r\n",
    "content-length: 18446744073709551616\r\n",
    "content-length: 18446744073709551621\r\n",
    "content-length : 5\r\n",
    "content-length\t: 5\r\n",
    " content-length: 5\r\n",
    "\tcontent-length: 5\r\n",
    "content_length: 5\r\n",
    "content-length\u{b}: 5\r\n",
    "content-length: \u{b}5\r\n",
    "content-length: \u{c}5\r\n",
    "content-length: 5\u{a0}\r\n",
    "x: y\r\n content-length: 5\r\n",
    "x: y\ncontent-length: 5\r\n",
    "x: y\rcontent-length: 5\r\n",
    "x: y\r\n\rcontent-length: 5\r\n",
    "x: y\0\r\ncontent-length: 5\r\n",
    "x\0: y\r\ncontent-length: 5\r\n",
    "transfer-encoding: chunked\r\n",
    "Transfer-Encoding:chunked\r\n",
    "transfer-encoding: Chunked\r\n",
    "transfer-encoding: CHUNKED \r\n",
    "transfer-encoding:\tchunked\t\r\n",
    "transfer-encoding: \u{b}chunked\r\n",
    "transfer-encoding: chunked\u{a0}\r\n",
    "transfer-encoding: xchunked\r\n",
    "transfer-encoding: chunkedx\r\n",
    "transfer-encoding: chunked;q=1\r\n",
    "transfer-encoding: \"chunked\"\r\n",
    "transfer-encoding: 'chunked'\r\n",
    "transfer-encoding: chunked, identity\r\n",
    "transfer-encoding: identity, chunked\r\n",
    "transfer-encoding: identity\r\n",
    "transfer-encoding: gzip\r\n",
    "transfer-encoding: gzip, chunked\r\n",
    "transfer-encoding: chunked, gzip\r\n",
    "transfer-encoding: chunked, chunked\r\n",
    "transfer-encoding: chunked,\r\n",
    "transfer-encoding: ,chunked\r\n",
    "transfer-encoding: \r\n",
    "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
    "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
    "transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n",
    "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
    "transfer-encoding: \r\ntransfer-encoding: chunked\r\n",
    "transfer-encoding : chunked\r\n",
    "transfer-encoding\t: chunked\r\n",
    " transfer-encoding: chunked\r\n",
    "transfer_encoding: chunked\r\n",
    "transfer-encoding:\r\n chunked\r\n",
    "x: y\ntransfer-encoding: chunked\r\n",
    "x: y\rtransfer-encoding: chunked\r\n",
    "x: transfer-encoding: chunked\r\n",
    "content-length: 5\r\ntransfer-encoding: chunked\r\n",
    "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    "transfer-encoding: chunked\r\ncontent-length: 0\r\n",
    "transfer-encoding: gzip\r\ncontent-length: 5\r\n",
    "transfer-encoding: xchunked\r\ncontent-length: 5\r\n",
    "transfer-encoding : chunked\r\ncontent-length: 5\r\n",
    "content-length: 5\r\ntransfer-encoding: identity\r\n",
    "content-length: x\r\ntransfer-encoding: chunked\r\n",
    "connection: close\r\ncontent-length: 5\r\n",
    "connection: Close, x\r\n",
    "connection: x\r\nconnection: close\r\n",
    "connection: close\r\nconnection: keep-alive\r\n",
    "connection: keep-alive, close\r\n",
    "connection: closed\r\n",
    "connection: \"close\"\r\n",
    "connection: keep-alive\r\n",
    "connection: content-length\r\ncontent-length: 5\r\n",
    "proxy-connection: close\r\n",
    "expect: 100-continue\r\ncontent-length: 5\r\n",
    "expect: 100-Continue\r\n",
    "expect: 200-ok\r\ncontent-length: 5\r\n",
    "upgrade: websocket\r\nconnection: upgrade\r\n",
    "upgrade: h2c\r\nconnection: upgrade, http2-settings\r\n",
    ": y\r\n",
    ":\r\n",
    "x\r\n",
    "x y: z\r\n",
    "x(y): z\r\n",
    "x\"y: z\r\n",
    "x/y: z\r\n",
    "x@y: z\r\n",
    "\u{e9}: z\r\n",
    "x: \u{e9}\r\n",
    "x: y z\tw\r\n",
    "x:  y\t \r\n",
    "x:\r\n",
    "x: \r\n",
    "x: \t \r\n",
    "x: :\r\n",
    "x::y\r\n",
    "X-Y_Z.1!#$%&'*+^`|~: y\r\n",
    "x: \u{7f}\r\n",
    "x: \u{1b}[0m\r\n",
    "x: y\r\r\n",
    "x: y\n\r\n",
    "x: \r\n\ty\r\n",
    "x: y\r\n z\r\n",
    "x: y\r\n \r\n",
    "x: y\r\nhost: other\r\n",
    "a: 1\r\nb: 2\r\na: 3\r\nB: 4\r\n",
];

const LINES: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "POST / HTTP/1.0\r\n",
    "GET / HTTP/1.1\n",
    "GET  / HTTP/1.1\r\n",
    "GET /  HTTP/1.1\r\n",
    "GET\t/ HTTP/1.1\r\n",
    "GET /\tHTTP/1.1\r\n",
    "GET / HTTP/1.1 \r\n",
    "GET / HTTP/1.1\t\r\n",
    " GET / HTTP/1.1\r\n",
    "\r\nGET / HTTP/1.1\r\n",
    "\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n",
    "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n",
    "\nGET / HTTP/1.1\r\n",
    "\rGET / HTTP/1.1\r\n",
    "\r\r\nGET / HTTP/1.1\r\n",
    "\0GET / HTTP/1.1\r\n",
    "GET / http/1.1\r\n",
    "GET / HTTP/1.2\r\n",
    "GET / HTTP/1.9\r\n",
    "GET / HTTP/0.9\r\n",
    "GET / HTTP/2.0\r\n",
    "GET / HTTP/2\r\n",
    "GET / HTTP/3.0\r\n",
    "GET / HTTP/1.10\r\n",
    "GET / HTTP/01.1\r\n",
    "GET / HTTP/1.1.1\r\n",
    "GET / HTTP/1,1\r\n",
    "GET / HTTP /1.1\r\n",
    "GET / HTTPS/1.1\r\n",
    "GET / xHTTP/1.1\r\n",
    "GET / FTP/1.1\r\n",
    "GET / \r\n",
    "GET /\r\n",
    "GET \r\n",
    "GET\r\n",
    "GET HTTP/1.1\r\n",
    " / HTTP/1.1\r\n",
    "/ HTTP/1.1\r\n",
    "get / HTTP/1.1\r\n",
    "gET / HTTP/1.1\r\n",
    "HEAD / HTTP/1.1\r\n",
    "PUT / HTTP/1.1\r\n",
    "DELETE / HTTP/1.1\r\n",
    "OPTIONS * HTTP/1.1\r\n",
    "GET * HTTP/1.1\r\n",
    "CONNECT shop:443 HTTP/1.1\r\n",
    "CONNECT / HTTP/1.1\r\n",
    "TRACE / HTTP/1.1\r\n",
    "M-SEARCH / HTTP/1.1\r\n",
    "G@T / HTTP/1.1\r\n",
    "G\u{e9}T / HTTP/1.1\r\n",
    "\"GET\" / HTTP/1.1\r\n",
    "GET: / HTTP/1.1\r\n",
    "A123456789012345678901234567890 / HTTP/1.1\r\n",
    "A1234567890123456789012345678901234567890 / HTTP/1.1\r\n",
    "PRI * HTTP/2.0\r\n",
    "GET http://shop/ HTTP/1.1\r\n",
    "GET http://shop HTTP/1.1\r\n",
    "GET http://user@shop/ HTTP/1.1\r\n",
    "GET https://shop:1/a?b HTTP/1.1\r\n",
    "GET ftp://shop/ HTTP/1.1\r\n",
    "GET http:// HTTP/1.1\r\n",
    "GET http:/// HTTP/1.1\r\n",
    "GET shop HTTP/1.1\r\n",
    "GET a/b HTTP/1.1\r\n",
    "GET ? HTTP/1.1\r\n",
    "GET //shop/a HTTP/1.1\r\n",
    "GET /a?b=c&d=%20 HTTP/1.1\r\n",
    "GET /a? HTTP/1.1\r\n",
    "GET /a?b?c HTTP/1.1\r\n",
    "GET /a#b HTTP/1.1\r\n",
    "GET /a?b#c HTTP/1.1\r\n",
    "GET /a;b=c HTTP/1.1\r\n",
    "GET /../a/./b HTTP/1.1\r\n",
    "GET /%2e%2e/%00 HTTP/1.1\r\n",
    "GET /a%zz HTTP/1.1\r\n",
    "GET /a\\b HTTP/1.1\r\n",
    "GET /a|b^c{d} HTTP/1.1\r\n",
    "GET /a\"b HTTP/1.1\r\n",
    "GET /a?\"b HTTP/1.1\r\n",
    "GET /a<b> HTTP/1.1\r\n",
    "GET /a?<b> HTTP/1.1\r\n",
    "GET /a`b HTTP/1.1\r\n",
    "GET /a?`b HTTP/1.1\r\n",
    "GET /\u{e9} HTTP/1.1\r\n",
    "GET /?\u{e9} HTTP/1.1\r\n",
    "GET /a\u{7f} HTTP/1.1\r\n",
    "GET /a\0 HTTP/1.1\r\n",
    "GET /a\u{b}b HTTP/1.1\r\n",
    "GET /a b HTTP/1.1\r\n",
    "GET /a\r\nHTTP/1.1\r\n",
    "GET /a\rb HTTP/1.1\r\n",
];

/// Bodies behind `transfer-encoding: chunked`.
const BODIES: &[&str] = &[
    "0\r\n\r\n",
    "00\r\n\r\n",
    "0000000000000000\r\n\r\n",
    "00000000000000000\r\n\r\n",
    "5\r\nhello\r\n0\r\n\r\n",
    "05\r\nhello\r\n0\r\n\r\n",
    "A\r\n0123456789\r\n0\r\n\r\n",
    "a\r\n0123456789\r\n0\r\n\r\n",
    "1\r\nh\r\n4\r\nello\r\n0\r\n\r\n",
    "5;\r\nhello\r\n0\r\n\r\n",
    "5;a=b\r\nhello\r\n0\r\n\r\n",
    "5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n",
    "5;a=\"\r\nhello\r\n0\r\n\r\n",
    "5 ;a=b\r\nhello\r\n0\r\n\r\n",
    "5; a = b\r\nhello\r\n0\r\n\r\n",
    "5 \r\nhello\r\n0\r\n\r\n",
    "5\t\r\nhello\r\n0\r\n\r\n",
    "5 a\r\nhello\r\n0\r\n\r\n",
    " 5\r\nhello\r\n0\r\n\r\n",
    "\r\n5\r\nhello\r\n0\r\n\r\n",
    "5;a\nhello\r\n0\r\n\r\n",
    "5;a\rb\r\nhello\r\n0\r\n\r\n",
    "5;a\0\r\nhello\r\n0\r\n\r\n",
    "5;\u{e9}\r\nhello\r\n0\r\n\r\n",
    "5;\u{7f}\r\nhello\r\n0\r\n\r\n",
    "5\nhello\r\n0\r\n\r\n",
    "5\rhello\r\n0\r\n\r\n",
    "5\r\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5\r\nhello\r0\r\n\r\n",
    "5\r\nhello0\r\n\r\n",
    "5\r\nhello\r\n\r\n0\r\n\r\n",
    "5\r\nhello!\r\n0\r\n\r\n",
    "5\r\nhell\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\n\n",
    "5\r\nhello\r\n0\r\n\n",
    "5\r\nhello\r\n0\r\n\r",
    "5\r\nhello\r\n0\r\n",
    "5\r\nhello\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "-5\r\nhello\r\n0\r\n\r\n",
    "5.0\r\nhello\r\n0\r\n\r\n",
    "5_\r\nhello\r\n0\r\n\r\n",
    "g\r\nhello\r\n0\r\n\r\n",
    "\r\nhello\r\n0\r\n\r\n",
    ";a\r\nhello\r\n0\r\n\r\n",
    "7fffffffffffffff\r\nhello",
    "8000000000000000\r\nhello",
    "ffffffffffffffff\r\nhello",
    "10000000000000000\r\nhello",
    "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "0\r\nx: y\r\n\r\n",
    "0\r\nX-Sum:1 \r\nb: 2\r\n\r\n",
    "0;a=b\r\nx: y\r\n\r\n",
    "0\r\nx: y\r\n z\r\n\r\n",
    "0\r\nx : y\r\n\r\n",
    "0\r\nx: y\n\r\n",
    "0\r\nx: y\r\n\n",
    "0\r\n\nx: y\r\n\r\n",
    "0\r\n x: y\r\n\r\n",
    "0\r\n: y\r\n\r\n",
    "0\r\nx\r\n\r\n",
    "0\r\nx: \0\r\n\r\n",
    "0\r\nx: y\rz\r\n\r\n",
    "0\r\nx: \u{e9}\r\n\r\n",
    "0\r\n\rx: y\r\n\r\n",
    "0\r\nx: y\r\n\rz\r\n\r\n",
    "0\r\ncontent-length: 5\r\n\r\nhello",
    "0\r\ntransfer-encoding: chunked\r\nhost: other\r\n\r\n",
    "0\r\nGET / HTTP/1.1\r\n\r\n",
];

const STATUS_LINES: &[&str] = &[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 200 OK\r\n",
    "HTTP/1.1 200 \r\n",
    "HTTP/1.1 200\r\n",
    "HTTP/1.1 200 Any \t\"thing\" \u{e9}\r\n",
    "HTTP/1.1 200 a\0b\r\n",
    "HTTP/1.1 200 a\rb\r\n",
    "HTTP/1.1 200 OK\n",
    "HTTP/1.1 201 Created\r\n",
    "HTTP/1.1 204 No Content\r\n",
    "HTTP/1.1 205 Reset Content\r\n",
    "HTTP/1.1 304 Not Modified\r\n",
    "HTTP/1.1 404 Not Found\r\n",
    "HTTP/1.1 599 x\r\n",
    "HTTP/1.1 600 x\r\n",
    "HTTP/1.1 999 x\r\n",
    "HTTP/1.1 1000 x\r\n",
    "HTTP/1.1 099 x\r\n",
    "HTTP/1.1 000 x\r\n",
    "HTTP/1.1 20 x\r\n",
    "HTTP/1.1 2x0 x\r\n",
    "HTTP/1.1 -20 x\r\n",
    "HTTP/1.1  200 x\r\n",
    "HTTP/1.1\t200 x\r\n",
    "HTTP/1.1 200\tx\r\n",
    "HTTP/1.1 \r\n",
    "HTTP/1.1\r\n",
    "HTTP/1.2 200 OK\r\n",
    "HTTP/2.0 200 OK\r\n",
    "HTTP/2 200\r\n",
    "http/1.1 200 OK\r\n",
    "ICY 200 OK\r\n",
    " HTTP/1.1 200 OK\r\n",
    "\r\nHTTP/1.1 200 OK\r\n",
    "\nHTTP/1.1 200 OK\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
    "HTTP/1.1 100 Continue\r\nx: y\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\n",
    "HTTP/1.1 100 Continue\r\ncontent-length: 5\r\n\r\nHTTP/1.1 200 OK\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n",
];

/// What clients may send.
pub(crate) fn requests() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    let mut push = |text: String| all.push(latin1(&text));
    for fields in FIELDS {
        for line in ["POST /first HTTP/1.1\r\n", "POST /first HTTP/1.0\r\n"] {
            push(format!("{line}host: shop\r\n{fields}\r\nhello"));
            push(format!(
                "{line}{fields}host: shop\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
            ));
        }
    }
    for line in LINES {
        push(format!("{line}host: shop\r\n\r\n"));
        push(format!("{line}\r\n"));
        push(format!(
            "{line}Content-Length: 2\r\nconnection: keep-alive\r\n\r\nok"
        ));
    }
    for body in BODIES {
        push(format!(
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{body}"
        ));
    }
    all.extend(sizes());
    all
}

/// Around every bound.
fn sizes() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for size in 960..=1000 {
        all.push(format!(
            "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
            "y".repeat(size)
        ));
    }
    for count in 18..=22 {
        all.push(format!(
            "GET / HTTP/1.1\r\n{}\r\n",
            "x: y\r\n".repeat(count)
        ));
        let trailers = "x: y\r\n".repeat(count);
        all.push(format!(
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n{trailers}\r\n"
        ));
    }
    for size in [1010, 1030, 16_380, 16_384, 16_390] {
        let long = "y".repeat(size);
        all.push(format!(
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5;{long}\r\nhello\r\n0\r\n\r\n"
        ));
        all.push(format!(
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: {long}\r\n\r\n"
        ));
        all.push(format!("GET /{long} HTTP/1.1\r\n\r\n"));
        all.push(format!("{long} / HTTP/1.1\r\n\r\n"));
    }
    all.into_iter().map(String::into_bytes).collect()
}

/// What endpoints may send.
pub(crate) fn responses() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    let mut push = |text: String| all.push(latin1(&text));
    for fields in FIELDS {
        for line in [
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.0 200 OK\r\n",
            "HTTP/1.1 204 No Content\r\n",
            "HTTP/1.1 304 Not Modified\r\n",
        ] {
            push(format!("{line}server: a\r\n{fields}\r\nhello"));
        }
        push(format!(
            "HTTP/1.1 200 OK\r\n{fields}\r\n5\r\nhello\r\n0\r\n\r\n"
        ));
        push(format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
    }
    for line in STATUS_LINES {
        push(format!("{line}content-length: 5\r\n\r\nhello"));
        push(format!("{line}\r\nhello"));
        push(format!("{line}\r\n"));
    }
    for body in BODIES {
        push(format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}"
        ));
    }
    all
}

/// Characters up to 255 as one byte each, so that all bytes can be written above.
fn latin1(text: &str) -> Vec<u8> {
    let byte = |letter| u8::try_from(u32::from(letter)).unwrap_or(b'?');
    text.chars().map(byte).collect()
}
