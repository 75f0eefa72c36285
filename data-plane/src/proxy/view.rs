//! The head of a request as policy sees it, over hyper's.

use http::{HeaderMap, Method};

use crate::head::Head;

/// The head of a request: normalised, and still as the client sent it otherwise.
#[derive(Debug)]
pub(crate) struct View {
    /// Method.
    pub(crate) method: Method,
    /// Host and port.
    pub(crate) authority: String,
    /// Normalised path and query.
    pub(crate) target: String,
    /// Fields.
    pub(crate) headers: HeaderMap,
}

impl Head for View {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn authority(&self) -> &str {
        &self.authority
    }

    fn target(&self) -> &str {
        &self.target
    }

    fn each_value(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        for value in self.headers.get_all(name) {
            each(value.as_bytes());
        }
    }

    fn first_value(&self, name: &str) -> Option<&[u8]> {
        self.headers.get(name).map(http::HeaderValue::as_bytes)
    }
}
