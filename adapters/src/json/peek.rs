//! Finds top-level fields of a JSON object by their span, in one pass, without allocation.

use std::borrow::Cow;
use std::ops::Range;

use super::scan::{Cursor, Malformed, Type, unescape};
use crate::fault::Fault;

/// Most names in a request's own `fallbacks`.
pub const FALLBACKS_MAX: usize = 16;

/// Fields that the request path reads without decoding the body. Spans are byte ranges of *values* in the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peek {
    /// The value of `model`, quotes included.
    pub model: Option<Range<usize>>,
    pub stream: Option<Range<usize>>,
    /// `max_tokens`, `max_completion_tokens`, `max_output_tokens`, or the bound in a nested configuration; the greatest of several.
    pub max_tokens: Option<u64>,
    /// An object or `null`.
    pub stream_options: Option<Range<usize>>,
    /// `stream_options.include_usage` is `true`.
    pub include_usage: bool,
    /// The value of `stream_options.include_usage`, whatever it is.
    pub include_usage_value: Option<Range<usize>>,
    /// `fallbacks`: key and value and one comma, so that cutting the span leaves valid JSON.
    pub fallbacks: Option<Range<usize>>,
    pub fallbacks_value: Option<Range<usize>>,
    pub n: Option<u64>,
    /// Who uses the client's product, a string: `user`, else `safety_identifier`, else `metadata.user_id`.
    pub end_user: Option<Range<usize>>,
    /// Which of the three it is; the least wins.
    end_user_rank: u8,
    /// Where a new member can be inserted: just behind the opening brace.
    pub open: usize,
    /// The object has a member besides `fallbacks`, which never goes upstream (an inserted member needs a comma behind it).
    pub has_members: bool,
    pub is_stream: bool,
    /// Bytes of the body, the bound of its input tokens.
    pub body_bytes: usize,
}

/// Reads the top level of `body`. A key written with escapes is the same key; a field that is `null` is absent.
///
/// # Errors
/// `Kind::InvalidRequest` where the body is not one JSON object, a peeked field has the wrong type or stands twice;
/// the message names the byte offset. Deep values are skipped by bracket and string structure, not validated.
pub fn peek(body: &[u8]) -> Result<Peek, Fault> {
    let mut cursor = Cursor::new(body);
    let mut peek = Peek { body_bytes: body.len(), open: cursor.at() + 1, ..Peek::default() };
    if cursor.peek_type() != Ok(Type::Object) {
        return Err(cursor.malformed("expected a json object").in_request());
    }
    let mut seen = 0_u16;
    let mut param = None;
    cursor
        .object_spans(|key, key_at, value| {
            let Some(field) = FIELDS.iter().position(|row| is_named(key, row.0)) else {
                peek.has_members = true;
                return Ok(());
            };
            let (name, read) = FIELDS[field];
            param = Some(name);
            if seen & (1 << field) != 0 {
                return Err(Malformed { at: key_at, what: "field stands twice" });
            }
            seen |= 1 << field;
            peek.has_members |= name != "fallbacks";
            let value_at = value.at();
            read(&mut peek, value)?;
            if let Some(value) = peek.fallbacks_value.as_ref().filter(|value| value.start == value_at) {
                peek.fallbacks = Some(member_span(body, key_at, value.end));
            }
            param = None;
            Ok(())
        })
        .and_then(|()| cursor.end())
        .map_err(|malformed| Fault { param: param.map(Into::into), ..malformed.in_request() })?;
    Ok(peek)
}

/// Compared byte by byte: most keys differ in length or early, and a call of `memcmp` costs more.
#[inline]
fn is_named(key: &[u8], name: &str) -> bool {
    key.len() == name.len() && key.iter().zip(name.as_bytes()).all(|(a, b)| a == b)
}

