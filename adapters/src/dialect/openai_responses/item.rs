//! One item of an answer's output while it grows.

use serde_json::{Map, Value};

use super::ITEM;
use crate::ir::Extra;
use crate::json::write;

/// An output item.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) body: Body,
    /// Members that the hub has no word for, the latest value of each.
    pub(super) private: Map<String, Value>,
}

#[derive(Debug)]
pub(super) enum Body {
    Message {
        parts: Vec<Part>,
    },
    Reasoning {
        summary: Vec<String>,
        raw: String,
    },
    Call {
        call_id: String,
        name: String,
        arguments: String,
        custom: bool,
    },
    /// An item of the dialect's own, whole in `private`.
    Private,
}

/// A part of a message.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) is_refusal: bool,
    pub(super) text: String,
    pub(super) annotations: Vec<Map<String, Value>>,
    pub(super) logprobs: Vec<Value>,
}

impl Item {
    pub(super) fn kind(&self) -> &'static str {
        match &self.body {
            Body::Message { .. } => "message",
            Body::Reasoning { .. } => "reasoning",
            Body::Call { custom: false, .. } => "function_call",
            Body::Call { custom: true, .. } => "custom_tool_call",
            Body::Private => "private",
        }
    }

    /// Later members replace earlier ones.
    pub(super) fn learn(&mut self, extra: &Extra) {
        for (name, value) in super::marked(extra, ITEM).into_iter().flatten() {
            self.private.insert(name.clone(), value.clone());
        }
    }

    /// The item where a value may stand. `Status::Added` leaves out what its deltas bring.
    pub(super) fn write(&self, status: Status, out: &mut Vec<u8>) {
        write::open(out);
        if !self.private.contains_key("id") {
            write::text(out, "id", &self.id);
        }
        if !self.private.contains_key("type") {
            write::text(out, "type", self.kind());
        }
        match &self.body {
            Body::Message { parts } => {
                self.write_status(status, out);
                write::text(out, "role", "assistant");
                write::key(out, "content");
                write::open_list(out);
                if status != Status::InProgress {
                    parts.iter().for_each(|part| part.write(out));
                }
                write::close_list(out);
            }
            Body::Reasoning { summary, raw } => write_reasoning(summary, raw, status, out),
            Body::Call { call_id, name, arguments, custom } => {
                self.write_status(status, out);
                write::text(out, "call_id", call_id);
                write::text(out, "name", name);
                let input = if *custom { "input" } else { "arguments" };
                write::text(out, input, if status == Status::InProgress { "" } else { arguments });
            }
            Body::Private => {}
        }
        write::members(out, &self.private);
        write::close(out);
    }

    fn write_status(&self, status: Status, out: &mut Vec<u8>) {
        if !self.private.contains_key("status") {
            write::text(out, "status", status.name());
        }
    }
}

fn write_reasoning(summary: &[String], raw: &str, status: Status, out: &mut Vec<u8>) {
    write::key(out, "summary");
    write::open_list(out);
    if status != Status::InProgress {
        summary.iter().for_each(|text| write_text("summary_text", text, out));
    }
    write::close_list(out);
    if status != Status::InProgress && !raw.is_empty() {
        write::key(out, "content");
        write::open_list(out);
        write_text("reasoning_text", raw, out);
        write::close_list(out);
    }
}

/// A part of reasoning.
pub(super) fn write_text(kind: &str, text: &str, out: &mut Vec<u8>) {
    write::open(out);
    write::text(out, "type", kind);
    write::text(out, "text", text);
    write::close(out);
}

impl Part {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write::open(out);
        if self.is_refusal {
            write::text(out, "type", "refusal");
            write::text(out, "refusal", &self.text);
        } else {
            write::text(out, "type", "output_text");
            write::text(out, "text", &self.text);
            write::key(out, "annotations");
            write::open_list(out);
            for annotation in &self.annotations {
                write::open(out);
                write::members(out, annotation);
                write::close(out);
            }
            write::close_list(out);
            write::key(out, "logprobs");
            write::open_list(out);
            self.logprobs.iter().for_each(|token| write::value_item(out, token));
            write::close_list(out);
        }
        write::close(out);
    }
}

/// How far an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    InProgress,
    Completed,
    Incomplete,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::InProgress => "in_progress",
            Status::Completed => "completed",
            Status::Incomplete => "incomplete",
        }
    }
}
