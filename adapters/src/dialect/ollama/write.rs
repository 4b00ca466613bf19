//! Events → answers, whole and as lines.
//!
//! A call is written whole, as Ollama does: its arguments wait until its block closes.

use serde_json::{Map, Value};

use super::encode::encode_call;
use super::{CREATED_AT, GENERATE, ME, error, finish_word};
use crate::dialect::{Client, StreamEncoder};
use crate::event::{Block, Delta, Event, Finish};
use crate::fault::{Fault, Kind};
use crate::frame::ndjson;
use crate::ir::Extra;
use crate::json::build::Object;
use crate::usage::Usage;

/// Bytes of arguments that wait for their calls to close; more ends the stream with an error.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What every line repeats.
#[derive(Debug, Default)]
struct Head {
    model: String,
    created_at: String,
    /// The answer's form is that of `/api/generate`.
    is_completion: bool,
}

impl Head {
    fn new(client: &Client<'_>) -> Head {
        Head { model: client.model.clone().into_owned(), created_at: rfc3339(client.now_unix), is_completion: false }
    }

    fn start(&mut self, source_model: &str, extra: &Extra) {
        if self.model.is_empty() {
            source_model.clone_into(&mut self.model);
        }
        let own = |name: &str| extra.of(ME).and_then(|fields| fields.get(name));
        self.is_completion = own(GENERATE).is_some();
        if let Some(created_at) = own(CREATED_AT).and_then(Value::as_str) {
            created_at.clone_into(&mut self.created_at);
        }
    }

    fn encode(&self, object: &mut Object<'_>) {
        object.str("model", &self.model);
        object.str("created_at", &self.created_at);
    }
}

/// A call being put together.
#[derive(Debug)]
struct Call {
    id: String,
    name: String,
    arguments: String,
    extra: Extra,
}

impl Call {
    /// `index` is its place in the answer, which Ollama tells since it has ids.
    fn encode(&self, index: u64, object: &mut Object<'_>) {
        if self.extra.of(ME).is_some() {
            return encode_call(&self.id, &self.name, &self.arguments, self.extra.of(ME), object);
        }
        let own = Map::from_iter([("function".to_owned(), Value::Object(Map::from_iter([("index".to_owned(), index.into())])))]);
        encode_call(&self.id, &self.name, &self.arguments, Some(&own), object);
    }
}

/// What the last line holds.
#[derive(Debug, Default)]
struct Ending {
    finish: Option<(Finish, Extra)>,
    usage: Option<Usage>,
    has_refusal: bool,
}

impl Ending {
    fn encode(&self, object: &mut Object<'_>) {
        let (reason, extra) = self.finish.as_ref().map_or((&Finish::Stop, None), |(reason, extra)| (reason, extra.of(ME)));
        object.bool("done", true);
        object.str("done_reason", finish_word(reason, self.has_refusal));
        extra.into_iter().flatten().for_each(|(name, value)| object.value(name, value));
        if let Some(usage) = &self.usage {
            if usage.input > 0 {
                object.u64("prompt_eval_count", usage.input);
            }
            object.u64("eval_count", usage.output);
        }
    }
}

/// Only the first choice: this dialect has no other.
pub(super) fn encode(events: &[Event], client: &Client<'_>, out: &mut Vec<u8>) {
    let (mut head, mut ending) = (Head::new(client), Ending::default());
    let (mut text, mut thinking) = (String::new(), String::new());
    let mut calls: Vec<(u32, Call)> = Vec::new();
    for event in events {
        match event {
            Event::Start { model, extra, .. } => head.start(model, extra),
            Event::Open { choice: 0, block, kind: Block::ToolCall { id, name, extra } } => {
                calls.push((*block, Call { id: id.clone(), name: name.clone(), arguments: String::new(), extra: extra.clone() }));
            }
            Event::Open { kind: Block::Refusal, .. } => ending.has_refusal = true,
            Event::Delta { choice: 0, block, delta } => match delta {
                Delta::Text(more) => text.push_str(more),
                Delta::Thinking(more) => thinking.push_str(more),
                Delta::Arguments(more) => {
                    calls.iter_mut().filter(|call| call.0 == *block).for_each(|call| call.1.arguments.push_str(more));
                }
                _ => {}
            },
            Event::Finish { choice: 0, reason, extra } => ending.finish = Some((reason.clone(), extra.clone())),
            Event::Usage { usage, .. } => ending.usage = Some(*usage),
            Event::Fault(fault) => return error::encode(fault, out),
            _ => {}
        }
    }
    let mut object = Object::begin(out);
    head.encode(&mut object);
    if head.is_completion {
        object.str("response", &text);
        if !thinking.is_empty() {
            object.str("thinking", &thinking);
        }
    } else {
        let mut message = object.object("message");
        message.str("role", "assistant");
        message.str("content", &text);
        if !thinking.is_empty() {
            message.str("thinking", &thinking);
        }
        if !calls.is_empty() {
            let mut array = message.array("tool_calls");
            for (index, (_, call)) in (0..).zip(&calls) {
                let mut object = array.object();
                call.encode(index, &mut object);
                object.end();
            }
            array.end();
        }
        message.end();
    }
    ending.encode(&mut object);
    object.end();
}

