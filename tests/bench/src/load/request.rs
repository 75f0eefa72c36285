//! The bytes of a request.

/// Bytes in one chunk of a body.
const CHUNK: usize = 4 * 1024;

/// A request with the header fields of a browser, whole.
pub(super) fn bytes(path: &str, body: Option<usize>, chunked: bool) -> Vec<u8> {
    let method = if body.is_some() { "POST" } else { "GET" };
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: shop.example.com\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
         Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
         Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n\
         Cookie: session=0123456789abcdef0123456789abcdef\r\n"
    )
    .into_bytes();
    let Some(length) = body else {
        request.extend_from_slice(b"\r\n");
        return request;
    };
    if !chunked {
        request.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
        request.resize(request.len() + length, b'y');
        return request;
    }
    request.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
    let mut left = length;
    while left > 0 {
        let size = left.min(CHUNK);
        request.extend_from_slice(format!("{size:x}\r\n").as_bytes());
        request.resize(request.len() + size, b'y');
        request.extend_from_slice(b"\r\n");
        left -= size;
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

#[cfg(test)]
mod tests {
    use super::bytes;
    use crate::message::Reader;

    #[test]
    fn requests_are_whole() {
        for (body, chunked) in [(None, false), (Some(16_384), false), (Some(10_000), true)] {
            let request = bytes("/128", body, chunked);
            let mut reader = Reader::default();
            assert_eq!(reader.feed(&request).unwrap(), (request.len(), true));
        }
    }
}
