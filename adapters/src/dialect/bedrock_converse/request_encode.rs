//! The hub → a Converse request. It names no model and no mode: the path does.
//!
//! From another dialect, turns are put into the shape that Converse demands: system text stands apart, turns of one role are
//! merged, tool results open the user turn that follows their calls.

use serde_json::{Map, Value, json};

use super::ID;
use super::blocks_encode::{Style, encode_parts};
use super::fields::{MODEL_FIELD, REASONING_FIELDS, cache_point};
use crate::dialect::anthropic::blocks_encode::{Source, is_tool_result};
use crate::dialect::anthropic::reasoning::effort_of_budget;
use crate::dialect::anthropic::request_fit::{Fit, Thinking, fit, loss};
use crate::dialect::openai::extra;
use crate::dialect::{DialectId, Target};
use crate::fault::{Fault, Kind};
use crate::ir::{Chat, Effort, Gravity, Loss, OutputFormat, Part, Role, Tool, ToolChoice};
use crate::json::build::{Array, Object, string};

pub(super) fn encode(chat: &Chat<'_>, target: &Target<'_>, out: &mut Vec<u8>, losses: &mut Vec<Loss>) -> Result<(), Fault> {
    let family = Family::of(target.model);
    let source = if chat.extra.dialect == Some(ID) { Source::Own } else { Source::Foreign };
    let style = Style { source, takes_marks: matches!(family, Family::Claude | Family::Nova) };
    let fit = fit_to(chat, target, family, source, losses);
    let mut messages = Vec::new();
    encode_messages(chat, style, &mut messages, losses);
    let has_turns = messages != b"[]";
    if !has_turns && chat.system.is_empty() && source == Source::Foreign {
        return Err(Fault::new(Kind::InvalidRequest, "messages is empty; add a user message"));
    }
    let mut body = Object::begin(out);
    match has_turns || source == Source::Own {
        true => {
            body.raw("messages", &messages);
            encode_system(chat, style, &mut body, losses);
        }
        false => encode_system_as_user(chat, style, &mut body, losses),
    }
    encode_inference(chat, &fit, &mut body);
    encode_tools(chat, style, &mut body, losses);
    encode_model_fields(chat, family, source, &fit, &mut body, losses);
    encode_output(chat, &mut body);
    if let Some(tier) = chat.service_tier.as_deref().filter(|tier| source == Source::Own || TIERS.contains(tier)) {
        let mut object = body.object("serviceTier");
        object.str("type", tier);
        object.end();
    }
    for (name, value) in chat.extra.of(ID).into_iter().flatten() {
        // Others are merged with what the hub holds.
        if !name.starts_with(MODEL_FIELD) && !name.starts_with(TOOL_CONFIG) && !matches!(name.as_str(), "inferenceConfig" | "toolChoice") {
            body.value(name, value);
        }
    }
    body.end();
    Ok(())
}

/// Fields of `toolConfig` that ride along.
const TOOL_CONFIG: &str = "toolConfig.";

// docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ServiceTier.html, read 2026-11-20
const TIERS: &[&str] = &["default", "flex", "priority", "reserved"];

/// Whose model it is, which decides what stands in `additionalModelRequestFields`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Claude,
    Nova,
    GptOss,
    Other,
}

/// Parts of model ids, first match wins. An ARN of an inference profile names no family.
const FAMILIES: &[(&str, Family)] = &[
    ("anthropic.claude", Family::Claude),
    ("claude-", Family::Claude),
    ("amazon.nova", Family::Nova),
    ("nova-", Family::Nova),
    ("openai.gpt-oss", Family::GptOss),
];

impl Family {
    fn of(model: &str) -> Family {
        FAMILIES.iter().find(|row| model.contains(row.0)).map_or(Family::Other, |row| row.1)
    }
}

