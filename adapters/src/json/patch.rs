//! Edits a body by span: untouched bytes are never copied, the result is a list of pieces for one vectored write.

use std::ops::Range;

use smallvec::SmallVec;

use super::peek::Peek;

/// Replace `span` of the body by `bytes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    pub span: Range<usize>,
    /// Inline as long as they are short, as model names are.
    pub bytes: SmallVec<[u8; 48]>,
}

/// Edits of one body, sorted by span, without overlap; at most `EDITS_MAX`.
pub type Edits = SmallVec<[Edit; 4]>;

/// At most this many edits of one body.
pub const EDITS_MAX: usize = 8;

/// Calls `piece` for each piece of the edited body in order. `edits` are sorted by span and do not overlap.
pub fn pieces<'a>(body: &'a [u8], edits: &'a [Edit], mut piece: impl FnMut(&'a [u8])) {
    let mut at = 0;
    for edit in edits {
        piece(&body[at..edit.span.start]);
        piece(&edit.bytes);
        at = edit.span.end;
    }
    piece(&body[at..]);
}

/// The length of the edited body.
pub fn len(body: &[u8], edits: &[Edit]) -> usize {
    edits.iter().fold(body.len(), |len, edit| len - edit.span.len() + edit.bytes.len())
}

/// Sorts the edits of one body. Two insertions at the same place get a comma between them.
pub fn combine(edits: impl IntoIterator<Item = Edit>) -> Edits {
    let mut edits: Edits = edits.into_iter().collect();
    debug_assert!(edits.len() <= EDITS_MAX, "a body has few peeked fields");
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    for index in 1..edits.len() {
        if edits[index].span == edits[index - 1].span && edits[index - 1].bytes.last() != Some(&b',') {
            edits[index - 1].bytes.push(b',');
        }
    }
    edits
}

/// Names `model` in the body; the member is added where there is none. Nothing to do where it says so already.
pub fn set_model(peek: &Peek, body: &[u8], model: &str) -> Option<Edit> {
    let Some(span) = peek.model.clone() else {
        let mut bytes = SmallVec::from_slice(b"\"model\":");
        write_string(model, &mut bytes);
        return Some(insert(peek, bytes));
    };
    let mut bytes = SmallVec::new();
    write_string(model, &mut bytes);
    (body.get(span.clone()) != Some(&bytes[..])).then_some(Edit { span, bytes })
}

/// Asks for the usage event of a stream; other stream options stay as they are. Nothing to do where the client asked for it.
pub fn include_usage(peek: &Peek, body: &[u8]) -> Option<Edit> {
    const OPTIONS: &[u8] = b"{\"include_usage\":true}";
    if peek.include_usage {
        return None;
    }
    if let Some(span) = peek.include_usage_value.clone() {
        return Some(Edit { span, bytes: SmallVec::from_slice(b"true") });
    }
    let Some(span) = peek.stream_options.clone() else {
        let mut bytes = SmallVec::from_slice(b"\"stream_options\":");
        bytes.extend_from_slice(OPTIONS);
        return Some(insert(peek, bytes));
    };
    let has_members = body.get(span.clone()).is_some_and(|options| options.contains(&b'"'));
    if !has_members {
        return Some(Edit { span, bytes: SmallVec::from_slice(OPTIONS) });
    }
    Some(Edit { span: span.start + 1..span.start + 1, bytes: SmallVec::from_slice(b"\"include_usage\":true,") })
}

/// Takes out the request's own `fallbacks`, which never reach a provider.
pub fn cut_fallbacks(peek: &Peek) -> Option<Edit> {
    peek.fallbacks.clone().map(|span| Edit { span, bytes: SmallVec::new() })
}

/// A new first member.
fn insert(peek: &Peek, mut bytes: SmallVec<[u8; 48]>) -> Edit {
    if peek.has_members {
        bytes.push(b',');
    }
    Edit { span: peek.open..peek.open, bytes }
}

/// Appends `text` as a JSON string, quotes included.
pub fn write_string(text: &str, out: &mut impl Extend<u8>) {
    out.extend([b'"']);
    let mut rest = text.as_bytes();
    while let Some(plain) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        out.extend(rest[..plain].iter().copied());
        escape(rest[plain], out);
        rest = &rest[plain + 1..];
    }
    out.extend(rest.iter().copied());
    out.extend([b'"']);
}

