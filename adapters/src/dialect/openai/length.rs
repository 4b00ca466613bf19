//! The length of a JSON string without a decoded copy.

use crate::json::scan::{Cursor, Malformed};

/// The decoded bytes of the string ahead; 0 for any other value, which is stepped over.
///
/// # Errors
/// Broken text.
pub(in crate::dialect) fn text(value: &mut Cursor<'_>) -> Result<u64, Malformed> {
    Ok(value.raw_string()?.map_or(0, unescaped))
}

fn unescaped(mut text: &[u8]) -> u64 {
    let mut len = 0;
    while let Some(at) = memchr::memchr(b'\\', text) {
        let (bytes, skip) = match text.get(at + 1) {
            Some(b'u') => (escape(text.get(at + 2..at + 6)), 6),
            _ => (1, 2),
        };
        len += at + bytes;
        text = text.get(at + skip..).unwrap_or_default();
    }
    (len + text.len()) as u64
}

/// UTF-8 bytes of an escape by its four hex digits; half of four for each half of a surrogate pair.
fn escape(hex: Option<&[u8]>) -> usize {
    match hex {
        Some([b'0', b'0', b'0'..=b'7', _]) => 1,
        Some([b'0', b'0'..=b'7', ..] | [b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F', ..]) => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_as_long_as_its_decoded_form() {
        for string in ["", "plain", "a\"b\\c\n", "é", "😀", "\u{1}x", "日本"] {
            let json = serde_json::to_vec(string).unwrap();
            assert_eq!(text(&mut Cursor::new(&json)), Ok(string.len() as u64), "{string}");
        }
        assert_eq!(text(&mut Cursor::new(br#""\ud83d\ude00\u00e9\u65e5\u0041""#)), Ok("😀é日A".len() as u64));
        assert_eq!(text(&mut Cursor::new(b"null")), Ok(0));
    }
}
