//! The arguments of a tool call as an object, for dialects that write them so.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::json::build::Object;

/// Writes `arguments` as the member `name`: as they stand where they are an object on one line, `{}` where there are none. Broken ones
/// (the model broke off) are shown in an object as they came.
pub(super) fn encode(arguments: &str, name: &str, object: &mut Object<'_>) {
    let trimmed = arguments.trim();
    if trimmed.is_empty() {
        return object.raw(name, b"{}");
    }
    if !trimmed.starts_with('{') || serde_json::from_str::<&RawValue>(trimmed).is_err() {
        let mut shown = object.object(name);
        shown.str("arguments", arguments);
        return shown.end();
    }
    match memchr::memchr2(b'\n', b'\r', trimmed.as_bytes()).map(|_| serde_json::from_str::<Value>(trimmed)) {
        // A line of a stream is one line.
        Some(Ok(value)) => object.value(name, &value),
        _ => object.raw(name, trimmed.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_came_is_an_object_on_one_line() {
        for (arguments, expected) in [
            ("", "{}"),
            (r#" {"b":1, "a":2} "#, r#"{"b":1, "a":2}"#),
            ("{\"b\":1,\n\"a\":2}", r#"{"b":1,"a":2}"#),
            ("{\"a\":", r#"{"arguments":"{\"a\":"}"#),
            ("[1]", r#"{"arguments":"[1]"}"#),
        ] {
            let mut out = Vec::new();
            let mut object = Object::begin(&mut out);
            encode(arguments, "x", &mut object);
            object.end();
            assert_eq!(String::from_utf8(out).unwrap(), format!("{{\"x\":{expected}}}"));
        }
    }
}