type Read = fn(&mut Peek, &mut Cursor<'_>) -> Result<(), Malformed>;

/// The peeked fields, at most sixteen.
const FIELDS: &[(&str, Read)] = &[
    ("model", |peek, value| {
        peek.model = match value.peek_type()? {
            Type::String => Some(value.skip()?),
            _ => return Err(value.malformed("`model` must be a string")),
        };
        Ok(())
    }),
    ("stream", |peek, value| {
        let (at, wrong) = (value.at(), value.malformed("`stream` must be true or false"));
        match value.peek_type()? {
            Type::Bool => {
                peek.is_stream = value.bool()? == Some(true);
                peek.stream = Some(at..value.at());
                Ok(())
            }
            Type::Null => Ok(()),
            _ => Err(wrong),
        }
    }),
    ("max_tokens", max_tokens),
    ("max_completion_tokens", max_tokens),
    ("max_output_tokens", max_tokens),
    ("stream_options", stream_options),
    ("fallbacks", |peek, value| {
        peek.fallbacks_value = match value.peek_type()? {
            Type::Array | Type::Null => Some(value.skip()?),
            _ => return Err(value.malformed("`fallbacks` must be a list of model names")),
        };
        Ok(())
    }),
    ("n", |peek, value| {
        peek.n = number(value)?;
        Ok(())
    }),
    ("user", |peek, value| end_user(peek, value, 0)),
    ("safety_identifier", |peek, value| end_user(peek, value, 1)),
    // Dialects that keep their bounds in an object of their own.
    ("generationConfig", generation_config),
    ("generation_config", generation_config),
    ("inferenceConfig", |peek, value| nested(peek, value, &[b"maxTokens", b"max_new_tokens"])),
    // Ollama's bound stands among its options; -1 is none.
    ("options", |peek, value| nested(peek, value, &[b"num_predict"])),
    ("metadata", |peek, value| match value.peek_type()? {
        Type::Object => value.object_spans(|key, _, value| match key {
            b"user_id" => end_user(peek, value, 2),
            _ => Ok(()),
        }),
        _ => value.skip().map(drop),
    }),
];

/// What is no string is the provider's to refuse.
fn end_user(peek: &mut Peek, value: &mut Cursor<'_>, rank: u8) -> Result<(), Malformed> {
    let is_string = value.peek_type()? == Type::String;
    let span = value.skip()?;
    if is_string && (peek.end_user.is_none() || rank < peek.end_user_rank) {
        (peek.end_user, peek.end_user_rank) = (Some(span), rank);
    }
    Ok(())
}

fn number(value: &mut Cursor<'_>) -> Result<Option<u64>, Malformed> {
    match value.peek_type()? {
        // A negative number (llama.cpp's -1: no bound) bounds nothing.
        Type::Number => value.u64(),
        Type::Null => Ok(None),
        _ => Err(value.malformed("expected a number")),
    }
}

fn max_tokens(peek: &mut Peek, value: &mut Cursor<'_>) -> Result<(), Malformed> {
    peek.max_tokens = peek.max_tokens.max(number(value)?);
    Ok(())
}

/// Gemini's bounds, in either spelling.
fn generation_config(peek: &mut Peek, value: &mut Cursor<'_>) -> Result<(), Malformed> {
    if value.peek_type()? != Type::Object {
        return value.skip().map(drop);
    }
    value.object_spans(|key, _, value| match key {
        b"maxOutputTokens" | b"max_output_tokens" => bound(peek, value),
        b"candidateCount" | b"candidate_count" => {
            if value.peek_type()? == Type::Number {
                value.u64().map(|count| peek.n = count)
            } else {
                value.skip().map(drop)
            }
        }
        _ => value.skip().map(drop),
    })
}

/// The bound of an answer that stands under one of `names` in an object; what is of another form is the provider's to refuse.
fn nested(peek: &mut Peek, value: &mut Cursor<'_>, names: &[&[u8]]) -> Result<(), Malformed> {
    if value.peek_type()? != Type::Object {
        return value.skip().map(drop);
    }
    value.object_spans(|key, _, value| if names.contains(&key) { bound(peek, value) } else { value.skip().map(drop) })
}

fn bound(peek: &mut Peek, value: &mut Cursor<'_>) -> Result<(), Malformed> {
    if value.peek_type()? != Type::Number {
        return value.skip().map(drop);
    }
    peek.max_tokens = peek.max_tokens.max(value.u64()?);
    Ok(())
}

fn stream_options(peek: &mut Peek, value: &mut Cursor<'_>) -> Result<(), Malformed> {
    let at = value.at();
    if !matches!(value.peek_type()?, Type::Object | Type::Null) {
        return Err(value.malformed("`stream_options` must be an object"));
    }
    value.object_spans(|key, key_at, value| {
        if key != b"include_usage" {
            return Ok(());
        }
        if peek.include_usage_value.is_some() {
            return Err(Malformed { at: key_at, what: "field stands twice" });
        }
        let at = value.at();
        peek.include_usage = value.bool()? == Some(true);
        peek.include_usage_value = Some(at..value.at());
        Ok(())
    })?;
    peek.stream_options = Some(at..value.at());
    Ok(())
}

/// A member with the comma behind it, or else with the one before it.
fn member_span(body: &[u8], key_at: usize, value_end: usize) -> Range<usize> {
    let is_space = |byte: &u8| b" \n\r\t".contains(byte);
    let after = value_end + body[value_end..].iter().take_while(|byte| is_space(byte)).count();
    if body.get(after) == Some(&b',') {
        return key_at..after + 1;
    }
    let before = key_at - body[..key_at].iter().rev().take_while(|byte| is_space(byte)).count();
    match body[..before].last() {
        Some(b',') => before - 1..value_end,
        _ => key_at..value_end,
    }
}

/// The text of the JSON string at `span`.
///
/// # Errors
/// `Kind::InvalidRequest` where no readable string stands there.
pub fn string(body: &[u8], span: Range<usize>) -> Result<Cow<'_, str>, Fault> {
    let at = span.start;
    let text = match body.get(span) {
        Some([b'"', raw @ .., b'"']) => unescape(raw),
        _ => None,
    };
    text.ok_or_else(|| Malformed { at, what: "expected a string" }.in_request())
}

