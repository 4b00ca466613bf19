//! The `usage` object (v2) and the `meta` object (v1, embed, rerank): read, scanned and written.
//!
//! The hub's figures are those of `billed_units`: they are what Cohere charges for. `tokens` counts the provider's own prompt
//! template, too (a prompt of 5 billed tokens may report 607), and `cached_tokens` are cached tokens of those: they say something of
//! the bill only where both counts agree. docs.cohere.com/v2/docs/rate-limits and /v2/reference/chat, read 2026-11-20.

use serde_json::{Map, Value};

use super::ME;
use crate::ir::Extra;
use crate::json::build::Object;
use crate::json::node;
use crate::json::scan::{Cursor, Malformed, Type};
use crate::usage::Usage;

/// The figures as they stand on the wire.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    billed_input: Option<u64>,
    billed_output: Option<u64>,
    search_units: u64,
    input: Option<u64>,
    output: Option<u64>,
    reasoning: u64,
    cached: u64,
}

/// Groups of figures.
const BILLED: &str = "billed_units";
const TOKENS: &str = "tokens";

impl Figures {
    fn note(&mut self, group: &[u8], name: &[u8], count: u64) {
        match (group, name) {
            (b"billed_units", b"input_tokens") => self.billed_input = Some(count),
            (b"billed_units", b"output_tokens") => self.billed_output = Some(count),
            (b"billed_units", b"search_units") => self.search_units = count,
            (b"tokens", b"input_tokens") => self.input = Some(count),
            (b"tokens", b"output_tokens") => self.output = Some(count),
            (b"tokens", b"reasoning_tokens") => self.reasoning = count,
            (b"", b"cached_tokens") => self.cached = count,
            _ => {}
        }
    }

    /// Reads the object ahead; an object without any figure changes nothing.
    pub(super) fn scan(&mut self, value: &mut Cursor<'_>) -> Result<(), Malformed> {
        value.object(|key, value| {
            let group: &[u8] = match key {
                b"billed_units" => b"billed_units",
                b"tokens" => b"tokens",
                b"cached_tokens" => {
                    self.note(b"", key, value.u64()?.unwrap_or_default());
                    return Ok(());
                }
                _ => return Ok(()),
            };
            if value.peek_type()? != Type::Object {
                return Ok(());
            }
            value.object(|name, value| {
                if let Some(count) = value.u64()? {
                    self.note(group, name, count);
                }
                Ok(())
            })
        })
    }

    /// `None` where nothing was reported.
    pub(super) fn usage(self) -> Option<Usage> {
        let is_some = [self.billed_input, self.billed_output, self.input, self.output].iter().any(Option::is_some) || self.search_units > 0;
        let input = self.billed_input.or(self.input).unwrap_or_default();
        let is_plain = self.input.is_none_or(|tokens| tokens == input);
        is_some.then(|| Usage {
            input,
            output: self.billed_output.or(self.output).unwrap_or_default(),
            cached_read: if is_plain { self.cached } else { 0 },
            reasoning: self.reasoning,
            searches: self.search_units,
            ..Usage::default()
        })
    }
}

/// The hub's figure, and the object as it came.
pub(super) fn decode(object: node::Object<'_>) -> Option<(Usage, Extra)> {
    let fields = object.into_map();
    let mut figures = Figures::default();
    for (group, value) in &fields {
        match value {
            Value::Object(counts) => {
                for (name, value) in counts {
                    if let Some(count) = whole(value) {
                        figures.note(group.as_bytes(), name.as_bytes(), count);
                    }
                }
            }
            value => figures.note(b"", group.as_bytes(), whole(value).unwrap_or_default()),
        }
    }
    figures.usage().map(|usage| (usage, Extra { dialect: Some(ME), fields }))
}

/// A count; v1 and the SDKs write some as floats.
fn whole(value: &Value) -> Option<u64> {
    value
        .as_u64()
        .or_else(|| value.as_f64().filter(|number| *number >= 0.0 && number.fract() == 0.0 && *number < 9e15).map(|number| number as u64))
}

/// Writes the members of a `usage` object.
pub(super) fn encode(usage: &Usage, extra: &Extra, object: &mut Object<'_>) {
    if let Some(fields) = extra.of(ME) {
        return encode_own(usage, fields, object);
    }
    let mut billed = object.object(BILLED);
    billed.u64("input_tokens", usage.input);
    billed.u64("output_tokens", usage.output);
    if usage.searches > 0 {
        billed.u64("search_units", usage.searches);
    }
    billed.end();
    let mut tokens = object.object(TOKENS);
    tokens.u64("input_tokens", usage.input);
    tokens.u64("output_tokens", usage.output);
    if usage.reasoning > 0 {
        tokens.u64("reasoning_tokens", usage.reasoning);
    }
    tokens.end();
    if usage.cached_read > 0 {
        object.u64("cached_tokens", usage.cached_read);
    }
}

/// As it came, but for the two figures that a rescue may have raised.
fn encode_own(usage: &Usage, fields: &Map<String, Value>, object: &mut Object<'_>) {
    for (name, value) in fields {
        match value {
            Value::Object(counts) if name == BILLED => {
                let mut billed = object.object(BILLED);
                for (name, value) in counts {
                    match name.as_str() {
                        "input_tokens" => billed.u64(name, usage.input),
                        "output_tokens" => billed.u64(name, usage.output),
                        _ => billed.value(name, value),
                    }
                }
                billed.end();
            }
            value => object.value(name, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Usage {
        let object = node::parse(json.as_bytes()).unwrap().into_object().unwrap();
        let (usage, extra) = decode(object).unwrap();
        let mut figures = Figures::default();
        figures.scan(&mut Cursor::new(json.as_bytes())).unwrap();
        assert_eq!(figures.usage(), Some(usage), "the cursor reads what the tree reads");
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        encode(&usage, &extra, &mut object);
        object.end();
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), serde_json::from_str::<Value>(json).unwrap());
        usage
    }

    #[test]
    fn what_is_billed_counts_and_the_template_does_not() {
        let usage = of(
            r#"{"billed_units":{"input_tokens":27,"output_tokens":411},"cached_tokens":1344,"tokens":{"input_tokens":1413,"output_tokens":416,"reasoning_tokens":169}}"#,
        );
        assert_eq!((usage.input, usage.output, usage.cached_read, usage.reasoning), (27, 411, 0, 169));
        let usage = of(r#"{"tokens":{"input_tokens":9,"output_tokens":4},"cached_tokens":5}"#);
        assert_eq!((usage.input, usage.output, usage.cached_read), (9, 4, 5));
        assert_eq!(of(r#"{"billed_units":{"search_units":1}}"#).searches, 1);
    }

    #[test]
    fn an_object_without_figures_reports_nothing() {
        assert!(decode(node::parse(br#"{"billed_units":{}}"#).unwrap().into_object().unwrap()).is_none());
    }
}
