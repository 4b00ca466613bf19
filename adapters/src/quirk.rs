//! Bends a request body to its provider's quirks: fields dropped, renamed, forced, clamped, content flattened.
//!
//! Estimate: nothing where the provider has none of these quirks, which is the rule; else one pass and one copy of the body.

use crate::fault::Fault;
use crate::ir::{Gravity, Loss};
use crate::json::patch::write_string;
use crate::json::scan::{Cursor, Malformed, Type};
use crate::provider::Quirks;

/// Top-level fields whose loss changes what the answer means; all others change how it sounds.
const MEANING: &[&str] = &["messages", "tools", "tool_choice", "functions", "function_call", "response_format", "n"];

/// The body that the provider takes, or `None` where `body` goes as it is. What it cannot carry is pushed to `losses`.
///
/// # Errors
/// `Kind::InvalidRequest` where the body is not one JSON object.
pub fn apply(quirks: &Quirks, body: &[u8], losses: &mut Vec<Loss>) -> Result<Option<Vec<u8>>, Fault> {
    let of_fields = !quirks.drop.is_empty() || !quirks.rename.is_empty() || !quirks.force.is_empty() || quirks.temperature_max.is_some();
    if !of_fields && !of_messages(quirks) {
        return Ok(None);
    }
    rewrite(quirks, body, losses).map_err(Malformed::in_request)
}

fn of_messages(quirks: &Quirks) -> bool {
    quirks.flatten_content || quirks.reasoning_field.is_some()
}

fn rewrite(quirks: &Quirks, body: &[u8], losses: &mut Vec<Loss>) -> Result<Option<Vec<u8>>, Malformed> {
    let mut out = Vec::with_capacity(body.len() + 64);
    let mut is_changed = false;
    let present = renamed_already(quirks, body)?;
    let mut cursor = Cursor::new(body);
    if cursor.peek_type() != Ok(Type::Object) {
        return Err(cursor.malformed("expected a json object"));
    }
    out.push(b'{');
    cursor.object_spans(|key, key_at, value| {
        let name = String::from_utf8_lossy(key);
        let rename = quirks.rename.iter().position(|(from, _)| *from == name);
        let is_doubled = rename.is_some_and(|index| present[index]);
        if is_doubled || quirks.drop.iter().any(|dropped| *dropped == name) {
            is_changed = true;
            let gravity = if MEANING.contains(&name.as_ref()) { Gravity::Meaning } else { Gravity::Tuning };
            losses.push(Loss { field: name.into_owned().into(), gravity });
            return Ok(());
        }
        // Told once, behind the others.
        if let Some(forced) = quirks.force.get(name.as_ref()) {
            is_changed |= serde_json::from_slice::<serde_json::Value>(value.raw()?).ok().as_ref() != Some(forced);
            return Ok(());
        }
        if out.len() > 1 {
            out.push(b',');
        }
        let value_at = value.at();
        if let Some(index) = rename {
            is_changed = true;
            write_string(&quirks.rename[index].1, &mut out);
            out.push(b':');
        } else {
            out.extend_from_slice(&body[key_at..value_at]);
        }
        match (key, quirks.temperature_max) {
            (b"temperature", Some(max)) => is_changed |= clamp(max, value, &mut out, losses)?,
            (b"messages", _) if of_messages(quirks) => is_changed |= rewrite_messages(quirks, body, value, &mut out, losses)?,
            _ => out.extend_from_slice(value.raw()?),
        }
        Ok(())
    })?;
    cursor.end()?;
    for (name, value) in &quirks.force {
        is_changed |= !has_member(body, name)?;
        if out.len() > 1 {
            out.push(b',');
        }
        write_string(name, &mut out);
        out.push(b':');
        crate::json::write::value_item(&mut out, value);
    }
    out.push(b'}');
    Ok(is_changed.then_some(out))
}

fn has_member(body: &[u8], name: &str) -> Result<bool, Malformed> {
    let mut has = false;
    Cursor::new(body).object(|key, _| {
        has |= key == name.as_bytes();
        Ok(())
    })?;
    Ok(has)
}

/// For each renaming, whether the body has the new name as well: it wins.
fn renamed_already(quirks: &Quirks, body: &[u8]) -> Result<Vec<bool>, Malformed> {
    let mut present = vec![false; quirks.rename.len()];
    if !present.is_empty() {
        Cursor::new(body).object(|key, _| {
            for (present, (_, to)) in present.iter_mut().zip(&quirks.rename) {
                *present |= to.as_bytes() == key;
            }
            Ok(())
        })?;
    }
    Ok(present)
}

/// Writes a number that is at most `max`; says whether it was more.
fn clamp(max: f64, value: &mut Cursor<'_>, out: &mut Vec<u8>, losses: &mut Vec<Loss>) -> Result<bool, Malformed> {
    let raw = value.raw()?;
    let number = std::str::from_utf8(raw).ok().and_then(|text| text.parse::<f64>().ok());
    let is_over = number.is_some_and(|number| number > max);
    if is_over {
        out.extend_from_slice(max.to_string().as_bytes());
        losses.push(Loss { field: "temperature".into(), gravity: Gravity::Tuning });
    } else {
        out.extend_from_slice(raw);
    }
    Ok(is_over)
}

