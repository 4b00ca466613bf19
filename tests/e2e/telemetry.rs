//! OpenTelemetry as a collector sees it: what arrives is decoded with the official messages.

use std::process::Command;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use ringway_tests::standin::{Asked, StandIn, answer, json};
use serde_json::json;

use crate::client::{get, post_with};
use crate::process::{Ringway, ringway_binary};

const CHAT: &str = "/v1/chat/completions";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const ANSWER: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18,"prompt_tokens_details":{"cached_tokens":3}}}"#;

fn collector() -> StandIn {
    StandIn::start(|_| answer("200 OK", "application/x-protobuf", b""))
}

/// A provider that fails once, then answers.
fn provider() -> StandIn {
    let failed = std::sync::atomic::AtomicBool::new(false);
    StandIn::start(move |_| match failed.swap(true, std::sync::atomic::Ordering::Relaxed) {
        false => json("500 Internal Server Error", "{}"),
        true => json("200 OK", ANSWER),
    })
}

fn start(config: &str, variables: &[(&str, &str)]) -> Ringway {
    let mut command = Command::new(ringway_binary());
    command.args(["--driver", &std::env::var("RINGWAY_TEST_DRIVER").unwrap_or_else(|_| "auto".into())]);
    command.envs([("OTEL_BSP_SCHEDULE_DELAY", "50"), ("OTEL_BLRP_SCHEDULE_DELAY", "50"), ("OTEL_METRIC_EXPORT_INTERVAL", "100")]);
    command.envs(variables.iter().copied());
    Ringway::launch(config, &mut command)
}

fn config(provider: &StandIn) -> String {
    format!(
        "providers: {{gemini-like: {{like: openai, base_url: \"http://{}/v1\", keys: [k]}}, xai: {{base_url: \"http://{}/v1\", keys: [k]}}}}\n\
         routes: {{r: {{targets: [xai/m-1], retries: 1}}}}\n",
        provider.address, provider.address
    )
}

