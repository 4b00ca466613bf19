//! Parts of the hub → content blocks of a request.

use std::borrow::Cow;
use std::fmt::Display;

use super::ID;
use super::request_decode::cache_control;
use super::request_encode::tool_input;
use super::request_fit::{loss, report_extra};
use crate::ir::{self, Gravity, Loss, Part, PartKind};
use crate::json::build::{Array, Object, string};

/// Whether the hub was filled from this dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dialect) enum Source {
    Own,
    Foreign,
}

/// OpenAI's sealed reasoning begins so (a Fernet token), and so do thoughts that came by the gemini codec; Anthropic refuses both.
pub(in crate::dialect) const FOREIGN_SEALS: [&str; 2] = ["gAAAA", "gemini#"];

pub(in crate::dialect) fn is_tool_result(part: &Part<'_>) -> bool {
    matches!(part.kind, PartKind::ToolResult { .. })
}

/// Writes one plain text as a string, anything else as an array of blocks.
pub(super) fn encode_content(parts: &[&Part<'_>], path: &dyn Display, source: Source, out: &mut Vec<u8>, losses: &mut Vec<Loss>) {
    if let [Part { kind: PartKind::Text(text), cache: None, extra }] = parts
        && extra.of(ID).is_none()
        && (source == Source::Own || !text.is_empty())
    {
        report_extra(extra, format_args!("{path}[0]."), losses);
        return string(out, text);
    }
    let mut array = Array::begin(out);
    for (index, part) in parts.iter().enumerate() {
        encode_part(part, source, &mut array, &mut Report { path, index, losses });
    }
    array.end();
}

/// Where a loss is reported, with the part's place.
struct Report<'r> {
    path: &'r dyn Display,
    index: usize,
    losses: &'r mut Vec<Loss>,
}

impl Report<'_> {
    fn push(&mut self, field: &str, gravity: Gravity) {
        self.losses.push(loss(format!("{}[{}]{field}", self.path, self.index), gravity));
    }
}

fn encode_part(part: &Part<'_>, source: Source, array: &mut Array<'_>, report: &mut Report<'_>) {
    if !is_carried(part, source, report) {
        return;
    }
    if !part.extra.is_empty() {
        report_extra(&part.extra, format_args!("{}[{}].", report.path, report.index), report.losses);
    }
    let mut block = array.object();
    match &part.kind {
        PartKind::Text(text) | PartKind::Refusal(text) => {
            block.str("type", "text");
            block.str("text", text);
        }
        PartKind::Image { source, detail } => {
            block.str("type", "image");
            encode_source(source, block.object("source"));
            if detail.as_deref().is_some_and(|detail| detail != "auto") {
                report.push(".detail", Gravity::Tuning);
            }
        }
        PartKind::Document { source, name } => {
            block.str("type", "document");
            encode_source(source, block.object("source"));
            if let Some(name) = name {
                block.str("title", name);
            }
        }
        PartKind::ToolCall { id, name, arguments } => encode_tool_call(id, name, arguments, source, &mut block, report),
        PartKind::ToolResult { call_id, parts, is_error } => {
            block.str("type", "tool_result");
            block.str("tool_use_id", &tool_id(call_id, source));
            if !parts.is_empty() {
                let parts: Vec<&Part<'_>> = parts.iter().collect();
                let path = &format_args!("{}[{}].content", report.path, report.index);
                encode_content(&parts, path, source, block.key("content"), report.losses);
            }
            if *is_error {
                block.bool("is_error", true);
            }
        }
        PartKind::Thinking { text, signature } => {
            block.str("type", "thinking");
            block.str("thinking", text);
            block.str("signature", signature.as_deref().unwrap_or_default());
        }
        PartKind::RedactedThinking { data } => {
            block.str("type", "redacted_thinking");
            block.str("data", data);
        }
        // Its fields are all in `extra`.
        PartKind::Private | PartKind::Audio { .. } => {}
    }
    for (name, value) in part.extra.of(ID).into_iter().flatten() {
        block.value(name, value);
    }
    if let Some(mark) = part.cache {
        block.value("cache_control", &cache_control(mark));
    }
    block.end();
}

fn encode_tool_call(id: &str, name: &str, arguments: &str, source: Source, block: &mut Object<'_>, report: &mut Report<'_>) {
    block.str("type", "tool_use");
    block.str("id", &tool_id(id, source));
    block.str("name", name);
    match tool_input(arguments) {
        Some(input) => block.raw("input", input.as_bytes()),
        None => {
            // The input must be an object; broken arguments of an earlier turn are shown as they were.
            let mut input = block.object("input");
            input.str("arguments", arguments);
            input.end();
            report.push(".arguments", Gravity::Tuning);
        }
    }
}

/// Reports what this dialect cannot carry.
fn is_carried(part: &Part<'_>, source: Source, report: &mut Report<'_>) -> bool {
    if source == Source::Own {
        return !matches!(part.kind, PartKind::Audio { .. });
    }
    let lost = match &part.kind {
        // Empty text is refused and says nothing.
        PartKind::Text(text) | PartKind::Refusal(text) => return !text.is_empty(),
        PartKind::Thinking { signature: None, .. } => Some(Gravity::Tuning),
        PartKind::Thinking { signature: Some(seal), .. } | PartKind::RedactedThinking { data: seal }
            if FOREIGN_SEALS.iter().any(|foreign| seal.starts_with(foreign)) =>
        {
            Some(Gravity::Tuning)
        }
        PartKind::Image { source: ir::Source::FileId(_) | ir::Source::Text { .. }, .. }
        | PartKind::Document { source: ir::Source::FileId(_), .. }
        | PartKind::Audio { .. } => Some(Gravity::Meaning),
        PartKind::Document { source: ir::Source::Base64 { media_type, .. }, .. } if media_type != "application/pdf" => {
            Some(Gravity::Meaning)
        }
        PartKind::Private if part.extra.of(ID).is_none() => Some(Gravity::Meaning),
        _ => None,
    };
    if let Some(gravity) = lost {
        report.push("", gravity);
    }
    lost.is_none()
}

fn encode_source(source: &ir::Source<'_>, mut object: Object<'_>) {
    match source {
        ir::Source::Url(url) => match data_url(url) {
            Some((media_type, data)) => base64(&mut object, media_type, data),
            None => {
                object.str("type", "url");
                object.str("url", url);
            }
        },
        ir::Source::Base64 { media_type, data } => base64(&mut object, media_type, data),
        ir::Source::FileId(id) => {
            object.str("type", "file");
            object.str("file_id", id);
        }
        ir::Source::Text { media_type, text } => {
            object.str("type", "text");
            object.str("media_type", media_type);
            object.str("data", text);
        }
    }
    object.end();
}

fn base64(object: &mut Object<'_>, media_type: &str, data: &str) {
    object.str("type", "base64");
    object.str("media_type", media_type);
    object.str("data", data);
}

/// The media type and the data of `data:TYPE;base64,DATA` (RFC 2397).
pub(in crate::dialect) fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let media_type = head.strip_suffix(";base64")?;
    Some((media_type.split(';').next().unwrap_or(media_type), data))
}

/// Anthropic takes `[a-zA-Z0-9_-]+`; other characters become `_`, in the call and in its result alike.
pub(in crate::dialect) fn tool_id(id: &str, source: Source) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if source == Source::Own || (!id.is_empty() && id.chars().all(is_plain)) {
        return Cow::Borrowed(id);
    }
    if id.is_empty() {
        return Cow::Borrowed("_");
    }
    Cow::Owned(id.chars().map(|c| if is_plain(c) { c } else { '_' }).collect())
}