/// Writes the messages as the provider takes them: their content as one string each, text parts joined by a line end, where it wants
/// that (a content that holds more than text stays as it is), and their thinking under the provider's own name.
fn rewrite_messages(
    quirks: &Quirks,
    body: &[u8],
    messages: &mut Cursor<'_>,
    out: &mut Vec<u8>,
    losses: &mut Vec<Loss>,
) -> Result<bool, Malformed> {
    let mut copy = Copied { body, written: messages.at(), out, is_changed: false };
    let mut index = 0;
    messages.array(|message| {
        rewrite_message(quirks, index, message, &mut copy, losses)?;
        index += 1;
        Ok(())
    })?;
    copy.up_to(messages.at());
    Ok(copy.is_changed)
}

/// What of the body went out, with what was put in its place.
struct Copied<'b, 'o> {
    body: &'b [u8],
    /// Up to here.
    written: usize,
    out: &'o mut Vec<u8>,
    is_changed: bool,
}

impl Copied<'_, '_> {
    fn up_to(&mut self, end: usize) {
        self.out.extend_from_slice(&self.body[self.written..end]);
        self.written = end;
    }

    /// The bytes between the two places are left out; what stands in their place is the caller's to write.
    fn skip(&mut self, start: usize, end: usize) {
        self.up_to(start);
        self.written = end;
        self.is_changed = true;
    }
}

/// The dialect's own name of thinking in a message.
const REASONING: &[u8] = b"reasoning_content";

fn rewrite_message(
    quirks: &Quirks,
    index: usize,
    message: &mut Cursor<'_>,
    copy: &mut Copied<'_, '_>,
    losses: &mut Vec<Loss>,
) -> Result<(), Malformed> {
    // Where the member before ended, and where one began that is left out although none stands before it.
    let (mut last_end, mut cut_from) = (None, None);
    message.object_spans(|key, key_at, value| {
        if let Some(start) = cut_from.take() {
            copy.skip(start, key_at);
        }
        let start = value.at();
        if key == REASONING
            && let Some(name) = &quirks.reasoning_field
        {
            value.raw()?;
            if name.is_empty() {
                losses.push(Loss { field: format!("messages[{index}].reasoning_content").into(), gravity: Gravity::Tuning });
                match last_end {
                    Some(end) => copy.skip(end, value.at()),
                    None => cut_from = Some(key_at),
                }
                return Ok(());
            }
            copy.skip(key_at, start);
            write_string(name, copy.out);
            copy.out.push(b':');
        } else if key == b"content" && quirks.flatten_content && value.peek_type()? == Type::Array {
            match text_of(value)? {
                Some(text) => {
                    copy.skip(start, value.at());
                    copy.out.push(b'"');
                    copy.out.extend_from_slice(&text);
                    copy.out.push(b'"');
                }
                None => losses.push(Loss { field: format!("messages[{index}].content").into(), gravity: Gravity::Meaning }),
            }
        } else {
            value.raw()?;
        }
        last_end = Some(value.at());
        Ok(())
    })?;
    // It was the only member.
    if let Some(start) = cut_from {
        copy.skip(start, message.at() - 1);
    }
    Ok(())
}

