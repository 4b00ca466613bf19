//! What the head of an answer says of its making, where the client asked: one JSON object in ASCII.
//!
//! It holds what is known when the head goes out: the route, what was passed over and why, the attempts so far. `record` is the path
//! at the admin listener under which the whole record is found once the exchange is over.

use super::line::{number, string, write_attempts};
use super::trail::write_trail;
use super::{Record, write_hex, write_waits};

/// Longer explanations give their link alone; clients refuse heads of some 8 KiB.
const BYTES_MAX: usize = 4096;

/// Appends the object.
pub fn write_explanation(record: &Record, out: &mut Vec<u8>) {
    let link = |text: &mut Vec<u8>| {
        text.extend_from_slice(b"{\"record\":\"/api/v1/records?id=");
        write_hex(&record.id, text);
        text.push(b'"');
    };
    let mut text = Vec::with_capacity(256);
    link(&mut text);
    if let Some(route) = &record.route {
        string(&mut text, "route", route);
    }
    if let Some(strategy) = record.trail.strategy {
        string(&mut text, "strategy", strategy);
    }
    number(&mut text, "plan_us", record.trail.phases.plan_ns / 1_000);
    if !record.trail.waits.is_empty() {
        text.extend_from_slice(b",\"queue\":");
        write_waits(&record.trail.waits, &mut text);
    }
    text.extend_from_slice(b",\"trail\":");
    write_trail(&record.trail, &mut text);
    text.extend_from_slice(b",\"attempts\":");
    write_attempts(record, &mut text);
    text.push(b'}');
    let start = out.len();
    ascii(&text, out);
    if out.len() - start > BYTES_MAX {
        out.truncate(start);
        link(out);
        out.extend_from_slice(b",\"cut\":true}");
    }
}

/// JSON with every letter beyond ASCII escaped, as no field of a head may hold it. Control letters are escaped already.
fn ascii(json: &[u8], out: &mut Vec<u8>) {
    for letter in String::from_utf8_lossy(json).chars() {
        if (' '..='~').contains(&letter) {
            out.push(letter as u8);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::record;
    use super::*;
    use crate::record::{Subject, Trail, Why};

    fn explained(record: &Record) -> serde_json::Value {
        let mut out = Vec::new();
        write_explanation(record, &mut out);
        assert!(out.len() <= BYTES_MAX && out.iter().all(|byte| (b' '..=b'~').contains(byte)));
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_field_holds_ascii_alone_and_stays_json() {
        let route = "é😀\u{7f}\n";
        let value = explained(&Record { route: Some(route.into()), ..record() });
        assert_eq!(value["route"], route);
        assert_eq!(value["record"], "/api/v1/records?id=abababababababababababababababab");
        assert_eq!(value["attempts"][0]["kind"], "upstream_connect");
        assert_eq!(value["trail"], serde_json::json!([]));
    }

    #[test]
    fn what_is_too_long_keeps_its_link() {
        let mut trail = Trail::default();
        for _ in 0..40 {
            trail.pass_over(Subject::Route("r".repeat(200).into()), Why::Resting { retry_in_ms: 1 });
        }
        let value = explained(&Record { trail, ..record() });
        assert_eq!((&value["cut"], value["record"].is_string()), (&serde_json::Value::Bool(true), true));
    }
}