/// The names in the request's own `fallbacks`.
///
/// # Errors
/// `Kind::InvalidRequest` where one is no string or there are more than `FALLBACKS_MAX`.
pub fn fallbacks(body: &[u8], peek: &Peek) -> Result<Vec<String>, Fault> {
    let mut names = Vec::new();
    let Some(span) = &peek.fallbacks_value else { return Ok(names) };
    let at = span.start;
    Cursor::new(body.get(span.clone()).unwrap_or_default())
        .array(|value| {
            let wrong = value.malformed("`fallbacks` must be a list of model names");
            names.push(value.string()?.ok_or(wrong)?.into_owned());
            if names.len() > FALLBACKS_MAX { Err(value.malformed("more than 16 `fallbacks`")) } else { Ok(()) }
        })
        .map_err(|malformed| Fault { param: Some("fallbacks".into()), ..Malformed { at: at + malformed.at, ..malformed }.in_request() })?;
    Ok(names)
}

/// The value of a top-level member, the first of its name. `None` where there is none, or where the text is broken before it.
pub fn member(body: &[u8], name: &str) -> Option<Range<usize>> {
    let mut found = None;
    let _ = Cursor::new(body).object_spans(|key, _, value| {
        if found.is_none() && key == name.as_bytes() {
            found = Some(value.skip()?);
        }
        Ok(())
    });
    found
}