/// What came to `path`, once `count` messages did.
fn came(collector: &StandIn, path: &str, count: usize) -> Vec<Asked> {
    let until = Instant::now() + Duration::from_secs(15);
    loop {
        let all: Vec<Asked> = collector.asked().into_iter().filter(|asked| asked.line == format!("POST {path}")).collect();
        if all.len() >= count {
            return all;
        }
        assert!(Instant::now() < until, "{path}: {} of {count} messages came", all.len());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    match attributes.iter().find(|pair| pair.key == key)?.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

fn number(attributes: &[KeyValue], key: &str) -> Option<i64> {
    match attributes.iter().find(|pair| pair.key == key)?.value.as_ref()?.value.as_ref()? {
        Value::IntValue(number) => Some(*number),
        _ => None,
    }
}

fn spans(messages: &[Asked]) -> Vec<Span> {
    let decoded = messages.iter().map(|asked| ExportTraceServiceRequest::decode(asked.body.as_slice()).expect("an export of spans"));
    decoded.flat_map(|message| message.resource_spans).flat_map(|of| of.scope_spans).flat_map(|of| of.spans).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn an_exchange_is_a_span_with_a_child_of_each_attempt_in_the_callers_trace() {
    let (collector, provider) = (collector(), provider());
    let endpoint = format!("http://{}", collector.address);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=abc%20def"),
        ("OTEL_SERVICE_NAME", "my-gateway"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ];
    let ringway = start(&config(&provider), &variables);
    let body = json!({"model": "r", "messages": [{"role": "user", "content": "the-prompt-itself"}]});
    let fields = format!("traceparent: {PARENT}\r\ntracestate: vendor=abc\r\nx-ringway-tags: env=dev\r\n");
    assert_eq!(post_with(ringway.address, CHAT, &fields, &body).status, 200);

    let messages = came(&collector, "/v1/traces", 1);
    assert_eq!((messages[0].field("x-api-key"), messages[0].field("content-type")), (Some("abc def"), Some("application/x-protobuf")));
    let message = ExportTraceServiceRequest::decode(messages[0].body.as_slice()).unwrap();
    let resource = &message.resource_spans[0].resource.as_ref().unwrap().attributes;
    assert_eq!((text(resource, "service.name"), text(resource, "deployment.environment.name")), (Some("my-gateway"), Some("test")));
    let spans = spans(&messages);
    assert_eq!(spans.len(), 3, "the exchange and two attempts");
    assert!(spans.iter().all(|span| hex(&span.trace_id) == "4bf92f3577b34da6a3ce929d0e0e4736"));
    let (exchange, attempts) = spans.split_first().unwrap();
    assert_eq!(
        (hex(&exchange.parent_span_id).as_str(), exchange.kind, exchange.name.as_str()),
        ("00f067aa0ba902b7", SpanKind::Server as i32, "chat r")
    );
    assert_eq!(exchange.trace_state, "vendor=abc");
    let known = &exchange.attributes;
    assert_eq!(text(known, "gen_ai.operation.name"), Some("chat"));
    assert_eq!(text(known, "gen_ai.provider.name"), Some("x_ai"), "the well-known name, not ours");
    assert_eq!((text(known, "gen_ai.request.model"), text(known, "gen_ai.response.model")), (Some("r"), Some("m-1")));
    assert_eq!((number(known, "gen_ai.usage.input_tokens"), number(known, "gen_ai.usage.output_tokens")), (Some(11), Some(7)));
    assert_eq!(number(known, "gen_ai.usage.cache_read.input_tokens"), Some(3));
    assert_eq!((text(known, "ringway.tag.env"), number(known, "ringway.attempts")), (Some("dev"), Some(2)));
    assert_eq!(exchange.status.as_ref().unwrap().code, 0, "it was answered");
    for (index, attempt) in attempts.iter().enumerate() {
        assert_eq!((hex(&attempt.parent_span_id), attempt.kind), (hex(&exchange.span_id), SpanKind::Client as i32));
        assert!(attempt.start_time_unix_nano >= exchange.start_time_unix_nano && attempt.end_time_unix_nano <= exchange.end_time_unix_nano);
        assert_eq!(text(&attempt.attributes, "server.address"), Some("127.0.0.1"));
        assert_eq!(number(&attempt.attributes, "server.port"), Some(i64::from(provider.address.port())));
        let (status, code) = if index == 0 { (500, 2) } else { (200, 0) };
        assert_eq!((number(&attempt.attributes, "http.response.status_code"), attempt.status.as_ref().unwrap().code), (Some(status), code));
    }
    assert!(attempts[0].end_time_unix_nano <= attempts[1].start_time_unix_nano, "one after the other");

    let sent: Vec<String> = provider.asked().iter().filter_map(|asked| Some(asked.field("traceparent")?.to_owned())).collect();
    let expected: Vec<String> =
        attempts.iter().map(|attempt| format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", hex(&attempt.span_id))).collect();
    assert_eq!(sent, expected, "each attempt names its own span upstream");
    assert_eq!(provider.asked()[1].field("tracestate"), Some("vendor=abc"));
    assert!(!format!("{:?}", collector.asked()).contains("the-prompt-itself"), "no content without asking for it");
    assert_eq!(ringway.record()["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
}

#[test]
fn both_token_families_and_the_log_line_arrive() {
    let (collector, provider) = (collector(), provider());
    let endpoint = format!("http://{}", collector.address);
    let ringway = start(&config(&provider), &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
    let body = json!({"model": "r", "messages": [{"role": "user", "content": "hello"}]});
    assert_eq!(post_with(ringway.address, CHAT, "", &body).status, 200);

    let messages = came(&collector, "/v1/metrics", 2);
    let mut decoded =
        messages.iter().map(|asked| ExportMetricsServiceRequest::decode(asked.body.as_slice()).expect("an export of metrics"));
    let metrics: Vec<Metric> =
        decoded.next_back().unwrap().resource_metrics.into_iter().flat_map(|of| of.scope_metrics).flat_map(|of| of.metrics).collect();
    let find = |name: &str| metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("no metric {name}"));
    let Some(Data::Histogram(old)) = &find("gen_ai.client.token.usage").data else { panic!("a histogram") };
    let mut sums: Vec<(Option<&str>, f64)> =
        old.data_points.iter().map(|point| (text(&point.attributes, "gen_ai.token.type"), point.sum.unwrap())).collect();
    sums.sort_by_key(|(kind, _)| kind.map(str::to_owned));
    assert_eq!(sums, [(Some("input"), 11.0), (Some("output"), 7.0)]);
    for (name, count) in [
        ("gen_ai.client.inference.usage.input_tokens", 11),
        ("gen_ai.client.inference.usage.output_tokens", 7),
        ("gen_ai.client.inference.usage.cache_read.input_tokens", 3),
    ] {
        let Some(Data::Sum(sum)) = &find(name).data else { panic!("a sum") };
        assert!(sum.is_monotonic);
        assert_eq!(sum.data_points[0].value, Some(number_data_point::Value::AsInt(count)), "{name}");
        assert_eq!(text(&sum.data_points[0].attributes, "gen_ai.provider.name"), Some("x_ai"));
    }
    let Some(Data::Histogram(duration)) = &find("gen_ai.client.operation.duration").data else { panic!("a histogram") };
    assert_eq!((duration.data_points[0].count, duration.data_points[0].explicit_bounds.len()), (1, 14));

    let messages = came(&collector, "/v1/logs", 1);
    let message = ExportLogsServiceRequest::decode(messages[0].body.as_slice()).expect("an export of logs");
    let record = &message.resource_logs[0].scope_logs[0].log_records[0];
    let Some(AnyValue { value: Some(Value::StringValue(line)) }) = &record.body else { panic!("the line is its body") };
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["model"], &line["usage"]["input"]), (&"m-1".into(), &11.into()));
    assert_eq!((hex(&record.trace_id), hex(&record.span_id).len()), (line["trace_id"].as_str().unwrap().to_owned(), 16));
    let page = get(ringway.admin, "/metrics").text();
    assert!(page.contains("ringway_telemetry_sent_total{signal=\"logs\"} 1\n"), "{page}");
}

#[test]
fn a_busy_collector_is_asked_again_and_what_is_left_is_flushed_at_the_end() {
    let refused = std::sync::atomic::AtomicUsize::new(0);
    let collector = StandIn::start(move |_| match refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => [b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n".as_slice()].concat(),
        _ => answer("200 OK", "application/json", b"{}"),
    });
    let provider = provider();
    let traces = format!("http://{}/custom/path", collector.address);
    let variables = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", traces.as_str()),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
    ];
    let mut ringway = start(&config(&provider), &variables);
    let body = json!({"model": "r", "messages": [{"role": "user", "content": "hello"}]});
    assert_eq!(post_with(ringway.address, CHAT, "", &body).status, 200);
    let messages = came(&collector, "/custom/path", 2);
    assert_eq!(messages[0].body, messages[1].body, "the same message again");
    let message: serde_json::Value = serde_json::from_slice(&messages[1].body).unwrap();
    let span = &message["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert!(span["traceId"].as_str().is_some_and(|id| id.len() == 32) && span["name"] == "chat r", "{span}");
    // One more on the way out.
    assert_eq!(post_with(ringway.address, CHAT, "", &body).status, 200);
    ringway.process.signal(15);
    assert_eq!(ringway.process.exit(Duration::from_secs(20)), Some(0));
    assert!(came(&collector, "/custom/path", 3).len() == 3);
}

#[test]
fn without_an_endpoint_the_callers_trace_context_is_passed_on_untouched() {
    let provider = provider();
    let ringway = start(&config(&provider), &[("OTEL_SERVICE_NAME", "x")]);
    let body = json!({"model": "r", "messages": [{"role": "user", "content": "hello"}]});
    let fields = format!("traceparent: {PARENT}\r\n");
    assert_eq!(post_with(ringway.address, CHAT, &fields, &body).status, 200);
    assert!(provider.asked().iter().all(|asked| asked.field("traceparent") == Some(PARENT)));
    assert!(ringway.record().get("trace_id").is_none());
}

#[test]
fn a_variable_that_cannot_be_used_turns_telemetry_off_and_is_named() {
    let provider = provider();
    let ringway =
        start(&config(&provider), &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
    let ready = get(ringway.admin, "/readyz").text();
    assert!(ready.contains("telemetry") && ready.contains("http/protobuf"), "{ready}");
}
