//! Parts of the hub → the parts of a content.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Display;

use serde_json::Value;
use serde_json::value::RawValue;

use super::parts_decode::{FILE_DATA, FUNCTION_RESPONSE, LONE, MADE_ID, THOUGHT_SIGNATURE, is_text, marked};
use super::request_encode::{Source, loss, report_extra};
use super::thinking::{Style, style};
use super::{ID, base64, media, signature};
use crate::ir::{self, Chat, Gravity, Loss, Part, PartKind};
use crate::json::build::{Array, Object};

/// What the turns of one request have in common.
pub(super) struct Turns<'c> {
    pub(super) source: Source,
    style: Style,
    /// Names of functions by the ids of their calls: a result names its function here.
    names: HashMap<&'c str, &'c str>,
    /// The signature for the next call, from the thinking before it.
    signature: Option<&'c str>,
    /// A call of this turn has its signature: only the first needs one.
    is_signed: bool,
}

/// Where parts stand, for what is lost of them.
pub(super) struct Place<'p, 'l> {
    pub(super) path: &'p dyn Display,
    pub(super) losses: &'l mut Vec<Loss>,
}

impl Place<'_, '_> {
    fn lose(&mut self, index: usize, field: &str, gravity: Gravity) {
        self.losses.push(loss(format!("{}[{index}]{field}", self.path), gravity));
    }
}

impl<'c> Turns<'c> {
    pub(super) fn new(chat: &'c Chat<'c>, source: Source, model: &str) -> Turns<'c> {
        let mut names = HashMap::new();
        if source == Source::Foreign {
            for part in chat.messages.iter().flat_map(|message| &message.parts) {
                if let PartKind::ToolCall { id, name, .. } = &part.kind {
                    names.insert(id.as_ref(), name.as_ref());
                }
            }
        }
        Turns { source, style: style(model), names, signature: None, is_signed: false }
    }

    pub(super) fn encode(&mut self, parts: &[&'c Part<'c>], place: &mut Place<'_, '_>, array: &mut Array<'_>) {
        (self.signature, self.is_signed) = (None, false);
        for (index, part) in parts.iter().enumerate() {
            if self.is_carried(part, index, place) {
                self.encode_part(part, index, place, array);
            }
        }
    }

    /// Reports what this dialect cannot carry.
    fn is_carried(&mut self, part: &'c Part<'c>, index: usize, place: &mut Place<'_, '_>) -> bool {
        if self.source == Source::Own {
            return true;
        }
        let lost = match &part.kind {
            // Empty text is refused and says nothing.
            PartKind::Text(text) | PartKind::Refusal(text) => return !text.is_empty(),
            PartKind::Thinking { signature: Some(sealed), .. } | PartKind::RedactedThinking { data: sealed } => {
                self.signature = signature::unseal(sealed);
                // Its text need not come back: the signature holds all of it.
                if self.signature.is_some() {
                    return false;
                }
                Some(Gravity::Tuning)
            }
            PartKind::Thinking { signature: None, .. } => Some(Gravity::Tuning),
            PartKind::Image { source, .. } | PartKind::Document { source, .. } | PartKind::Audio { source, .. } => match source {
                ir::Source::FileId(id) if !media::is_uploaded(id) => Some(Gravity::Meaning),
                _ => None,
            },
            PartKind::Private if part.extra.of(ID).is_none() => Some(Gravity::Meaning),
            _ => None,
        };
        if let Some(gravity) = lost {
            place.lose(index, "", gravity);
        }
        lost.is_none()
    }

    fn encode_part(&mut self, part: &'c Part<'c>, index: usize, place: &mut Place<'_, '_>, array: &mut Array<'_>) {
        report_extra(&part.extra, format_args!("{}[{index}].", place.path), place.losses);
        // Pictures in a result stand beside it where the model takes none in it.
        let mut beside = Vec::new();
        let mut object = array.object();
        match &part.kind {
            PartKind::Text(text) | PartKind::Refusal(text) => object.str("text", text),
            PartKind::Image { source, detail } => {
                encode_source(source, part, "image/jpeg", &mut object);
                if detail.as_deref().is_some_and(|detail| detail != "auto") {
                    place.lose(index, ".detail", Gravity::Tuning);
                }
            }
            PartKind::Document { source, name } => {
                let standard = if is_text(source) { "text/plain" } else { "application/pdf" };
                encode_source(source, part, standard, &mut object);
                if name.is_some() && self.source == Source::Foreign {
                    place.lose(index, ".name", Gravity::Tuning);
                }
            }
            PartKind::Audio { source, format } => encode_source(source, part, &media::type_of_format(format), &mut object),
            PartKind::ToolCall { id, name, arguments } => self.encode_call(id, name, arguments, index, place, &mut object),
            PartKind::ToolResult { call_id, parts, is_error } => {
                beside = self.encode_result(part, call_id, parts, *is_error, &mut object);
            }
            PartKind::Thinking { text, signature } => {
                object.str("text", text);
                object.bool("thought", true);
                if let Some(signature) = signature {
                    object.str(THOUGHT_SIGNATURE, &signature::of_foreign(signature));
                }
            }
            // Its fields are all in `extra`.
            PartKind::Private => {}
            PartKind::RedactedThinking { data } => {
                object.str("text", "");
                object.bool("thought", true);
                object.str(THOUGHT_SIGNATURE, &signature::of_redacted(data));
            }
        }
        for (name, value) in part.extra.of(ID).into_iter().flatten() {
            if !matches!(name.as_str(), FUNCTION_RESPONSE | FILE_DATA) || matches!(part.kind, PartKind::Private) {
                object.value(name, value);
            }
        }
        object.end();
        for part in beside {
            self.encode_part(part, index, place, array);
        }
    }

    fn encode_call(&mut self, id: &str, name: &str, arguments: &str, index: usize, place: &mut Place<'_, '_>, object: &mut Object<'_>) {
        let mut call = object.object("functionCall");
        if !id.starts_with(MADE_ID) && !id.is_empty() {
            call.str("id", id);
        }
        call.str("name", name);
        match call_arguments(arguments) {
            Some(input) => call.raw("args", input.as_bytes()),
            None => {
                // Broken arguments of an earlier turn are shown as they were.
                let mut args = call.object("args");
                args.str("arguments", arguments);
                args.end();
                place.lose(index, ".arguments", Gravity::Tuning);
            }
        }
        call.end();
        if self.source == Source::Own {
            return;
        }
        match self.signature.take() {
            Some(signature) => object.str(THOUGHT_SIGNATURE, signature),
            None if self.style == Style::Level && !self.is_signed => object.str(THOUGHT_SIGNATURE, signature::SKIP),
            None => {}
        }
        self.is_signed = true;
    }

    /// Gives what has to stand beside the result.
    fn encode_result(
        &self,
        part: &Part<'_>,
        call_id: &str,
        parts: &'c [Part<'c>],
        is_error: bool,
        object: &mut Object<'_>,
    ) -> Vec<&'c Part<'c>> {
        let mark = marked(&part.extra, FUNCTION_RESPONSE).and_then(Value::as_object);
        let mut result = object.object("functionResponse");
        if !call_id.starts_with(MADE_ID) && !call_id.is_empty() {
            result.str("id", call_id);
        }
        match mark {
            Some(fields) => fields.iter().for_each(|(name, value)| result.value(name, value)),
            None => {
                result.str("name", self.names.get(call_id).copied().unwrap_or(call_id));
                encode_response(parts, is_error, &mut result);
            }
        }
        let rest = parts.iter().filter(|part| !matches!(part.kind, PartKind::Text(_) | PartKind::Refusal(_)));
        let (inside, beside) = if self.source == Source::Own || self.style == Style::Level {
            (rest.collect::<Vec<_>>(), Vec::new())
        } else {
            (Vec::new(), rest.collect())
        };
        if !inside.is_empty() {
            let mut array = result.array("parts");
            for part in inside {
                let mut object = array.object();
                match &part.kind {
                    PartKind::Image { source, .. } => encode_source(source, part, "image/jpeg", &mut object),
                    PartKind::Document { source, .. } => encode_source(source, part, "application/pdf", &mut object),
                    PartKind::Audio { source, format } => encode_source(source, part, &media::type_of_format(format), &mut object),
                    _ => part.extra.of(ID).into_iter().flatten().for_each(|(name, value)| object.value(name, value)),
                }
                object.end();
            }
            array.end();
        }
        result.end();
        beside
    }
}

