//! The file as a tree of nodes, each with its line and column.
//!
//! Scalars stay text until a reader says what they are, so that `50.00` keeps its digits and a value that came out of the
//! environment can never become structure.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::{At, Problem};

/// Deepest nesting of the file; no field of the schema stands deeper than eight.
const DEPTH_MAX: usize = 32;

/// Most pieces of a file: 100,000 virtual keys of some twenty fields each.
const EVENTS_MAX: usize = 8_000_000;

/// A place in the file, both counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    pub fn with<T>(self, value: T) -> At<T> {
        At { value, line: self.line, column: self.column }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    /// A scalar that could not be expanded; the problem is already told, so readers pass over it in silence.
    Unresolved,
    Scalar {
        text: String,
        /// The text as written, where expansion changed it: the only form that a message may quote.
        written: Option<String>,
    },
    List(Vec<Node>),
    Map(Vec<(At<String>, Node)>),
}

impl Node {
    /// What it is, for messages. Quotes what stands in the file, never what came out of the environment.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Unresolved => "an unresolved variable".to_owned(),
            Value::Scalar { text, written } => format!("{:?}", written.as_ref().unwrap_or(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// Parses the YAML. An empty file is an empty mapping.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Node { place: Place { line: 1, column: 1 }, value: Value::Map(Vec::new()) });
    }
    let options = serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_events: EVENTS_MAX,
            max_nodes: EVENTS_MAX,
        },
    };
    let root: Spanned<Raw> = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().map(|location| place_of(&location)).unwrap_or(Place { line: 1, column: 1 });
        Problem { line: place.line, column: place.column, path: String::new(), message: reason(&error.without_snippet().to_string()) }
    })?;
    Ok(node_of(root, text))
}

/// The parser's own words without the place, which the problem already holds.
fn reason(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    match first.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
        Some((place, rest)) if place.bytes().all(|byte| byte.is_ascii_digit() || b" column".contains(&byte)) => rest.to_owned(),
        // The parser's advice is for programmers.
        _ => first.split(" at line ").next().unwrap_or(first).split(", set ").next().unwrap_or(first).to_owned(),
    }
}

fn place_of(location: &Location) -> Place {
    Place { line: location.line() as usize, column: location.column() as usize }
}

/// A node as the parser gives it.
enum Raw {
    Null,
    /// A plain scalar that reads as a number or a boolean; its digits are taken from the source.
    Plain(String),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

fn node_of(raw: Spanned<Raw>, source: &str) -> Node {
    let place = place_of(&raw.referenced);
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Plain(fallback) => {
            let text = written(&raw.defined, source).map(str::to_owned).unwrap_or(fallback);
            Value::Scalar { text, written: None }
        }
        Raw::Text(text) => Value::Scalar { text, written: None },
        Raw::List(list) => Value::List(list.into_iter().map(|item| node_of(item, source)).collect()),
        Raw::Map(entries) => Value::Map(
            entries.into_iter().map(|(key, value)| (place_of(&key.referenced).with(key.value), node_of(value, source))).collect(),
        ),
    };
    Node { place, value }
}

/// The source text of a plain scalar.
fn written<'a>(location: &Location, source: &'a str) -> Option<&'a str> {
    let span = location.span();
    let start = span.byte_offset()? as usize;
    let len = span.byte_len()? as usize;
    let text = source.get(start..start.checked_add(len)?)?.trim();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(node: &Node) -> &str {
        match &node.value {
            Value::Scalar { text, .. } => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn scalars_keep_their_digits_and_places() {
        let node = parse("a: 50.10\nb:\n  - 0x10\n  - off\n  - \"q\" # c\nc: 2024-10-21\nd: *\n").unwrap_err();
        assert_eq!(node.line, 7, "{node:?}");
        let node = parse("a: 50.10 # usd\nb:\n  - 007\n  - off\n  - \"q\"\nc: &x 2024-10-21\nd: *x\ne:\n").unwrap();
        let Value::Map(entries) = &node.value else { panic!() };
        assert_eq!(text_of(&entries[0].1), "50.10");
        assert_eq!(entries[0].1.place, Place { line: 1, column: 4 });
        let Value::List(list) = &entries[1].1.value else { panic!() };
        assert_eq!(list.iter().map(text_of).collect::<Vec<_>>(), ["007", "off", "q"]);
        assert_eq!(list[2].place, Place { line: 5, column: 5 });
        assert_eq!(text_of(&entries[3].1), "2024-10-21");
        assert_eq!((entries[3].0.line, entries[3].0.column), (7, 1));
        assert!(matches!(entries[4].1.value, Value::Null));
    }

    #[test]
    fn an_alias_of_a_number_reads_the_number() {
        let node = parse("a: &x 1.50\nb: *x\n").unwrap();
        let Value::Map(entries) = &node.value else { panic!() };
        assert_eq!(text_of(&entries[1].1), "1.50");
        assert_eq!(entries[1].1.place.line, 2);
    }

    #[test]
    fn json_is_yaml_and_an_empty_file_is_a_mapping() {
        assert!(matches!(parse("{\"a\": [1, true, null]}").unwrap().value, Value::Map(_)));
        assert!(matches!(parse("# nothing\n\n").unwrap().value, Value::Map(_)));
    }

    #[test]
    fn deep_nesting_and_multiplying_aliases_are_problems() {
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&format!("a: {}{}", "[".repeat(40), "]".repeat(40))).is_err());
        assert!(parse(&"- ".repeat(50_000)).is_err());
        let laughs: String = (1..40).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}, *a{0}]\n", n - 1)).collect();
        assert!(parse(&format!("a0: &a0 [x]\n{laughs}")).is_err());
    }

    #[test]
    fn a_key_that_stands_twice_is_a_problem() {
        let problem = parse("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!(problem.line, 3, "{problem:?}");
        assert!(problem.message.contains("uplicate"), "{problem:?}");
    }
}