/// Calls `each` with every text that a top-level member of one of these `names` is, or has as its `id`, however often it stands there:
/// who is asked in the end decides which of them counts.
pub fn references(body: &[u8], names: &[&str], each: &mut dyn FnMut(&str)) {
    // A body that is malformed further behind is refused elsewhere.
    let _ = Cursor::new(body).object_spans(|key, _, value| {
        if !names.iter().any(|name| name.as_bytes() == key) {
            return Ok(());
        }
        let mut tell = |value: &mut Cursor<'_>| -> Result<(), Malformed> {
            if value.peek_type()? == Type::String
                && let Some(text) = value.string()?
            {
                each(&text);
            }
            Ok(())
        };
        if value.peek_type()? != Type::Object {
            return tell(value);
        }
        value.object_spans(|key, _, value| if key == b"id" { tell(value) } else { Ok(()) })
    });
}

/// How often a top-level member has this name in any case: some servers take them for one.
pub fn spellings(body: &[u8], name: &str) -> usize {
    let mut count = 0;
    let _ = Cursor::new(body).object_spans(|key, _, _| {
        count += usize::from(key.eq_ignore_ascii_case(name.as_bytes()));
        Ok(())
    });
    count
}

/// The end user whom a body names: `user`, `safety_identifier` or `metadata.user_id`, whichever comes first. Scans the body anew, so
/// that only those who ask for it pay.
pub fn user(body: &[u8]) -> Option<Cow<'_, str>> {
    let mut found = None;
    let take = |value: &mut Cursor<'_>, found: &mut Option<Range<usize>>| -> Result<(), Malformed> {
        if found.is_none() && value.peek_type()? == Type::String {
            *found = Some(value.skip()?);
        }
        Ok(())
    };
    // A body that is malformed further behind was refused by `peek`.
    let _ = Cursor::new(body).object_spans(|key, _, value| match key {
        b"user" | b"safety_identifier" => take(value, &mut found),
        b"metadata" if value.peek_type()? == Type::Object => {
            value.object_spans(|key, _, value| if key == b"user_id" { take(value, &mut found) } else { Ok(()) })
        }
        _ => Ok(()),
    });
    string(body, found?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Kind;

    fn fault(body: &str) -> String {
        let fault = peek(body.as_bytes()).unwrap_err();
        assert_eq!(fault.kind, Kind::InvalidRequest);
        fault.message.into_owned()
    }

    #[test]
    fn fields_are_found_wherever_they_stand() {
        let body = r#" {"messages":[{"role":"user","content":"\\\"model\": }"}], "mod\u0065l" : "gpt-4.1",
            "stream":true,"max_tokens":5,"max_completion_tokens":9,"n":2,
            "stream_options":{"x":{"include_usage":false},"include_usage":true},"fallbacks":["a/b","c\/d"] } "#;
        let found = peek(body.as_bytes()).unwrap();
        let at = |span: &Option<Range<usize>>| &body[span.clone().unwrap()];
        assert_eq!(at(&found.model), "\"gpt-4.1\"");
        assert_eq!(string(body.as_bytes(), found.model.clone().unwrap()).unwrap(), "gpt-4.1");
        assert_eq!(at(&found.stream), "true");
        assert_eq!(at(&found.include_usage_value), "true");
        assert_eq!(at(&found.fallbacks), r#","fallbacks":["a/b","c\/d"]"#);
        assert_eq!(fallbacks(body.as_bytes(), &found).unwrap(), ["a/b", "c/d"]);
        assert!(found.is_stream && found.include_usage && found.has_members);
        assert_eq!((found.max_tokens, found.n, found.open), (Some(9), Some(2), 2));
    }

    #[test]
    fn the_end_user_is_found_where_each_dialect_names_one() {
        for (body, expected) in [
            (r#"{"messages":[{"user":"no"}],"user":"a\u0062"}"#, Some("ab")),
            (r#"{"safety_identifier":"h","user":null}"#, Some("h")),
            (r#"{"metadata":{"x":{"user_id":"no"},"user_id":"u-1"},"model":"m"}"#, Some("u-1")),
            (r#"{"metadata":null,"user":7}"#, None),
            (r#"{"model":"m"}"#, None),
            (r#"{"user":"#, None),
            ("[]", None),
        ] {
            assert_eq!(user(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn null_is_absent() {
        let found = peek(br#"{"stream":null,"max_tokens":null,"n":null,"stream_options":null}"#).unwrap();
        assert!(!found.is_stream && !found.include_usage);
        assert_eq!((found.max_tokens, found.n), (None, None));
        let body = br#"{"fallbacks":null}"#;
        assert!(fallbacks(body, &peek(body).unwrap()).unwrap().is_empty());
    }

    #[test]
    fn the_end_user_is_found_in_each_of_its_places() {
        for (body, found) in [
            (r#"{"user":"u1"}"#, Some("u1")),
            (r#"{"metadata":{"a":{"user_id":"x"},"user_id":"u2"},"model":"m"}"#, Some("u2")),
            (r#"{"safety_identifier":"s","metadata":{"user_id":"m"}}"#, Some("s")),
            (r#"{"metadata":{"user_id":"m"},"safety_identifier":"s","user":"u"}"#, Some("u")),
            (r#"{"user":7,"metadata":[1],"safety_identifier":null}"#, None),
            (r#"{"user":{"user":"x"}}"#, None),
        ] {
            let peek = peek(body.as_bytes()).unwrap();
            let name = peek.end_user.map(|span| string(body.as_bytes(), span).unwrap().into_owned());
            assert_eq!(name.as_deref(), found, "{body}");
        }
    }

    #[test]
    fn faults_name_the_field_and_the_byte() {
        for (body, message) in [
            ("", "body: expected a json object at byte 0"),
            ("[]", "body: expected a json object at byte 0"),
            (r#"{"model":"a""#, "body: expected a comma or a closing brace at byte 12"),
            (r#"{"model":"a"} {"#, "body: expected nothing more at byte 14"),
            (r#"{"model":7}"#, "body: `model` must be a string at byte 9"),
            (r#"{"model":null}"#, "body: `model` must be a string at byte 9"),
            (r#"{"stream":"yes"}"#, "body: `stream` must be true or false at byte 10"),
            (r#"{"model":"a","mod\u0065l":"b"}"#, "body: field stands twice at byte 13"),
            (r#"{"stream_options":{"include_usage":true,"include_usage":false}}"#, "body: field stands twice at byte 40"),
            (r#"{"fallbacks":"a"}"#, "body: `fallbacks` must be a list of model names at byte 13"),
        ] {
            assert_eq!(fault(body), message);
        }
        assert_eq!(peek(br#"{"max_tokens":"5"}"#).unwrap_err().param.as_deref(), Some("max_tokens"));
        let body = br#"{"fallbacks":["a",1]}"#;
        let fault = fallbacks(body, &peek(body).unwrap()).unwrap_err();
        assert_eq!(fault.message, "body: `fallbacks` must be a list of model names at byte 18");
    }

    #[test]
    fn references_are_texts_or_ids_and_each_is_told() {
        let body =
            r#"{"a":"x","b":{"id":"y","id":"z","c":{"id":"no"}},"mod\u0065l":1,"Model":2,"a":null,"a":["no"],"d":{"a":"no"},"\u0061":"w"}"#;
        let mut found = Vec::new();
        references(body.as_bytes(), &["a", "b"], &mut |id| found.push(id.to_owned()));
        assert_eq!(found, ["x", "y", "z", "w"]);
        assert_eq!((spellings(body.as_bytes(), "model"), spellings(body.as_bytes(), "e")), (2, 0));
        references(b"[", &["a"], &mut |_| panic!("there is nothing"));
    }

    #[test]
    fn no_cut_of_a_body_panics() {
        let body = br#"{"model":"a\u00e9","stream":true,"stream_options":{"include_usage":true},"fallbacks":["x"],"n":1}"#;
        for end in 0..body.len() {
            assert!(peek(&body[..end]).is_err());
        }
    }
}
