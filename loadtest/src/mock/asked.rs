//! A request that is understood: the slow path's view of a body in any of the dialects.

use serde_json::{Value, json};

use super::answer::ToolCall;
use super::sample::sample;
use super::scan::Scan;

/// What the request asks for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) model: String,
    pub(super) streams: bool,
    pub(super) includes_usage: bool,
    pub(super) tokens_max: Option<u32>,
    pub(super) schema: Option<Value>,
    pub(super) wants_thinking: bool,
    /// The text of a last message of the assistant, to be continued.
    pub(super) prefill: Option<String>,
    last_user_text: String,
    pub(super) tools: Vec<(String, Value)>,
    roles: Vec<String>,
    image_count: usize,
    system_chars: usize,
}

/// Where the dialects keep a JSON schema for the answer.
const SCHEMA_POINTERS: &[&str] = &[
    "/response_format/json_schema/schema",
    "/response_format/json_schema",
    "/format",
    "/text/format/schema",
    "/output_format/schema",
    "/output_config/format/schema",
];

/// Types of content parts that are images.
const IMAGE_PARTS: &[&str] = &["image_url", "image", "input_image"];

impl Asked {
    /// Reads a body; one that is not JSON leaves only what the scan found.
    pub(super) fn read(body: &[u8], scan: &Scan<'_>) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let mut asked = Self {
            model: String::from_utf8_lossy(scan.model).into_owned(),
            streams: scan.streams,
            includes_usage: scan.includes_usage,
            tokens_max: scan.tokens_max,
            schema: SCHEMA_POINTERS.iter().find_map(|pointer| body.pointer(pointer)).cloned(),
            wants_thinking: body.pointer("/thinking/type").and_then(Value::as_str).is_some_and(|kind| kind != "disabled")
                || body.get("think").is_some_and(|think| *think != json!(false)),
            tools: body.get("tools").and_then(Value::as_array).into_iter().flatten().filter_map(read_tool).collect(),
            ..Self::default()
        };
        if body.pointer("/tool_choice").is_some_and(|choice| choice == "none" || choice.get("type") == Some(&json!("none"))) {
            asked.tools.clear();
        }
        asked.read_turns(&body);
        asked
    }

    /// Reads the turns of a body in any dialect.
    pub(super) fn read_turns(&mut self, body: &Value) {
        let asked = self;
        for system in ["system", "instructions"] {
            asked.system_chars += body.get(system).map_or(0, |content| text_of(content).chars().count());
        }
        match body.get("messages").or_else(|| body.get("input")) {
            Some(Value::Array(messages)) => messages.iter().for_each(|message| asked.read_message(message)),
            Some(Value::String(text)) => asked.read_message(&json!({"role": "user", "content": text})),
            _ => {}
        }
    }

    /// The number that stands behind `WORD=` in the last user message.
    pub(super) fn number(&self, word: &str) -> Option<u32> {
        let said = self.last_user_text.split_ascii_whitespace().find_map(|part| part.strip_prefix(word)?.strip_prefix('='));
        said.and_then(|number| number.parse().ok())
    }

    /// The tariff that the last user message wants reported, `tier=flex`.
    pub(super) fn tier(&self) -> Option<String> {
        let said = self.last_user_text.split_ascii_whitespace().find_map(|part| part.strip_prefix("tier="));
        said.map(str::to_owned)
    }

    pub(super) fn wants_description(&self) -> bool {
        self.last_user_text.contains("describe")
    }

    /// The facts of the request in words.
    pub(super) fn description(&self) -> String {
        format!(
            "messages={} images={} system_chars={} tools={} roles={}",
            self.roles.len(),
            self.image_count,
            self.system_chars,
            self.tools.len(),
            self.roles.join(",")
        )
    }

    /// The calls that the last user message asked for; none once a tool's result has been given.
    pub(super) fn tool_calls(&self) -> Vec<ToolCall> {
        if self.tools.is_empty() || !self.last_user_text.contains("tool") {
            return Vec::new();
        }
        let count = if self.last_user_text.contains("tools") { 2 } else { 1 };
        let offered = self.tools.iter().cycle().take(count).enumerate();
        offered
            .map(|(index, (name, schema))| ToolCall { id: format!("mock{index}"), name: name.clone(), arguments: sample(schema) })
            .collect()
    }

    fn read_message(&mut self, message: &Value) {
        let kind = message.get("type").and_then(Value::as_str).unwrap_or("message");
        let role = message.get("role").and_then(Value::as_str).unwrap_or(kind);
        let content = message.get("content").unwrap_or(&Value::Null);
        let text = text_of(content);
        self.image_count += content.as_array().into_iter().flatten().filter(|part| is_image(part)).count();
        self.image_count += message.get("images").and_then(Value::as_array).map_or(0, Vec::len);
        self.roles.push(role.to_owned());
        self.prefill = None;
        match role {
            "system" | "developer" => self.system_chars += text.chars().count(),
            "user" => self.last_user_text = text,
            "assistant" => self.prefill = Some(text),
            // A tool's result, whatever the dialect calls it: the model now speaks for itself.
            _ => self.last_user_text.clear(),
        }
    }
}

fn is_image(part: &Value) -> bool {
    // Converse names a block by its one field.
    part.get("image").is_some() || part.get("type").and_then(Value::as_str).is_some_and(|kind| IMAGE_PARTS.contains(&kind))
}

/// A string, or the text parts of an array, joined.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => String::new(),
    }
}

/// Name and parameter schema of an offered tool in any dialect.
fn read_tool(tool: &Value) -> Option<(String, Value)> {
    let function = tool.get("function").unwrap_or(tool);
    let name = function.get("name")?.as_str()?.to_owned();
    let schema = function.get("parameters").or_else(|| function.get("input_schema")).cloned();
    Some((name, schema.unwrap_or_else(|| json!({"type": "object"}))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &str) -> Asked {
        Asked::read(body.as_bytes(), &Scan::of(body.as_bytes()))
    }

    #[test]
    fn tools_are_called_once_or_twice_and_not_after_their_result() {
        let tools =
            r#""tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"q":{"type":"string"}}}}}]"#;
        let one = asked(&format!(r#"{{"messages":[{{"role":"user","content":"use a tool"}}],{tools}}}"#)).tool_calls();
        assert_eq!((one.len(), one[0].name.as_str(), &one[0].arguments), (1, "f", &json!({"q": "text"})));
        assert_eq!(asked(&format!(r#"{{"messages":[{{"role":"user","content":"use tools"}}],{tools}}}"#)).tool_calls().len(), 2);
        let after = format!(r#"{{"messages":[{{"role":"user","content":"use tools"}},{{"role":"tool","content":"42"}}],{tools}}}"#);
        assert!(asked(&after).tool_calls().is_empty());
    }

    #[test]
    fn a_description_counts_messages_images_and_system() {
        let body = r#"{"system":[{"type":"text","text":"abc"}],"messages":[{"role":"user","content":[{"type":"image","source":{}},
            {"type":"text","text":"describe"}]}]}"#;
        assert_eq!(asked(body).description(), "messages=1 images=1 system_chars=3 tools=0 roles=user");
        assert!(asked(body).wants_description());
    }

    #[test]
    fn a_last_assistant_message_is_a_prefill() {
        let body = r#"{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"word0 word1"}]}"#;
        assert_eq!(asked(body).prefill.as_deref(), Some("word0 word1"));
        assert_eq!(asked("not json").prefill, None);
    }
}
