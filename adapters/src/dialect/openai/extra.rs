//! Private fields on their way out of a codec and back in, and what they cost towards another dialect.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::dialect::DialectId;
use crate::ir::{Chat, Extra, Gravity, Loss, Message, Part, PartKind, Source};
use crate::json::node::{Node, Object};

/// Top-level fields that only tune how an answer is made, billed, kept or shown; to lose one is a warning. Any other
/// private field changes what the answer means.
pub(in crate::dialect) const TUNING: &[&str] = &[
    "additionalModelRequestFields.anthropic_beta",
    "additionalModelRequestFields.inferenceConfig",
    "additionalModelRequestFields.output_config",
    "additionalModelRequestFields.reasoningConfig",
    "additionalModelRequestFields.reasoning_config",
    "additionalModelRequestFields.reasoning_effort",
    "additionalModelRequestFields.thinking",
    "additionalModelResponseFieldPaths",
    "background",
    "best_of",
    "betas",
    "cache_control",
    "chat_template_kwargs",
    "citation_options",
    "clear_thinking",
    "container",
    "context_management",
    "enable_thinking",
    "generate",
    "generationConfig.audioTimestamp",
    "generationConfig.enableAffectiveDialog",
    "generationConfig.enableEnhancedCivicAnswers",
    "generationConfig.logprobs",
    "generationConfig.mediaResolution",
    "inferenceConfig",
    "include",
    "include_reasoning",
    "inference_geo",
    "keep_alive",
    "labels",
    "listed",
    "logit_bias",
    "max_tool_calls",
    "mcp_servers",
    "metadata",
    "min_p",
    "models",
    "moderation",
    "options",
    "output_config",
    "performanceConfig",
    "prediction",
    "priority",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "provider",
    "reasoning",
    "reasoning_effort",
    "reasoning_format",
    "repetition_penalty",
    "return_images",
    "return_related_questions",
    "route",
    "safe_prompt",
    "requestMetadata",
    "safetySettings",
    "safety_identifier",
    "safety_mode",
    "search_context_size",
    "search_settings",
    "store",
    "stream_options",
    "strict_tools",
    "text",
    "think",
    "thinking",
    "toolConfig",
    "top_a",
    "top_logprobs",
    "transforms",
    "truncation",
    "usage",
    "v1",
    "venice_parameters",
    "verbosity",
];

/// Where the path names the model, a body of Anthropic's dialect names the dialect's version: no wish of the client.
const VERSION: &str = "anthropic_version";

/// Fields with the same name and meaning in both OpenAI dialects.
const COMMON: &[&str] = &["metadata", "store", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "moderation"];

/// Marks by which the OpenAI codecs remember how a part or item was written: to drop one loses nothing.
/// Those of the other codecs stand here as well; a thought's signature is valid at its own provider alone.
pub(in crate::dialect) const MARKS: &[&str] = &[
    "custom",
    "document",
    "documents",
    "fileData",
    "functionResponse",
    "function_call",
    "item",
    "joined",
    "json",
    "made_id",
    "members",
    "message_name",
    "parameters",
    "responseSchema",
    "role",
    "thinkingConfig",
    "thoughtSignature",
    "tool",
    "tool_plan",
    "unnamed",
];

/// Private members of one stream or choice that are remembered, so that they are told once.
const KNOWN_MAX: usize = 64;

/// What is left of an object, as `dialect`'s own.
pub(in crate::dialect) fn rest(dialect: DialectId, object: Object<'_>) -> Extra {
    if object.is_empty() { Extra::default() } else { Extra { dialect: Some(dialect), fields: object.into_map() } }
}

/// One private field.
pub(in crate::dialect) fn one(dialect: DialectId, name: &str, value: Value) -> Extra {
    let mut fields = Map::new();
    fields.insert(name.to_owned(), value);
    Extra { dialect: Some(dialect), fields }
}

/// Adds one private field.
pub(in crate::dialect) fn put(extra: &mut Extra, dialect: DialectId, name: &str, value: Value) {
    extra.dialect = Some(dialect);
    extra.fields.insert(name.to_owned(), value);
}

/// What is left of an object beside the members that `known` has with the same value.
pub(in crate::dialect) fn news(object: Object<'_>, known: &Extra) -> Map<String, Value> {
    let mut fields = Map::new();
    for (key, node) in object.rest() {
        let same = known.fields.get(key.as_ref()).is_some_and(|value| node.is(value));
        if !same {
            fields.insert(key.clone().into_owned(), Node::into_value(node.clone()));
        }
    }
    fields
}

/// Remembers members, up to a bound that only a server gone wild reaches.
pub(in crate::dialect) fn remember(known: &mut Extra, dialect: DialectId, fields: &Map<String, Value>) {
    for (name, value) in fields {
        if known.fields.len() < KNOWN_MAX || known.fields.contains_key(name) {
            put(known, dialect, name, value.clone());
        }
    }
}

