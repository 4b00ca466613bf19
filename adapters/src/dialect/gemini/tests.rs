//! Requests, answers and streams as a whole; recorded traffic is in tests/corpus.

use serde_json::{Value, json};

use crate::dialect::{Client, DialectId, Target};
use crate::event::{Block, Delta, Event, Finish};
use crate::fault::{Fault, Kind};
use crate::frame::Framing;
use crate::ir::{Effort, Gravity, Loss, Mode, OutputFormat, PartKind, ToolChoice};

const GEMINI: DialectId = DialectId::Gemini;

fn translated(from: DialectId, to: DialectId, model: &str, body: &Value) -> (Value, Vec<Loss>) {
    let mut bytes = body.to_string().into_bytes();
    let chat = (from.row().decode_request)(&mut bytes).expect("a good request");
    let (mut out, mut losses) = (Vec::new(), Vec::new());
    let target = Target { model, max_tokens_default: 4096, inject_stream_usage: false };
    (to.row().encode_request)(&chat, &target, &mut out, &mut losses).expect("a request that can be said");
    (serde_json::from_slice(&out).expect("JSON"), losses)
}

fn client(framing: Framing) -> Client<'static> {
    Client { model: "m".into(), mode: Mode::Stream, stream_usage: true, framing, now_unix: 0 }
}

fn decoded(stream: &[u8]) -> (Vec<Event>, Result<(), Fault>) {
    let (mut decoder, mut events) = ((GEMINI.row().stream_decoder)(), Vec::new());
    let result = decoder.feed(stream, &mut events).and_then(|()| decoder.finish(&mut events));
    (events, result)
}

fn whole(body: Value) -> Vec<Event> {
    let mut events = Vec::new();
    (GEMINI.row().decode_answer)(&mut body.to_string().into_bytes(), &mut events).expect("a good answer");
    events
}

