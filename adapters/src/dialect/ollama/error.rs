//! Errors in Ollama's shape: `{"error":"…"}`, as a body or as a line of a stream. `openai::error` reads them.

use crate::dialect::openai;
use crate::fault::Fault;
use crate::frame::ndjson;
use crate::json::build::Object;
use crate::json::node::Node;

pub(super) fn encode(fault: &Fault, out: &mut Vec<u8>) {
    let mut body = Object::begin(out);
    body.str("error", &fault.message);
    // Not of the documentation; this is how a client tells faults of one status apart, as in the other dialects.
    body.str("code", fault.code());
    body.end();
}

pub(super) fn encode_event(fault: &Fault, out: &mut Vec<u8>) {
    encode(fault, out);
    ndjson::end(out);
}

/// The `error` of a line or of an answer with status 200.
pub(super) fn in_band(error: Node<'_>) -> Fault {
    openai::error::in_band(error)
}
