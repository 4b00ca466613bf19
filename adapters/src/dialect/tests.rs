//! What the taps of all dialects have in common.

use super::{DialectId, Seen};
use crate::usage::{Provenance, Tariff, Usage};

fn stream(dialect: DialectId, events: &[&str]) -> Seen {
    let mut tap = (dialect.row().tap)();
    for data in events {
        tap.feed(format!("data: {data}\n\n").as_bytes()).unwrap();
    }
    tap.seen().clone()
}

fn whole(dialect: DialectId, body: &str) -> Seen {
    let mut tap = (dialect.row().tap)();
    tap.whole(body.as_bytes());
    tap.seen().clone()
}

fn tail(dialect: DialectId, end: &str) -> Seen {
    let mut tap = (dialect.row().tap)();
    tap.tail(end.as_bytes());
    tap.seen().clone()
}

#[test]
fn a_client_that_leaves_early_is_charged_the_input_that_was_told_and_the_text() {
    let seen = stream(
        DialectId::Anthropic,
        &[
            r#"{"type":"message_start","message":{"content":[],"stop_reason":null,"usage":{"input_tokens":9,"cache_read_input_tokens":4,"cache_creation_input_tokens":7,"cache_creation":{"ephemeral_5m_input_tokens":2,"ephemeral_1h_input_tokens":5},"output_tokens":1,"service_tier":"batch"}}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Gr\u00fc\u00dfe "}}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"look","input":{}}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\""}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}"#,
        ],
    );
    assert_eq!(seen.kept.text(), "Grüße look{\"a\"");
    assert_eq!((seen.event_count, seen.text_bytes, seen.tier), (3, 16, Some(Tariff::Batch)));
    let bill = seen.bill();
    let told = Usage { input: 20, cached_read: 4, cached_write: 7, cached_write_1h: 5, output: bill.usage.output, ..Usage::default() };
    assert_eq!((bill.usage, bill.provenance, bill.lacks_input), (told, Provenance::Delivered, false));
    assert!((4..=8).contains(&bill.usage.output), "{}", bill.usage.output);
}

#[test]
fn chat_keeps_every_kind_of_text_in_its_order() {
    let seen = stream(
        DialectId::OpenaiChat,
        &[
            r#"{"service_tier":null,"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
            r#"{"service_tier":"flex","choices":[{"index":0,"delta":{"reasoning_content":"so ","reasoning":"so "}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"then "}]},{"type":"text","text":"hi "}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"there ","annotations":[{"type":"url_citation","url_citation":{"url":"u"}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{}"}}]}}]}"#,
        ],
    );
    assert_eq!(seen.kept.text(), "so then hi there f{}");
    assert_eq!((seen.event_count, seen.tier, seen.searches), (4, Some(Tariff::Flex), 1));
    let bill = seen.bill();
    assert_eq!((bill.usage.searches, bill.lacks_input), (1, true));
}

#[test]
fn usage_in_a_choice_and_older_completions_are_read() {
    let seen = stream(
        DialectId::OpenaiChat,
        &[
            r#"{"choices":[{"index":0,"text":"abc","finish_reason":"stop","usage":{"prompt_tokens":4,"completion_tokens":2,"cached_tokens":3}}]}"#,
        ],
    );
    let usage = Usage { input: 4, output: 2, cached_read: 3, ..Usage::default() };
    assert_eq!((seen.bill().usage, seen.bill().provenance, seen.text_bytes), (usage, Provenance::Provider, 3));
}

#[test]
fn searches_and_images_of_a_response_are_counted_once() {
    let items = r#"{"type":"web_search_call","status":"completed","action":{"type":"search","query":"q"}},{"type":"web_search_call","action":{"type":"open_page","url":"u"}},{"type":"image_generation_call","result":"AAAA"},{"type":"message","content":[{"type":"output_text","text":"hi"}]}"#;
    let usage = r#""service_tier":"priority","usage":{"input_tokens":3,"output_tokens":2,"total_tokens":5}"#;
    let body = format!(r#"{{"status":"completed","output":[{items}],{usage}}}"#);
    let seen = whole(DialectId::OpenaiResponses, &body);
    let expected = Some(Usage { input: 3, output: 2, searches: 1, images: 1, ..Usage::default() });
    assert_eq!((seen.usage, seen.tier, seen.text_bytes), (expected, Some(Tariff::Priority), 2));
    assert_eq!(seen.kept.text(), "");

    let mut events = vec![r#"{"type":"response.created","response":{"service_tier":"auto","usage":null}}"#.to_owned()];
    let split = items.replace("},{\"type\"", "}\n{\"type\"");
    events.extend(split.lines().map(|item| format!(r#"{{"type":"response.output_item.done","item":{item}}}"#)));
    events.push(format!(r#"{{"type":"response.completed","response":{body}}}"#));
    let seen = stream(DialectId::OpenaiResponses, &events.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((seen.usage, seen.tier), (expected, Some(Tariff::Priority)));

    let mut decoded = Vec::new();
    (DialectId::OpenaiResponses.row().decode_answer)(&mut body.into_bytes(), &mut decoded).unwrap();
    let found = decoded.iter().find_map(|event| if let crate::event::Event::Usage { usage, .. } = event { Some(*usage) } else { None });
    assert_eq!(found, expected);
}

#[test]
fn a_whole_answer_without_usage_keeps_its_text() {
    let seen = whole(DialectId::OpenaiChat, r#"{"choices":[{"index":0,"message":{"content":"hello world"},"finish_reason":"stop"}]}"#);
    assert_eq!((seen.kept.text().as_ref(), seen.text_bytes, seen.event_count, seen.is_whole), ("hello world", 11, 1, true));
    assert!(seen.finished && seen.ended && seen.bill().lacks_input);
    let images = whole(DialectId::OpenaiChat, r#"{"created":1,"data":[{"url":"a"},{"b64_json":"b"},{"embedding":[0.1]}]}"#);
    assert_eq!(images.bill().usage.images, 2);
}

#[test]
fn the_end_of_a_long_answer_tells_its_usage() {
    let chat = tail(DialectId::OpenaiChat, r#"0.5]}],"model":"m","usage":{"prompt_tokens":8,"total_tokens":8}}"#);
    assert_eq!((chat.bill().usage.input, chat.bill().provenance), (8, Provenance::Provider));
    let responses =
        tail(DialectId::OpenaiResponses, r#"text"}]}],"service_tier":"flex","usage":{"input_tokens":8,"output_tokens":3},"metadata":{}}"#);
    assert_eq!((responses.bill().usage.total(), responses.tier), (11, Some(Tariff::Flex)));
    let messages = tail(
        DialectId::Anthropic,
        r#"\"usage\":{}"}],"stop_reason":"end_turn","usage":{"input_tokens":8,"output_tokens":3,"service_tier":"standard"}}"#,
    );
    assert_eq!((messages.bill().usage.total(), messages.tier), (11, Some(Tariff::Standard)));
    let none = tail(DialectId::Anthropic, "just text");
    assert_eq!((none.usage, none.is_whole), (None, false));
}