/// The text parts of a content, escaped as they stood; `None` where one is no text.
fn text_of(content: &mut Cursor<'_>) -> Result<Option<Vec<u8>>, Malformed> {
    let mut joined = Vec::new();
    let (mut count, mut is_text) = (0, true);
    content.array(|part| {
        let (mut kind, mut text): (&[u8], Option<&[u8]>) = (b"", None);
        part.object(|key, value| {
            match key {
                b"type" => kind = value.raw_string()?.unwrap_or_default(),
                b"text" => text = value.raw_string()?,
                _ => {}
            }
            Ok(())
        })?;
        match text {
            Some(text) if kind == b"text" => {
                if count > 0 {
                    joined.extend_from_slice(b"\\n");
                }
                joined.extend_from_slice(text);
            }
            _ => is_text = false,
        }
        count += 1;
        Ok(())
    })?;
    Ok(is_text.then_some(joined))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(quirks: &Quirks, body: &str) -> (Option<String>, Vec<Loss>) {
        let mut losses = Vec::new();
        let out = apply(quirks, body.as_bytes(), &mut losses).unwrap();
        (out.map(|out| String::from_utf8(out).unwrap()), losses)
    }

    fn loss(field: &'static str, gravity: Gravity) -> Loss {
        Loss { field: field.into(), gravity }
    }

    #[test]
    fn a_provider_without_quirks_takes_the_body_as_it_is() {
        assert_eq!(applied(&Quirks::default(), "not even json"), (None, vec![]));
        let quirks = Quirks { drop: vec!["logprobs".to_owned()], flatten_content: true, temperature_max: Some(1.0), ..Quirks::default() };
        assert_eq!(applied(&quirks, r#"{"model":"m","temperature":1,"messages":[{"content":"x"}]}"#), (None, vec![]));
    }

    #[test]
    fn dropped_fields_are_losses() {
        let quirks = Quirks { drop: vec!["logprobs".to_owned(), "tools".to_owned()], ..Quirks::default() };
        for (body, expected) in [
            (r#"{"logprobs":true,"model":"m"}"#, r#"{"model":"m"}"#),
            (r#"{ "model" : "m", "logprobs":true , "x": [1, 2] }"#, r#"{"model" : "m","x": [1, 2]}"#),
            (r#"{"model":"m","logp\u0072obs":true}"#, r#"{"model":"m"}"#),
            (r#"{"logprobs":true}"#, "{}"),
        ] {
            assert_eq!(applied(&quirks, body), (Some(expected.to_owned()), vec![loss("logprobs", Gravity::Tuning)]), "{body}");
        }
        assert_eq!(applied(&quirks, r#"{"tools":[]}"#).1, [loss("tools", Gravity::Meaning)]);
    }

    #[test]
    fn renamed_fields_yield_to_the_name_that_the_provider_knows() {
        let rename = ("max_completion_tokens".to_owned(), "max_tokens".to_owned());
        let quirks = Quirks { rename: vec![rename], ..Quirks::default() };
        let (out, losses) = applied(&quirks, r#"{"max_completion_tokens": 5,"x":1}"#);
        assert_eq!((out.as_deref(), losses), (Some(r#"{"max_tokens":5,"x":1}"#), vec![]));
        let (out, losses) = applied(&quirks, r#"{"max_completion_tokens":5,"max_tokens":6}"#);
        assert_eq!(out.as_deref(), Some(r#"{"max_tokens":6}"#));
        assert_eq!(losses, [loss("max_completion_tokens", Gravity::Tuning)]);
    }

    #[test]
    fn a_temperature_is_clamped() {
        let quirks = Quirks { temperature_max: Some(1.5), ..Quirks::default() };
        let (out, losses) = applied(&quirks, r#"{"temperature":2,"x":1}"#);
        assert_eq!((out.as_deref(), losses), (Some(r#"{"temperature":1.5,"x":1}"#), vec![loss("temperature", Gravity::Tuning)]));
        assert_eq!(applied(&quirks, r#"{"temperature":null}"#), (None, vec![]));
    }

    #[test]
    fn content_of_text_alone_becomes_a_string() {
        let quirks = Quirks { flatten_content: true, ..Quirks::default() };
        let body = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a\"b"},{"type":"text","text":"c"}],"name":"n"}, {"content":"d"},
            {"content":[{"type":"image_url","image_url":{"url":"x"}}]}],"x":1}"#;
        let (out, losses) = applied(&quirks, body);
        let expected = r#"{"messages":[{"role":"user","content":"a\"b\nc","name":"n"}, {"content":"d"},
            {"content":[{"type":"image_url","image_url":{"url":"x"}}]}],"x":1}"#;
        assert_eq!((out.as_deref(), losses), (Some(expected), vec![loss("messages[2].content", Gravity::Meaning)]));
    }

    #[test]
    fn forced_fields_stand_once_with_their_value() {
        let force = serde_json::json!({"version": "v1", "store": false}).as_object().cloned().unwrap();
        let quirks = Quirks { force, ..Quirks::default() };
        for (body, expected) in [
            ("{}", Some(r#"{"version":"v1","store":false}"#)),
            (r#"{"a":1,"store":true}"#, Some(r#"{"a":1,"version":"v1","store":false}"#)),
            (r#"{"version":"v1","store":false,"a":1}"#, None),
        ] {
            assert_eq!(applied(&quirks, body), (expected.map(str::to_owned), vec![]), "{body}");
        }
    }

    #[test]
    fn thinking_goes_back_under_the_providers_name_or_not_at_all() {
        let named = |name: &str| Quirks { reasoning_field: Some(name.to_owned()), ..Quirks::default() };
        let body = r#"{"messages":[{"role":"user","content":"u"},{"role":"assistant", "reasoning_content" : "r","content":"c"}]}"#;
        let (out, losses) = applied(&named("reasoning"), body);
        let expected = r#"{"messages":[{"role":"user","content":"u"},{"role":"assistant", "reasoning":"r","content":"c"}]}"#;
        assert_eq!((out.as_deref(), losses), (Some(expected), vec![]));
        let lost = vec![loss("messages[0].reasoning_content", Gravity::Tuning)];
        for (message, expected) in [
            (r#"{"role":"assistant","reasoning_content":"r","content":"c"}"#, r#"{"role":"assistant","content":"c"}"#),
            (r#"{ "reasoning_content":"r", "content":"c"}"#, r#"{ "content":"c"}"#),
            (r#"{"content":"c", "reasoning_content":{"a":[1]} }"#, r#"{"content":"c" }"#),
            (r#"{"reasoning_content":null}"#, "{}"),
        ] {
            let (out, losses) = applied(&named(""), &format!(r#"{{"messages":[{message}]}}"#));
            assert_eq!((out, &losses), (Some(format!(r#"{{"messages":[{expected}]}}"#)), &lost), "{message}");
        }
        assert_eq!(applied(&named(""), r#"{"messages":[{"content":"c"}]}"#), (None, vec![]));
    }
}
