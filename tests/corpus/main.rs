//! Every recorded exchange through the gateway, its provider played from the recording: same dialect, so byte for byte.
//!
//! The model of a request is the exchange's id, by which `loadtest replay` finds the answer. What must hold: the provider gets
//! the client's body but for the model, the client gets the provider's status, body and the fields that are its business; a 401
//! or 403 of the provider is the gateway's to mend (502), and what a repeat could mend is told as such. `RINGWAY_CORPUS_ONLY` is a prefix of the ids to run.

mod apis;
#[path = "../../adapters/tests/corpus/base64.rs"]
mod base64;
mod body;
mod left_out;
mod load;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::ExitCode;

use apis::Names;
use load::{Answer as Recorded, Exchange};
use ringway_adapters::provider::{Auth, BaseUrl, builtin};
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
    let mut table: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    let mut left_out: BTreeMap<&str, usize> = BTreeMap::new();
    let mut failures = Vec::new();
    for exchange in exchanges.iter().filter(|exchange| exchange.id.starts_with(&only)) {
        let row = table.entry(format!("{} {}", exchange.provider, exchange.api)).or_default();
        if let Some(reason) = left_out::reason(exchange) {
            row[2] += 1;
            *left_out.entry(reason).or_default() += 1;
            continue;
        }
        match check(exchange, &replay, &gateway) {
            Ok(()) => row[0] += 1,
            Err(why) => {
                row[1] += 1;
                failures.push(format!("{}: {why}", exchange.id));
            }
        }
    }
    println!("(a) same dialect through the gateway: passed/failed/left out");
    table.iter().for_each(|(name, [passed, failed, left])| println!("{name:<36} {passed}/{failed}/{left}"));
    failures.iter().for_each(|failure| println!("FAIL {failure}"));
    left_out.iter().for_each(|(reason, count)| println!("left out: {count} where {reason}"));
    let passed: usize = table.values().map(|row| row[0]).sum();
    println!("count: (a) {passed} passed, {} failed", failures.len());
    println!("{passed} passed, {} failed", failures.len());
    if failures.is_empty() && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A route of its own, with one attempt, for each exchange whose error the gateway would repeat.
fn configuration(replay: &Replay, exchanges: &[Exchange]) -> String {
    let sent: Vec<&Exchange> = exchanges.iter().filter(|exchange| left_out::reason(exchange).is_none()).collect();
    let names: BTreeSet<&str> = sent.iter().map(|exchange| exchange.provider.as_str()).collect();
    let mut text = String::from("providers:\n");
    for name in names {
        text += &format!("  {name}: {{{}, usage: tap}}\n", provider(name, replay.address));
    }
    text += "routes:\n";
    for exchange in sent.iter().filter(|exchange| !is_clients(exchange)) {
        text += &format!("  {}: {{targets: [{{model: {}/{}}}], retries: 0}}\n", exchange.id, exchange.provider, exchange.id);
    }
    text
}

/// Where it is played, with whatever else its file asks for.
fn provider(name: &str, at: SocketAddr) -> String {
    let Some(own) = builtin(name) else { return format!("like: openai, base_url: \"http://{at}/v1\", keys: [upstream-key]") };
    // A version that stands in the base URL does so in that of the user, too.
    let version = if own.base_url.ends_with("/v1") { "/v1" } else { "" };
    let mut text = format!("base_url: \"http://{at}{version}\"");
    for variable in own.needed(BaseUrl::Given) {
        text += &format!(", {}: us-east-1", variable.name);
    }
    match own.auth {
        Auth::Sigv4 { .. } => text + ", access_key_id: upstream-key, secret_access_key: upstream-secret",
        _ => text + ", keys: [upstream-key]",
    }
}

/// The answer is the client's: a good one, or an error that it alone can mend.
fn is_clients(exchange: &Exchange) -> bool {
    // Google says with a 400 that the gateway's own key is wrong.
    let is_key = exchange.answer_text().contains("API_KEY_INVALID");
    matches!(exchange.status, 200..=299 | 400 | 402 | 404..=407 | 410..=428 | 431..=499) && !is_key
}

