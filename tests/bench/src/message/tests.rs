use super::Reader;

/// Feeds `input` in pieces of `piece` bytes; returns where each message ended.
fn ends(input: &[u8], piece: usize) -> Vec<usize> {
    let mut reader = Reader::default();
    let mut ends = Vec::new();
    let mut at = 0;
    while at < input.len() {
        let end = (at + piece).min(input.len());
        let (took, is_over) = reader.feed(&input[at..end]).unwrap();
        at += took;
        if is_over {
            ends.push(at);
        }
    }
    ends
}

#[test]
fn messages_end_where_their_framing_says() {
    let plain = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    let sized = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec();
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
        5\r\nhello\r\n0a;x=1\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\n"
        .to_vec();
    let empty = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec();
    let all = [plain, sized, chunked, empty];
    let expected: Vec<usize> = all
        .iter()
        .scan(0, |at, message| {
            *at += message.len();
            Some(*at)
        })
        .collect();
    let stream = all.concat();
    for piece in [1, 2, 3, 7, 50, 1_000] {
        assert_eq!(ends(&stream, piece), expected, "pieces of {piece}");
    }
}

#[test]
fn the_first_line_is_kept() {
    let mut reader = Reader::default();
    let input = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(reader.feed(input).unwrap(), (input.len(), true));
    assert_eq!(reader.first_line(), b"HTTP/1.1 503 Service Unavailable");
}

#[test]
fn what_is_not_http_is_an_error() {
    let mut reader = Reader::default();
    let input = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    assert!(reader.feed(input).is_err());
    let mut reader = Reader::default();
    assert!(reader.feed(&vec![b'a'; 100_000]).is_err());
}
