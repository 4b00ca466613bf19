//! Recorded OpenAI traffic through the two OpenAI dialects: decoded and encoded again it says the same, and cut anywhere it
//! gives the same events. `RINGWAY_CORPUS` names the directory of the recordings, else they are those of `tests/corpus/data`.
//! Providers that imitate the dialects are checked where their recordings are.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use ringway_adapters::dialect::{Client, Dialect, DialectId, Target};
use ringway_adapters::event::{Block, Delta, Event, Finish};
use ringway_adapters::ir::Mode;
use ringway_adapters::usage::Usage;
use serde_json::{Map, Value, json};

/// Recordings that say nothing about the dialect, each with the reason.
const LEFT_OUT: &[(&str, &str)] = &[
    ("azure-chat-d84a47c91bd4", "its choice has no message at all; it comes back as one without content"),
    ("openai-chat-e2ba678bb707", "its stream ends without a finish reason, so by the rule of completion it is cut"),
];

const FILES: &[&str] = &["openai.jsonl", "azure.jsonl"];
/// Providers that imitate the dialects.
const IMITATIONS: &[&str] = &[
    "avian.jsonl",
    "bedrock-mantle.jsonl",
    "cerebras.jsonl",
    "chatgpt-codex.jsonl",
    "cloudflare.jsonl",
    "copilot.jsonl",
    "databricks.jsonl",
    "deepseek.jsonl",
    "doubleword.jsonl",
    "gpustack.jsonl",
    "groq.jsonl",
    "huggingface.jsonl",
    "llamacpp.jsonl",
    "mistral.jsonl",
    "mistralrs.jsonl",
    "openrouter.jsonl",
    "perplexity.jsonl",
    "venice.jsonl",
    "vercel-gateway.jsonl",
    "xai.jsonl",
    "zai.jsonl",
];

struct Exchange {
    id: String,
    dialect: &'static Dialect,
    request: Option<Value>,
    body: Option<Value>,
    sse: Option<String>,
    chunk_sizes: Vec<usize>,
}

/// Exchanges of the two dialects that the provider did not refuse.
fn corpus(files: &[&str]) -> Vec<Exchange> {
    let recorded = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/data");
    let directory = std::env::var_os("RINGWAY_CORPUS").map_or(recorded, PathBuf::from);
    let mut exchanges = Vec::new();
    for file in files {
        match read(&directory.join(file)) {
            Some(text) => exchanges.extend(text.lines().filter_map(exchange)),
            None => println!("{file}: no recordings here, nothing is checked"),
        }
    }
    exchanges
}

/// The file of this name, else its `.gz`.
fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    match std::fs::read(path) {
        Ok(bytes) => (&bytes[..]).read_to_string(&mut text).ok()?,
        Err(_) => GzDecoder::new(std::fs::File::open(path.with_extension("jsonl.gz")).ok()?).read_to_string(&mut text).ok()?,
    };
    Some(text)
}

fn exchange(line: &str) -> Option<Exchange> {
    let mut value: Value = serde_json::from_str(line).expect("a recording is one JSON object a line");
    let dialect = match value["api"].as_str()? {
        "chat" => DialectId::OpenaiChat.row(),
        "responses" => DialectId::OpenaiResponses.row(),
        _ => return None,
    };
    let id = value["id"].as_str()?.to_owned();
    if let Some((_, reason)) = LEFT_OUT.iter().find(|(left, _)| *left == id) {
        println!("left out {id}: {reason}");
        return None;
    }
    let response = value["response"].take();
    let request = value["request"]["body"].take();
    let generates = request.get("messages").is_some() || request.get("input").is_some() || request.get("prompt").is_some();
    (response["status"].as_u64()? < 400).then(|| Exchange {
        id,
        dialect,
        request: (value["request"]["method"] == "POST" && generates).then_some(request),
        body: response.get("body").filter(|body| is_answer(body)).cloned(),
        sse: response["sse_text"].as_str().map(str::to_owned),
        chunk_sizes: response["chunk_sizes"].as_array().into_iter().flatten().filter_map(|size| Some(size.as_u64()? as usize)).collect(),
    })
}

/// `/responses/compact` and pages of items have other objects.
fn is_answer(body: &Value) -> bool {
    body["choices"].is_array() || (body["output"].is_array() && body["object"] == "response" && body["status"] != "complete")
}

