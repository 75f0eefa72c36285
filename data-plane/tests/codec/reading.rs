//! What a codec makes of the bytes of a connection, in a form in which two can be
//! compared.

/// Names in lower case with values, sorted by name and else in order.
pub(crate) type Pairs = Vec<(String, Vec<u8>)>;

/// A message that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Method or status.
    pub(crate) subject: String,
    /// Of a request.
    pub(crate) target: String,
    /// Minor version of HTTP/1.
    pub(crate) minor: u8,
    pub(crate) fields: Pairs,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Pairs,
}

/// How the reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All bytes are used up, or the last message said that it is the last.
    Clean,
    /// In the middle of a message.
    Cut,
    /// At something that must not be believed.
    Refused(&'static str),
}

/// All that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) messages: Vec<Message>,
    pub(crate) end: End,
}

/// Sorted by name; of the same name in order.
pub(crate) fn sorted(mut pairs: Pairs) -> Pairs {
    pairs.sort_by(|one, other| one.0.cmp(&other.0));
    pairs
}
