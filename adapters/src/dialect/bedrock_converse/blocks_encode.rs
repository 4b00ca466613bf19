//! Parts of the hub → content blocks of a request.

use std::fmt::Display;

use super::ID;
use super::fields::{cache_point, document_format, image_format};
use crate::dialect::anthropic::blocks_encode::{FOREIGN_SEALS, Source, data_url, tool_id};
use crate::dialect::anthropic::request_encode::tool_input;
use crate::dialect::anthropic::request_fit::loss;
use crate::ir::{self, Gravity, Loss, Part, PartKind};
use crate::json::build::{Array, Object};

/// What a document is called where its source gives no name; one is demanded.
const DOCUMENT_NAME: &str = "document";

/// Longest name of a document, bytes.
// docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html, read 2026-11-20
const NAME_BYTES_MAX: usize = 200;

/// Longest id of a call, bytes; of a longer one its end is kept, in the call and in its result alike.
// docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolUseBlock.html, read 2026-11-20
const TOOL_ID_BYTES_MAX: usize = 64;

/// How parts are written.
#[derive(Clone, Copy)]
pub(super) struct Style {
    pub(super) source: Source,
    /// The model takes `cachePoint`s.
    pub(super) takes_marks: bool,
}

/// Writes the blocks of `parts` into `array`; `path` is where they stand in the client's words.
pub(super) fn encode_parts(parts: &[&Part<'_>], path: &dyn Display, style: Style, array: &mut Array<'_>, losses: &mut Vec<Loss>) {
    for (index, part) in parts.iter().enumerate() {
        let mut report = Report { path, index, losses };
        if !is_carried(part, style.source, &mut report) {
            continue;
        }
        encode_part(part, style, array, &mut report);
        match part.cache {
            Some(mark) if style.takes_marks || style.source == Source::Own => array.element().extend_from_slice(cache_point(mark)),
            Some(_) => report.push(".cache_control", Gravity::Tuning),
            None => {}
        }
    }
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

/// Reports what this dialect cannot carry.
fn is_carried(part: &Part<'_>, source: Source, report: &mut Report<'_>) -> bool {
    let lost = match &part.kind {
        PartKind::Private => part.extra.of(ID).is_none().then_some(Gravity::Meaning),
        // Blank text is refused, and says nothing.
        PartKind::Text(text) | PartKind::Refusal(text) if source == Source::Foreign => return !text.trim().is_empty(),
        PartKind::Thinking { signature: None, .. } if source == Source::Foreign => Some(Gravity::Tuning),
        PartKind::Thinking { signature: Some(seal), .. } | PartKind::RedactedThinking { data: seal }
            if FOREIGN_SEALS.iter().any(|foreign| seal.starts_with(foreign)) =>
        {
            Some(Gravity::Tuning)
        }
        PartKind::Image { source, .. } => image(source).is_none().then_some(Gravity::Meaning),
        PartKind::Document { source, .. } => document(source).is_none().then_some(Gravity::Meaning),
        PartKind::Audio { .. } => Some(Gravity::Meaning),
        _ => None,
    };
    if let Some(gravity) = lost {
        report.push("", gravity);
    }
    lost.is_none()
}

fn encode_part(part: &Part<'_>, style: Style, array: &mut Array<'_>, report: &mut Report<'_>) {
    let own = part.extra.of(ID);
    let mut block = array.object();
    match &part.kind {
        PartKind::Text(text) | PartKind::Refusal(text) => match own.and_then(|fields| fields.iter().next()) {
            // A JSON value or cited text, as it came.
            Some((name, value)) => block.value(name, value),
            None => block.str("text", text),
        },
        PartKind::Image { source, detail } => {
            if let Some((format, data)) = image(source) {
                let mut image = block.object("image");
                image.str("format", format);
                let mut source = image.object("source");
                source.str("bytes", data);
                source.end();
                add(part, &mut image);
                image.end();
            }
            if detail.as_deref().is_some_and(|detail| detail != "auto") {
                report.push(".detail", Gravity::Tuning);
            }
        }
        PartKind::Document { source, name } => {
            if let Some((format, field, data)) = document(source) {
                let mut document = block.object("document");
                document.str("format", format);
                match (name, style.source) {
                    (Some(name), Source::Own) => document.str("name", name),
                    (None, Source::Own) => {}
                    (name, Source::Foreign) => document.str("name", &plain_name(name.as_deref().unwrap_or_default())),
                }
                let mut source = document.object("source");
                source.str(field, data);
                source.end();
                add(part, &mut document);
                document.end();
            }
        }
        PartKind::ToolCall { id, name, arguments } => {
            let mut call = block.object("toolUse");
            call.str("toolUseId", &call_id(id, style.source));
            call.str("name", name);
            encode_input(arguments, &mut call, report);
            add(part, &mut call);
            call.end();
        }
        PartKind::ToolResult { call_id: id, parts, is_error } => {
            let mut result = block.object("toolResult");
            result.str("toolUseId", &call_id(id, style.source));
            let parts: Vec<&Part<'_>> = parts.iter().collect();
            let mut content = result.array("content");
            let path = format_args!("{}[{}].content", report.path, report.index);
            encode_parts(&parts, &path, style, &mut content, report.losses);
            content.end();
            if *is_error {
                result.str("status", "error");
            }
            add(part, &mut result);
            result.end();
        }
        PartKind::Thinking { text, signature } => {
            let mut content = block.object("reasoningContent");
            let mut reasoning = content.object("reasoningText");
            reasoning.str("text", text);
            if let Some(signature) = signature {
                reasoning.str("signature", signature);
            }
            reasoning.end();
            content.end();
        }
        PartKind::RedactedThinking { data } => {
            let mut content = block.object("reasoningContent");
            content.str("redactedContent", data);
            content.end();
        }
        PartKind::Private => own.into_iter().flatten().for_each(|(name, value)| block.value(name, value)),
        PartKind::Audio { .. } => {}
    }
    block.end();
}

fn add(part: &Part<'_>, object: &mut Object<'_>) {
    part.extra.of(ID).into_iter().flatten().for_each(|(name, value)| object.value(name, value));
}

fn encode_input(arguments: &str, call: &mut Object<'_>, report: &mut Report<'_>) {
    match tool_input(arguments) {
        Some(input) => call.raw("input", input.as_bytes()),
        None => {
            // The input must be an object; broken arguments of an earlier turn are shown as they were.
            let mut input = call.object("input");
            input.str("arguments", arguments);
            input.end();
            report.push(".arguments", Gravity::Tuning);
        }
    }
}

/// The format and the data of an image that is there in bytes.
fn image<'s>(source: &'s ir::Source<'_>) -> Option<(&'static str, &'s str)> {
    let (media_type, data) = bytes(source)?;
    Some((image_format(media_type)?, data))
}

/// The format of a document, the field for its source, and that source.
fn document<'s>(source: &'s ir::Source<'_>) -> Option<(&'static str, &'static str, &'s str)> {
    if let ir::Source::Text { media_type, text } = source {
        return Some((document_format(media_type).unwrap_or("txt"), "text", text));
    }
    let (media_type, data) = bytes(source)?;
    Some((document_format(media_type)?, "bytes", data))
}

