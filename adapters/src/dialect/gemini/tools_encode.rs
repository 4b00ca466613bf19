//! The hub → `tools` and `toolConfig`. All functions stand in one list, where the first of them stands.

use serde_json::Value;

use super::ID;
use super::request_encode::{Source, loss, report_extra};
use super::tools_decode::{PARAMETERS, TOOL_CONFIG};
use crate::ir::{Chat, Gravity, Loss, Tool, ToolChoice};
use crate::json::build::{Array, Object};

pub(super) fn encode(chat: &Chat<'_>, source: Source, body: &mut Object<'_>, losses: &mut Vec<Loss>) {
    if !chat.tools.is_empty() {
        let mut written = Vec::new();
        let mut array = Array::begin(&mut written);
        let mut has_functions = false;
        for (index, tool) in chat.tools.iter().enumerate() {
            if is_function(tool) {
                if !std::mem::replace(&mut has_functions, true) {
                    encode_functions(chat, source, &mut array, losses);
                }
            } else if let Some(fields) = tool.extra.of(ID) {
                let mut object = array.object();
                fields.iter().for_each(|(name, value)| object.value(name, value));
                object.end();
            } else {
                losses.push(loss(format!("tools[{index}]"), Gravity::Meaning));
            }
        }
        array.end();
        if written != b"[]" {
            body.raw("tools", &written);
        }
    }
    encode_choice(chat, source, body, losses);
}

/// Not a provider's own tool, which lives in `extra` alone.
fn is_function(tool: &Tool<'_>) -> bool {
    tool.parameters.is_some() || tool.extra.is_empty()
}

fn encode_functions(chat: &Chat<'_>, source: Source, array: &mut Array<'_>, losses: &mut Vec<Loss>) {
    let mut object = array.object();
    let mut functions = object.array("functionDeclarations");
    for (index, tool) in chat.tools.iter().enumerate().filter(|(_, tool)| is_function(tool)) {
        report_extra(&tool.extra, format_args!("tools[{index}]."), losses);
        if tool.strict == Some(true) && source == Source::Foreign {
            losses.push(loss(format!("tools[{index}].strict"), Gravity::Tuning));
        }
        let mut function = functions.object();
        function.str("name", &tool.name);
        if let Some(description) = &tool.description {
            function.str("description", description);
        }
        let own = tool.extra.of(ID);
        if let (Some(schema), false) = (&tool.parameters, own.is_some_and(|fields| fields.contains_key(PARAMETERS))) {
            function.value("parametersJsonSchema", schema);
        }
        for (name, value) in own.into_iter().flatten().filter(|(name, value)| *name != PARAMETERS || **value != Value::Null) {
            function.value(name, value);
        }
        function.end();
    }
    functions.end();
    object.end();
}

fn encode_choice(chat: &Chat<'_>, source: Source, body: &mut Object<'_>, losses: &mut Vec<Loss>) {
    if let Some(config) = chat.extra.of(ID).and_then(|fields| fields.get(TOOL_CONFIG)) {
        return body.value(TOOL_CONFIG, config);
    }
    let (mode, name) = match &chat.tool_choice {
        None => return,
        Some(ToolChoice::Private) => return losses.push(loss("tool_choice", Gravity::Meaning)),
        Some(ToolChoice::Auto) => ("AUTO", None),
        Some(ToolChoice::None) => ("NONE", None),
        Some(ToolChoice::Required) => ("ANY", None),
        Some(ToolChoice::Tool(name)) => ("ANY", Some(name)),
    };
    // Without functions a mode is refused; "auto" and "none" say nothing then.
    if source == Source::Foreign && !chat.tools.iter().any(is_function) {
        if mode == "ANY" {
            losses.push(loss("tool_choice", Gravity::Meaning));
        }
        return;
    }
    let mut config = body.object(TOOL_CONFIG);
    let mut calling = config.object("functionCallingConfig");
    calling.str("mode", mode);
    if let Some(name) = name {
        let mut names = calling.array("allowedFunctionNames");
        crate::json::build::string(names.element(), name);
        names.end();
    }
    calling.end();
    config.end();
}