fn check(exchange: &Exchange, replay: &Replay, gateway: &Ringway) -> Result<(), String> {
    let row = exchange.row.ok_or("no row")?;
    let body = exchange.body.as_deref().unwrap_or_default();
    let (body_asked, sent) = match (row.names, body::model(body)) {
        (Names::InBody, span) => {
            let span = span.ok_or("no model")?;
            (body::with_model(body, span.clone(), &asked(exchange)), body::with_model(body, span, &exchange.id))
        }
        (Names::InPath, _) => (body.to_owned(), body.to_owned()),
    };
    let target = (row.door)(exchange, &asked(exchange).replace('/', "%2F"));
    let answer = client::exchange(gateway.address, &request(exchange, &target, &body_asked));
    let log = replay.take_log();
    let [seen] = &log[..] else { return Err(format!("{} attempts; the client got {} {}", log.len(), answer.status, answer.text())) };
    if seen["body"] != sent.as_str() {
        return Err(format!(
            "the provider got another body: {}",
            difference(sent.as_bytes(), seen["body"].as_str().unwrap_or_default().as_bytes())
        ));
    }
    no_credential(exchange, seen)?;
    if is_clients(exchange) { same(exchange, &answer) } else { mended(exchange.status, &answer) }
}

/// The client's own credential, which the recordings lack, stays here.
fn no_credential(exchange: &Exchange, seen: &serde_json::Value) -> Result<(), String> {
    let told = seen["headers"].to_string();
    if told.contains("client-key") { Err(format!("{} got the client's key: {told}", exchange.provider)) } else { Ok(()) }
}

fn request(exchange: &Exchange, target: &str, body: &str) -> Vec<u8> {
    let mut fields = String::new();
    for (name, value) in exchange.fields.iter().filter(|(name, _)| !OWN_FIELDS.contains(&name.as_str())) {
        fields += &format!("{name}: {value}\r\n");
    }
    fields += "authorization: Bearer client-key-of-this-test\r\n";
    client::request(target, &fields, body)
}

fn asked(exchange: &Exchange) -> String {
    if is_clients(exchange) { format!("{}/{}", exchange.provider, exchange.id) } else { exchange.id.clone() }
}

/// The provider's own answer.
fn same(exchange: &Exchange, answer: &Answer) -> Result<(), String> {
    if answer.status != exchange.status {
        return Err(format!("status {} instead of {}: {}", answer.status, exchange.status, answer.text()));
    }
    let recorded = match &exchange.answer {
        Some(Recorded::Whole(text) | Recorded::Stream(text)) => text.as_bytes().to_vec(),
        Some(Recorded::Binary(bytes)) => bytes.clone(),
        None => Vec::new(),
    };
    if answer.body != recorded {
        return Err(format!("another answer: {}", difference(&recorded, &answer.body)));
    }
    if !answer.complete {
        return Err("the answer was cut".into());
    }
    same_fields(exchange, answer)
}

/// Fields of a provider that are the client's business.
const KEPT_FIELDS: &[&str] = &["content-type", "retry-after", "request-id", "openai-processing-ms", "openai-version"];
/// Fields that a provider may not set: cookies, what is of its own connection, and what is the gateway's.
const REFUSED_FIELDS: &[&str] =
    &["set-cookie", "strict-transport-security", "alt-svc", "keep-alive", "content-encoding", "proxy-authenticate", "upgrade"];

fn same_fields(exchange: &Exchange, answer: &Answer) -> Result<(), String> {
    // An error is told in the gateway's own head.
    let kept = if exchange.status < 400 { KEPT_FIELDS } else { &["content-type"] };
    for name in kept {
        let (recorded, got) = (exchange.answer_field(name), answer.field(name));
        // Some recorders dropped the type; an error of ours always has one.
        let is_dropped = recorded.is_none() && exchange.status >= 400;
        if got != recorded.map(str::trim) && !is_dropped {
            return Err(format!("{name} {got:?} instead of {recorded:?}"));
        }
    }
    match REFUSED_FIELDS.iter().find(|name| answer.field(name).is_some()) {
        Some(name) => Err(format!("the provider's {name} went to the client")),
        None => Ok(()),
    }
}

/// The gateway's own words for an error that is not the client's.
fn mended(status: u16, answer: &Answer) -> Result<(), String> {
    let expected = if status == 429 { 429 } else { 502 };
    // Bedrock and Cohere write their errors as a message alone.
    let is_error = answer.json().get("error").is_some() || answer.json()["message"].is_string();
    let is_mended = answer.status == expected && is_error && answer.complete;
    if is_mended { Ok(()) } else { Err(format!("{} instead of {expected} after {status}: {}", answer.status, answer.text())) }
}

/// Where two bodies part, with what stands there.
fn difference(expected: &[u8], got: &[u8]) -> String {
    let at = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
    let show = |bytes: &[u8]| String::from_utf8_lossy(&bytes[at.saturating_sub(20)..bytes.len().min(at + 60)]).into_owned();
    format!("at byte {at} of {} and {}: {:?} instead of {:?}", expected.len(), got.len(), show(got), show(expected))
}
