//! Requests: decode, encode in the same dialect, translate.

use ringway_adapters::dialect::{DIALECTS, Dialect, DialectId, Target};
use ringway_adapters::fault::Fault;
use ringway_adapters::ir::{Chat, Gravity, Loss, Mode, Part, PartKind, Role, Source};
use serde_json::Value;

use crate::Checks;
use crate::left_out::{LOSS_OF_MEANING, REFUSED};
use crate::load::Exchange;
use crate::normal::{Side, compare};

pub fn check(exchange: &Exchange, checks: &mut Checks) {
    let Some(body) = &exchange.request else { return };
    let bytes = body.to_string().into_bytes();
    check_peek(body, &bytes, checks);
    let Some(row) = exchange.dialect.map(DialectId::row) else { return };
    let mut copy = bytes.clone();
    let chat = match (row.decode_request)(&mut copy) {
        Ok(chat) => chat,
        // The provider refused it as well.
        Err(_) if (400..500).contains(&exchange.status) => return checks.check("refused by both", Ok(())),
        Err(fault) => return checks.check("decode", Err(fault.message.into_owned())),
    };
    checks.check("decode", Ok(()));
    let mut out = Vec::new();
    let mut losses = Vec::new();
    let result = encode(row, &chat, &mut out, &mut losses);
    // A body to count needs no max_tokens, the codec writes one.
    let mut expected = body.clone();
    if row.id == DialectId::Anthropic && expected.get("max_tokens").is_none() {
        expected["max_tokens"] = MAX_TOKENS_DEFAULT.into();
    }
    checks
        .check("encode", result.map_err(|fault| fault.message.into_owned()).and_then(|()| compare(row.id, Side::Request, &expected, &out)));
    checks.check("encode loses nothing", if losses.is_empty() { Ok(()) } else { Err(format!("{losses:?}")) });
    if exchange.status >= 400 {
        return checks.left_out.push(REFUSED);
    }
    check_translations(row, &chat, checks);
}

fn check_peek(body: &Value, bytes: &[u8], checks: &mut Checks) {
    let result = ringway_adapters::json::peek::peek(bytes).map_err(|fault| fault.message.into_owned()).and_then(|peek| {
        let model = peek.model.and_then(|span| serde_json::from_slice::<Value>(&bytes[span]).ok());
        let expected = body.get("model").cloned();
        if model != expected {
            return Err(format!("model {model:?} instead of {expected:?}"));
        }
        let is_stream = body["stream"] == true;
        if peek.is_stream == is_stream { Ok(()) } else { Err(format!("is_stream is {}", peek.is_stream)) }
    });
    checks.check("peek", result);
}

const MAX_TOKENS_DEFAULT: u64 = 4096;

fn encode(row: &Dialect, chat: &Chat<'_>, out: &mut Vec<u8>, losses: &mut Vec<Loss>) -> Result<(), Fault> {
    let target = Target { model: &chat.model, max_tokens_default: MAX_TOKENS_DEFAULT, inject_stream_usage: false };
    (row.encode_request)(chat, &target, out, losses)
}

/// What every dialect must carry of a request.
#[derive(Debug, Default, PartialEq)]
struct Gist {
    system: String,
    user: String,
    assistant: String,
    calls: Vec<(String, Value)>,
    results: Vec<String>,
    images: usize,
    tools: Vec<String>,
    stream: Mode,
}

fn check_translations(row: &Dialect, chat: &Chat<'_>, checks: &mut Checks) {
    for other in DIALECTS.iter().filter(|other| other.id != row.id) {
        let name = format!("to {}", other.name);
        checks.group(&name, |checks| check_translation(&name, other, chat, checks));
    }
}

fn check_translation(name: &str, other: &Dialect, chat: &Chat<'_>, checks: &mut Checks) {
    let (mut out, mut losses) = (Vec::new(), Vec::new());
    match encode(other, chat, &mut out, &mut losses) {
        Ok(()) => {}
        // Said, not hidden: what cannot be carried is refused.
        Err(_) if losses.iter().any(|loss| loss.gravity == Gravity::Meaning) => return checks.left_out.push(LOSS_OF_MEANING),
        Err(fault) => return checks.check(name, Err(fault.message.into_owned())),
    }
    let is_kept = losses.iter().all(|loss| loss.gravity == Gravity::Tuning);
    let result = match (other.decode_request)(&mut out.clone()) {
        Ok(again) if is_kept => same_gist(&gist(chat), &gist(&again)),
        Ok(_) => {
            checks.left_out.push(LOSS_OF_MEANING);
            Ok(())
        }
        Err(fault) => Err(format!("{} in {}", fault.message, String::from_utf8_lossy(&out[..out.len().min(300)]))),
    };
    checks.check(name, result);
}

fn same_gist(expected: &Gist, got: &Gist) -> Result<(), String> {
    if expected == got {
        return Ok(());
    }
    let cut = |gist: &Gist| format!("{gist:?}").chars().take(2000).collect::<String>();
    Err(format!("{} instead of {}", cut(got), cut(expected)))
}

fn gist(chat: &Chat<'_>) -> Gist {
    let mut gist = Gist { stream: chat.stream, ..Gist::default() };
    chat.system.iter().for_each(|part| add(part, Role::System, &mut gist));
    for message in &chat.messages {
        message.parts.iter().for_each(|part| add(part, message.role, &mut gist));
    }
    // A request of system text alone is asked as the user's by dialects that demand a user turn.
    if gist.user.is_empty() && gist.assistant.is_empty() && gist.results.is_empty() {
        gist.user = std::mem::take(&mut gist.system);
    }
    for tool in chat.tools.iter().filter(|tool| tool.parameters.is_some()) {
        gist.tools.push(tool.name.to_string());
    }
    gist
}

fn add(part: &Part<'_>, role: Role, gist: &mut Gist) {
    match &part.kind {
        PartKind::Text(text) | PartKind::Refusal(text) => {
            let all = match role {
                Role::System => &mut gist.system,
                Role::User => &mut gist.user,
                Role::Assistant => &mut gist.assistant,
            };
            // Parts are joined by other white space in some dialects.
            all.extend(text.split_whitespace());
        }
        // A text document is text where the dialect has no documents.
        PartKind::Document { source: Source::Text { text, .. }, .. } => add(&Part::text(text.as_ref()), role, gist),
        PartKind::Image { .. } => gist.images += 1,
        PartKind::ToolCall { name, arguments, .. } => {
            gist.calls.push((name.to_string(), crate::outcome::arguments(arguments.to_string())));
        }
        PartKind::ToolResult { parts, .. } => {
            let mut inner = Gist::default();
            parts.iter().for_each(|part| add(part, Role::User, &mut inner));
            gist.results.push(inner.user);
            gist.images += inner.images;
        }
        _ => {}
    }
}
