//! Pieces of bodies on their way through the proxy.

use bytes::Bytes;

use crate::message::fields::Fields;

/// Bytes of a body: shared ones, or a buffer of this worker that can be used
/// again when they are sent.
#[derive(Debug)]
pub struct Chunk {
    memory: Memory,
    /// Those before this one are sent.
    from: usize,
}

#[derive(Debug)]
enum Memory {
    Shared(Bytes),
    Own(Vec<u8>),
}

impl Chunk {
    /// The bytes of a buffer from one place on.
    pub fn own(buffer: Vec<u8>, from: usize) -> Self {
        Self {
            memory: Memory::Own(buffer),
            from,
        }
    }

    /// What has not been sent.
    pub fn data(&self) -> &[u8] {
        let all = match &self.memory {
            Memory::Shared(bytes) => bytes,
            Memory::Own(buffer) => buffer.as_slice(),
        };
        all.get(self.from..).unwrap_or_default()
    }

    /// So many more are sent.
    pub fn consume(&mut self, bytes: usize) {
        self.from += bytes;
    }

    /// What has not been sent, to be shared.
    pub fn into_bytes(self) -> Bytes {
        let mut bytes = match self.memory {
            Memory::Shared(bytes) => bytes,
            Memory::Own(buffer) => Bytes::from(buffer),
        };
        bytes.split_off(self.from.min(bytes.len()))
    }

    /// The buffer, if it can be used again.
    pub fn into_buffer(self) -> Option<Vec<u8>> {
        match self.memory {
            Memory::Shared(_) => None,
            Memory::Own(buffer) => Some(buffer),
        }
    }
}

impl From<Bytes> for Chunk {
    fn from(bytes: Bytes) -> Self {
        Self {
            memory: Memory::Shared(bytes),
            from: 0,
        }
    }
}

/// A piece of a request's body, which may be sent more than once.
#[derive(Debug, Clone)]
pub enum Piece {
    /// Bytes.
    Data(Bytes),
    /// What comes behind them, at the end.
    Trailers(Fields),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_ends_with_its_last_byte_wherever_it_came_from() {
        let shared = Chunk::from(Bytes::from_static(b"abcd"));
        for mut chunk in [shared, Chunk::own(b"xxabcd".to_vec(), 2)] {
            assert_eq!(chunk.data(), b"abcd");
            chunk.consume(3);
            assert_eq!(chunk.data(), b"d");
            assert_eq!(chunk.into_bytes(), "d");
        }
        let mut chunk = Chunk::own(b"ab".to_vec(), 0);
        chunk.consume(2);
        assert!(chunk.data().is_empty());
        assert_eq!(chunk.into_buffer().as_deref(), Some(&b"ab"[..]));
    }
}