/// Sampling and thinking for the model. Claude refuses here what it refuses at home.
fn fit_to(chat: &Chat<'_>, target: &Target<'_>, family: Family, source: Source, losses: &mut Vec<Loss>) -> Fit {
    // Of another dialect, also where it is Anthropic's own, whose fields go along beside.
    let carried: &[&str] = if family == Family::Claude { CLAUDE_FIELDS } else { &[] };
    if source == Source::Foreign {
        extra::losses(chat, ID, carried, losses);
    }
    if source == Source::Foreign && family == Family::Claude {
        let bare = Chat { extra: crate::ir::Extra { dialect: chat.extra.dialect, ..Default::default() }, ..chat.clone() };
        let mut fit = fit(&bare, target.model, target.max_tokens_default, losses);
        losses.retain(|loss| loss.field != "service_tier" || !chat.service_tier.as_deref().is_some_and(|tier| TIERS.contains(&tier)));
        report_parallel(chat, losses);
        fit.max_tokens = if chat.max_tokens.is_some() || fit.thinking != Thinking::Unsaid { fit.max_tokens } else { 0 };
        return fit;
    }
    if source == Source::Foreign {
        report_fields(chat, losses);
        report_parallel(chat, losses);
    }
    Fit {
        max_tokens: chat.max_tokens.unwrap_or_default(),
        temperature: chat.temperature,
        top_p: chat.top_p,
        top_k: chat.top_k,
        ..Fit::default()
    }
}

/// Anthropic's own fields that its models take here, too.
const CLAUDE_FIELDS: &[&str] = &["thinking", "output_config", "anthropic_beta", "context_management"];

fn report_parallel(chat: &Chat<'_>, losses: &mut Vec<Loss>) {
    if chat.parallel_tool_calls == Some(false) && !chat.tools.is_empty() {
        losses.push(loss("parallel_tool_calls", Gravity::Tuning));
    }
}

