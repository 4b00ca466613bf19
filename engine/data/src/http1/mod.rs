//! HTTP/1.1 as pure functions over bytes (RFC 9110, RFC 9112): heads, framing, chunked bodies.
//!
//! Requests that two parsers could read differently are refused, never repaired.

pub mod chunked;
pub mod head;
pub(crate) mod names;
mod target;
pub mod write;
