//! Writes JSON straight into the output buffer, without a tree.
//!
//! The comma rule needs no state: a member or item takes a comma unless it stands behind `{`, `[` or `:`.

use serde_json::{Map, Value};

use super::build;

/// Begins an object where a value may stand.
pub fn open(out: &mut Vec<u8>) {
    item(out);
    out.push(b'{');
}

pub fn close(out: &mut Vec<u8>) {
    out.push(b'}');
}

/// Begins an array where a value may stand.
pub fn open_list(out: &mut Vec<u8>) {
    item(out);
    out.push(b'[');
}

pub fn close_list(out: &mut Vec<u8>) {
    out.push(b']');
}

/// Writes the comma that the next item or member needs.
fn item(out: &mut Vec<u8>) {
    if matches!(out.last(), Some(b'}' | b']' | b'"' | b'0'..=b'9' | b'a'..=b'z')) {
        out.push(b',');
    }
}

/// A member's name; its value follows.
pub fn key(out: &mut Vec<u8>, name: &str) {
    item(out);
    build::string(out, name);
    out.push(b':');
}

/// A string where a value may stand.
pub fn string(out: &mut Vec<u8>, text: &str) {
    item(out);
    build::string(out, text);
}

pub fn text(out: &mut Vec<u8>, name: &str, text: &str) {
    key(out, name);
    build::string(out, text);
}

pub fn text_or_null(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    match value {
        Some(value) => text(out, name, value),
        None => null(out, name),
    }
}

pub fn uint(out: &mut Vec<u8>, name: &str, number: u64) {
    key(out, name);
    digits(out, number);
}

pub fn null(out: &mut Vec<u8>, name: &str) {
    key(out, name);
    out.extend_from_slice(b"null");
}

pub fn boolean(out: &mut Vec<u8>, name: &str, value: bool) {
    key(out, name);
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// Not for NaN or infinities, which JSON has no word for: they become `null`.
pub fn float(out: &mut Vec<u8>, name: &str, number: f64) {
    key(out, name);
    plain(out, &Value::from(number));
}

pub fn value(out: &mut Vec<u8>, name: &str, value: &Value) {
    key(out, name);
    plain(out, value);
}

/// A value where a value may stand.
pub fn value_item(out: &mut Vec<u8>, value: &Value) {
    item(out);
    plain(out, value);
}

/// Every member of `map` into the object that is open.
pub fn members(out: &mut Vec<u8>, map: &Map<String, Value>) {
    for (name, member) in map {
        value(out, name, member);
    }
}

fn plain(out: &mut Vec<u8>, value: &Value) {
    serde_json::to_writer(out, value).expect("a Vec takes every byte, and Value's keys are strings");
}

/// Appends a number in decimal.
pub(crate) fn digits(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_where_they_must() {
        let mut out = b"data: ".to_vec();
        open(&mut out);
        uint(&mut out, "a", 18_446_744_073_709_551_615);
        key(&mut out, "b");
        open_list(&mut out);
        string(&mut out, "{");
        string(&mut out, "x\n");
        open(&mut out);
        close(&mut out);
        close_list(&mut out);
        null(&mut out, "c");
        boolean(&mut out, "d", true);
        float(&mut out, "e", 0.5);
        close(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#"data: {"a":18446744073709551615,"b":["{","x\n",{}],"c":null,"d":true,"e":0.5}"#);
    }
}
