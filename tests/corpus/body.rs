//! The model's place in a JSON body.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::value::RawValue;

/// Where the value of the top-level `model` stands, quotes included. Keys may be escaped, but never are here.
pub fn model(body: &str) -> Option<Range<usize>> {
    let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(body).ok()?;
    let value = fields.get("model")?.get();
    let at = value.as_ptr() as usize - body.as_ptr() as usize;
    value.starts_with('"').then_some(at..at + value.len())
}

/// `body` with another model.
pub fn with_model(body: &str, span: Range<usize>, model: &str) -> String {
    format!("{}\"{model}\"{}", &body[..span.start], &body[span.end..])
}
