//! Reads a few fields out of JSON text in one pass: a cursor that steps into what is wanted and skips the rest.
//!
//! No allocation but for a string with escapes that is asked for unescaped. Strings are skipped with `memchr2`, the
//! structure between them byte by byte. Skipped values are checked for closed strings and matching brackets, not more.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

use super::short::quote_or_backslash;
use crate::fault::{Fault, Kind};

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
            self.skip_space();
            if self.byte() != Some(b':') {
                return Err(self.malformed("expected a colon"));
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
                self.skip()?;
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
                self.skip()?;
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
        match self.byte() {
            Some(b'"') => self.skip_string().map(drop)?,
            Some(b'{' | b'[') => self.skip_nested()?,
            _ => self.skip_scalar()?,
        }
        Ok(start..self.at)
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

    fn skip_space(&mut self) {
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
        let rest = &self.bytes[self.at..];
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

/// A string's text, from what stands between its quotes. Half a surrogate pair becomes U+FFFD: providers cut text there.
/// `None` for a broken escape or bytes that are not UTF-8.
pub fn unescape(raw: &[u8]) -> Option<Cow<'_, str>> {
    let Some(first) = memchr(b'\\', raw) else {
        return std::str::from_utf8(raw).ok().map(Cow::Borrowed);
    };
    let mut text = Vec::with_capacity(raw.len());
    text.extend_from_slice(&raw[..first]);
    let mut rest = &raw[first..];
    while !rest.is_empty() {
        let (character, tail) = escape(rest)?;
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        let plain = memchr(b'\\', tail).unwrap_or(tail.len());
        text.extend_from_slice(&tail[..plain]);
        rest = &tail[plain..];
    }
    String::from_utf8(text).ok().map(Cow::Owned)
}

/// The length of a string's text in UTF-8 bytes, from what stands between its quotes.
pub fn unescaped_len(raw: &[u8]) -> usize {
    let mut len = 0;
    let mut rest = raw;
    while let Some(plain) = memchr(b'\\', rest) {
        let Some((character, tail)) = escape(&rest[plain..]) else { break };
        len += plain + character.len_utf8();
        rest = tail;
    }
    len + rest.len()
}

/// The character of the escape that `raw` begins with, and what follows it.
fn escape(raw: &[u8]) -> Option<(char, &[u8])> {
    let (&kind, tail) = raw.get(1..)?.split_first()?;
    let character = match kind {
        b'"' | b'\\' | b'/' => kind as char,
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(tail),
        _ => return None,
    };
    Some((character, tail))
}

fn unicode_escape(tail: &[u8]) -> Option<(char, &[u8])> {
    let (high, tail) = hex4(tail)?;
    if let 0xd800..=0xdbff = high
        && let Some((low @ 0xdc00..=0xdfff, after)) = tail.strip_prefix(b"\\u").and_then(hex4)
    {
        let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        return Some((char::from_u32(code)?, after));
    }
    Some((char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), tail))
}

fn hex4(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, tail) = bytes.split_at_checked(4)?;
    let code = digits.iter().try_fold(0, |code, &digit| Some(code << 4 | (digit as char).to_digit(16)?))?;
    Some((code, tail))
}

/// A key with its escapes resolved, where it fits; else as it is written.
fn unescape_key<'b>(raw: &'b [u8], buffer: &'b mut [u8; KEY_BYTES_MAX]) -> &'b [u8] {
    let mut len = 0;
    let mut rest = raw;
    while let Some(&first) = rest.first() {
        let mut encoded = [first, 0, 0, 0];
        let (piece, tail) = match first {
            b'\\' => match escape(rest) {
                Some((character, tail)) => (character.encode_utf8(&mut encoded).len(), tail),
                None => return raw,
            },
            _ => (1, &rest[1..]),
        };
        let Some(room) = buffer.get_mut(len..len + piece) else { return raw };
        room.copy_from_slice(&encoded[..piece]);
        len += piece;
        rest = tail;
    }
    &buffer[..len]
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

    #[test]
    fn strings_unescape_as_serde_json_reads_them() {
        for raw in ["", "plain é", r"a\n\t\r\b\f\/\\\u0041z", r"\ud83d\ude00!", r#"\"q\""#] {
            let expected: String = serde_json::from_str(&format!("\"{raw}\"")).unwrap();
            assert_eq!(unescape(raw.as_bytes()).unwrap(), expected);
            assert_eq!(unescaped_len(raw.as_bytes()), expected.len());
        }
        assert_eq!(unescape(br"a\ud83d").unwrap(), "a\u{fffd}");
        assert_eq!(unescape(br"\ud83dx").unwrap(), "\u{fffd}x");
        for raw in [&br"\x"[..], br"\u12", br"\", b"\xff", br"\u00g0"] {
            assert_eq!(unescape(raw), None);
        }
    }
}
