//! Reads a few fields out of JSON text in one pass: a cursor that steps into what is wanted and skips the rest.
//!
//! No allocation but for a string with escapes that is asked for unescaped. Strings are skipped with `memchr2`, the
//! structure between them byte by byte. Skipped values are checked for closed strings and matching brackets, not more.

use std::borrow::Cow;
use std::ops::Range;

use super::escape::unescape_key;
use super::short::quote_or_backslash;
use crate::fault::{Fault, Kind};

pub use super::escape::{unescape, unescaped_len};

/// Deepest nesting that is read.
pub const NESTING_MAX: usize = 512;

/// Longest key that is compared unescaped, bytes; a longer one with escapes comes as it is written.
pub const KEY_BYTES_MAX: usize = 64;

/// The text is not the JSON that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Offset in the text.
    pub at: usize,
    /// What is wrong there: `expected a comma`.
    pub what: &'static str,
}

impl Malformed {
    /// The client sent it.
    pub fn in_request(self) -> Fault {
        Fault::new(Kind::InvalidRequest, format!("body: {} at byte {}", self.what, self.at))
    }

    /// The provider sent it.
    pub fn in_response(self) -> Fault {
        Fault::new(Kind::MalformedResponse, format!("upstream sent malformed json: {} at byte {}", self.what, self.at))
    }
}