fn report_fields(chat: &Chat<'_>, losses: &mut Vec<Loss>) {
    let lost: [(&'static str, bool, Gravity); 6] = [
        ("n", chat.n.is_some_and(|n| n > 1), Gravity::Meaning),
        ("logprobs", chat.logprobs.is_some(), Gravity::Meaning),
        ("seed", chat.seed.is_some(), Gravity::Tuning),
        ("frequency_penalty", chat.frequency_penalty.is_some_and(|penalty| penalty != 0.0), Gravity::Tuning),
        ("presence_penalty", chat.presence_penalty.is_some_and(|penalty| penalty != 0.0), Gravity::Tuning),
        ("response_format", matches!(chat.output, Some(OutputFormat::JsonObject)), Gravity::Meaning),
    ];
    losses.extend(lost.into_iter().filter(|row| row.1).map(|row| loss(row.0, row.2)));
    if chat.service_tier.as_deref().is_some_and(|tier| tier != "auto" && !TIERS.contains(&tier)) {
        losses.push(loss("service_tier", Gravity::Tuning));
    }
}

fn encode_messages(chat: &Chat<'_>, style: Style, out: &mut Vec<u8>, losses: &mut Vec<Loss>) {
    let mut array = Array::begin(out);
    match style.source {
        Source::Own => {
            for (index, message) in chat.messages.iter().enumerate() {
                let parts: Vec<&Part<'_>> = message.parts.iter().collect();
                let mut object = array.object();
                object.str("role", role_name(message.role));
                let mut content = object.array("content");
                encode_parts(&parts, &format_args!("messages[{index}].content"), style, &mut content, losses);
                content.end();
                message.extra.of(ID).into_iter().flatten().for_each(|(name, value)| object.value(name, value));
                object.end();
            }
        }
        Source::Foreign => encode_turns(chat, style, &mut array, losses),
    }
    array.end();
}

/// Turns of one role, one after the other, become one.
fn encode_turns(chat: &Chat<'_>, style: Style, array: &mut Array<'_>, losses: &mut Vec<Loss>) {
    let mut turn: Option<(Role, usize, Vec<&Part<'_>>)> = None;
    for (index, message) in chat.messages.iter().enumerate().filter(|(_, message)| message.role != Role::System) {
        if message.name.is_some() {
            losses.push(loss(format!("messages[{index}].name"), Gravity::Tuning));
        }
        match &mut turn {
            Some((role, _, parts)) if *role == message.role => parts.extend(&message.parts),
            _ => {
                flush_turn(turn.take(), style, array, losses);
                turn = Some((message.role, index, message.parts.iter().collect()));
            }
        }
    }
    flush_turn(turn, style, array, losses);
}

fn flush_turn(turn: Option<(Role, usize, Vec<&Part<'_>>)>, style: Style, array: &mut Array<'_>, losses: &mut Vec<Loss>) {
    let Some((role, index, mut parts)) = turn else { return };
    // A stable sort: results first, each group in its order.
    parts.sort_by_key(|part| !is_tool_result(part));
    let mut content = Vec::new();
    let mut blocks = Array::begin(&mut content);
    encode_parts(&parts, &format_args!("messages[{index}].content"), style, &mut blocks, losses);
    blocks.end();
    if content != b"[]" {
        let mut object = array.object();
        object.str("role", role_name(role));
        object.raw("content", &content);
        object.end();
    }
}

fn role_name(role: Role) -> &'static str {
    if role == Role::Assistant { "assistant" } else { "user" }
}

fn encode_system(chat: &Chat<'_>, style: Style, body: &mut Object<'_>, losses: &mut Vec<Loss>) {
    let mut parts: Vec<&Part<'_>> = chat.system.iter().collect();
    for (index, message) in chat.messages.iter().enumerate().filter(|(_, message)| message.role == Role::System) {
        parts.extend(&message.parts);
        losses.push(loss(format!("messages[{index}].role"), Gravity::Tuning));
    }
    if !parts.is_empty() {
        let mut array = body.array("system");
        encode_parts(&parts, &"system", style, &mut array, losses);
        array.end();
    }
}

/// Converse demands a user turn where others answer a system message alone.
fn encode_system_as_user(chat: &Chat<'_>, style: Style, body: &mut Object<'_>, losses: &mut Vec<Loss>) {
    let parts: Vec<&Part<'_>> = chat.system.iter().chain(chat.messages.iter().flat_map(|message| &message.parts)).collect();
    losses.push(loss("messages[0].role", Gravity::Tuning));
    let mut array = body.array("messages");
    flush_turn(Some((Role::User, 0, parts)), style, &mut array, losses);
    array.end();
}

fn encode_inference(chat: &Chat<'_>, fit: &Fit, body: &mut Object<'_>) {
    let own = chat.extra.of(ID).and_then(|fields| fields.get("inferenceConfig")).and_then(Value::as_object);
    let mut config = body.object("inferenceConfig");
    if fit.max_tokens > 0 || chat.max_tokens.is_some() {
        config.u64("maxTokens", fit.max_tokens);
    }
    if let Some(temperature) = fit.temperature {
        config.f64("temperature", temperature);
    }
    if let Some(top_p) = fit.top_p {
        config.f64("topP", top_p);
    }
    let is_own = chat.extra.dialect == Some(ID);
    let stops = chat.stop.iter().filter(|stop| is_own || !stop.trim().is_empty());
    if stops.clone().next().is_some() {
        let mut array = config.array("stopSequences");
        stops.for_each(|stop| string(array.element(), stop));
        array.end();
    }
    own.into_iter().flatten().for_each(|(name, value)| config.value(name, value));
    config.end();
}

fn encode_tools(chat: &Chat<'_>, style: Style, body: &mut Object<'_>, losses: &mut Vec<Loss>) {
    let own = || chat.extra.of(ID).into_iter().flatten().filter(|(name, _)| name.starts_with(TOOL_CONFIG));
    if chat.tools.is_empty() && own().next().is_none() {
        return;
    }
    // There is no word for it; without tools nobody calls one. Turns that hold calls demand their tools.
    if chat.tool_choice == Some(ToolChoice::None) {
        if !has_tool_parts(chat) {
            return;
        }
        losses.push(loss("tool_choice", Gravity::Meaning));
    }
    let mut config = body.object("toolConfig");
    let mut array = config.array("tools");
    for (index, tool) in chat.tools.iter().enumerate() {
        encode_tool(tool, index, &mut array, losses);
        match tool.cache {
            Some(mark) if style.takes_marks || style.source == Source::Own => array.element().extend_from_slice(cache_point(mark)),
            Some(_) => losses.push(loss(format!("tools[{index}].cache_control"), Gravity::Tuning)),
            None => {}
        }
    }
    array.end();
    encode_tool_choice(chat, &mut config, losses);
    own().for_each(|(name, value)| config.value(&name[TOOL_CONFIG.len()..], value));
    config.end();
}

fn has_tool_parts(chat: &Chat<'_>) -> bool {
    use crate::ir::PartKind::{ToolCall, ToolResult};
    chat.messages.iter().flat_map(|message| &message.parts).any(|part| matches!(part.kind, ToolCall { .. } | ToolResult { .. }))
}

fn encode_tool(tool: &Tool<'_>, index: usize, array: &mut Array<'_>, losses: &mut Vec<Loss>) {
    let own = tool.extra.of(ID);
    if tool.parameters.is_none() {
        match own {
            Some(fields) => array.element().extend_from_slice(Value::Object(fields.clone()).to_string().as_bytes()),
            None if !tool.extra.is_empty() => losses.push(loss(format!("tools[{index}]"), Gravity::Meaning)),
            None => encode_spec(tool, &Value::Object(Map::from_iter([("type".to_owned(), "object".into())])), array),
        }
        return;
    }
    if let Some(parameters) = &tool.parameters {
        encode_spec(tool, parameters, array);
    }
}

fn encode_spec(tool: &Tool<'_>, parameters: &Value, array: &mut Array<'_>) {
    let mut object = array.object();
    let mut spec = object.object("toolSpec");
    spec.str("name", &tool.name);
    // An empty one is refused.
    if let Some(description) = tool.description.as_deref().filter(|text| !text.is_empty()) {
        spec.str("description", description);
    }
    let mut schema = spec.object("inputSchema");
    match parameters {
        Value::Object(fields) if tool.extra.dialect != Some(ID) && !fields.contains_key("type") => {
            let mut fields = fields.clone();
            fields.insert("type".to_owned(), "object".into());
            schema.value("json", &fields.into());
        }
        other => schema.value("json", other),
    }
    schema.end();
    if let Some(strict) = tool.strict {
        spec.bool("strict", strict);
    }
    tool.extra.of(ID).into_iter().flatten().for_each(|(name, value)| spec.value(name, value));
    spec.end();
    object.end();
}

fn encode_tool_choice(chat: &Chat<'_>, config: &mut Object<'_>, losses: &mut Vec<Loss>) {
    match &chat.tool_choice {
        Some(ToolChoice::Auto) => config.raw("toolChoice", br#"{"auto":{}}"#),
        Some(ToolChoice::Required) => config.raw("toolChoice", br#"{"any":{}}"#),
        Some(ToolChoice::Tool(name)) => {
            let mut choice = config.object("toolChoice");
            let mut tool = choice.object("tool");
            tool.str("name", name);
            tool.end();
            choice.end();
        }
        Some(ToolChoice::Private) => match chat.extra.of(ID).and_then(|fields| fields.get("toolChoice")) {
            Some(value) => config.value("toolChoice", value),
            None => losses.push(loss("tool_choice", Gravity::Meaning)),
        },
        Some(ToolChoice::None) | None => {}
    }
}

/// `additionalModelRequestFields`: what this model knows beyond the common parameters.
fn encode_model_fields(chat: &Chat<'_>, family: Family, source: Source, fit: &Fit, body: &mut Object<'_>, losses: &mut Vec<Loss>) {
    let mut fields = Map::new();
    for (name, value) in chat.extra.of(ID).into_iter().flatten() {
        if let Some(name) = name.strip_prefix(MODEL_FIELD) {
            fields.insert(name.to_owned(), value.clone());
        }
    }
    if family == Family::Claude {
        let theirs = chat.extra.of(DialectId::Anthropic).into_iter().flatten();
        fields.extend(theirs.filter(|field| CLAUDE_FIELDS.contains(&field.0.as_str())).map(|(name, value)| (name.clone(), value.clone())));
    }
    match source {
        Source::Own if fields.keys().any(|name| REASONING_FIELDS.contains(&name.as_str())) => {}
        Source::Own => own_thinking(chat, &mut fields),
        Source::Foreign => foreign_thinking(chat, family, fit, &mut fields, losses),
    }
    match (fit.top_k, source, family) {
        (Some(top_k), Source::Own, _) | (Some(top_k), _, Family::Claude) => drop(fields.insert("top_k".to_owned(), top_k.into())),
        (Some(top_k), _, Family::Nova) => drop(fields.insert("inferenceConfig".to_owned(), json!({"topK": top_k}))),
        (Some(_), ..) => losses.push(loss("top_k", Gravity::Tuning)),
        (None, ..) => {}
    }
    if !fields.is_empty() {
        body.value("additionalModelRequestFields", &fields.into());
    }
}

fn own_thinking(chat: &Chat<'_>, fields: &mut Map<String, Value>) {
    let Some(reasoning) = &chat.reasoning else { return };
    let thinking = match (reasoning.budget_tokens, reasoning.effort) {
        (Some(budget_tokens), _) => json!({"type": "enabled", "budget_tokens": budget_tokens}),
        (None, Some(Effort::None)) => json!({"type": "disabled"}),
        _ => return,
    };
    fields.insert("thinking".to_owned(), thinking);
}

fn foreign_thinking(chat: &Chat<'_>, family: Family, fit: &Fit, fields: &mut Map<String, Value>, losses: &mut Vec<Loss>) {
    if family == Family::Claude {
        let thinking = match fit.thinking {
            Thinking::Unsaid => None,
            Thinking::Disabled => Some(json!({"type": "disabled"})),
            Thinking::Adaptive => Some(json!({"type": "adaptive"})),
            Thinking::Budget(budget_tokens) => Some(json!({"type": "enabled", "budget_tokens": budget_tokens})),
        };
        // Anthropic's own words stand where they came.
        if let Some(thinking) = thinking {
            fields.entry("thinking").or_insert(thinking);
        }
        if let Some(effort) = fit.effort
            && let Some(config) = fields.entry("output_config").or_insert_with(|| json!({})).as_object_mut()
        {
            config.entry("effort").or_insert(effort.into());
        }
        return;
    }
    let Some(reasoning) = &chat.reasoning else { return };
    let Some(effort) = reasoning.effort.or(reasoning.budget_tokens.map(effort_of_budget)) else { return };
    match family {
        Family::GptOss => drop(fields.insert("reasoning_effort".to_owned(), gpt_oss_effort(effort).into())),
        _ if effort == Effort::None => {}
        _ => losses.push(loss("reasoning_effort", Gravity::Tuning)),
    }
}

/// gpt-oss knows three.
fn gpt_oss_effort(effort: Effort) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High | Effort::Max => "high",
    }
}

fn encode_output(chat: &Chat<'_>, body: &mut Object<'_>) {
    let Some(OutputFormat::JsonSchema { name, description, schema, .. }) = &chat.output else { return };
    let mut config = body.object("outputConfig");
    let mut format = config.object("textFormat");
    format.str("type", "json_schema");
    let mut structure = format.object("structure");
    let mut json = structure.object("jsonSchema");
    json.str("schema", &schema.to_string());
    if !name.is_empty() {
        json.str("name", name);
    }
    if let Some(description) = description {
        json.str("description", description);
    }
    json.end();
    structure.end();
    format.end();
    config.end();
}
