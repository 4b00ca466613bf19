//! One row of the chain: a line of JSON that ends with its own hash.
//!
//! `hash` is the SHA-256 of the hash before, a line feed, and the line's own bytes up to `,"hash":`. Nothing is read or
//! reordered to check it: the bytes on the disk are what was hashed.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::access::secret::hex;

/// What stands before the first row.
pub const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Longest row: a line that is longer is none of ours.
pub const ROW_BYTES_MAX: usize = 1 << 20;

const HASH_MARK: &str = ",\"hash\":\"";
const HASH_DIGITS: usize = 64;

/// Writes a row and its line feed; returns its hash.
pub(super) fn write(sequence: u64, at_ms: u64, kind: &str, before: &str, fields: Map<String, Value>, out: &mut String) -> String {
    let mut row = Map::new();
    row.insert("seq".into(), sequence.into());
    row.insert("at_ms".into(), at_ms.into());
    row.insert("kind".into(), kind.into());
    row.insert("prev".into(), before.into());
    row.extend(fields.into_iter().filter(|(_, value)| !value.is_null()));
    let text = Value::Object(row).to_string();
    let content = &text[..text.len() - 1];
    let hash = chain(before, content);
    out.push_str(content);
    out.push_str(HASH_MARK);
    out.push_str(&hash);
    out.push_str("\"}\n");
    hash
}

/// A row as it is read; its fields are not looked at before they are needed.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub sequence: u64,
    pub at_ms: u64,
    pub kind: String,
    pub before: String,
    pub hash: String,
    pub fields: Map<String, Value>,
    /// The hash that its bytes have.
    pub computed: String,
}

impl Row {
    /// Reads a line without its line feed; `None` where it is no row.
    pub fn read(line: &str) -> Option<Row> {
        let content_len = line.len().checked_sub(HASH_MARK.len() + HASH_DIGITS + 2)?;
        let content = line.get(..content_len)?;
        let hash = line.get(content_len..)?.strip_prefix(HASH_MARK)?.strip_suffix("\"}")?;
        let Ok(Value::Object(fields)) = serde_json::from_str(line) else { return None };
        let text = |name: &str| fields.get(name)?.as_str().map(str::to_owned);
        let (kind, before) = (text("kind")?, text("prev")?);
        Some(Row {
            sequence: fields.get("seq")?.as_u64()?,
            at_ms: fields.get("at_ms")?.as_u64()?,
            computed: chain(&before, content),
            hash: hash.to_owned(),
            kind,
            before,
            fields,
        })
    }

    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub fn number(&self, name: &str) -> Option<u64> {
        self.fields.get(name).and_then(Value::as_u64)
    }
}

fn chain(before: &str, content: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(b"\n");
    hash.update(content);
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_read_as_it_was_written_and_any_byte_counts() {
        let mut line = String::new();
        let fields = json!({"who": "ann \"\n", "team": null}).as_object().unwrap().clone();
        let hash = write(7, 9, "act", NOTHING, fields, &mut line);
        let row = Row::read(line.trim_end_matches('\n')).unwrap();
        assert_eq!((row.sequence, row.at_ms, row.text("who"), &row.hash, &row.computed), (7, 9, "ann \"\n", &hash, &hash));
        assert!(!row.fields.contains_key("team"));
        let bare = line.trim_end();
        for at in 0..bare.len() {
            let mut bytes = bare.as_bytes().to_vec();
            bytes[at] ^= 1;
            let changed = String::from_utf8(bytes).ok().and_then(|line| Row::read(&line));
            assert!(changed.is_none_or(|row| row.hash != row.computed), "byte {at}");
        }
    }

    #[test]
    fn what_is_no_row_is_none() {
        for line in ["", "{}", "x", "{\"hash\":\"\"}", &format!("{{\"seq\":1,\"hash\":\"{NOTHING}\"}}")] {
            assert!(Row::read(line).is_none(), "{line}");
        }
    }
}
