//! Requests: decoded and encoded in the same dialect, then through every other one and back.

use ringway_adapters::dialect::{DIALECTS, Dialect, Target};
use ringway_adapters::fault::Fault;
use ringway_adapters::ir::{Chat, Gravity, Loss, Mode};
use serde_json::Value;

use crate::Checks;
use crate::apis::Says;
use crate::gist::Gist;
use crate::left_out::{LOSS_OF_MEANING, REFUSED};
use crate::load::Exchange;
use crate::normal::{Lack, Normal, compare};
use crate::table::Check;

const MAX_TOKENS_DEFAULT: u64 = 4096;

pub fn check(exchange: &Exchange, checks: &mut Checks) {
    let (Some(body), Some(row)) = (&exchange.request, exchange.row.dialect(exchange)) else { return };
    let bytes = body.to_string().into_bytes();
    if exchange.row.says == Says::InBody {
        checks.check(Check::Tap, "peek", || peek(body, &bytes));
    }
    let mut copy = bytes.clone();
    let mut chat = match (row.decode_request)(&mut copy) {
        Ok(chat) => chat,
        // The provider refused it as well.
        Err(_) if (400..500).contains(&exchange.status) => return checks.check(Check::Again, "refused by both", || Ok(())),
        Err(fault) => return checks.check(Check::Again, "request", || Err(fault.message.into_owned())),
    };
    if exchange.row.says == Says::InPath {
        chat.model = exchange.model.clone().into();
        chat.stream = if exchange.is_stream { Mode::Stream } else { Mode::Whole };
    }
    checks.check(Check::Again, "request", || again(exchange, row, &chat, body));
    if exchange.status >= 400 {
        return checks.leave_out(Check::Across, REFUSED);
    }
    for other in DIALECTS.iter().filter(|other| other.id != row.id && !Normal::of(other).lacks(Lack::Chat)) {
        if Normal::of(row).lacks(Lack::Chat) {
            continue;
        }
        match across(row, other, &chat) {
            Ok(result) => checks.check(Check::Across, &format!("request by {}", other.name), || result),
            Err(field) => checks.leave_out(Check::Across, format!("{LOSS_OF_MEANING}: `{field}`")),
        }
    }
}

fn peek(body: &Value, bytes: &[u8]) -> Result<(), String> {
    let peek = ringway_adapters::json::peek::peek(bytes).map_err(|fault| fault.message.into_owned())?;
    let model = peek.model.and_then(|span| serde_json::from_slice::<Value>(&bytes[span]).ok());
    let expected = body.get("model").cloned();
    if model != expected {
        return Err(format!("model {model:?} instead of {expected:?}"));
    }
    if peek.is_stream == (body["stream"] == true) { Ok(()) } else { Err(format!("is_stream is {}", peek.is_stream)) }
}

fn again(exchange: &Exchange, row: &Dialect, chat: &Chat<'_>, body: &Value) -> Result<(), String> {
    let (mut out, mut losses) = (Vec::new(), Vec::new());
    encode(row, chat, &mut out, &mut losses).map_err(|fault| fault.message.into_owned())?;
    let mut expected = body.clone();
    if exchange.row.says == Says::InPath {
        // Where the path says both, a body may have them all the same.
        let mut got: Value = serde_json::from_slice(&out).map_err(|error| error.to_string())?;
        for body in [&mut got, &mut expected] {
            ["model", "stream"].iter().for_each(|name| drop(body.as_object_mut().map(|body| body.remove(*name))));
        }
        out = got.to_string().into_bytes();
    }
    compare(Normal::of(row).request, &expected, &out)?;
    if losses.is_empty() { Ok(()) } else { Err(format!("{losses:?}")) }
}

fn encode(row: &Dialect, chat: &Chat<'_>, out: &mut Vec<u8>, losses: &mut Vec<Loss>) -> Result<(), Fault> {
    let target = Target { model: &chat.model, max_tokens_default: MAX_TOKENS_DEFAULT, inject_stream_usage: false };
    (row.encode_request)(chat, &target, out, losses)
}

/// There and back.
///
/// # Errors
/// The field, without its indexes, that the other dialect says it cannot express.
fn across(row: &Dialect, other: &Dialect, chat: &Chat<'_>) -> Result<Result<(), String>, String> {
    let (mut there, mut losses) = (Vec::new(), Vec::new());
    let result = encode(other, chat, &mut there, &mut losses);
    // Said, not hidden: what cannot be carried is refused.
    if let Some(loss) = losses.iter().find(|loss| loss.gravity == Gravity::Meaning) {
        return Err(loss.field.chars().filter(|char| !char.is_ascii_digit()).collect());
    }
    Ok(result.map_err(|fault| fault.message.into_owned()).and_then(|()| back(row, other, chat, &there)))
}

fn back(row: &Dialect, other: &Dialect, chat: &Chat<'_>, there: &[u8]) -> Result<(), String> {
    let told = |fault: Fault| format!("{} in {}", fault.message, String::from_utf8_lossy(&there[..there.len().min(300)]));
    let mut copy = there.to_vec();
    let mut translated = (other.decode_request)(&mut copy).map_err(told)?;
    if Normal::of(other).lacks(Lack::Mode) {
        (translated.model, translated.stream) = (chat.model.clone(), chat.stream);
    }
    Gist::of(chat).same(&Gist::of(&translated))?;
    let (mut home, mut losses) = (Vec::new(), Vec::new());
    encode(row, &translated, &mut home, &mut losses).map_err(|fault| format!("back: {}", fault.message))?;
    let again = (row.decode_request)(&mut home).map_err(|fault| format!("back: {}", fault.message))?;
    let fit = |gist: Gist| if Normal::of(row).lacks(Lack::Mode) { gist.without_mode() } else { gist };
    fit(Gist::of(chat)).same(&fit(Gist::of(&again))).map_err(|why| format!("back: {why}"))
}
