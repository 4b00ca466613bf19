//! A JSON tree that borrows its strings from the body and keeps the order of its members.
//!
//! One allocation per object or array, none per string without escapes. Members that a codec does not know stay in the
//! object and become `Extra` at the end.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// One JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Node<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Object(Object<'a>),
    /// A member that was taken out.
    Taken,
}

/// The members of an object in their order. A key that stands twice keeps its last value, as in most parsers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

/// Parses one JSON value; depth is bounded by the parser (128).
///
/// # Errors
/// The parser's own message with line and column.
pub fn parse(body: &[u8]) -> Result<Node<'_>, serde_json::Error> {
    serde_json::from_slice(body)
}

impl<'a> Node<'a> {
    pub fn text(&self) -> Option<&str> {
        match self {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn into_list(self) -> Option<Vec<Node<'a>>> {
        match self {
            Node::List(list) => Some(list),
            _ => None,
        }
    }

    pub fn into_object(self) -> Option<Object<'a>> {
        match self {
            Node::Object(object) => Some(object),
            _ => None,
        }
    }

    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Node::Number(number) => number.as_u64().or_else(|| number.as_f64().and_then(whole)),
            _ => None,
        }
    }

    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Node::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Node::Number(number) => number.as_f64(),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Node::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The same value with strings of its own.
    pub fn into_value(self) -> Value {
        match self {
            Node::Null | Node::Taken => Value::Null,
            Node::Bool(value) => Value::Bool(value),
            Node::Number(number) => Value::Number(number),
            Node::Text(text) => Value::String(text.into_owned()),
            Node::List(list) => Value::Array(list.into_iter().map(Node::into_value).collect()),
            Node::Object(object) => Value::Object(object.into_map()),
        }
    }

    /// Equality without a copy.
    pub fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Node::Null, Value::Null) => true,
            (Node::Bool(a), Value::Bool(b)) => a == b,
            (Node::Number(a), Value::Number(b)) => a == b,
            (Node::Text(a), Value::String(b)) => a == b,
            (Node::List(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is(b)),
            (Node::Object(a), Value::Object(b)) => {
                a.0.len() == b.len() && a.0.iter().all(|(key, node)| b.get(key.as_ref()).is_some_and(|value| node.is(value)))
            }
            _ => false,
        }
    }
}

/// `3.0` is a count too: some clients write every number as a float.
fn whole(number: f64) -> Option<u64> {
    ((0.0..=9_007_199_254_740_992.0).contains(&number) && number.fract() == 0.0).then_some(number as u64)
}

impl<'a> Object<'a> {
    /// Takes a member out; `null` counts as absent, as every dialect here means it.
    pub fn take(&mut self, key: &str) -> Option<Node<'a>> {
        match self.take_any(key) {
            Some(Node::Null) | None => None,
            found => found,
        }
    }

    /// Takes a member out, `null` too.
    pub fn take_any(&mut self, key: &str) -> Option<Node<'a>> {
        let mut found = None;
        for (name, node) in &mut self.0 {
            if name == key && !matches!(node, Node::Taken) {
                found = Some(std::mem::replace(node, Node::Taken));
            }
        }
        found
    }

    pub fn take_text(&mut self, key: &str) -> Option<Cow<'a, str>> {
        self.take_if(key, |node| matches!(node, Node::Text(_))).and_then(Node::into_text)
    }

    pub fn take_list(&mut self, key: &str) -> Option<Vec<Node<'a>>> {
        self.take_if(key, |node| matches!(node, Node::List(_))).and_then(Node::into_list)
    }

    pub fn take_object(&mut self, key: &str) -> Option<Object<'a>> {
        self.take_if(key, |node| matches!(node, Node::Object(_))).and_then(Node::into_object)
    }

    pub fn take_u64(&mut self, key: &str) -> Option<u64> {
        self.take_if(key, |node| node.as_u64().is_some()).and_then(|node| node.as_u64())
    }

    /// Takes a member only where it has the wanted form; another form stays for `Extra`.
    pub fn take_if(&mut self, key: &str, wanted: impl Fn(&Node<'a>) -> bool) -> Option<Node<'a>> {
        match self.look(key) {
            Some(node) if wanted(node) => self.take_any(key),
            _ => None,
        }
    }

    /// The member without taking it.
    pub fn look(&self, key: &str) -> Option<&Node<'a>> {
        self.0.iter().rev().find(|(name, node)| name == key && !matches!(node, Node::Taken)).map(|(_, node)| node)
    }

    pub fn look_text(&self, key: &str) -> Option<&str> {
        self.look(key).and_then(Node::text)
    }

    /// Members that nobody took.
    pub fn rest(&self) -> impl Iterator<Item = &(Cow<'a, str>, Node<'a>)> {
        self.0.iter().filter(|(_, node)| !matches!(node, Node::Taken))
    }

    pub fn is_empty(&self) -> bool {
        self.rest().next().is_none()
    }

    /// What is left, with strings of its own.
    pub fn into_map(self) -> Map<String, Value> {
        let mut map = Map::new();
        for (key, node) in self.0 {
            if !matches!(node, Node::Taken) {
                map.insert(key.into_owned(), node.into_value());
            }
        }
        map
    }
}

impl<'a> FromIterator<(Cow<'a, str>, Node<'a>)> for Object<'a> {
    fn from_iter<I: IntoIterator<Item = (Cow<'a, str>, Node<'a>)>>(members: I) -> Object<'a> {
        Object(members.into_iter().collect())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Node<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node<'a>, D::Error> {
        deserializer.deserialize_any(NodeVisitor).map(shorten)
    }
}

/// `Node` is covariant in its lifetime.
fn shorten<'de: 'a, 'a>(node: Node<'de>) -> Node<'a> {
    node
}

/// A key that borrows where it has no escape.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key<'de>, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Owned(text.to_owned())))
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node<'de>, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node<'de>, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node<'de>, E> {
        Ok(Number::from_f64(value).map_or(Node::Null, Node::Number))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = seq.next_element()? {
            list.push(node);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node<'de>, A::Error> {
        let mut members = Vec::with_capacity(4);
        while let Some(Key(key)) = map.next_key()? {
            members.push((key, map.next_value()?));
        }
        Ok(Node::Object(Object(members)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_borrow_and_order_is_kept() {
        let node = parse(br#"{"b":"plain","a":[1,-2,3.5,true,null],"c":"\u00e9\n"}"#).unwrap();
        let Node::Object(mut object) = node else { panic!("an object") };
        assert!(matches!(object.take("b"), Some(Node::Text(Cow::Borrowed("plain")))));
        assert_eq!(object.take_text("c").as_deref(), Some("é\n"));
        assert_eq!(serde_json::to_string(&object.into_map()).unwrap(), r#"{"a":[1,-2,3.5,true,null]}"#);
    }

    #[test]
    fn the_last_of_two_equal_keys_wins() {
        let mut object = parse(br#"{"a":1,"a":2}"#).unwrap().into_object().unwrap();
        assert_eq!(object.take_u64("a"), Some(2));
        assert!(object.is_empty());
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_overflow() {
        let deep = "[".repeat(100_000);
        assert!(parse(deep.as_bytes()).is_err());
    }
}
