//! Responses as they go over the wire: gRPC messages in pieces.
//!
//! A resource was encoded once, for all streams. A small one is copied behind the
//! fields that only this stream has; a large one is not copied at all, so that a
//! thousand streams that are behind hold it once.

use std::collections::VecDeque;

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::encoding::{encode_varint, encoded_len_varint};

use super::subscription::Response;
use crate::snapshot::Encoded;

/// From which size on, in bytes, a resource is sent from where it is: a frame of
/// its own costs about as much as copying this.
const SHARED: usize = 16 << 10;

/// In front of each gRPC message: not compressed, and its length.
const HEAD: usize = 5;

/// Wire type of everything in a response.
const LENGTH_DELIMITED: u8 = 2;

/// Fields of `google.protobuf.Any`.
mod any {
    pub(super) const TYPE_URL: u8 = 1;
    pub(super) const VALUE: u8 = 2;
}

/// Fields of `envoy.service.discovery.v3.Resource`.
mod resource {
    pub(super) const VERSION: u8 = 1;
    pub(super) const RESOURCE: u8 = 2;
    pub(super) const NAME: u8 = 3;
}

/// Fields of `envoy.service.discovery.v3.DeltaDiscoveryResponse`.
mod delta {
    pub(super) const SYSTEM_VERSION_INFO: u8 = 1;
    pub(super) const RESOURCES: u8 = 2;
    pub(super) const TYPE_URL: u8 = 4;
    pub(super) const NONCE: u8 = 5;
    pub(super) const REMOVED_RESOURCES: u8 = 6;
    pub(super) const CONTROL_PLANE: u8 = 7;
}

/// Fields of `envoy.service.discovery.v3.DiscoveryResponse`.
mod sotw {
    pub(super) const VERSION_INFO: u8 = 1;
    pub(super) const RESOURCES: u8 = 2;
    pub(super) const TYPE_URL: u8 = 4;
    pub(super) const NONCE: u8 = 5;
    pub(super) const CONTROL_PLANE: u8 = 6;
}

/// Field of `envoy.config.core.v3.ControlPlane`.
const IDENTIFIER: u8 = 1;

/// One gRPC message, in pieces that are to be sent in this order.
#[derive(Debug, Default)]
pub struct Message {
    pub(super) pieces: VecDeque<Bytes>,
}

impl Message {
    /// What is behind gRPC's head, in one piece.
    pub fn content(&self) -> Vec<u8> {
        let bytes = self.pieces.iter().flatten();
        bytes.skip(HEAD).copied().collect()
    }
}

/// As a message of the delta variant.
pub fn delta(response: &Response, control_plane: &str) -> Message {
    let revision = response.revision.to_string();
    let url = &response.type_url;
    let row = |name: &str, found: &Encoded| {
        text(&found.version) + part(any_length(url, found)) + text(name)
    };
    let rows = response.resources.iter();
    let rows = rows.map(|(name, found)| part(row(name, found)));
    let removed = response.removed.iter().map(|name| part(name.len()));
    let length = text(&revision)
        + rows.sum::<usize>()
        + text(url)
        + text(&response.nonce)
        + removed.sum::<usize>()
        + part(text(control_plane));
    let mut out = Writer::begin(length, response);
    out.text(delta::SYSTEM_VERSION_INFO, &revision);
    for (name, found) in &response.resources {
        out.part(delta::RESOURCES, row(name, found));
        out.text(resource::VERSION, &found.version);
        out.part(resource::RESOURCE, any_length(url, found));
        out.any(url, found);
        out.text(resource::NAME, name);
    }
    out.text(delta::TYPE_URL, url);
    out.text(delta::NONCE, &response.nonce);
    for name in &response.removed {
        out.part(delta::REMOVED_RESOURCES, name.len());
        out.open.put_slice(name.as_bytes());
    }
    out.part(delta::CONTROL_PLANE, text(control_plane));
    out.text(IDENTIFIER, control_plane);
    out.end()
}

/// As a message of the state-of-the-world variant.
pub fn sotw(response: &Response, control_plane: &str) -> Message {
    let url = &response.type_url;
    let rows = response.resources.iter();
    let rows = rows.map(|(_, found)| part(any_length(url, found)));
    let length = text(&response.version)
        + rows.sum::<usize>()
        + text(url)
        + text(&response.nonce)
        + part(text(control_plane));
    let mut out = Writer::begin(length, response);
    out.text(sotw::VERSION_INFO, &response.version);
    for (_, found) in &response.resources {
        out.part(sotw::RESOURCES, any_length(url, found));
        out.any(url, found);
    }
    out.text(sotw::TYPE_URL, url);
    out.text(sotw::NONCE, &response.nonce);
    out.part(sotw::CONTROL_PLANE, text(control_plane));
    out.text(IDENTIFIER, control_plane);
    out.end()
}

/// Length of a field with so much in it. The number of each is below 16, and so
/// takes one byte.
fn part(length: usize) -> usize {
    1 + encoded_len_varint(wide(length)) + length
}

/// Length of a text field; an empty one is left out.
fn text(value: &str) -> usize {
    if value.is_empty() {
        0
    } else {
        part(value.len())
    }
}

fn any_length(url: &str, found: &Encoded) -> usize {
    let value = found.value.len();
    text(url) + if value == 0 { 0 } else { part(value) }
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// A message in the making.
struct Writer {
    pieces: VecDeque<Bytes>,
    open: BytesMut,
}

impl Writer {
    /// A message of so many bytes with the resources of a response.
    fn begin(length: usize, response: &Response) -> Self {
        let sizes = response.resources.iter();
        let sizes = sizes.map(|(_, found)| found.value.len());
        let shared: usize = sizes.filter(|size| *size >= SHARED).sum();
        let mut open = BytesMut::with_capacity((HEAD + length).saturating_sub(shared));
        open.put_u8(0);
        open.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        Self {
            pieces: VecDeque::with_capacity(1),
            open,
        }
    }

    /// The head of a field with so much in it.
    fn part(&mut self, number: u8, length: usize) {
        self.open.put_u8(number << 3 | LENGTH_DELIMITED);
        encode_varint(wide(length), &mut self.open);
    }

    fn text(&mut self, number: u8, value: &str) {
        if !value.is_empty() {
            self.part(number, value.len());
            self.open.put_slice(value.as_bytes());
        }
    }

    /// The fields of an `Any`.
    fn any(&mut self, url: &str, found: &Encoded) {
        self.text(any::TYPE_URL, url);
        if found.value.is_empty() {
            return;
        }
        self.part(any::VALUE, found.value.len());
        if found.value.len() < SHARED {
            self.open.put_slice(&found.value);
        } else {
            self.pieces.push_back(self.open.split().freeze());
            self.pieces.push_back(found.value.clone());
        }
    }

    fn end(mut self) -> Message {
        if !self.open.is_empty() {
            self.pieces.push_back(self.open.freeze());
        }
        Message {
            pieces: self.pieces,
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
