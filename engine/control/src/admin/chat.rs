//! The playground and a provider's test call: real requests through the data plane, recorded like all others.

use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ringway_adapters::frame::sse;
use ringway_policy::record;
use serde::Serialize;
use serde_json::{Value, json};
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{JsonBody, Named};
use super::door::{self, Door};
use super::problem::Problem;
use super::scene::Scene;
use super::{Shared, View, answer};

/// Chunks of a stream that wait for its reader.
const CHUNKS_MAX: usize = 16;
/// How long a record is waited for: it is on its way from the shard.
const RECORD_WAIT: Duration = Duration::from_secs(1);
const RECORD_LOOK: Duration = Duration::from_millis(10);
/// Records that are looked through.
const RECORDS_LOOKED: usize = 200;
/// How long a test call may take.
const TEST_WAIT: Duration = Duration::from_secs(30);
/// Output tokens of a test call: some models take no fewer.
const TEST_TOKENS: u64 = 16;

#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "it describes what callers send")]
struct Chat {
    model: String,
    messages: Vec<Value>,
    stream: Option<bool>,
}

#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "it describes what callers send")]
struct Test {
    /// A model of the provider; where it is not said, the first one that it lists or a route names.
    model: Option<String>,
}

/// What a test call came to.
#[derive(Debug, Serialize, ToSchema)]
struct Tested {
    ok: bool,
    /// That the gateway answered.
    status: u16,
    latency_ms: u64,
    /// The answer's text, or what went wrong.
    detail: String,
    model: String,
    request_id: Option<String>,
}

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(chat)).routes(routes!(test))
}

/// A chat in OpenAI's form, through the data plane. A stream is passed on; its last event, `ringway`, tells the cost.
#[utoipa::path(post, path = "/api/v1/chat", tag = "playground", request_body = Chat, responses(
    (status = 200, description = "The answer", content((Value = "application/json"), (String = "text/event-stream"))),
    (status = 402, description = "A budget is used up", content_type = "application/problem+json", body = super::problem::ProblemDocument),
    (status = 408, description = "The request took too long", content_type = "application/problem+json", body = super::problem::ProblemDocument),
    (status = 500, description = "The gateway failed", content_type = "application/problem+json", body = super::problem::ProblemDocument),
    (status = 502, description = "The provider failed", content_type = "application/problem+json", body = super::problem::ProblemDocument),
    (status = 504, description = "The provider took too long", content_type = "application/problem+json", body = super::problem::ProblemDocument),
))]
async fn chat(State(view): State<Shared>, JsonBody(body): JsonBody) -> Result<Response, Problem> {
    let response = way(&view)?.chat(&body, None).await?;
    let is_stream = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if response.status().is_success() && is_stream {
        return Ok(passed_on(view, response));
    }
    let whole = door::whole(response).await?;
    if !whole.status.is_success() {
        return Err(refused(&whole));
    }
    let record = match &whole.id {
        Some(id) => record_of(&view, id).await,
        None => None,
    };
    let mut response = answer::json(&whole.body);
    let told = record.as_ref().and_then(|record| record["cost_usd"].as_str());
    for (name, value) in [("x-ringway-request-id", whole.id.as_deref()), ("x-ringway-cost-usd", told)] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// Sends a tiny chat to a provider, through the data plane, and tells what came of it.
#[utoipa::path(post, path = "/api/v1/providers/{name}/test", tag = "providers", params(("name" = String, Path, min_length = 1)),
    request_body = Test, responses((status = 200, description = "What came of it", body = Tested)))]
