//! The escapes of JSON strings, undone: whole strings, their length alone, and keys in a buffer of the caller's.

use std::borrow::Cow;

use memchr::memchr;

use super::scan::KEY_BYTES_MAX;

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
pub(super) fn unescape_key<'b>(raw: &'b [u8], buffer: &'b mut [u8; KEY_BYTES_MAX]) -> &'b [u8] {
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
