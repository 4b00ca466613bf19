//! The form of a body where a provider serves a dialect under a path that says part of it: fields set, fields left out.
//!
//! Estimate: nothing where the row has no shape, which is the rule; else one pass and one copy of the body.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::fault::Fault;
use crate::json::patch::write_string;
use crate::json::scan::{Cursor, Malformed, Type};
use crate::json::write::value_item;

/// What a request's body is beside its dialect. Unlike the fields of `Quirks` none of these is the client's to lose: what is
/// left out stands in the path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// Top-level fields with this value, whatever the client says.
    pub set: Map<String, Value>,
    /// Top-level fields that are left out.
    pub drop: Vec<String>,
}

impl Shape {
    /// The path names the model, and the body may not.
    pub fn drops_model(&self) -> bool {
        self.drops(b"model")
    }

    fn drops(&self, key: &[u8]) -> bool {
        self.drop.iter().any(|name| name.as_bytes() == key)
    }

    /// The body in this form; `None` where `body` has it. The members that stay keep their bytes.
    ///
    /// # Errors
    /// `Kind::InvalidRequest` where the body is not one JSON object.
    pub fn apply(&self, body: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.reshape(body).map_err(Malformed::in_request)
    }

    fn reshape(&self, body: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
        let mut out = Vec::with_capacity(body.len() + 64);
        let mut missing: Vec<&String> = self.set.keys().collect();
        let mut is_changed = false;
        let mut cursor = Cursor::new(body);
        if cursor.peek_type() != Ok(Type::Object) {
            return Err(cursor.malformed("expected a json object"));
        }
        out.push(b'{');
        cursor.object_spans(|key, key_at, value| {
            let value_at = value.at();
            let raw = value.raw()?;
            if self.drops(key) {
                is_changed = true;
                return Ok(());
            }
            let name = String::from_utf8_lossy(key);
            if let Some(wanted) = self.set.get(name.as_ref()) {
                let is_first = missing.iter().position(|name| name.as_bytes() == key).map(|at| missing.remove(at)).is_some();
                is_changed |= !is_first || serde_json::from_slice::<Value>(raw).ok().as_ref() != Some(wanted);
                if is_first {
                    comma(&mut out);
                    out.extend_from_slice(&body[key_at..value_at]);
                    value_item(&mut out, wanted);
                }
                return Ok(());
            }
            comma(&mut out);
            out.extend_from_slice(&body[key_at..value_at]);
            out.extend_from_slice(raw);
            Ok(())
        })?;
        cursor.end()?;
        for name in missing {
            is_changed = true;
            comma(&mut out);
            write_string(name, &mut out);
            out.push(b':');
            value_item(&mut out, &self.set[name]);
        }
        out.push(b'}');
        Ok(is_changed.then_some(out))
    }
}

fn comma(out: &mut Vec<u8>) {
    if out.len() > 1 {
        out.push(b',');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        let set = serde_json::json!({"version": "v1"}).as_object().cloned().unwrap();
        Shape { set, drop: vec!["model".to_owned()] }
    }

    #[test]
    fn a_body_of_this_form_goes_as_it_is() {
        for body in [r#"{ "a" : [1, 2.50] , "version":"v1"}"#, r#"{"version":"v\u0031"}"#] {
            assert_eq!(shape().apply(body.as_bytes()).unwrap(), None, "{body}");
        }
        assert!(shape().drops_model() && !Shape::default().drops_model());
    }

    #[test]
    fn another_body_is_brought_into_it_and_keeps_its_other_bytes() {
        for (body, expected) in [
            ("{}", r#"{"version":"v1"}"#),
            (r#"{"model":"m","a" : [1, 2.50],"stream":true}"#, r#"{"a" : [1, 2.50],"stream":true,"version":"v1"}"#),
            (r#"{"a":"h\u00e9","mod\u0065l":"m"}"#, r#"{"a":"h\u00e9","version":"v1"}"#),
            (r#"{"version": "v2","a":1}"#, r#"{"version": "v1","a":1}"#),
            (r#"{"version":"v1","version":"v2"}"#, r#"{"version":"v1"}"#),
        ] {
            let out = shape().apply(body.as_bytes()).unwrap().unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn what_is_no_object_is_the_clients_fault() {
        for body in ["", "[]", "{\"a\":1", "{} x"] {
            assert!(shape().apply(body.as_bytes()).is_err(), "{body}");
        }
    }
}
