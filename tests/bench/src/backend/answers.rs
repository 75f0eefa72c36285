//! What the backend answers, made once.

/// One answer and the path it belongs to.
#[derive(Debug)]
struct Page {
    path: &'static [u8],
    bytes: Vec<u8>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Answers {
    pages: Vec<Page>,
    missing: Vec<u8>,
}

impl Answers {
    pub(super) fn new() -> Self {
        let pages = vec![
            page(b"/128", sized(128)),
            page(b"/16384", sized(16 * 1024)),
            page(b"/1048576", sized(1024 * 1024)),
            page(b"/chunked", chunked()),
        ];
        let missing = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec();
        Self { pages, missing }
    }

    /// Number of the answer to a request with this first line.
    pub(super) fn find(&self, first_line: &[u8]) -> usize {
        let path = first_line.split(|byte| *byte == b' ').nth(1);
        let path = path.unwrap_or_default();
        let found = self.pages.iter().position(|page| page.path == path);
        found.unwrap_or(self.pages.len())
    }

    /// Its bytes.
    pub(super) fn bytes(&self, number: usize) -> &[u8] {
        self.pages
            .get(number)
            .map_or(&self.missing, |page| &page.bytes)
    }
}

fn page(path: &'static [u8], bytes: Vec<u8>) -> Page {
    Page { path, bytes }
}

/// Five header fields, as many servers send.
fn head(framing: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nserver: backend\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
         content-type: application/octet-stream\r\ncache-control: no-store\r\n{framing}\r\n\r\n"
    )
    .into_bytes()
}

fn sized(length: usize) -> Vec<u8> {
    let mut bytes = head(&format!("content-length: {length}"));
    bytes.resize(bytes.len() + length, b'x');
    bytes
}

fn chunked() -> Vec<u8> {
    const CHUNK: usize = 4 * 1024;
    let mut bytes = head("transfer-encoding: chunked");
    for _ in 0..4 {
        bytes.extend_from_slice(format!("{CHUNK:x}\r\n").as_bytes());
        bytes.resize(bytes.len() + CHUNK, b'x');
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}
