//! What ties a request to an endpoint, and how endpoints are found by a hash.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::optional_duration_text;

/// A ring on which endpoints have points by weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingHash {
    /// Points of all endpoints together, at the least; from 1 to
    /// [`Self::MAX_SIZE`].
    pub min_size: u32,
    /// And at the most; not below `min_size`.
    pub max_size: u32,
    /// See [`Maglev::balance_factor`].
    pub balance_factor: Option<u32>,
}

impl RingHash {
    /// Points where nothing is said; as in Envoy.
    pub const DEFAULT_MIN_SIZE: u32 = 1_024;
    /// The largest ring; as in Envoy.
    pub const MAX_SIZE: u32 = 8_388_608;
}

/// A table that endpoints fill by weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maglev {
    /// Entries; see [`Self::is_table_size`].
    pub table_size: u32,
    /// Most requests in progress at an endpoint, in percent of its fair share
    /// and at least [`Self::MIN_BALANCE_FACTOR`]; `None` is no bound.
    pub balance_factor: Option<u32>,
}

impl Maglev {
    /// Entries where nothing is said; as in Envoy.
    pub const DEFAULT_TABLE_SIZE: u32 = 65_537;
    /// The largest table; as in Envoy.
    pub const MAX_TABLE_SIZE: u32 = 5_000_011;
    /// The tightest bound; as in Envoy.
    pub const MIN_BALANCE_FACTOR: u32 = 100;

    /// Whether a table may have so many entries: a prime, or an endpoint's order
    /// would not reach them all.
    pub fn is_table_size(size: u32) -> bool {
        let divides = |divisor: u32| size.is_multiple_of(divisor);
        (2..=Self::MAX_TABLE_SIZE).contains(&size) && !(2..=size.isqrt()).any(divides)
    }
}

/// A part of a request that ties it to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashPolicy {
    /// Which part.
    pub source: HashSource,
    /// Whether those after it are left out if the request has this part.
    pub terminal: bool,
}

/// A part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HashSource {
    /// A header field, named in lower case.
    Header(String),
    /// A cookie.
    Cookie(HashCookie),
    /// The client's address.
    ClientAddress,
    /// A query parameter.
    Query(String),
}

/// A cookie that ties a request to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashCookie {
    /// Its name; a token.
    pub name: String,
    /// How long a client that has none is to keep the one it is given, in whole
    /// seconds; zero is until it is closed, `None` gives it none.
    #[serde(with = "optional_duration_text")]
    pub ttl: Option<Duration>,
    /// Where the client is to send it; `None` is wherever it came from. Visible
    /// ASCII without `;`.
    pub path: Option<String>,
}
