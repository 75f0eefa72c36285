//! The head of a response.

use crate::message::fields::Fields;
use crate::message::request::Version;

/// The head of a response.
#[derive(Debug, Clone)]
pub struct ResponseHead {
    /// Status code, three digits.
    pub status: u16,
    /// As the endpoint speaks.
    pub version: Version,
    /// Fields.
    pub fields: Fields,
}
