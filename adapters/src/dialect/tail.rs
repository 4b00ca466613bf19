//! What the end of a whole answer tells that was too long to hold: its usage stands there in every dialect.

use crate::json::scan::Cursor;
use crate::usage::Tariff;

/// In front of the object that is the last value of `key`, which is given with its quotes.
pub(super) fn object<'a>(end: &'a [u8], key: &[u8]) -> Option<Cursor<'a>> {
    let value = value(end, key)?;
    value.starts_with(b"{").then(|| Cursor::new(value))
}

/// The tier that is named beside or in the usage.
pub(super) fn tier(end: &[u8]) -> Option<Tariff> {
    let word = Cursor::new(value(end, b"\"service_tier\"")?).raw_string().ok()??;
    Tariff::of_word(word)
}

/// What stands behind the last place where `key` is a key. In a string its quotes would be escaped.
fn value<'a>(end: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let mut before = end;
    loop {
        let at = memchr::memmem::rfind(before, key)?;
        let rest = end.get(at + key.len()..)?.trim_ascii_start();
        match rest.strip_prefix(b":") {
            Some(value) if at == 0 || before[at - 1] != b'\\' => return Some(value.trim_ascii_start()),
            _ => before = &before[..at],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_key_is_found_and_quoted_text_is_not() {
        let end = br#"{"usage":{"a":1}},"usage" : {"a": 2},"text":"\"usage\": {","service_tier":"flex","b":"usage"}"#;
        let mut found = None;
        object(end, b"\"usage\"").unwrap().object(|_, value| value.u64().map(|count| found = count)).unwrap();
        assert_eq!((found, tier(end)), (Some(2), Some(Tariff::Flex)));
    }

    #[test]
    fn a_torn_end_tells_nothing() {
        for end in [&b""[..], b"\"usage\"", b"\"usage\":", b"\"usage\":null", b"sage\":{}"] {
            assert!(object(end, b"\"usage\"").is_none());
            assert_eq!(tier(end), None);
        }
    }
}