#[test]
fn both_forms_of_names_are_read() {
    let body = json!({
        "system_instruction": {"parts": {"text": "be short"}},
        "contents": {"parts": [{"text": "hi"}, {"inline_data": {"mime_type": "image/png", "data": "_-8="}}]},
        "generation_config": {"max_output_tokens": 5, "response_mime_type": "application/json", "response_schema": {"type": "STRING"},
            "thinking_config": {"thinking_budget": 0}},
        "tools": {"function_declarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]},
        "tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["f"]}},
        "service_tier": "SERVICE_TIER_FLEX",
    });
    let mut bytes = body.to_string().into_bytes();
    let chat = (GEMINI.row().decode_request)(&mut bytes).unwrap();
    assert_eq!((chat.max_tokens, chat.tool_choice.as_ref()), (Some(5), Some(&ToolChoice::Tool("f".into()))));
    assert!(matches!(&chat.output, Some(OutputFormat::JsonSchema { schema, .. }) if *schema == json!({"type": "string"})));
    assert_eq!(chat.reasoning.as_ref().and_then(|reasoning| reasoning.effort), Some(Effort::None));
    assert_eq!(chat.tools[0].parameters, Some(json!({"type": "object"})));
    assert_eq!(chat.service_tier.as_deref(), Some("flex"));
    assert!(matches!(chat.messages[0].parts[1].kind, PartKind::Image { .. }));
    assert_eq!(chat.system.len(), 1);
}

#[test]
fn wrong_requests_name_the_field_and_what_to_write() {
    for (body, param) in [
        (json!({}), "contents"),
        (json!({"contents": [{"role": "assistant", "parts": []}]}), "contents[0].role"),
        (json!({"contents": [{"parts": [{"text": 7}]}]}), "contents[0].parts[0].text"),
        (json!({"contents": [{"parts": [{"functionCall": {}}]}]}), "contents[0].parts[0].functionCall.name"),
        (json!({"contents": [], "tools": [{"functionDeclarations": [{}]}]}), "tools[0].functionDeclarations[0].name"),
        (json!({"contents": [], "generationConfig": {"topK": "x"}}), "generationConfig.topK"),
    ] {
        let mut bytes = body.to_string().into_bytes();
        let fault = (GEMINI.row().decode_request)(&mut bytes).unwrap_err();
        assert_eq!((fault.kind, fault.param.as_deref()), (Kind::InvalidRequest, Some(param)), "{body}");
    }
}

#[test]
fn results_without_ids_find_their_calls_and_go_back_without() {
    let body = json!({"contents": [
        {"role": "user", "parts": [{"text": "go"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}, {"functionCall": {"name": "g", "args": {"a": 1}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "g", "response": {"output": "two"}}},
            {"functionResponse": {"name": "f", "response": {"error": "one"}}}]},
    ], "tools": [{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}]});
    let (chat, losses) = translated(GEMINI, DialectId::OpenaiChat, "m", &body);
    let ids: Vec<&Value> = chat["messages"][1]["tool_calls"].as_array().unwrap().iter().map(|call| &call["id"]).collect();
    assert_eq!((&chat["messages"][2]["tool_call_id"], &chat["messages"][3]["tool_call_id"]), (ids[1], ids[0]), "{chat}");
    assert_eq!((&chat["messages"][2]["content"], &chat["messages"][3]["content"]), (&json!("two"), &json!("one")));
    assert!(losses.iter().all(|loss| loss.gravity == Gravity::Tuning), "{losses:?}");
    let (home, _) = translated(DialectId::OpenaiChat, GEMINI, "gemini-2.5-flash", &chat);
    assert_eq!(home["contents"][1]["parts"][1]["functionCall"], json!({"name": "g", "args": {"a": 1}}));
    assert_eq!(home["contents"][2]["parts"][0]["functionResponse"]["name"], "g");
}

#[test]
fn a_calls_signature_comes_back_through_another_dialect() {
    let events = whole(json!({"candidates": [{"content": {"parts": [
        {"functionCall": {"name": "f", "args": {}, "id": "c1"}, "thoughtSignature": "c2ln"}]}, "finishReason": "STOP"}]}));
    let mut out = Vec::new();
    (DialectId::Anthropic.row().encode_answer)(&events, &client(Framing::Sse), &mut out);
    let answer: Value = serde_json::from_slice(&out).unwrap();
    let turn = json!({"max_tokens": 9, "model": "m", "messages": [{"role": "user", "content": "go"},
        {"role": "assistant", "content": answer["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "x"}]}]});
    let (body, losses) = translated(DialectId::Anthropic, GEMINI, "gemini-3-flash", &turn);
    assert_eq!(body["contents"][1]["parts"], json!([{"functionCall": {"id": "c1", "name": "f", "args": {}}, "thoughtSignature": "c2ln"}]));
    assert_eq!(losses, []);
    let mut again = Vec::new();
    (GEMINI.row().encode_answer)(&events, &client(Framing::Sse), &mut again);
    let again: Value = serde_json::from_slice(&again).unwrap();
    assert_eq!(again["candidates"][0]["content"]["parts"][0]["thoughtSignature"], "c2ln");
}

#[test]
fn what_cannot_be_carried_is_told_with_its_gravity() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "parallel_tool_calls": false, "user": "u",
        "logit_bias": {"1": 2}, "prediction": {}, "stop": ["1", "2", "3", "4", "5", "6"], "reasoning_effort": "high"});
    let (out, losses) = translated(DialectId::OpenaiChat, GEMINI, "gemini-2.0-flash", &body);
    let told = |name: &str| losses.iter().find(|loss| loss.field == name).map(|loss| loss.gravity);
    assert_eq!(told("stop"), Some(Gravity::Meaning));
    for name in ["parallel_tool_calls", "user", "logit_bias", "reasoning_effort"] {
        assert_eq!(told(name), Some(Gravity::Tuning), "{name}: {losses:?}");
    }
    assert_eq!(out["generationConfig"]["stopSequences"].as_array().map(Vec::len), Some(5));
}

#[test]
fn a_refused_prompt_has_no_candidates_and_is_filtered() {
    let body = json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 7}, "modelVersion": "m"});
    let events = whole(body.clone());
    assert!(events.iter().any(|event| matches!(event, Event::Finish { reason: Finish::ContentFilter, .. })));
    let mut out = Vec::new();
    (GEMINI.row().encode_answer)(&events, &client(Framing::Sse), &mut out);
    assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), body);
}

