//! `x-ringway-explain: 1` on a request: the answer's head says how its targets were chosen, as far as is known by then.

use ringway_policy::record::{Record, write_explanation};

use crate::http1::write;
use crate::request::Request;

/// Whether the client asks for it.
pub(crate) fn explains(request: &Request<'_>) -> bool {
    request.field("x-ringway-explain").is_some_and(|value| value == "1" || value == "true")
}

/// Appends the field.
pub(crate) fn field(record: &Record, out: &mut Vec<u8>) {
    let mut text = Vec::new();
    write_explanation(record, &mut text);
    write::field(out, "x-ringway-explain", &text);
}
