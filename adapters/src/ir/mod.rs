//! The hub: one chat request in no provider's words. Each dialect decodes into it and encodes from it.
//!
//! Strings borrow from the request body where they can. What the hub has no field for rides in `Extra`, which
//! goes back to its own dialect alone; towards any other dialect it is a `Loss`.

use std::borrow::Cow;

use serde_json::Value;

use crate::dialect::DialectId;

/// A chat request.
#[derive(Clone, Debug, Default)]
pub struct Chat<'a> {
    pub model: Cow<'a, str>,
    pub stream: Mode,
    /// The client asked for a usage event at the stream's end (always so in dialects that send it unasked).
    pub stream_usage: bool,
    /// System and developer blocks that stand before the first message.
    pub system: Vec<Part<'a>>,
    pub messages: Vec<Message<'a>>,
    pub tools: Vec<Tool<'a>>,
    pub tool_choice: Option<ToolChoice<'a>>,
    pub parallel_tool_calls: Option<bool>,
    pub max_tokens: Option<u64>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub top_k: Option<u64>,
    pub frequency_penalty: Option<f64>,
    pub presence_penalty: Option<f64>,
    pub stop: Vec<Cow<'a, str>>,
    pub seed: Option<i64>,
    pub n: Option<u32>,
    pub logprobs: Option<Logprobs>,
    pub output: Option<OutputFormat<'a>>,
    pub reasoning: Option<Reasoning>,
    pub user: Option<Cow<'a, str>>,
    pub service_tier: Option<Cow<'a, str>>,
    /// Top-level fields of the source dialect that the hub has no word for, in their order.
    pub extra: Extra,
}

/// Whole or streamed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    #[default]
    Whole,
    Stream,
}

/// Provider-private fields: they return only to their own dialect.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extra {
    pub dialect: Option<DialectId>,
    pub fields: serde_json::Map<String, Value>,
}

impl Extra {
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The fields, if they are `dialect`'s own.
    pub fn of(&self, dialect: DialectId) -> Option<&serde_json::Map<String, Value>> {
        (self.dialect == Some(dialect) && !self.fields.is_empty()).then_some(&self.fields)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A system or developer message after the first turn.
    System,
    User,
    Assistant,
}

/// One turn. Tool results are parts of a user turn, tool calls and thinking are parts of an assistant turn.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    pub role: Role,
    pub parts: Vec<Part<'a>>,
    pub name: Option<Cow<'a, str>>,
    pub extra: Extra,
}

/// A piece of a turn, with its cache mark.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    pub kind: PartKind<'a>,
    /// A prompt-cache breakpoint stands behind this part.
    pub cache: Option<CacheMark>,
    pub extra: Extra,
}

impl<'a> Part<'a> {
    pub fn text(text: impl Into<Cow<'a, str>>) -> Part<'a> {
        PartKind::Text(text.into()).into()
    }
}

impl<'a> From<PartKind<'a>> for Part<'a> {
    fn from(kind: PartKind<'a>) -> Part<'a> {
        Part { kind, cache: None, extra: Extra::default() }
    }
}

#[derive(Clone, Debug)]
pub enum PartKind<'a> {
    Text(Cow<'a, str>),
    Image {
        source: Source<'a>,
        detail: Option<Cow<'a, str>>,
    },
    Document {
        source: Source<'a>,
        name: Option<Cow<'a, str>>,
    },
    Audio {
        source: Source<'a>,
        format: Cow<'a, str>,
    },
    ToolCall {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        arguments: Cow<'a, str>,
    },
    ToolResult {
        call_id: Cow<'a, str>,
        parts: Vec<Part<'a>>,
        is_error: bool,
    },
    Thinking {
        text: Cow<'a, str>,
        signature: Option<Cow<'a, str>>,
    },
    RedactedThinking {
        data: Cow<'a, str>,
    },
    Refusal(Cow<'a, str>),
    /// A part of the source dialect's own.
    Private,
}

/// Where bytes come from.
#[derive(Clone, Debug)]
pub enum Source<'a> {
    Url(Cow<'a, str>),
    Base64 {
        media_type: Cow<'a, str>,
        data: Cow<'a, str>,
    },
    /// A file that was uploaded to the provider.
    FileId(Cow<'a, str>),
    Text {
        media_type: Cow<'a, str>,
        text: Cow<'a, str>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMark {
    Minutes5,
    Hour1,
}

#[derive(Clone, Debug)]
pub struct Tool<'a> {
    pub name: Cow<'a, str>,
    pub description: Option<Cow<'a, str>>,
    /// A JSON Schema; key order is kept. Absent for a provider's own server tool, which lives in `extra`.
    pub parameters: Option<Value>,
    pub strict: Option<bool>,
    pub cache: Option<CacheMark>,
    pub extra: Extra,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ToolChoice<'a> {
    Auto,
    None,
    /// Any one tool.
    Required,
    Tool(Cow<'a, str>),
    /// A form of the source dialect's own (`allowed_tools`), carried in `Chat::extra`.
    Private,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logprobs {
    pub top: Option<u32>,
}

#[derive(Clone, Debug)]
pub enum OutputFormat<'a> {
    Text,
    JsonObject,
    JsonSchema { name: Cow<'a, str>, description: Option<Cow<'a, str>>, schema: Value, strict: Option<bool> },
}

/// How much to think. Effort and budget are translated into each other where only one is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reasoning {
    pub effort: Option<Effort>,
    pub budget_tokens: Option<u64>,
    /// The client asked for a summary of the reasoning (`auto`, `concise`, `detailed`).
    pub summary: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Max,
}

/// Something that the target dialect cannot carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The field in the client's own words: `tool_choice`, `top_k`, `messages[2].content[0].file`.
    pub field: Cow<'static, str>,
    pub gravity: Gravity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gravity {
    /// Changes how the answer sounds; warned of.
    Tuning,
    /// Changes what the answer means; refused unless the route allows it.
    Meaning,
}