async fn test(State(view): State<Shared>, Named(name): Named<String>, JsonBody(body): JsonBody) -> Result<Response, Problem> {
    let scene = Scene::of(&view);
    if scene.upstream(&name).is_none() {
        return Err(Problem::not_found(format!("there is no provider {name:?}; see /api/v1/providers")));
    }
    let model = match &body["model"] {
        Value::String(model) if !model.is_empty() => model.clone(),
        Value::Null => some_model(&scene, &name).ok_or_else(|| {
            Problem::invalid("model", format!("no model of {name:?} is listed or named by a route; write one: {{\"model\": \"…\"}}"))
        })?,
        _ => return Err(Problem::invalid("model", "write the name of a model")),
    };
    let asked = if model.starts_with(&format!("{name}/")) { model } else { format!("{name}/{model}") };
    let chat = json!({"model": asked, "messages": [{"role": "user", "content": "Say OK."}], "max_tokens": TEST_TOKENS});
    let started = Instant::now();
    let whole = door::whole(way(&view)?.chat(&chat, Some(TEST_WAIT)).await?).await?;
    let latency_ms = started.elapsed().as_millis() as u64;
    let ok = whole.status.is_success();
    let detail = match ok {
        true => whole.body["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned(),
        false => refused(&whole).detail,
    };
    Ok(answer::json(&Tested { ok, status: whole.status.as_u16(), latency_ms, detail, model: asked, request_id: whole.id }))
}

fn way(view: &View) -> Result<&Door, Problem> {
    view.door.as_ref().ok_or_else(|| Problem::absent("this gateway has no listener of its own that could be asked"))
}

/// The first model that a provider lists, else the first that a route names.
fn some_model(scene: &Scene, provider: &str) -> Option<String> {
    let listed = scene.upstream(provider)?.models.first().map(|model| model.to_string());
    let of_routes = || {
        let mut names = scene.config.routes.iter().flat_map(|(_, route)| route.models());
        names.find_map(|at| at.value.strip_prefix(provider)?.strip_prefix('/').filter(|model| !model.contains('*')).map(str::to_owned))
    };
    listed.or_else(of_routes)
}

/// An error of the data plane as the API's.
fn refused(whole: &door::Whole) -> Problem {
    let error = &whole.body["error"];
    let detail = error["message"].as_str().map_or_else(|| format!("the data plane answered {}", whole.status), str::to_owned);
    Problem::new(whole.status, code_of(whole.status), detail)
}

/// The word of a status (the codes of the data plane, of which there is one each).
fn code_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "invalid_request_error",
        401 => "invalid_api_key",
        402 => "budget_exceeded",
        403 => "model_not_allowed",
        404 => "model_not_found",
        408 => "request_timeout",
        413 => "request_too_large",
        429 => "rate_limit_exceeded",
        502 => "upstream_error",
        503 => "overloaded",
        504 => "upstream_timeout",
        _ => "internal_error",
    }
}

/// The stream as it comes, then what it cost. A reader that goes away ends the request.
fn passed_on(view: Shared, mut response: reqwest::Response) -> Response {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(CHUNKS_MAX);
    let id = door::id_of(&response);
    let shown = id.as_deref().and_then(|id| HeaderValue::from_str(id).ok());
    tokio::spawn(async move {
        loop {
            let chunk = tokio::select! {
                chunk = response.chunk() => chunk,
                () = sender.closed() => return,
            };
            match chunk {
                Ok(Some(chunk)) => {
                    if sender.send(Ok(chunk)).await.is_err() {
                        return;
                    }
                }
                Ok(None) => break,
                // The data plane tells in an event of its own why a stream ends early.
                Err(_) => break,
            }
        }
        drop(response);
        let record = match &id {
            Some(id) => record_of(&view, id).await,
            None => None,
        };
        let last = last_event(id.as_deref(), record.as_ref());
        let mut event = Vec::new();
        sse::write_event(&mut event, "ringway", last.to_string().as_bytes());
        let _ = sender.send(Ok(event.into())).await;
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    let mut response = (headers, Body::from_stream(ReceiverStream::new(receiver))).into_response();
    if let Some(id) = shown {
        response.headers_mut().insert("x-ringway-request-id", id);
    }
    response
}

/// What a person wants to know of an answer; the whole record is at `/api/v1/records/ID`.
fn last_event(id: Option<&str>, record: Option<&Value>) -> Value {
    let mut out = json!({"request_id": id});
    for name in ["provider", "model", "status", "fault", "cost_usd", "usage", "first_byte_us", "total_us", "overhead_us"] {
        out[name] = record.map_or(Value::Null, |record| record[name].clone());
    }
    out
}

/// The record of an exchange that has just ended.
async fn record_of(view: &View, id: &str) -> Option<Value> {
    let until = Instant::now() + RECORD_WAIT;
    loop {
        let (mut hex, mut line) = (Vec::new(), Vec::new());
        view.recent.newest(RECORDS_LOOKED, |record| {
            hex.clear();
            record::write_hex(&record.id, &mut hex);
            if line.is_empty() && id.as_bytes().ends_with(&hex) {
                record::write_json(record, &mut line);
            }
        });
        if !line.is_empty() {
            return serde_json::from_slice(&line).ok();
        }
        if Instant::now() > until {
            return None;
        }
        tokio::time::sleep(RECORD_LOOK).await;
    }
}