fn client(model: &str, mode: Mode) -> Client<'static> {
    Client { model: model.to_owned().into(), mode, stream_usage: true, now_unix: 1 }
}

/// Prints every failure and the counts, then fails if there was one.
fn verdict(name: &str, count: usize, failures: &[String]) {
    for failure in failures {
        println!("{name}: {failure}");
    }
    println!("{name}: {count} exchanges, {} failures", failures.len());
    assert!(failures.is_empty(), "{name}: {count} exchanges, {} failures", failures.len());
}

#[test]
fn requests_say_the_same_after_a_round_trip() {
    let (mut count, mut failures) = (0, Vec::new());
    for exchange in corpus(FILES) {
        let Some(request) = &exchange.request else { continue };
        count += 1;
        if let Err(what) = request_again(&exchange, request) {
            failures.push(format!("{}: {what}", exchange.id));
        }
    }
    verdict("requests", count, &failures);
}

fn request_again(exchange: &Exchange, request: &Value) -> Result<(), String> {
    let mut body = serde_json::to_vec(request).unwrap();
    let chat = (exchange.dialect.decode_request)(&mut body).map_err(|fault| fault.message.into_owned())?;
    let model = chat.model.clone().into_owned();
    let target = Target { model: &model, max_tokens_default: 4096, inject_stream_usage: false };
    let (mut out, mut losses) = (Vec::new(), Vec::new());
    (exchange.dialect.encode_request)(&chat, &target, &mut out, &mut losses).map_err(|fault| fault.message.into_owned())?;
    let again: Value = serde_json::from_slice(&out).map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&out)))?;
    if !losses.is_empty() {
        return Err(format!("losses {losses:?}"));
    }
    same(&plain_request(request.clone()), &plain_request(again))
}

#[test]
fn answers_say_the_same_after_a_round_trip() {
    let (mut count, mut failures) = (0, Vec::new());
    for exchange in corpus(FILES) {
        let Some(body) = &exchange.body else { continue };
        count += 1;
        if let Err(what) = answer_again(&exchange, body) {
            failures.push(format!("{}: {what}", exchange.id));
        }
    }
    verdict("answers", count, &failures);
}

fn answer_again(exchange: &Exchange, body: &Value) -> Result<(), String> {
    let (mut events, mut out) = (Vec::new(), Vec::new());
    let mut bytes = serde_json::to_vec(body).unwrap();
    (exchange.dialect.decode_answer)(&mut bytes, &mut events).map_err(|fault| fault.message.into_owned())?;
    let model = body["model"].as_str().unwrap_or_default();
    (exchange.dialect.encode_answer)(&events, &client(model, Mode::Whole), &mut out);
    let again: Value = serde_json::from_slice(&out).map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&out)))?;
    same(&plain(body.clone()), &plain(again))?;
    let mut tap = (exchange.dialect.tap)();
    tap.whole(&bytes);
    let seen = tap.seen();
    let right = seen.usage == usage(&events) && seen.ended && seen.finished;
    if right { Ok(()) } else { Err(format!("tap saw {seen:?}, decoder {:?}", usage(&events))) }
}

#[test]
fn imitations_decode() {
    let (mut count, mut failures) = (0, Vec::new());
    for exchange in corpus(IMITATIONS) {
        let mut events = Vec::new();
        let result = match (&exchange.body, &exchange.sse) {
            (_, Some(sse)) => decode_stream(exchange.dialect, sse.as_bytes(), &[]).map(|decoded| events = decoded),
            (Some(body), _) => (exchange.dialect.decode_answer)(&mut serde_json::to_vec(body).unwrap(), &mut events)
                .map_err(|fault| fault.message.into_owned()),
            _ => continue,
        };
        count += 1;
        let tapped = if exchange.sse.is_none() { Ok(()) } else { tap(&exchange, &events) };
        if let Err(what) = result.and(tapped) {
            failures.push(format!("{}: {what}", exchange.id));
        }
    }
    verdict("imitations", count, &failures);
}

#[test]
fn streams_give_the_same_events_however_they_are_cut() {
    let (mut count, mut failures) = (0, Vec::new());
    for exchange in corpus(FILES) {
        let Some(sse) = &exchange.sse else { continue };
        count += 1;
        if let Err(what) = stream_again(&exchange, sse.as_bytes()) {
            failures.push(format!("{}: {what}", exchange.id));
        }
    }
    verdict("streams", count, &failures);
}