/// Stands in front of a value; every reading method moves behind it.
///
/// A method that asks for a type (`u64`, `string`, `object`, …) steps over a value of another type and says `None` or calls
/// nothing, so that a field that a provider bends (`"usage": null`) is no error.
///
/// ```
/// # use ringway_adapters::json::scan::Cursor;
/// let mut tokens = None;
/// let mut cursor = Cursor::new(br#"{"id": "x", "usage": {"total": 7, "more": []}}"#);
/// cursor.object(|key, value| match key {
///     b"usage" => value.object(|key, value| {
///         if key == b"total" {
///             tokens = value.u64()?;
///         }
///         Ok(())
///     }),
///     _ => Ok(()),
/// })?;
/// assert_eq!(tokens, Some(7));
/// # Ok::<(), ringway_adapters::json::scan::Malformed>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A value's type, as its first byte tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Cursor<'a> {
        let mut cursor = Cursor { bytes, at: 0 };
        cursor.skip_space();
        cursor
    }

    /// Offset in the text.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The type of the value ahead.
    ///
    /// # Errors
    /// Where no value begins.
    pub fn peek_type(&self) -> Result<Type, Malformed> {
        match self.byte() {
            Some(b'{') => Ok(Type::Object),
            Some(b'[') => Ok(Type::Array),
            Some(b'"') => Ok(Type::String),
            Some(b'-' | b'0'..=b'9') => Ok(Type::Number),
            Some(b't' | b'f') => Ok(Type::Bool),
            Some(b'n') => Ok(Type::Null),
            _ => Err(self.malformed("expected a value")),
        }
    }

    /// Calls `member` with each key, unescaped up to `KEY_BYTES_MAX`, and the cursor in front of its value. A value that
    /// `member` does not touch is skipped.
    ///
    /// # Errors
    /// Broken text, or whatever `member` returns.
    pub fn object(&mut self, mut member: impl FnMut(&[u8], &mut Cursor<'a>) -> Result<(), Malformed>) -> Result<(), Malformed> {
        self.object_spans(|key, _, value| member(key, value))
    }

    /// Like `object`, with the offset where each key is written.
    ///
    /// # Errors
    /// As `object`.
    pub fn object_spans(
        &mut self,
        mut member: impl FnMut(&[u8], usize, &mut Cursor<'a>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.byte() != Some(b'{') {
            return self.skip().map(drop);
        }
        self.at += 1;
        self.skip_space();
        if self.byte() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key_at = self.at;
            if self.byte() != Some(b'"') {
                return Err(self.malformed("expected a key"));
            }
            let (key, escapes) = self.skip_escapes()?;
            // Most texts are written without space.
            if self.byte() != Some(b':') {
                self.skip_space();
                if self.byte() != Some(b':') {
                    return Err(self.malformed("expected a colon"));
                }
            }
            self.at += 1;
            self.skip_space();
            let value_at = self.at;
            if escapes == 0 {
                member(key, key_at, self)?;
            } else {
                let mut buffer = [0; KEY_BYTES_MAX];
                member(unescape_key(key, &mut buffer), key_at, self)?;
            }
            if self.at == value_at {
                self.pass()?;
            }
            self.skip_space();
            match self.byte() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.malformed("expected a comma or a closing brace")),
            }
            self.skip_space();
        }
        self.at += 1;
        Ok(())
    }

    /// Calls `element` with the cursor in front of each element. One that `element` does not touch is skipped.
    ///
    /// # Errors
    /// Broken text, or whatever `element` returns.
    pub fn array(&mut self, mut element: impl FnMut(&mut Cursor<'a>) -> Result<(), Malformed>) -> Result<(), Malformed> {
        if self.byte() != Some(b'[') {
            return self.skip().map(drop);
        }
        self.at += 1;
        self.skip_space();
        if self.byte() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let value_at = self.at;
            element(self)?;
            if self.at == value_at {
                self.pass()?;
            }
            self.skip_space();
            match self.byte() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.malformed("expected a comma or a closing bracket")),
            }
            self.skip_space();
        }
        self.at += 1;
        Ok(())
    }

    /// A whole number that is not negative.
    ///
    /// # Errors
    /// Broken text.
    pub fn u64(&mut self) -> Result<Option<u64>, Malformed> {
        if let Some(plain) = self.plain_digits() {
            return Ok(Some(plain));
        }
        let span = self.skip()?;
        let text = std::str::from_utf8(&self.bytes[span]).unwrap_or_default();
        Ok(text.parse().ok().or_else(|| {
            // `12.0` and `1e3` are whole, too; beyond 2^53 a float is no longer exact.
            let float = text.parse::<f64>().ok()?;
            (text.starts_with(|first: char| first.is_ascii_digit()) && float.fract() == 0.0 && float < 9e15).then_some(float as u64)
        }))
    }

    /// The number ahead, where it is nothing but digits and cannot overflow; else the cursor stays.
    #[inline]
    fn plain_digits(&mut self) -> Option<u64> {
        const DIGITS_MAX: usize = 18;
        let rest = self.bytes.get(self.at..)?;
        let mut value = 0;
        for (index, byte) in rest.iter().enumerate().take(DIGITS_MAX + 1) {
            match byte {
                b'0'..=b'9' => value = value * 10 + u64::from(byte - b'0'),
                b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t' if index > 0 => {
                    self.at += index;
                    return Some(value);
                }
                _ => return None,
            }
        }
        None
    }

    /// # Errors
    /// Broken text.
    pub fn bool(&mut self) -> Result<Option<bool>, Malformed> {
        let span = self.skip()?;
        Ok(match &self.bytes[span] {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        })
    }

    /// A string as it is written, without its quotes: escapes stand as they are.
    ///
    /// # Errors
    /// Broken text.
    pub fn raw_string(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        if self.byte() == Some(b'"') { self.skip_string().map(Some) } else { self.skip().map(|_| None) }
    }

    /// A string, unescaped.
    ///
    /// # Errors
    /// Broken text, a broken escape, bytes that are not UTF-8.
    pub fn string(&mut self) -> Result<Option<Cow<'a, str>>, Malformed> {
        let at = self.at;
        match self.raw_string()? {
            Some(raw) => unescape(raw).map(Some).ok_or(Malformed { at, what: "broken string" }),
            None => Ok(None),
        }
    }

    /// The value's text.
    ///
    /// # Errors
    /// Broken text.
    pub fn raw(&mut self) -> Result<&'a [u8], Malformed> {
        let span = self.skip()?;
        Ok(&self.bytes[span])
    }

    /// Steps over the value and says where it stands.
    ///
    /// # Errors
    /// Broken text, nesting beyond `NESTING_MAX`.
    pub fn skip(&mut self) -> Result<Range<usize>, Malformed> {
        let start = self.at;
        self.pass()?;
        Ok(start..self.at)
    }

    fn pass(&mut self) -> Result<(), Malformed> {
        match self.byte() {
            Some(b'"') => self.skip_string().map(drop),
            Some(b'{' | b'[') => self.skip_nested(),
            _ => self.skip_scalar(),
        }
    }

    /// Nothing but white space follows.
    ///
    /// # Errors
    /// Where something does.
    pub fn end(&mut self) -> Result<(), Malformed> {
        self.skip_space();
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.malformed("expected nothing more")) }
    }

    pub fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { at: self.at, what }
    }

    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline(always)]
    fn skip_space(&mut self) {
        if self.byte().is_some_and(|byte| byte <= b' ') {
            self.skip_some_space();
        }
    }

    #[inline(never)]
    fn skip_some_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
    }

    /// From the opening quote to behind the closing one; gives what is between.
    fn skip_string(&mut self) -> Result<&'a [u8], Malformed> {
        self.skip_escapes().map(|(text, _)| text)
    }

    /// `skip_string`, and how many escapes are in it.
    #[inline]
    fn skip_escapes(&mut self) -> Result<(&'a [u8], usize), Malformed> {
        let start = self.at + 1;
        let mut escapes = 0;
        let mut at = start;
        loop {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let Some(found) = quote_or_backslash(rest) else {
                return Err(self.malformed("string is not closed"));
            };
            if rest[found] == b'"' {
                self.at = at + found + 1;
                return Ok((&self.bytes[start..at + found], escapes));
            }
            escapes += 1;
            at += found + 2;
        }
    }

    fn skip_nested(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        if let Some([b'{', b'}'] | [b'[', b']']) = self.bytes.get(start..start + 2) {
            self.at += 2;
            return Ok(());
        }
        // One bit a level: set for an object.
        let mut levels = [0_u64; NESTING_MAX / 64];
        let mut depth = 0;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(found) = rest.iter().position(|&byte| STRUCTURE[usize::from(byte)]) else {
                self.at = start;
                return Err(self.malformed("bracket is not closed"));
            };
            self.at += found;
            match rest[found] {
                b'"' => {
                    self.skip_string()?;
                    continue;
                }
                byte @ (b'{' | b'[') => {
                    let Some(word) = levels.get_mut(depth / 64) else {
                        return Err(self.malformed("nested too deep"));
                    };
                    let bit = 1 << (depth % 64);
                    *word = if byte == b'{' { *word | bit } else { *word & !bit };
                    depth += 1;
                }
                byte => {
                    depth -= 1;
                    let is_object = levels[depth / 64] >> (depth % 64) & 1 == 1;
                    if is_object != (byte == b'}') {
                        return Err(self.malformed("bracket does not match"));
                    }
                    if depth == 0 {
                        self.at += 1;
                        return Ok(());
                    }
                }
            }
            self.at += 1;
        }
    }

    fn skip_scalar(&mut self) -> Result<(), Malformed> {
        if matches!(self.byte(), Some(b'0'..=b'9')) && self.plain_digits().is_some() {
            return Ok(());
        }
        let rest = &self.bytes[self.at..];
        if let Some(([b'n', b'u', b'l', b'l'] | [b't', b'r', b'u', b'e'], tail)) = rest.split_first_chunk()
            && tail.first().is_some_and(|byte| !SCALAR[usize::from(*byte)])
        {
            self.at += 4;
            return Ok(());
        }
        let len = rest.iter().position(|&byte| !SCALAR[usize::from(byte)]).unwrap_or(rest.len());
        let is_valid = match rest[..len].first() {
            Some(b'-' | b'0'..=b'9') => rest[..len].iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte)),
            _ => matches!(&rest[..len], b"true" | b"false" | b"null"),
        };
        if !is_valid {
            return Err(self.malformed("expected a value"));
        }
        self.at += len;
        Ok(())
    }
}

