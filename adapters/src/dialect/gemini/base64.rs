//! Base64 (RFC 4648): Google's SDKs write the URL alphabet, other dialects demand the standard one.

use std::borrow::Cow;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The same data in the standard alphabet; copied only where it is not.
pub(super) fn standard(data: &str) -> Cow<'_, str> {
    if memchr::memchr2(b'-', b'_', data.as_bytes()).is_none() {
        return Cow::Borrowed(data);
    }
    Cow::Owned(
        data.chars()
            .map(|letter| {
                if letter == '-' {
                    '+'
                } else if letter == '_' {
                    '/'
                } else {
                    letter
                }
            })
            .collect(),
    )
}

/// The bytes of `data`, in either alphabet, padded or not. `None` where it is no base64.
pub(super) fn decode(data: &str) -> Option<Vec<u8>> {
    let digits = data.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for digit in group {
            bits = bits << 6 | value(*digit)?;
        }
        bits <<= 6 * (4 - group.len() as u32);
        let count = group.len().checked_sub(1).filter(|count| *count > 0)?;
        bytes.extend_from_slice(&bits.to_be_bytes()[1..=count]);
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u32> {
    match digit {
        b'A'..=b'Z' => Some(u32::from(digit - b'A')),
        b'a'..=b'z' => Some(u32::from(digit - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(digit - b'0') + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// `bytes` in the standard alphabet, padded.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut padded = [0u8; 4];
        padded[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(padded);
        for place in 0..4u32 {
            let digit = STANDARD[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place as usize <= group.len() { digit as char } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4648 §10.
    #[test]
    fn the_vectors_of_the_rfc_read_and_write() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
            assert_eq!(decode(text.trim_end_matches('=')).as_deref(), Some(bytes.as_bytes()));
        }
    }

    #[test]
    fn both_alphabets_read_and_the_standard_one_is_written() {
        let bytes = [0xfb, 0xff, 0xfe];
        assert_eq!((decode("-__-").as_deref(), decode("+//+").as_deref()), (Some(&bytes[..]), Some(&bytes[..])));
        assert_eq!(standard("-__-"), "+//+");
        assert!(matches!(standard("abcd"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_is_no_base64_is_nothing() {
        for text in ["a", "abcde", "a b c", "é", "ab$="] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