/// The result must be an object: one that is one goes as it stands, any text under the name that says what it is.
fn encode_response(parts: &[Part<'_>], is_error: bool, result: &mut Object<'_>) {
    let texts: Vec<&str> = parts
        .iter()
        .filter_map(|part| match &part.kind {
            PartKind::Text(text) | PartKind::Refusal(text) => Some(text.as_ref()),
            _ => None,
        })
        .collect();
    let text: Cow<'_, str> = if let [text] = texts.as_slice() { Cow::Borrowed(*text) } else { texts.concat().into() };
    if !is_error && let Some(object) = plain_object(&text) {
        return result.raw("response", object.as_bytes());
    }
    let mut response = result.object("response");
    response.str(if is_error { "error" } else { "output" }, &text);
    response.end();
}

/// `text` where it is an object that reads back as it is: one whose only member is called `output` would be taken for its text.
fn plain_object(text: &str) -> Option<&str> {
    let trimmed = text.trim();
    if !trimmed.starts_with('{') {
        return None;
    }
    let fields: HashMap<String, &RawValue> = serde_json::from_str(trimmed).ok()?;
    let is_lone = fields.len() == 1 && fields.keys().all(|name| name == "error" || LONE.contains(&name.as_str()));
    (!is_lone && !fields.is_empty()).then_some(trimmed)
}

/// `arguments` as an object: as it stands where it is one, `{}` where it is empty.
pub(super) fn call_arguments(arguments: &str) -> Option<&str> {
    let trimmed = arguments.trim();
    if trimmed.is_empty() {
        return Some("{}");
    }
    (trimmed.starts_with('{') && serde_json::from_str::<&RawValue>(trimmed).is_ok()).then_some(trimmed)
}

/// `standard` is the media type where nothing tells it: the API demands one.
fn encode_source(source: &ir::Source<'_>, part: &Part<'_>, standard: &str, object: &mut Object<'_>) {
    if let Some(own) = marked(&part.extra, FILE_DATA) {
        return object.value(FILE_DATA, own);
    }
    match source {
        ir::Source::Url(url) => match media::data_url(url) {
            Some((media_type, data)) => encode_inline(media_type, data, object),
            None => encode_file(url, standard, object),
        },
        ir::Source::FileId(uri) => encode_file(uri, standard, object),
        ir::Source::Base64 { media_type, data } => encode_inline(media_type, data, object),
        ir::Source::Text { media_type, text } => encode_inline(media_type, &base64::encode(text.as_bytes()), object),
    }
}

fn encode_inline(media_type: &str, data: &str, object: &mut Object<'_>) {
    let mut inline = object.object("inlineData");
    inline.str("mimeType", media_type);
    inline.str("data", data);
    inline.end();
}

fn encode_file(uri: &str, standard: &str, object: &mut Object<'_>) {
    let mut file = object.object(FILE_DATA);
    file.str("mimeType", media::type_of(uri).unwrap_or(standard));
    file.str("fileUri", uri);
    file.end();
}