/// Bytes that matter between the strings of a nested value.
const STRUCTURE: [bool; 256] = table(b"\"{}[]");

/// Bytes that numbers and words are made of, and all other letters: a word is told from another when it is whole.
const SCALAR: [bool; 256] = table(b"+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

const fn table(bytes: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut index = 0;
    while index < bytes.len() {
        table[bytes[index] as usize] = true;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Result<(), Malformed> {
        let mut cursor = Cursor::new(text.as_bytes());
        cursor.object(|_, _| Ok(()))?;
        cursor.end()
    }

    #[test]
    fn closed_text_is_read_and_open_text_is_refused() {
        for text in ["{}", " { } ", r#"{"a":1}"#, "{\"a\" : [ {\"b\":\"}\\\"]\"} , null ] ,\n\"c\":-1.5e3}", "[1, 2]", "\"x\""] {
            assert_eq!(whole(text), Ok(()), "{text}");
        }
        for (text, at) in [
            ("", 0),
            ("{", 1),
            ("{\"a\"", 4),
            ("{\"a\":", 5),
            ("{\"a\":}", 5),
            ("{\"a\":1", 6),
            ("{\"a\":1,}", 7),
            ("{\"a\":\"x}", 5),
            ("{\"a\":\"x\\", 5),
            ("{\"a\":[1}", 7),
            ("{\"a\":[1", 5),
            ("{\"a\":tru}", 5),
            ("{\"a\":1x}", 5),
            ("{a:1}", 1),
            ("{} x", 3),
            ("{\"a\":1 2}", 7),
        ] {
            assert_eq!(whole(text).map_err(|malformed| malformed.at), Err(at), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(whole(&nested(NESTING_MAX)), Ok(()));
        assert_eq!(whole(&nested(NESTING_MAX + 1)).map_err(|malformed| malformed.what), Err("nested too deep"));
    }

    #[test]
    fn values_of_another_type_are_stepped_over() {
        let text = br#"[null, {"a":1}, "x", 12.0, 1e2, -1, 1.5, 18446744073709551615]"#;
        let mut numbers = Vec::new();
        Cursor::new(text)
            .array(|value| {
                numbers.push(value.u64()?);
                Ok(())
            })
            .unwrap();
        assert_eq!(numbers, [None, None, None, Some(12), Some(100), None, None, Some(u64::MAX)]);
        let mut cursor = Cursor::new(b"7");
        assert_eq!(cursor.string(), Ok(None));
        assert_eq!(cursor.end(), Ok(()));
    }

    #[test]
    fn keys_are_compared_unescaped() {
        let mut keys = Vec::new();
        Cursor::new(br#"{"mod\u0065l":1,"\ud83d\ude00":2,"a\/b":3,"bad\x":4}"#)
            .object(|key, _| {
                keys.push(String::from_utf8_lossy(key).into_owned());
                Ok(())
            })
            .unwrap();
        assert_eq!(keys, ["model", "😀", "a/b", "bad\\x"]);
    }
}
