//! Arguments of a call that come in pieces, each under its JSON path (`streamFunctionCallArguments`).
//!
//! Paths are `$.a.b[0]['c']`; a string that goes on is appended to.
// cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling#streaming-fc, read 2026-11-20, and recorded traffic.

use serde_json::{Map, Value};

use super::name::{get, get_str};
use crate::fault::{Fault, Kind};
use crate::json::tree::Json;

/// Elements of one list.
const INDEX_MAX: usize = 10_000;
const DEPTH_MAX: usize = 64;
/// Text of all pieces, bytes.
const BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct PartialArgs {
    args: Map<String, Value>,
    /// The path of the string that goes on.
    going_on: Option<String>,
    byte_count: usize,
}

impl PartialArgs {
    /// Takes whole arguments and pieces of a `functionCall`.
    ///
    /// # Errors
    /// `Kind::MalformedResponse` for a path that is none, or beyond the bounds.
    pub(super) fn take(&mut self, call: Json<'_, '_>) -> Result<(), Fault> {
        for (name, value) in get(call, "args").and_then(Json::object).into_iter().flatten() {
            self.args.insert(name.to_owned(), value.value());
        }
        get(call, "partialArgs").and_then(Json::array).into_iter().flatten().try_for_each(|piece| self.piece(piece))
    }

    /// The arguments as far as they came.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(&self.args).unwrap_or_else(|_| "{}".to_owned())
    }

    fn piece(&mut self, piece: Json<'_, '_>) -> Result<(), Fault> {
        let path = get_str(piece, "jsonPath").unwrap_or_default();
        let is_more = self.going_on.as_deref() == Some(path);
        let place = self.place(path).ok_or_else(|| Fault::new(Kind::MalformedResponse, "a piece of a call's arguments has no path"))?;
        let text = get_str(piece, "stringValue");
        match (text, place) {
            (Some(more), Value::String(held)) if is_more => held.push_str(more),
            (Some(text), place) => *place = text.into(),
            (None, place) => {
                *place = ["numberValue", "boolValue"].iter().find_map(|name| get(piece, name)).map_or(Value::Null, Json::value)
            }
        }
        self.byte_count += text.map_or(0, str::len) + path.len();
        if self.byte_count > BYTES_MAX {
            return Err(Fault::new(Kind::MalformedResponse, format!("a call's arguments are longer than {BYTES_MAX} bytes")));
        }
        let goes_on = get(piece, "willContinue").and_then(Json::bool) == Some(true);
        self.going_on = goes_on.then(|| path.to_owned());
        Ok(())
    }

    /// The value at `path`, which is made where it is not there yet.
    fn place(&mut self, path: &str) -> Option<&mut Value> {
        let mut steps = Steps(path.strip_prefix('$')?);
        let Some(Step::Name(name)) = steps.next()? else { return None };
        let mut place = self.args.entry(name).or_insert(Value::Null);
        for _ in 0..DEPTH_MAX {
            match steps.next()? {
                None => return Some(place),
                Some(Step::Name(name)) => {
                    if !place.is_object() {
                        *place = Value::Object(Map::new());
                    }
                    place = place.as_object_mut()?.entry(name).or_insert(Value::Null);
                }
                Some(Step::Index(index)) => {
                    if !place.is_array() {
                        *place = Value::Array(Vec::new());
                    }
                    let list = place.as_array_mut()?;
                    if list.len() <= index {
                        list.resize(index + 1, Value::Null);
                    }
                    place = &mut list[index];
                }
            }
        }
        None
    }
}

enum Step {
    Name(String),
    Index(usize),
}

/// What is left of a path.
struct Steps<'a>(&'a str);

impl Steps<'_> {
    /// The next step, `Some(None)` at the end, `None` where the path is broken.
    fn next(&mut self) -> Option<Option<Step>> {
        if self.0.is_empty() {
            return Some(None);
        }
        if let Some(rest) = self.0.strip_prefix('.') {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (name, rest) = rest.split_at(end);
            self.0 = rest;
            return (!name.is_empty()).then(|| Some(Step::Name(name.to_owned())));
        }
        let rest = self.0.strip_prefix('[')?;
        for quote in ['\'', '"'] {
            if let Some(rest) = rest.strip_prefix(quote) {
                let (name, rest) = rest.split_once(quote)?;
                self.0 = rest.strip_prefix(']')?;
                return Some(Some(Step::Name(name.to_owned())));
            }
        }
        let (index, rest) = rest.split_once(']')?;
        self.0 = rest;
        let index: usize = index.parse().ok()?;
        (index < INDEX_MAX).then_some(Some(Step::Index(index)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::tree::Parser;

    fn taken(calls: &[&str]) -> Result<String, Fault> {
        let mut args = PartialArgs::default();
        for call in calls {
            Parser::new().with(call.as_bytes(), |json| args.take(json)).unwrap()?;
        }
        Ok(args.text())
    }

    #[test]
    fn pieces_make_the_arguments_that_they_are_of() {
        let args = taken(&[
            r#"{"partialArgs":[{"jsonPath":"$.id","stringValue":"a","willContinue":true}],"willContinue":true}"#,
            r#"{"partialArgs":[{"jsonPath":"$.id","stringValue":"b"}],"willContinue":true}"#,
            r#"{"partialArgs":[{"jsonPath":"$.list[1].x['y z']","numberValue":0.5},{"jsonPath":"$.on","boolValue":true}]}"#,
            r#"{"partialArgs":[{"jsonPath":"$.none","nullValue":"NULL_VALUE"}]}"#,
        ]);
        assert_eq!(args.unwrap(), r#"{"id":"ab","list":[null,{"x":{"y z":0.5}}],"on":true,"none":null}"#);
    }

    #[test]
    fn broken_and_endless_paths_are_malformed() {
        let deep = format!("$.a{}", "[0]".repeat(100));
        for path in ["", "$", "a", "$.", "$[0]", "$.a[", "$.a[x]", "$.a[99999999]", "$.a['b", deep.as_str()] {
            let call = serde_json::json!({"partialArgs": [{"jsonPath": path, "stringValue": "x"}]}).to_string();
            assert_eq!(taken(&[&call]).unwrap_err().kind, Kind::MalformedResponse, "{path}");
        }
    }
}
