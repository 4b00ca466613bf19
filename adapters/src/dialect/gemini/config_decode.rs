//! `generationConfig` → the hub. What the hub has no word for is kept under `generationConfig.NAME`.

use serde_json::Value;

use super::name::{camel, get, get_str};
use super::request_decode::{each, keep, wanted};
use super::schema::to_json_schema;
use super::thinking::effort_of;
use crate::fault::Fault;
use crate::ir::{Chat, Effort, Logprobs, OutputFormat, Reasoning};
use crate::json::tree::Json;

/// What the names of kept fields begin with.
pub(super) const PREFIX: &str = "generationConfig.";
/// Marks that remember how output and thinking were asked for, where the hub's words say the same otherwise.
pub(super) const RESPONSE_SCHEMA: &str = "responseSchema";
pub(super) const THINKING_CONFIG: &str = "thinkingConfig";

pub(super) fn decode<'a>(chat: &mut Chat<'a>, config: Json<'_, 'a>) -> Result<(), Fault> {
    let fields = config.object().ok_or_else(|| wanted("generationConfig", "an object", config))?;
    for (name, value) in fields.filter(|(_, value)| !value.is_null()) {
        let name = camel(name);
        let float = || value.f64().ok_or_else(|| wanted(format_args!("{PREFIX}{name}"), "a number", value));
        let count = || value.u64().ok_or_else(|| wanted(format_args!("{PREFIX}{name}"), "a whole number", value));
        match name.as_ref() {
            "temperature" => chat.temperature = Some(float()?),
            "topP" => chat.top_p = Some(float()?),
            "topK" => chat.top_k = Some(count()?),
            "maxOutputTokens" => chat.max_tokens = Some(count()?),
            "candidateCount" => chat.n = Some(u32::try_from(count()?).unwrap_or(u32::MAX)),
            "presencePenalty" => chat.presence_penalty = Some(float()?),
            "frequencyPenalty" => chat.frequency_penalty = Some(float()?),
            "seed" => chat.seed = Some(float()? as i64),
            "stopSequences" => chat.stop = each(value).filter_map(Json::str).map(Into::into).collect(),
            "thinkingConfig" => decode_thinking(chat, value),
            // Text is what every model gives unasked.
            "responseModalities" if each(value).all(|modality| modality.str().is_some_and(|word| word.eq_ignore_ascii_case("text"))) => {}
            "responseLogprobs" | "logprobs" | "responseMimeType" | "responseSchema" | "responseJsonSchema" | "_responseJsonSchema" => {}
            _ => keep(chat, &format!("{PREFIX}{name}"), value.value()),
        }
    }
    decode_logprobs(chat, config);
    decode_output(chat, config);
    Ok(())
}

fn decode_logprobs(chat: &mut Chat<'_>, config: Json<'_, '_>) {
    let top = get(config, "logprobs");
    if get(config, "responseLogprobs").and_then(Json::bool) == Some(true) {
        chat.logprobs = Some(Logprobs { top: top.and_then(Json::u64).and_then(|top| u32::try_from(top).ok()) });
    } else if let Some(top) = top {
        keep(chat, &format!("{PREFIX}logprobs"), top.value());
    }
}

fn decode_output<'a>(chat: &mut Chat<'a>, config: Json<'_, 'a>) {
    let media_type = get_str(config, "responseMimeType").unwrap_or_default();
    let json_schema = get(config, "responseJsonSchema").or_else(|| get(config, "_responseJsonSchema")).map(Json::value);
    let open_api = get(config, RESPONSE_SCHEMA).map(Json::value);
    let schema = json_schema.or_else(|| open_api.clone().map(to_json_schema));
    chat.output = match (media_type, schema) {
        ("application/json", Some(schema)) => {
            Some(OutputFormat::JsonSchema { name: "response".into(), description: None, schema, strict: None })
        }
        ("application/json", None) => Some(OutputFormat::JsonObject),
        ("text/plain", _) => Some(OutputFormat::Text),
        ("", None) => None,
        (other, schema) => {
            if !other.is_empty() {
                keep(chat, &format!("{PREFIX}responseMimeType"), other.into());
            }
            schema.map(|schema| OutputFormat::JsonSchema { name: "response".into(), description: None, schema, strict: None })
        }
    };
    if let Some(schema) = open_api {
        keep(chat, RESPONSE_SCHEMA, schema);
    }
}

/// The whole stays as a mark where budget and level say what the hub has no word for (a budget of -1: as the model likes).
fn decode_thinking(chat: &mut Chat<'_>, value: Json<'_, '_>) {
    let budget = get(value, "thinkingBudget");
    let level = get_str(value, "thinkingLevel");
    let has_thoughts = get(value, "includeThoughts").and_then(Json::bool);
    let mut reasoning = Reasoning { summary: (has_thoughts == Some(true)).then(|| "auto".to_owned()), ..Reasoning::default() };
    match budget.and_then(Json::u64) {
        Some(0) => reasoning.effort = Some(Effort::None),
        budget_tokens => reasoning.budget_tokens = budget_tokens,
    }
    reasoning.effort = reasoning.effort.or_else(|| level.and_then(effort_of));
    if reasoning != Reasoning::default() {
        chat.reasoning = Some(reasoning);
    }
    let fields: serde_json::Map<String, Value> =
        value.object().into_iter().flatten().map(|(name, value)| (camel(name).into_owned(), value.value())).collect();
    keep(chat, THINKING_CONFIG, fields.into());
}