fn stream_again(exchange: &Exchange, sse: &[u8]) -> Result<(), String> {
    let whole = decode_stream(exchange.dialect, sse, &[])?;
    let cuts = [vec![1; sse.len()], exchange.chunk_sizes.clone(), seeded(sse.len(), 7), seeded(sse.len(), 99)];
    for cuts in &cuts {
        if show(&decode_stream(exchange.dialect, sse, cuts)?) != show(&whole) {
            return Err("a cut changes the events".to_owned());
        }
    }
    tap(exchange, &whole)?;
    let model = whole.iter().find_map(|event| if let Event::Start { model, .. } = event { Some(model.as_str()) } else { None });
    let mut encoder = (exchange.dialect.stream_encoder)(client(model.unwrap_or_default(), Mode::Stream));
    let mut out = Vec::new();
    whole.iter().for_each(|event| encoder.encode(event, &mut out));
    let again = decode_stream(exchange.dialect, &out, &[]).map_err(|what| format!("encoded again: {what}"))?;
    let (before, after) = (show(&whole), show(&again));
    match before.iter().zip(&after).find(|(before, after)| before != after) {
        Some((before, after)) => Err(format!("{before} became {after}")),
        None if before.len() != after.len() => Err(format!("{} events became {}", before.len(), after.len())),
        None => Ok(()),
    }
}

#[test]
fn answers_survive_the_way_through_the_other_dialect() {
    let (mut count, mut failures) = (0, Vec::new());
    for exchange in corpus(FILES) {
        let mut events = Vec::new();
        match (&exchange.sse, &exchange.body) {
            (Some(sse), _) => events = decode_stream(exchange.dialect, sse.as_bytes(), &[]).unwrap_or_default(),
            (None, Some(body)) => drop((exchange.dialect.decode_answer)(&mut serde_json::to_vec(body).unwrap(), &mut events)),
            _ => continue,
        }
        if many_choices(&events) || !events.iter().any(|event| matches!(event, Event::End)) {
            continue;
        }
        count += 1;
        let other = match exchange.dialect.id {
            DialectId::OpenaiChat => DialectId::OpenaiResponses.row(),
            _ => DialectId::OpenaiChat.row(),
        };
        if let Err(what) = through(&events, other) {
            failures.push(format!("{}: {what}", exchange.id));
        }
    }
    verdict("through the other dialect", count, &failures);
}