#[test]
fn arguments_that_come_in_pieces_are_one_call() {
    let call = |call: Value, more: Value| {
        format!("data: {}\n\n", json!({"candidates": [{"content": {"parts": [{"functionCall": call}]}, "finishReason": more}]}))
    };
    let stream = [
        call(json!({"name": "f", "willContinue": true}), Value::Null),
        call(json!({"partialArgs": [{"jsonPath": "$.a", "stringValue": "x", "willContinue": true}], "willContinue": true}), Value::Null),
        call(json!({"partialArgs": [{"jsonPath": "$.a", "stringValue": "y"}], "willContinue": true}), Value::Null),
        call(json!({}), "STOP".into()),
    ]
    .concat();
    let (events, result) = decoded(stream.as_bytes());
    result.unwrap();
    let arguments = events.iter().find_map(|event| match event {
        Event::Delta { delta: Delta::Arguments(arguments), .. } => Some(arguments.as_str()),
        _ => None,
    });
    assert_eq!(arguments, Some(r#"{"a":"xy"}"#));
    assert!(events.iter().any(|event| matches!(event, Event::Finish { reason: Finish::ToolCalls, .. })));
}

#[test]
fn a_stream_is_complete_with_its_reasons_and_its_bracket() {
    let chunk = |reason: &str| format!(r#"{{"candidates":[{{"content":{{"parts":[{{"text":"a"}}]}}{reason}}}]}}"#);
    let done = r#","finishReason":"STOP""#;
    for (stream, is_complete) in [
        (format!("data: {}\n\n", chunk(done)), true),
        (format!("data: {}\n\ndata: {}\n\n", chunk(done), chunk("")), false),
        (format!("data: {}\n\n", chunk("")), false),
        (format!("[{}]", chunk(done)), true),
        (format!("[{}", chunk(done)), false),
        (String::new(), false),
    ] {
        let (events, result) = decoded(stream.as_bytes());
        assert_eq!((result.is_ok(), matches!(events.last(), Some(Event::End))), (is_complete, is_complete), "{stream}");
        let mut tap = (GEMINI.row().tap)();
        tap.feed(stream.as_bytes()).unwrap();
        assert_eq!(tap.seen().finished && !tap.seen().mid_event, is_complete, "{stream}");
    }
}

#[test]
fn both_framings_carry_the_same_chunks_and_one_error() {
    let events = [
        Event::Start { id: "r".into(), model: "x".into(), created: None, extra: Default::default() },
        Event::Open { choice: 0, block: 0, kind: Block::Text },
        Event::Delta { choice: 0, block: 0, delta: Delta::Text("a\nb".into()) },
        Event::Close { choice: 0, block: 0, extra: Default::default() },
        Event::Finish { choice: 0, reason: Finish::Length, extra: Default::default() },
        Event::End,
    ];
    let fault = Event::Fault(Fault::new(Kind::UpstreamCut, "torn"));
    for framing in [Framing::Sse, Framing::JsonArray] {
        let mut out = Vec::new();
        let mut encoder = (GEMINI.row().stream_encoder)(client(framing));
        events.iter().for_each(|event| encoder.encode(event, &mut out));
        let (again, result) = decoded(&out);
        result.unwrap();
        assert!(again.iter().any(|event| matches!(event, Event::Delta { delta: Delta::Text(text), .. } if text == "a\nb")));
        let mut torn = Vec::new();
        let mut encoder = (GEMINI.row().stream_encoder)(client(framing));
        events[..3].iter().chain([&fault, &events[5]]).for_each(|event| encoder.encode(event, &mut torn));
        let (again, _) = decoded(&torn);
        let faults = again.iter().filter(|event| matches!(event, Event::Fault(_))).count();
        assert_eq!(faults, 1, "{}", String::from_utf8_lossy(&torn));
    }
}