/// Fields of the sister dialect that this one takes over as they are.
pub(in crate::dialect) fn common<'c>(chat: &'c Chat<'_>, sister: DialectId) -> impl Iterator<Item = (&'static str, &'c Value)> {
    let fields = chat.extra.of(sister);
    COMMON.iter().filter_map(move |name| fields.and_then(|fields| fields.get(*name)).map(|value| (*name, value)))
}

/// Reports every private field that `target` cannot carry; `carried` are top-level names that it takes all the same.
pub(in crate::dialect) fn losses(chat: &Chat<'_>, target: DialectId, carried: &[&str], losses: &mut Vec<Loss>) {
    if chat.extra.dialect != Some(target) {
        let sister = sister_of(target);
        for (name, value) in &chat.extra.fields {
            let common = sister.is_some() && chat.extra.dialect == sister && COMMON.contains(&name.as_str());
            let known = name == VERSION || carried.contains(&name.as_str()) || MARKS.contains(&name.as_str());
            if value.is_null() || common || known {
                continue;
            }
            let gravity = if TUNING.contains(&name.as_str()) { Gravity::Tuning } else { Gravity::Meaning };
            losses.push(Loss { field: Cow::Owned(name.clone()), gravity });
        }
    }
    for (index, message) in chat.messages.iter().enumerate() {
        message_losses(index, message, target, losses);
    }
    file_losses(chat, target, losses);
    for (index, tool) in chat.tools.iter().enumerate().filter(|(_, tool)| tool.parameters.is_some()) {
        field_losses(&tool.extra, target, || format!("tools[{index}]"), losses);
    }
}

/// Private fields of a turn, a part or a tool.
fn field_losses(extra: &Extra, target: DialectId, path: impl Fn() -> String, losses: &mut Vec<Loss>) {
    if extra.dialect == Some(target) {
        return;
    }
    for (name, value) in &extra.fields {
        let says_nothing = value.is_null() || value.as_array().is_some_and(Vec::is_empty) || MARKS.contains(&name.as_str());
        // Ids and states of items are the provider's bookkeeping.
        if !says_nothing && !matches!(name.as_str(), "id" | "status" | "type" | "cache_control") {
            losses.push(Loss { field: Cow::Owned(format!("{}.{name}", path())), gravity: Gravity::Tuning });
        }
    }
}

fn sister_of(dialect: DialectId) -> Option<DialectId> {
    match dialect {
        DialectId::OpenaiChat => Some(DialectId::OpenaiResponses),
        DialectId::OpenaiResponses => Some(DialectId::OpenaiChat),
        _ => None,
    }
}

fn message_losses(index: usize, message: &Message<'_>, target: DialectId, losses: &mut Vec<Loss>) {
    field_losses(&message.extra, target, || format!("messages[{index}]"), losses);
    for (part_index, part) in message.parts.iter().enumerate() {
        match part.kind {
            PartKind::Private if part.extra.dialect != Some(target) => {
                losses.push(Loss { field: Cow::Owned(format!("messages[{index}].content[{part_index}]")), gravity: private_gravity(part) });
            }
            // A codec that drops thinking says so itself.
            PartKind::Private | PartKind::Thinking { .. } | PartKind::RedactedThinking { .. } => {}
            _ => field_losses(&part.extra, target, || format!("messages[{index}].content[{part_index}]"), losses),
        }
    }
}

/// A file's id means something at its own provider alone; the sister dialect is the same one's.
fn file_losses(chat: &Chat<'_>, target: DialectId, losses: &mut Vec<Loss>) {
    let is_own = chat.extra.dialect.is_none_or(|source| source == target || Some(source) == sister_of(target));
    if is_own {
        return;
    }
    for (index, message) in chat.messages.iter().enumerate() {
        for (part_index, part) in message.parts.iter().enumerate() {
            let inner = if let PartKind::ToolResult { parts, .. } = &part.kind { parts.as_slice() } else { &[] };
            if std::iter::once(part).chain(inner).any(is_file_id) {
                losses.push(Loss {
                    field: Cow::Owned(format!("messages[{index}].content[{part_index}].file_id")),
                    gravity: Gravity::Meaning,
                });
            }
        }
    }
}

fn is_file_id(part: &Part<'_>) -> bool {
    matches!(&part.kind, PartKind::Document { source: Source::FileId(_), .. } | PartKind::Image { source: Source::FileId(_), .. })
}

/// A server tool's trace or a compaction mark may go; a reference to content that is kept elsewhere may not.
fn private_gravity(part: &Part<'_>) -> Gravity {
    let kind = part.extra.fields.get("type").and_then(Value::as_str).unwrap_or_default();
    if kind.ends_with("_call") || kind == "mcp_list_tools" { Gravity::Tuning } else { Gravity::Meaning }
}