fn bytes<'s>(source: &'s ir::Source<'_>) -> Option<(&'s str, &'s str)> {
    match source {
        ir::Source::Base64 { media_type, data } => Some((media_type, data)),
        ir::Source::Url(url) => data_url(url),
        ir::Source::FileId(_) | ir::Source::Text { .. } => None,
    }
}

fn call_id(id: &str, source: Source) -> String {
    let id = tool_id(id, source);
    let start = if source == Source::Own { 0 } else { id.ceil_char_boundary(id.len().saturating_sub(TOOL_ID_BYTES_MAX)) };
    id[start..].to_owned()
}

/// Letters, digits, single spaces, hyphens, parentheses and brackets are taken; others become hyphens.
// docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html, read 2026-11-20
fn plain_name(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '(' | ')' | '[' | ']');
    let words: Vec<String> =
        name.split_whitespace().map(|word| word.chars().map(|c| if is_plain(c) { c } else { '-' }).collect()).collect();
    let mut plain = words.join(" ");
    plain.truncate(NAME_BYTES_MAX);
    if plain.is_empty() { DOCUMENT_NAME.to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_documents_become_such_as_are_taken() {
        for (name, plain) in [("a.pdf", "a-pdf"), ("", "document"), (" x  y\t(1) ", "x y (1)"), ("é", "-")] {
            assert_eq!(plain_name(name), plain);
        }
        assert_eq!(plain_name(&"x".repeat(500)).len(), NAME_BYTES_MAX);
    }

    #[test]
    fn ids_of_calls_fit_and_still_differ() {
        let long = format!("{}1", "é".repeat(70));
        assert_eq!(call_id(&long, Source::Foreign).len(), TOOL_ID_BYTES_MAX);
        assert!(call_id(&long, Source::Foreign).ends_with('1'));
        assert_eq!(call_id("call:1", Source::Foreign), "call_1");
        assert_eq!(call_id("call:1", Source::Own), "call:1");
    }
}
