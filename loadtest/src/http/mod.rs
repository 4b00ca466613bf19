//! As much HTTP/1.1 as a mock and a generator need: request heads, response heads, chunked bodies.

mod chunked;
mod request;
mod response;

pub(crate) use chunked::Chunked;
pub(crate) use request::{Parsed, Request, parse_request};
pub(crate) use response::{Framing, parse_response_head};

/// The other side does not speak HTTP/1.1 as we understand it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Fields in one head; more are malformed.
const FIELDS_MAX: usize = 128;
