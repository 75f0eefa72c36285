//! Memory that requests of one worker use one after another, so that a request
//! allocates none and an idle connection holds none.

use std::cell::RefCell;

use bytes::Bytes;

use crate::message::{Chunk, Fields};

/// Bytes of a new buffer.
pub(crate) const BUFFER: usize = 16 * 1024;

/// A buffer that has grown beyond this is not kept.
const LARGEST: usize = 128 * 1024;

/// Most bytes that are rather copied than shared with the buffer they are in.
const COPIED: usize = 4 * 1024;

/// Buffers, and fields, that are kept.
const MOST: usize = 64;

/// Free memory of one worker.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    bytes: RefCell<Vec<Vec<u8>>>,
    fields: RefCell<Vec<Fields>>,
}

impl Buffers {
    /// An empty buffer with room.
    pub(crate) fn take(&self) -> Vec<u8> {
        let kept = self.bytes.borrow_mut().pop();
        kept.unwrap_or_else(|| Vec::with_capacity(BUFFER))
    }

    /// A buffer that is of no more use to its holder.
    pub(crate) fn give(&self, mut buffer: Vec<u8>) {
        let fits = (BUFFER..=LARGEST).contains(&buffer.capacity());
        let mut kept = self.bytes.borrow_mut();
        if fits && kept.len() < MOST {
            buffer.clear();
            kept.push(buffer);
        }
    }

    /// Fields that mean nothing any more, for their memory.
    pub(crate) fn take_fields(&self) -> Fields {
        self.fields.borrow_mut().pop().unwrap_or_default()
    }

    /// No fields yet, over a text to which they are added.
    pub(crate) fn new_fields(&self) -> Fields {
        let mut fields = self.take_fields();
        fields.reset(self.take());
        fields
    }

    /// The bytes of a chunk, to be shared. Few are copied, so that the memory they
    /// came in can be used again.
    pub(crate) fn share(&self, chunk: Chunk) -> Bytes {
        if chunk.data().len() > COPIED {
            return chunk.into_bytes();
        }
        let bytes = Bytes::copy_from_slice(chunk.data());
        if let Some(buffer) = chunk.into_buffer() {
            self.give(buffer);
        }
        bytes
    }

    /// Fields that are of no more use to their holder.
    pub(crate) fn give_fields(&self, mut fields: Fields) {
        self.give(fields.reset(Vec::new()));
        let mut kept = self.fields.borrow_mut();
        if kept.len() < MOST {
            kept.push(fields);
        }
    }

    /// Buffers that are kept.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.bytes.borrow().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_empty_and_what_has_grown_is_let_go() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.extend_from_slice(b"secret");
        buffers.give(buffer);
        assert!(buffers.take().is_empty());
        buffers.give(Vec::with_capacity(LARGEST + 1));
        buffers.give(Vec::new());
        assert!(buffers.bytes.borrow().is_empty());
        for _ in 0..2 * MOST {
            buffers.give(Vec::with_capacity(BUFFER));
        }
        assert_eq!(buffers.bytes.borrow().len(), MOST);
    }
}
