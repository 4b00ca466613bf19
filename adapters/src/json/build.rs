//! Writes JSON straight into a byte buffer, with the commas taken care of.

use serde_json::Value;

use super::short::needs_escape;
pub(crate) use super::write::digits;

/// An object being written; `end` closes it.
#[derive(Debug)]
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> Object<'o> {
    pub(crate) fn begin(out: &'o mut Vec<u8>) -> Object<'o> {
        out.push(b'{');
        Object { out, is_empty: true }
    }

    /// Writes `name` and gives the buffer for its value.
    pub(crate) fn key(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        string(self.out, name);
        self.out.push(b':');
        self.out
    }

    pub(crate) fn str(&mut self, name: &str, text: &str) {
        string(self.key(name), text);
    }

    pub(crate) fn bool(&mut self, name: &str, value: bool) {
        self.raw(name, if value { b"true" } else { b"false" });
    }

    pub(crate) fn u64(&mut self, name: &str, number: u64) {
        digits(self.key(name), number);
    }

    /// A number that is not finite is written as null.
    pub(crate) fn f64(&mut self, name: &str, number: f64) {
        value(self.key(name), &number.into());
    }

    pub(crate) fn value(&mut self, name: &str, json: &Value) {
        value(self.key(name), json);
    }

    /// A value that is JSON already.
    pub(crate) fn raw(&mut self, name: &str, json: &[u8]) {
        self.key(name).extend_from_slice(json);
    }

    pub(crate) fn object(&mut self, name: &str) -> Object<'_> {
        Object::begin(self.key(name))
    }

    pub(crate) fn array(&mut self, name: &str) -> Array<'_> {
        Array::begin(self.key(name))
    }

    pub(crate) fn end(self) {
        self.out.push(b'}');
    }
}

/// An array being written; `end` closes it.
#[derive(Debug)]
pub(crate) struct Array<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> Array<'o> {
    pub(crate) fn begin(out: &'o mut Vec<u8>) -> Array<'o> {
        out.push(b'[');
        Array { out, is_empty: true }
    }

    /// Gives the buffer for the next element.
    pub(crate) fn element(&mut self) -> &mut Vec<u8> {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        self.out
    }

    pub(crate) fn object(&mut self) -> Object<'_> {
        Object::begin(self.element())
    }

    pub(crate) fn end(self) {
        self.out.push(b']');
    }
}

/// Appends a JSON string. Most hold nothing to escape and are copied as they stand.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    if needs_escape(text.as_bytes()) {
        return serde_json::to_writer(out, text).expect("a string goes into a vector without fail");
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Appends a JSON value.
pub(crate) fn value(out: &mut Vec<u8>, json: &Value) {
    serde_json::to_writer(out, json).expect("a value goes into a vector without fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_between_and_nowhere_else() {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        object.str("a", "x\"y");
        let mut array = object.array("b");
        array.object().end();
        array.element().push(b'1');
        array.end();
        object.bool("c", true);
        object.end();
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a":"x\"y","b":[{},1],"c":true}"#);
    }
}
