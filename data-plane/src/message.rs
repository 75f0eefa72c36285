//! Messages of HTTP as the proxy holds them, whatever codec read them.
//!
//! A head is one buffer and places in it: the request line and the fields as
//! they came, and behind them what was added on the way. So most of a head is
//! never copied until it is written to the other side.
//!
//! Knows nothing of sockets and of the libraries that speak HTTP.

pub mod body;
pub mod fields;
pub mod name;
pub mod request;
pub mod response;
pub mod span;

pub use body::{Chunk, Piece};
pub use fields::Fields;
pub use name::Known;
pub use request::{Method, RequestHead, Version};
pub use response::ResponseHead;
pub use span::Span;
