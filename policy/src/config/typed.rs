//! A node read by the same serde rules as a provider's TOML file: one schema for both, and problems at the node they are about.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::node::{Node, Place, Value};
use super::read::note;
use super::{At, Problem};

/// Reads `node` as a `T`.
pub(super) fn read<'n, T: de::Deserialize<'n>>(node: &'n Node, what: &str, problems: &mut Vec<Problem>) -> Option<At<T>> {
    match T::deserialize(node) {
        Ok(value) => Some(node.place.with(value)),
        Err(mistake) => {
            // What could not be expanded is told already.
            if !mistake.is_told {
                note(problems, mistake.place.unwrap_or(node.place), format!("{what}: {}", mistake.message));
            }
            None
        }
    }
}

/// What is wrong, at the innermost node that knows its place.
#[derive(Debug)]
pub(super) struct Mistake {
    place: Option<Place>,
    message: String,
    is_told: bool,
}

impl Mistake {
    fn at(mut self, place: Place) -> Mistake {
        self.place.get_or_insert(place);
        self
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mistake {}

impl de::Error for Mistake {
    fn custom<T: fmt::Display>(message: T) -> Mistake {
        Mistake { place: None, message: message.to_string(), is_told: false }
    }
}

/// Scalars are text until something asks for a number or a truth value.
macro_rules! parsed {
    ($($method:ident $visit:ident $type:ty, $what:literal;)*) => {
        $(fn $method<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Mistake> {
            let number = match &self.value {
                Value::Scalar { text, .. } => text.parse::<$type>().ok(),
                _ => None,
            };
            match number {
                Some(number) => visitor.$visit(number),
                None => Err(self.instead_of($what)),
            }
        })*
    };
}

impl Node {
    fn instead_of(&self, what: &str) -> Mistake {
        let is_told = matches!(self.value, Value::Unresolved);
        Mistake { place: Some(self.place), message: format!("{} is not {what}", self.describe()), is_told }
    }
}

impl<'n> Deserializer<'n> for &'n Node {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match &self.value {
            Value::Scalar { text, .. } => visitor.visit_borrowed_str(text),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Map(entries) => visitor.visit_map(Entries { rest: entries.iter(), value: None }),
            Value::Null => visitor.visit_unit(),
            Value::Unresolved => Err(self.instead_of("known")),
        }
        .map_err(|mistake: Mistake| mistake.at(self.place))
    }

    fn deserialize_option<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match &self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_enum<V: Visitor<'n>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, Mistake> {
        let variant = match &self.value {
            Value::Scalar { text, .. } => Variant { name: text, content: None },
            Value::Map(entries) if entries.len() == 1 => Variant { name: &entries[0].0.value, content: Some(&entries[0].1) },
            _ => return Err(self.instead_of("a word or a mapping of one entry")),
        };
        visitor.visit_enum(variant).map_err(|mistake| mistake.at(self.place))
    }

    fn deserialize_newtype_struct<V: Visitor<'n>>(self, _: &'static str, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_newtype_struct(self)
    }

    parsed! {
        deserialize_bool visit_bool bool, "true or false";
        deserialize_u8 visit_u8 u8, "a whole number";
        deserialize_u16 visit_u16 u16, "a whole number";
        deserialize_u32 visit_u32 u32, "a whole number";
        deserialize_u64 visit_u64 u64, "a whole number";
        deserialize_f32 visit_f32 f32, "a number";
        deserialize_f64 visit_f64 f64, "a number";
    }

    forward_to_deserialize_any! {
        <V: Visitor<'n>>
        i8 i16 i32 i64 i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'n>(std::slice::Iter<'n, Node>);

impl<'n> SeqAccess<'n> for Items<'n> {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'n>>(&mut self, seed: T) -> Result<Option<T::Value>, Mistake> {
        let Some(node) = self.0.next() else { return Ok(None) };
        seed.deserialize(node).map(Some).map_err(|mistake| mistake.at(node.place))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Entries<'n> {
    rest: std::slice::Iter<'n, (At<String>, Node)>,
    value: Option<&'n Node>,
}

impl<'n> MapAccess<'n> for Entries<'n> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'n>>(&mut self, seed: K) -> Result<Option<K::Value>, Mistake> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some(value);
        let name: StrDeserializer<'_, Mistake> = key.value.as_str().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|mistake| mistake.at(key.place()))
    }

    fn next_value_seed<T: DeserializeSeed<'n>>(&mut self, seed: T) -> Result<T::Value, Mistake> {
        let Some(node) = self.value.take() else { return Err(de::Error::custom("a value was asked for before its key")) };
        seed.deserialize(node).map_err(|mistake| mistake.at(node.place))
    }
}