#[test]
fn broken_bytes_never_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound.max(1) as u64) as usize
    };
    for exchange in corpus(FILES) {
        let request = exchange.request.as_ref().map(|request| serde_json::to_vec(request).unwrap());
        let body = exchange.body.as_ref().map(|body| serde_json::to_vec(body).unwrap());
        let sources = [request, body, exchange.sse.as_ref().map(|sse| sse.clone().into_bytes())];
        for mut bytes in sources.into_iter().flatten() {
            for _ in 0..1 + next(4) {
                let at = next(bytes.len());
                match next(3) {
                    0 => bytes.truncate(at.max(1)),
                    1 => bytes[at] = b"\"{}[],:0\n\\n"[next(11)],
                    _ => drop(bytes.drain(at..(at + next(40)).min(bytes.len()))),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            feed_all(exchange.dialect, &bytes);
        }
    }
}

/// Every decoder, and every encoder behind it.
fn feed_all(dialect: &Dialect, bytes: &[u8]) {
    let target = Target { model: "m", max_tokens_default: 1, inject_stream_usage: true };
    let (mut out, mut losses, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for other in [DialectId::OpenaiChat.row(), DialectId::OpenaiResponses.row()] {
        if let Ok(chat) = (dialect.decode_request)(&mut bytes.to_vec()) {
            drop((other.encode_request)(&chat, &target, &mut out, &mut losses));
        }
        drop((dialect.decode_answer)(&mut bytes.to_vec(), &mut events));
        let mut decoder = (dialect.stream_decoder)();
        drop(decoder.feed(bytes, &mut events).and_then(|()| decoder.finish(&mut events)));
        (other.encode_answer)(&events, &client("m", Mode::Whole), &mut out);
        let mut encoder = (other.stream_encoder)(client("m", Mode::Stream));
        events.iter().for_each(|event| encoder.encode(event, &mut out));
    }
    let mut tap = (dialect.tap)();
    drop(tap.feed(bytes));
    tap.whole(bytes);
    (dialect.decode_error)(400, bytes);
}

fn many_choices(events: &[Event]) -> bool {
    events.iter().filter(|event| matches!(event, Event::Finish { .. })).count() > 1
}

fn through(events: &[Event], other: &Dialect) -> Result<(), String> {
    let mut encoder = (other.stream_encoder)(client("m", Mode::Stream));
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    let streamed = decode_stream(other, &out, &[]).map_err(|what| format!("streamed: {what}"))?;
    let (mut body, mut whole) = (Vec::new(), Vec::new());
    (other.encode_answer)(events, &client("m", Mode::Whole), &mut body);
    (other.decode_answer)(&mut body, &mut whole).map_err(|fault| fault.message.into_owned())?;
    for (name, got) in [("streamed", gist(&streamed)), ("whole", gist(&whole))] {
        if got != gist(events) {
            return Err(format!("{name}: {:?} became {got:?}", gist(events)));
        }
    }
    Ok(())
}

/// What an answer says, whatever the dialect.
#[derive(Debug, Default, PartialEq)]
struct Gist {
    text: String,
    refusal: String,
    thinking: String,
    /// Id, name and arguments.
    calls: Vec<(String, String, String)>,
    finish: Option<Finish>,
    usage: Option<Usage>,
}

fn gist(events: &[Event]) -> Gist {
    let mut kinds: Vec<(u32, &Block)> = Vec::new();
    // Audio tokens are told apart in the chat dialect alone.
    let usage = usage(events).map(|usage| Usage { audio_input: 0, audio_output: 0, ..usage });
    let mut gist = Gist { usage, ..Gist::default() };
    for event in events {
        match event {
            Event::Open { block, kind, .. } => {
                kinds.push((*block, kind));
                if let Block::ToolCall { id, name, .. } = kind {
                    gist.calls.push((id.clone(), name.clone(), String::new()));
                }
            }
            Event::Delta { block, delta, .. } => match (delta, kinds.iter().rev().find(|(known, _)| known == block)) {
                (Delta::Text(more), Some((_, Block::Refusal))) => gist.refusal.push_str(more),
                (Delta::Text(more), _) => gist.text.push_str(more),
                (Delta::Thinking(more), _) => gist.thinking.push_str(more),
                (Delta::Arguments(more), Some((_, Block::ToolCall { id, .. }))) => {
                    gist.calls.iter_mut().filter(|call| call.0 == *id).for_each(|call| call.2.push_str(more));
                }
                _ => {}
            },
            // OpenAI ends a forced call with `stop`; Responses has one word for both.
            // `queued` and its like are states of a response that have no word elsewhere.
            Event::Finish { reason: Finish::Other(_), .. } => gist.finish = Some(Finish::Stop),
            Event::Finish { reason: Finish::Stop, .. } if !gist.calls.is_empty() => gist.finish = Some(Finish::ToolCalls),
            Event::Finish { reason, .. } => gist.finish = Some(reason.clone()),
            _ => {}
        }
    }
    gist
}

fn tap(exchange: &Exchange, whole: &[Event]) -> Result<(), String> {
    let mut tap = (exchange.dialect.tap)();
    for byte in exchange.sse.as_deref().unwrap_or_default().as_bytes() {
        tap.feed(std::slice::from_ref(byte)).map_err(|fault| format!("tap: {}", fault.message))?;
    }
    let seen = tap.seen();
    let faulty = whole.iter().any(|event| matches!(event, Event::Fault(_)));
    let ended = whole.iter().any(|event| matches!(event, Event::End));
    let right = seen.usage == usage(whole) && (seen.finished == ended || faulty) && seen.fault.is_some() == faulty;
    if right { Ok(()) } else { Err(format!("tap saw {seen:?}, decoder {:?}", usage(whole))) }
}

fn usage(events: &[Event]) -> Option<Usage> {
    events.iter().rev().find_map(|event| if let Event::Usage { usage, .. } = event { Some(*usage) } else { None })
}

/// Feeds `bytes` in pieces of the given sizes, what is left at the end at once.
fn decode_stream(dialect: &Dialect, bytes: &[u8], cuts: &[usize]) -> Result<Vec<Event>, String> {
    let mut decoder = (dialect.stream_decoder)();
    let (mut events, mut rest) = (Vec::new(), bytes);
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        let (now, after) = rest.split_at(cut.min(rest.len()));
        decoder.feed(now, &mut events).map_err(|fault| fault.message.into_owned())?;
        rest = after;
    }
    decoder.finish(&mut events).map_err(|fault| fault.message.into_owned())?;
    Ok(events)
}

fn show(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| format!("{event:?}")).collect()
}

