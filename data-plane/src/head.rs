//! What policy may see of a request, and what it may change. Routing, filters,
//! hashing, limits and logs know nothing of the HTTP codec.

use smallvec::SmallVec;

/// The head of a request, borrowed from whatever codec read it.
pub trait Head {
    /// The method, for example `GET`.
    fn method(&self) -> &str;
    /// Host and port as the client named them; may be empty in HTTP/1.0.
    fn authority(&self) -> &str;
    /// Path and query, normalised; begins with `/`, or is `*`.
    fn target(&self) -> &str;
    /// Calls `each` with every value of the field, in order. `name` is in lower
    /// case.
    fn each_value(&self, name: &str, each: &mut dyn FnMut(&[u8]));
    /// The first value of the field. `name` is in lower case.
    fn first_value(&self, name: &str) -> Option<&[u8]>;

    /// The authority, where it does not matter that it is text.
    fn authority_bytes(&self) -> &[u8] {
        self.authority().as_bytes()
    }

    /// The path without the query, likewise.
    fn path_bytes(&self) -> &[u8] {
        self.path().as_bytes()
    }

    /// The path without the query.
    fn path(&self) -> &str {
        let target = self.target();
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// The query without the `?`, if there is one.
    fn query(&self) -> Option<&str> {
        self.target().split_once('?').map(|(_, query)| query)
    }
}

/// One change to header fields. Names are in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderChange<'a> {
    /// Takes every field of this name away.
    Remove(&'a str),
    /// Puts one field in place of all of its name.
    Set(&'a str, &'a str),
    /// Puts a field beside those of its name.
    Add(&'a str, &'a str),
}

/// What is to be changed in a head, in order; borrows from the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeadEdits<'a> {
    /// Changes to header fields.
    pub headers: SmallVec<[HeaderChange<'a>; 8]>,
    /// The new path and query.
    pub target: Option<String>,
    /// The new authority.
    pub authority: Option<&'a str>,
}
