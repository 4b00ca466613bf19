//! Bends a request body to its provider's quirks: fields dropped, renamed, clamped, content flattened.
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
    let has_any = !quirks.drop.is_empty() || !quirks.rename.is_empty() || quirks.temperature_max.is_some() || quirks.flatten_content;
    if !has_any {
        return Ok(None);
    }
    rewrite(quirks, body, losses).map_err(Malformed::in_request)
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
            (b"messages", _) if quirks.flatten_content => is_changed |= flatten(body, value, &mut out, losses)?,
            _ => out.extend_from_slice(value.raw()?),
        }
        Ok(())
    })?;
    cursor.end()?;
    out.push(b'}');
    Ok(is_changed.then_some(out))
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

/// Writes messages whose content is one string each, text parts joined by a line end. A content that holds more than text
/// stays as it is.
fn flatten(body: &[u8], messages: &mut Cursor<'_>, out: &mut Vec<u8>, losses: &mut Vec<Loss>) -> Result<bool, Malformed> {
    let mut written = messages.at();
    let mut index = 0;
    let mut is_changed = false;
    messages.array(|message| {
        message.object(|key, content| {
            if key != b"content" || content.peek_type()? != Type::Array {
                return Ok(());
            }
            let start = content.at();
            match text_of(content)? {
                Some(text) => {
                    out.extend_from_slice(&body[written..start]);
                    out.push(b'"');
                    out.extend_from_slice(&text);
                    out.push(b'"');
                    written = content.at();
                    is_changed = true;
                }
                None => losses.push(Loss { field: format!("messages[{index}].content").into(), gravity: Gravity::Meaning }),
            }
            Ok(())
        })?;
        index += 1;
        Ok(())
    })?;
    out.extend_from_slice(&body[written..messages.at()]);
    Ok(is_changed)
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
}
