//! `tools` and `toolConfig` → the hub.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::name::{camel, get, get_str};
use super::request_decode::{each, keep, wanted, wrong};
use super::schema::to_json_schema;
use super::{ID, extra};
use crate::fault::Fault;
use crate::ir::{Chat, Extra, Tool, ToolChoice};
use crate::json::tree::Json;

/// The mark that remembers parameters that came as an OpenAPI schema.
pub(super) const PARAMETERS: &str = "parameters";
/// The field that keeps what the hub has no word for in `toolConfig`.
pub(super) const TOOL_CONFIG: &str = "toolConfig";

pub(super) fn decode<'a>(value: Json<'_, 'a>) -> Result<Vec<Tool<'a>>, Fault> {
    let mut tools = Vec::new();
    for (index, tool) in each(value).enumerate() {
        let fields = tool.object().ok_or_else(|| wanted(format_args!("tools[{index}]"), "an object", tool))?;
        for (name, value) in fields.filter(|(_, value)| !value.is_null()) {
            let name = camel(name);
            if name == "functionDeclarations" {
                for (inner, function) in each(value).enumerate() {
                    tools.push(decode_function(function, index, inner)?);
                }
            } else {
                tools.push(server_tool(&name, value));
            }
        }
    }
    Ok(tools)
}

/// A tool that the provider runs itself: carried whole.
fn server_tool<'a>(name: &str, value: Json<'_, 'a>) -> Tool<'a> {
    let mut fields = Map::new();
    fields.insert(name.to_owned(), value.value());
    let extra = Extra { dialect: Some(ID), fields };
    Tool { name: name.to_owned().into(), description: None, parameters: None, strict: None, cache: None, extra }
}

fn decode_function<'a>(value: Json<'_, 'a>, index: usize, inner: usize) -> Result<Tool<'a>, Fault> {
    let path = format_args!("tools[{index}].functionDeclarations[{inner}]");
    let fields = value.object().ok_or_else(|| wanted(path, "an object", value))?;
    let name = get_str(value, "name").ok_or_else(|| wrong(format_args!("{path}.name"), "is missing; name the function"))?;
    let mut tool = Tool { name: name.into(), description: None, parameters: None, strict: None, cache: None, extra: Extra::default() };
    let mut rest = Map::new();
    for (name, value) in fields.filter(|(_, value)| !value.is_null()) {
        let name = camel(name);
        match name.as_ref() {
            "name" => {}
            "description" if value.str().is_some() => tool.description = value.str().map(Cow::Borrowed),
            "parametersJsonSchema" => tool.parameters = Some(value.value()),
            PARAMETERS => {
                let schema = value.value();
                tool.parameters = Some(to_json_schema(schema.clone()));
                rest.insert(PARAMETERS.to_owned(), schema);
            }
            _ => drop(rest.insert(name.into_owned(), value.value())),
        }
    }
    // A tool without parameters would be a provider's own to other codecs.
    if tool.parameters.is_none() {
        tool.parameters = Some(serde_json::json!({"type": "object", "properties": {}}));
        rest.insert(PARAMETERS.to_owned(), Value::Null);
    }
    tool.extra = extra(rest);
    Ok(tool)
}

/// Modes and names that the hub has words for; the whole stays beside them where they do not say all of it.
pub(super) fn decode_config(chat: &mut Chat<'_>, value: Json<'_, '_>) {
    let calling = get(value, "functionCallingConfig");
    let names: Vec<&str> =
        calling.and_then(|calling| get(calling, "allowedFunctionNames")).map(each).into_iter().flatten().filter_map(Json::str).collect();
    let mode = calling.and_then(|calling| get_str(calling, "mode")).unwrap_or_default().to_ascii_uppercase();
    let (choice, mut is_said) = match (mode.as_str(), names.as_slice()) {
        ("NONE", _) => (Some(ToolChoice::None), names.is_empty()),
        ("ANY", []) => (Some(ToolChoice::Required), true),
        ("ANY", [name]) => (Some(ToolChoice::Tool((*name).to_owned().into())), true),
        ("ANY", _) => (Some(ToolChoice::Private), false),
        ("AUTO", _) => (Some(ToolChoice::Auto), names.is_empty()),
        ("VALIDATED", _) => (Some(ToolChoice::Auto), false),
        _ => (None, calling.is_none()),
    };
    chat.tool_choice = choice;
    is_said &=
        value.object().is_some_and(|mut fields| fields.all(|(name, value)| value.is_null() || camel(name) == "functionCallingConfig"));
    if !is_said {
        keep(chat, TOOL_CONFIG, value.value());
    }
}