pub(super) struct Encoder {
    head: Head,
    calls: Vec<(u32, Call)>,
    call_count: u64,
    waiting_bytes: usize,
    ending: Ending,
    is_over: bool,
}

impl Encoder {
    pub(super) fn new(client: Client<'static>) -> Encoder {
        Encoder { head: Head::new(&client), calls: Vec::new(), call_count: 0, waiting_bytes: 0, ending: Ending::default(), is_over: false }
    }
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.is_over {
            return;
        }
        match event {
            Event::Start { model, extra, .. } => self.head.start(model, extra),
            Event::Open { choice: 0, block, kind: Block::ToolCall { id, name, extra } } => {
                let call = Call { id: id.clone(), name: name.clone(), arguments: String::new(), extra: extra.clone() };
                self.calls.push((*block, call));
            }
            Event::Open { kind: Block::Refusal, .. } => self.ending.has_refusal = true,
            Event::Delta { choice: 0, block, delta } => self.delta(*block, delta, out),
            Event::Close { choice: 0, block, .. } => self.close(*block, out),
            Event::Finish { choice: 0, reason, extra } => self.ending.finish = Some((reason.clone(), extra.clone())),
            Event::Usage { usage, .. } => self.ending.usage = Some(*usage),
            Event::Fault(fault) => self.fail(fault, out),
            Event::End => self.end(out),
            // This dialect has one choice and no keep-alive.
            _ => {}
        }
    }
}

impl Encoder {
    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        error::encode_event(fault, out);
        self.is_over = true;
    }

    fn delta(&mut self, block: u32, delta: &Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Text(text) => self.write(Some(text), None, out),
            Delta::Thinking(text) => self.write(None, Some(text), out),
            Delta::Arguments(more) => {
                self.waiting_bytes += more.len();
                if self.waiting_bytes > WAITING_BYTES_MAX {
                    return self.fail(&Fault::new(Kind::MalformedResponse, "the arguments of a tool call are too long"), out);
                }
                self.calls.iter_mut().filter(|call| call.0 == block).for_each(|call| call.1.arguments.push_str(more));
            }
            _ => {}
        }
    }

    /// One line with a piece of the answer.
    fn write(&self, text: Option<&str>, thinking: Option<&str>, out: &mut Vec<u8>) {
        let mut line = Object::begin(out);
        self.head.encode(&mut line);
        if self.head.is_completion {
            line.str("response", text.unwrap_or_default());
            if let Some(thinking) = thinking {
                line.str("thinking", thinking);
            }
        } else {
            let mut message = line.object("message");
            message.str("role", "assistant");
            message.str("content", text.unwrap_or_default());
            if let Some(thinking) = thinking {
                message.str("thinking", thinking);
            }
            message.end();
        }
        line.bool("done", false);
        line.end();
        ndjson::end(out);
    }

    fn close(&mut self, block: u32, out: &mut Vec<u8>) {
        let Some(at) = self.calls.iter().position(|call| call.0 == block) else { return };
        let (_, call) = self.calls.remove(at);
        self.waiting_bytes = self.waiting_bytes.saturating_sub(call.arguments.len());
        let mut line = Object::begin(out);
        self.head.encode(&mut line);
        let mut message = line.object("message");
        message.str("role", "assistant");
        message.str("content", "");
        let mut calls = message.array("tool_calls");
        let mut object = calls.object();
        call.encode(self.call_count, &mut object);
        object.end();
        calls.end();
        message.end();
        line.bool("done", false);
        line.end();
        ndjson::end(out);
        self.call_count += 1;
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        while let Some((block, _)) = self.calls.first() {
            self.close(*block, out);
        }
        let mut line = Object::begin(out);
        self.head.encode(&mut line);
        if self.head.is_completion {
            line.str("response", "");
        } else {
            line.raw("message", br#"{"role":"assistant","content":""}"#);
        }
        self.ending.encode(&mut line);
        line.end();
        ndjson::end(out);
        self.is_over = true;
    }
}

/// A time of UTC (RFC 3339). The days of the calendar are counted from March, so that a leap day is a year's last.
fn rfc3339(unix: u64) -> String {
    let (days, seconds) = (unix / 86_400, unix % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod date_tests {
    use super::rfc3339;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (unix, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(unix), expected);
        }
    }
}