/// Appends a byte that may not stand in a string as it is.
fn escape(byte: u8, out: &mut impl Extend<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' | b'\\' => out.extend([b'\\', byte]),
        b'\n' => out.extend(*b"\\n"),
        b'\r' => out.extend(*b"\\r"),
        b'\t' => out.extend(*b"\\t"),
        _ => {
            out.extend(*b"\\u00");
            out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::super::peek::peek;
    use super::*;

    fn apply(body: &[u8], edits: &[Edit]) -> Vec<u8> {
        let mut out = Vec::new();
        pieces(body, edits, |piece| out.extend_from_slice(piece));
        assert_eq!(out.len(), len(body, edits));
        out
    }

    fn edit_all(body: &[u8], model: &str) -> Vec<u8> {
        let peek = peek(body).unwrap_or_else(|fault| panic!("{}: {}", String::from_utf8_lossy(body), fault.message));
        let edits = [set_model(&peek, body, model), include_usage(&peek, body), cut_fallbacks(&peek)];
        apply(body, &combine(edits.into_iter().flatten()))
    }

    #[test]
    fn edits_leave_all_other_bytes_alone() {
        for (body, expected) in [
            ("{}", r#"{"model":"m","stream_options":{"include_usage":true}}"#),
            (r#"{"fallbacks":["a"]}"#, r#"{"model":"m","stream_options":{"include_usage":true}}"#),
            (r#"{ "fallbacks":[] , "x":1}"#, r#"{"model":"m","stream_options":{"include_usage":true},  "x":1}"#),
            (r#"{"model":"m","stream_options":{"include_usage":true}}"#, r#"{"model":"m","stream_options":{"include_usage":true}}"#),
            (r#"{"stream_options": { },"model": "a/b" }"#, r#"{"stream_options": {"include_usage":true},"model": "m" }"#),
            (r#"{"stream_options":null,"model":"a"}"#, r#"{"stream_options":{"include_usage":true},"model":"m"}"#),
            (
                r#"{"model":"a","stream_options":{"x":[1],"include_usage": false}, "fallbacks" : ["b"]}"#,
                r#"{"model":"m","stream_options":{"x":[1],"include_usage": true}}"#,
            ),
            (r#"{"model":"a","stream_options":{ "x":1}}"#, r#"{"model":"m","stream_options":{"include_usage":true, "x":1}}"#),
        ] {
            assert_eq!(String::from_utf8(edit_all(body.as_bytes(), "m")).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn strings_are_written_as_serde_json_reads_them() {
        let all: String = (0..0x180_u32).filter_map(char::from_u32).chain("😀\u{2028}".chars()).collect();
        for text in ["", "plain", all.as_str()] {
            let mut out = Vec::new();
            write_string(text, &mut out);
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }

    /// A small generator (xorshift64*), so that a seed repeats its documents everywhere.
    struct Rng(u64);

    impl Rng {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
        }

        fn pick<T: Copy>(&mut self, list: &[T]) -> T {
            list[self.below(list.len() as u64) as usize]
        }

        fn text(&mut self) -> String {
            (0..self.below(9)).map(|_| self.pick(&['a', '"', '\\', '\n', 'é', '😀', '{', ']', ',', ' ', '\u{1}'])).collect()
        }

        fn value(&mut self, depth: u64) -> Value {
            match self.below(if depth == 0 { 5 } else { 8 }) {
                0 => Value::Null,
                1 => Value::Bool(self.below(2) == 0),
                2 => json!(self.below(1000)),
                3 => json!(self.below(1000) as f64 / 8.0),
                4 => Value::String(self.text()),
                5 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
                _ => Value::Object((0..self.below(4)).map(|_| (self.text(), self.value(depth - 1))).collect()),
            }
        }

        fn request(&mut self) -> Map<String, Value> {
            let mut members = Map::new();
            for _ in 0..self.below(9) {
                let (key, value) = match self.below(9) {
                    0 => ("model".to_owned(), json!(self.text())),
                    1 => ("stream".to_owned(), self.pick(&[Value::Null, Value::Bool(true), Value::Bool(false)].each_ref()).clone()),
                    2 => (self.pick(&["max_tokens", "max_completion_tokens", "n"]).to_owned(), json!(self.below(99))),
                    3 => ("fallbacks".to_owned(), json!([self.text(), self.text()])),
                    4 => ("stream_options".to_owned(), json!({"include_usage": self.below(2) == 0, "x": self.value(1)})),
                    5 => ("stream_options".to_owned(), self.pick(&[json!({}), json!({"y": [{}]}), json!(null)].each_ref()).clone()),
                    _ => (format!("_{}", self.text()), self.value(3)),
                };
                members.insert(key, value);
            }
            members
        }

        /// Any of serde_json's own layouts, some keys written with an escape.
        fn print(&mut self, request: &Map<String, Value>) -> String {
            let text = if self.below(2) == 0 { serde_json::to_string(request) } else { serde_json::to_string_pretty(request) };
            let text = text.unwrap();
            if self.below(3) == 0 {
                text.replace("\"model\":", "\"mod\\u0065l\":").replace("\"fallbacks\":", "\"f\\u0061llbacks\" :")
            } else {
                text
            }
        }
    }

    #[test]
    fn peek_and_edits_agree_with_a_full_decode() {
        for seed in 1..=3000_u64 {
            let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let request = rng.request();
            let body = rng.print(&request);
            let found = peek(body.as_bytes()).unwrap_or_else(|fault| panic!("seed {seed}: {body}: {}", fault.message));
            let at = |span: &Option<Range<usize>>| span.clone().map(|span| serde_json::from_str::<Value>(&body[span]).unwrap());
            assert_eq!(at(&found.model).as_ref(), request.get("model"), "seed {seed}");
            assert_eq!(at(&found.stream).as_ref(), request.get("stream").filter(|value| !value.is_null()), "seed {seed}");
            assert_eq!(at(&found.stream_options).as_ref(), request.get("stream_options"), "seed {seed}");
            assert_eq!(at(&found.fallbacks_value).as_ref(), request.get("fallbacks"), "seed {seed}");
            assert_eq!(found.is_stream, request.get("stream") == Some(&Value::Bool(true)), "seed {seed}");

            let model = rng.text();
            let mut expected = request.clone();
            expected.insert("model".to_owned(), json!(model));
            expected.shift_remove("fallbacks");
            match expected.get_mut("stream_options") {
                Some(Value::Object(options)) => drop(options.insert("include_usage".to_owned(), json!(true))),
                _ => drop(expected.insert("stream_options".to_owned(), json!({"include_usage": true}))),
            }
            let edited = edit_all(body.as_bytes(), &model);
            let edited: Value = serde_json::from_slice(&edited)
                .unwrap_or_else(|error| panic!("seed {seed}: {body} gave {}: {error}", String::from_utf8_lossy(&edited)));
            assert_eq!(edited, Value::Object(expected), "seed {seed}");
        }
    }
}
