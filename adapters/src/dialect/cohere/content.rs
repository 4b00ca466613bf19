//! Parts of a turn, both ways.

use std::borrow::Cow;

use serde_json::Value;

use super::{BESIDE, DOCUMENT, ME};
use crate::dialect::openai::{extra, field};
use crate::fault::Fault;
use crate::ir::{Gravity, Loss, Part, PartKind, Source};
use crate::json::build::Array;
use crate::json::node::{Node, Object};

/// A string is one text part.
pub(super) fn decode_content(content: Node<'_>, index: usize) -> Result<Vec<Part<'_>>, Fault> {
    let list = match content {
        Node::Text(text) => return Ok(vec![Part::text(text)]),
        Node::List(list) => list,
        _ => return Err(field::invalid(format!("messages[{index}].content"), "write a string or an array of parts")),
    };
    let wrong = |part: usize| field::invalid(format!("messages[{index}].content[{part}]"), "write an object with a type");
    list.into_iter()
        .enumerate()
        .map(|(at, node)| match node {
            Node::Object(part) => Ok(decode_part(part)),
            Node::Text(text) => Ok(Part::text(text)),
            _ => Err(wrong(at)),
        })
        .collect()
}

fn decode_part(mut object: Object<'_>) -> Part<'_> {
    if object.look_text("type") == Some("document")
        && let Some(node) = object.take("document")
    {
        return document(node, DOCUMENT);
    }
    match known_part(&mut object) {
        Some(kind) => {
            object.take("type");
            Part { kind, cache: None, extra: extra::rest(ME, object) }
        }
        None => Part { kind: PartKind::Private, cache: None, extra: extra::rest(ME, object) },
    }
}

/// The part's meaning, where the hub has a word for all of it.
fn known_part<'a>(object: &mut Object<'a>) -> Option<PartKind<'a>> {
    match object.look_text("type")? {
        "text" => object.take_text("text").map(PartKind::Text),
        "thinking" => object.take_text("thinking").map(|text| PartKind::Thinking { text, signature: object.take_text("signature") }),
        "image_url" => match object.take("image_url")? {
            Node::Text(url) => Some(PartKind::Image { source: field::source(url), detail: None }),
            Node::Object(mut image) => {
                let url = image.take_text("url")?;
                Some(PartKind::Image { source: field::source(url), detail: image.take_text("detail") })
            }
            _ => None,
        },
        _ => None,
    }
}

/// A document as text that every dialect can carry; the document itself returns to its own dialect, in the place that `kept` names.
pub(super) fn document<'a>(node: Node<'a>, kept: &str) -> Part<'a> {
    let document = node.into_value();
    let name = document.get("id").and_then(Value::as_str).map(|id| Cow::Owned(id.to_owned()));
    let data = document.get("data").unwrap_or(&document);
    let text = match data {
        Value::String(text) => text.clone(),
        Value::Object(fields) if fields.len() == 1 && fields.contains_key("text") => fields["text"].as_str().unwrap_or_default().to_owned(),
        data => data.to_string(),
    };
    let source = Source::Text { media_type: "text/plain".into(), text: text.into() };
    Part { kind: PartKind::Document { source, name }, cache: None, extra: extra::one(ME, kept, document) }
}

/// Stood in the list beside the messages.
pub(super) fn is_beside(part: &Part<'_>) -> bool {
    part.extra.of(ME).is_some_and(|fields| fields.contains_key(BESIDE))
}

/// Writes a text, an image or a document as an element of `content`. Reports what cannot be carried at `path`.
pub(super) fn encode_part(part: &Part<'_>, path: impl Fn() -> String, content: &mut Array<'_>, losses: &mut Vec<Loss>) {
    let own = part.extra.of(ME);
    if let Some(document) = own.and_then(|fields| fields.get(DOCUMENT)) {
        let mut object = content.object();
        object.str("type", "document");
        object.value("document", document);
        return object.end();
    }
    let mut lost = |gravity| losses.push(Loss { field: path().into(), gravity });
    let mut object = match &part.kind {
        PartKind::Text(_) | PartKind::Refusal(_) | PartKind::Image { source: Source::Url(_) | Source::Base64 { .. }, .. } => {
            content.object()
        }
        PartKind::Thinking { .. } | PartKind::Document { source: Source::Text { .. }, .. } => content.object(),
        PartKind::Private if own.is_some() => content.object(),
        PartKind::RedactedThinking { .. } => return lost(Gravity::Tuning),
        PartKind::Private => return lost(super::encode::private_gravity(part)),
        _ => return lost(Gravity::Meaning),
    };
    match &part.kind {
        PartKind::Text(text) | PartKind::Refusal(text) | PartKind::Document { source: Source::Text { text, .. }, .. } => {
            object.str("type", "text");
            object.str("text", text);
        }
        PartKind::Thinking { text, .. } => {
            object.str("type", "thinking");
            object.str("thinking", text);
        }
        PartKind::Image { source, detail } => {
            object.str("type", "image_url");
            let mut image = object.object("image_url");
            match source {
                Source::Base64 { media_type, data } => image.str("url", &format!("data:{media_type};base64,{data}")),
                Source::Url(url) => image.str("url", url),
                Source::FileId(_) | Source::Text { .. } => {}
            }
            if let Some(detail) = detail {
                image.str("detail", detail);
            }
            image.end();
        }
        _ => {}
    }
    own.into_iter().flatten().for_each(|(name, value)| object.value(name, value));
    object.end();
}

/// What the text of `parts` comes to, where they are nothing but text without private members.
pub(super) fn plain_text<'p>(parts: &[&'p Part<'_>]) -> Option<&'p str> {
    match parts {
        [Part { kind: PartKind::Text(text), extra, .. }] if extra.of(ME).is_none() => Some(text),
        _ => None,
    }
}
