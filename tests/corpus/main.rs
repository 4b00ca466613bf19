//! Every recorded exchange through the gateway, its provider played from the recording: same dialect, so byte for byte.
//!
//! The model of a request is the exchange's id, by which `loadtest replay` finds the answer. What must hold: the provider gets
//! the client's body but for the model, the client gets the provider's status and body; a 401 or 403 of the provider is the
//! gateway's to mend (502), and what a repeat could mend is told as such. `RINGWAY_CORPUS_ONLY` is a prefix of the ids to run.

mod body;
mod left_out;
mod load;

use std::collections::BTreeMap;
use std::process::ExitCode;

use load::Exchange;
use ringway_tests::client::{self, Answer};
use ringway_tests::process::{Replay, Ringway};

/// Fields of a recorded request that a client's own machinery writes anew.
const OWN_FIELDS: &[&str] =
    &["host", "content-length", "content-type", "accept-encoding", "connection", "transfer-encoding", "content-encoding"];

fn main() -> ExitCode {
    // The test harness's own words: a list, or names to run.
    let (flags, names): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|word| word.starts_with('-'));
    let is_named = names.is_empty() || names.iter().any(|name| "corpus".contains(name.as_str()));
    if flags.iter().any(|flag| flag == "--list") || !is_named {
        if is_named {
            println!("corpus: test");
        }
        return ExitCode::SUCCESS;
    }
    let files = load::files();
    let only = std::env::var("RINGWAY_CORPUS_ONLY").unwrap_or_default();
    let exchanges = load::exchanges(&files);
    let replay = Replay::start(&files);
    let gateway = Ringway::start(&configuration(&replay, &exchanges));
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut left_out: BTreeMap<&str, usize> = BTreeMap::new();
    let mut failures = Vec::new();
    for exchange in exchanges.iter().filter(|exchange| exchange.id.starts_with(&only)) {
        if let Some(reason) = left_out::reason(exchange) {
            *left_out.entry(reason).or_default() += 1;
            continue;
        }
        let mode = if exchange.is_stream { "stream" } else { "whole" };
        let count = counts.entry(format!("{} {} {mode}", exchange.provider, exchange.api)).or_default();
        match check(exchange, &replay, &gateway) {
            Ok(()) => count.0 += 1,
            Err(why) => {
                count.1 += 1;
                failures.push(format!("{}: {why}", exchange.id));
            }
        }
    }
    failures.iter().for_each(|failure| println!("FAIL {failure}"));
    counts.iter().for_each(|(name, (passed, failed))| println!("count: {name}: {passed} passed, {failed} failed"));
    left_out.iter().for_each(|(reason, count)| println!("left out: {count} where {reason}"));
    let passed: usize = counts.values().map(|count| count.0).sum();
    println!("{passed} passed, {} failed", failures.len());
    if failures.is_empty() && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A route of its own, with one attempt, for each exchange whose error the gateway would repeat.
fn configuration(replay: &Replay, exchanges: &[Exchange]) -> String {
    let at = replay.address;
    let mut text = String::from("providers:\n");
    for (name, base_url) in
        [("openai", format!("http://{at}/v1")), ("anthropic", format!("http://{at}")), ("azure", format!("http://{at}"))]
    {
        text += &format!("  {name}: {{base_url: \"{base_url}\", keys: [upstream-key], usage: tap}}\n");
    }
    text += "routes:\n";
    for exchange in exchanges.iter().filter(|exchange| !is_clients(exchange.status)) {
        text += &format!("  {}: {{targets: [{{model: {}/{}}}], retries: 0}}\n", exchange.id, exchange.provider, exchange.id);
    }
    text
}

/// The answer is the client's: a good one, or an error that it alone can mend.
fn is_clients(status: u16) -> bool {
    matches!(status, 200..=299 | 400 | 402 | 404..=407 | 410..=428 | 431..=499)
}

fn check(exchange: &Exchange, replay: &Replay, gateway: &Ringway) -> Result<(), String> {
    let body = exchange.body.as_deref().unwrap_or_default();
    let span = body::model(body).ok_or("no model")?;
    let body_asked = body::with_model(body, span.clone(), &asked(exchange));
    let sent = body::with_model(body, span, &exchange.id);
    let answer = client::exchange(gateway.address, &request(exchange, &body_asked));
    let log = replay.take_log();
    let [seen] = &log[..] else { return Err(format!("{} attempts; the client got {} {}", log.len(), answer.status, answer.text())) };
    if seen["body"] != sent.as_str() {
        return Err(format!(
            "the provider got another body: {}",
            difference(sent.as_bytes(), seen["body"].as_str().unwrap_or_default().as_bytes())
        ));
    }
    if is_clients(exchange.status) { same(exchange, &answer) } else { mended(exchange.status, &answer) }
}

fn request(exchange: &Exchange, body: &str) -> Vec<u8> {
    let mut fields = String::new();
    for (name, value) in exchange.fields.iter().filter(|(name, _)| !OWN_FIELDS.contains(&name.as_str())) {
        fields += &format!("{name}: {value}\r\n");
    }
    client::request(&target(exchange), &fields, body)
}

/// The recorded target, where the gateway serves it: a deployment is the exchange's id, a proxy's prefix is gone.
fn target(exchange: &Exchange) -> String {
    let target = exchange.target.trim_start_matches("/api");
    let Some((before, after)) = target.split_once("/deployments/") else { return target.to_owned() };
    let (_, operation) = after.split_once('/').unwrap_or_default();
    format!("{before}/deployments/{}/{operation}", asked(exchange))
}

fn asked(exchange: &Exchange) -> String {
    if is_clients(exchange.status) { format!("{}/{}", exchange.provider, exchange.id) } else { exchange.id.clone() }
}

/// The provider's own answer.
fn same(exchange: &Exchange, answer: &Answer) -> Result<(), String> {
    let recorded = exchange.answer.as_deref().unwrap_or_default();
    if answer.status != exchange.status {
        return Err(format!("status {} instead of {}: {}", answer.status, exchange.status, answer.text()));
    }
    if answer.body != recorded {
        return Err(format!("another answer: {}", difference(recorded, &answer.body)));
    }
    if !answer.complete {
        return Err("the answer was cut".into());
    }
    let content_type = answer.field("content-type");
    // Some recorders dropped it; an error of ours always has one.
    let is_dropped = exchange.answer_type.is_none() && exchange.status >= 400;
    if content_type != exchange.answer_type.as_deref() && !is_dropped {
        return Err(format!("content-type {content_type:?} instead of {:?}", exchange.answer_type));
    }
    Ok(())
}

/// The gateway's own words for an error that is not the client's.
fn mended(status: u16, answer: &Answer) -> Result<(), String> {
    let expected = if status == 429 { 429 } else { 502 };
    let is_error = answer.json().get("error").is_some();
    let is_mended = answer.status == expected && is_error && answer.complete;
    if is_mended { Ok(()) } else { Err(format!("{} instead of {expected} after {status}: {}", answer.status, answer.text())) }
}

/// Where two bodies part, with what stands there.
fn difference(expected: &[u8], got: &[u8]) -> String {
    let at = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
    let show = |bytes: &[u8]| String::from_utf8_lossy(&bytes[at.saturating_sub(20)..bytes.len().min(at + 60)]).into_owned();
    format!("at byte {at} of {} and {}: {:?} instead of {:?}", expected.len(), got.len(), show(got), show(expected))
}