/// Pseudo-random sizes (xorshift) up to `len`.
fn seeded(len: usize, seed: u64) -> Vec<usize> {
    let mut state = seed;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Some((state % 97) as usize + 1)
    };
    std::iter::from_fn(next).take(len / 40).collect()
}

/// What the dialects call the same: the index of a whole tool call, which is its place; absent, `null`, `false` and empty members; a lone text part and its string; an empty
/// assistant message and none; both names of the token bound; one stop word and a list of it; a nested and a flat function.
fn plain_request(value: Value) -> Value {
    let mut value = plain(value);
    let Some(object) = value.as_object_mut() else { return value };
    if let Some(max) = object.remove("max_tokens") {
        object.entry("max_completion_tokens").or_insert(max);
    }
    if let Some([stop]) = object.get("stop").and_then(Value::as_array).map(Vec::as_slice) {
        let stop = stop.clone();
        object.insert("stop".into(), stop);
    }
    if let Some(text) = object.get("input").filter(|input| input.is_string()).cloned() {
        object.insert("input".into(), json!([{"role": "user", "content": text}]));
    }
    for name in ["messages", "input"] {
        object.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten().for_each(plain_item);
    }
    if let Some(items) = object.get_mut("input").and_then(Value::as_array_mut) {
        items.retain(|item| *item != json!({"role": "assistant"}));
    }
    object.get_mut("tools").and_then(Value::as_array_mut).into_iter().flatten().for_each(plain_tool);
    value
}

fn plain_item(item: &mut Value) {
    let Some(object) = item.as_object_mut() else { return };
    if object.get("type") == Some(&Value::from("message")) {
        object.remove("type");
    }
    for name in ["content", "output"] {
        let lone = object.get(name).and_then(Value::as_array).filter(|list| list.len() == 1).and_then(|list| list[0].as_object());
        if let Some(text) = lone.filter(|part| part.len() == 2).and_then(|part| part.get("text")).cloned() {
            object.insert(name.into(), text);
        }
    }
}

fn plain_tool(tool: &mut Value) {
    let Some(object) = tool.as_object_mut() else { return };
    if let Some(Value::Object(function)) = object.remove("function") {
        object.extend(function);
    }
    if object.get("type") == Some(&Value::from("function")) {
        object.entry("parameters").or_insert(json!({"type": "object"}));
    }
}

fn plain(value: Value) -> Value {
    match value {
        Value::Object(mut object) => {
            if object.contains_key("function") {
                object.remove("index");
            }
            let kept = object.into_iter().map(|(key, value)| (key, plain(value))).filter(|(key, value)| match value {
                Value::Null | Value::Bool(false) => false,
                Value::Array(list) => !list.is_empty(),
                Value::Object(object) => !object.is_empty(),
                Value::String(text) => !(text.is_empty() && matches!(key.as_str(), "content" | "refusal" | "instructions")),
                _ => true,
            });
            Value::Object(kept.collect::<Map<String, Value>>())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(plain).collect()),
        Value::Number(number) => Value::from(number.as_f64()),
        value => value,
    }
}

fn same(before: &Value, after: &Value) -> Result<(), String> {
    match (before, after) {
        (Value::Object(a), Value::Object(b)) => a.keys().chain(b.keys()).try_for_each(|key| {
            let (a, b) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
            same(a, b).map_err(|what| format!(".{key}{what}"))
        }),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().try_for_each(|(index, (a, b))| same(a, b).map_err(|what| format!("[{index}]{what}")))
        }
        (a, b) if a == b => Ok(()),
        (a, b) => Err(format!(": {} became {}", short(a), short(b))),
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(300).collect()
}