/// `word`, or `{word: content}`.
struct Variant<'n> {
    name: &'n str,
    content: Option<&'n Node>,
}

impl<'n> EnumAccess<'n> for Variant<'n> {
    type Error = Mistake;
    type Variant = Variant<'n>;

    fn variant_seed<T: DeserializeSeed<'n>>(self, seed: T) -> Result<(T::Value, Variant<'n>), Mistake> {
        let name: StrDeserializer<'_, Mistake> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'n> VariantAccess<'n> for Variant<'n> {
    type Error = Mistake;

    fn unit_variant(self) -> Result<(), Mistake> {
        match self.content {
            None => Ok(()),
            Some(content) => Err(content.instead_of("wanted here; write the word alone")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'n>>(self, seed: T) -> Result<T::Value, Mistake> {
        match self.content {
            Some(content) => seed.deserialize(content).map_err(|mistake| mistake.at(content.place)),
            None => Err(de::Error::custom(format!("write {{{}: …}}", self.name))),
        }
    }

    fn tuple_variant<V: Visitor<'n>>(self, _: usize, visitor: V) -> Result<V::Value, Mistake> {
        self.newtype_variant_seed(Seed(visitor))
    }

    fn struct_variant<V: Visitor<'n>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Mistake> {
        self.newtype_variant_seed(Seed(visitor))
    }
}

struct Seed<V>(V);

impl<'n, V: Visitor<'n>> DeserializeSeed<'n> for Seed<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'n>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_any(self.0)
    }
}

#[cfg(test)]
mod tests {
    use ringway_adapters::provider::{Auth, Quirks, Served};

    use super::*;
    use crate::config::node;

    fn parsed<T: for<'n> de::Deserialize<'n>>(text: &str) -> Result<T, (usize, usize, String)> {
        let node = node::parse(text).unwrap();
        let mut problems = Vec::new();
        let value = read(&node, "it", &mut problems).map(|at| at.value);
        value.ok_or_else(|| problems.pop().map(|problem| (problem.line, problem.column, problem.message)).unwrap())
    }

    #[test]
    fn words_and_mappings_of_one_entry_are_variants() {
        assert_eq!(parsed::<Auth>("bearer"), Ok(Auth::Bearer));
        assert_eq!(parsed::<Auth>("{header: X-Key}"), Ok(Auth::Header("X-Key".to_owned())));
        for (text, place, word) in [
            ("basic", (1, 1), "`bearer`"),
            ("{bearer: x}", (1, 10), "the word alone"),
            ("header", (1, 1), "{header: "),
            ("[a]", (1, 1), "a list"),
        ] {
            let (line, column, message) = parsed::<Auth>(text).unwrap_err();
            assert!((line, column) == place && message.contains(word), "{text}: {line}:{column} {message}");
        }
    }

    #[test]
    fn numbers_truth_values_and_pairs_are_read_from_text() {
        let quirks: Quirks = parsed("{stream_options: true, temperature_max: 1.5, rename: [[a, b]], drop: [c]}").unwrap();
        assert!(quirks.stream_options && quirks.temperature_max == Some(1.5));
        assert_eq!((quirks.rename, quirks.drop), (vec![("a".to_owned(), "b".to_owned())], vec!["c".to_owned()]));
    }

    #[test]
    fn a_mistake_is_told_at_the_innermost_node() {
        for (text, place, word) in [
            ("[{operation: chat, dialect: openai-chat, pth: /x}]", (1, 42), "`pth`"),
            ("[{operation: chat,\n dialect: x, path: /x}]", (2, 11), "openai-chat"),
            ("[{operation: talk, dialect: openai-chat, path: /x}]", (1, 14), "embed"),
            ("[{operation: chat, dialect: openai-chat}]", (1, 2), "`path`"),
            ("[chat]", (1, 2), "chat"),
            ("chat", (1, 1), "sequence"),
        ] {
            let (line, column, message) = parsed::<Vec<Served>>(text).unwrap_err();
            assert!((line, column) == place && message.contains(word), "{text}: {line}:{column} {message}");
        }
        let (line, column, message) = parsed::<Quirks>("{stream_options: perhaps}").unwrap_err();
        assert_eq!((line, column, message.as_str()), (1, 18, "it: \"perhaps\" is not true or false"));
    }
}
