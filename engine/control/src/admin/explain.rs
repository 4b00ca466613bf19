//! `/api/v1/explain` and a route's dry run: what would become of a request, as things stand now.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ringway_policy::explain::{self, Question};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{JsonBody, Named};
use super::problem::Problem;
use super::scene::Scene;
use super::{Shared, answer};

const PATH_DEFAULT: &str = "/v1/chat/completions";

#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "it describes what callers send")]
struct Explain {
    /// The path that is asked: `/v1/chat/completions` where it is not said.
    path: Option<String>,
    /// The request.
    #[schema(value_type = Object)]
    body: Value,
    /// The virtual key's name.
    key: Option<String>,
    /// Fields of its head.
    #[schema(value_type = Option<Object>)]
    headers: Option<Value>,
    /// Tags that it brings along.
    #[schema(value_type = Option<Object>)]
    tags: Option<Value>,
}

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(explained)).routes(routes!(dry_run))
}

/// Which key, route, conditions, targets, bounds and costs a request would meet; nothing is sent.
#[utoipa::path(post, path = "/api/v1/explain", tag = "routes", request_body = Explain,
    responses((status = 200, description = "As `ringway explain --json` says it", body = Value)))]
async fn explained(State(view): State<Shared>, JsonBody(body): JsonBody) -> Result<Response, Problem> {
    answered(&Scene::of(&view), body)
}

/// The same for a request of this route: its body may leave the model out.
#[utoipa::path(post, path = "/api/v1/routes/{name}/dry-run", tag = "routes", params(("name" = String, Path, min_length = 1)),
    request_body = Explain, responses((status = 200, description = "As `ringway explain --json` says it", body = Value)))]
async fn dry_run(State(view): State<Shared>, Named(name): Named<String>, JsonBody(mut body): JsonBody) -> Result<Response, Problem> {
    let scene = Scene::of(&view);
    if scene.config.routes.get(&name).is_none() {
        return Err(Problem::not_found(format!("there is no route {name:?}; see /api/v1/routes")));
    }
    if let Some(Value::Object(request)) = body.get_mut("body")
        && !request.contains_key("model")
    {
        request.insert("model".into(), json!(name));
    }
    answered(&scene, body)
}

fn answered(scene: &Scene, asked: Value) -> Result<Response, Problem> {
    let question = question(scene, asked)?;
    let explained = explain::explain(&scene.snapshot, &question).map_err(|fault| {
        // What cannot be explained is the caller's to mend, whatever the gateway would answer to a client.
        Problem::new(StatusCode::BAD_REQUEST, fault.kind.code(), fault.message.into_owned())
    })?;
    Ok(answer::json(&explained))
}

fn question(scene: &Scene, mut asked: Value) -> Result<Question, Problem> {
    let text = |value: &Value, name: &str| match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        _ => Err(Problem::invalid(name, "write a text")),
    };
    let pairs = |value: &Value, name: &str| match value {
        Value::Null => Ok(Vec::new()),
        Value::Object(map) => {
            let pair = |(key, value): (&String, &Value)| match value {
                Value::String(value) => Ok((key.clone(), value.clone())),
                _ => Err(Problem::invalid(format!("{name}.{key}"), "write a text")),
            };
            map.iter().map(pair).collect()
        }
        _ => Err(Problem::invalid(name, "write an object of texts")),
    };
    let body = asked["body"].take();
    if !body.is_object() {
        return Err(Problem::invalid("body", "write the request as a JSON object: {\"body\": {\"model\": …, \"messages\": […]}}"));
    }
    Ok(Question {
        path: text(&asked["path"], "path")?.unwrap_or_else(|| PATH_DEFAULT.to_owned()),
        body: body.to_string().into_bytes(),
        key: text(&asked["key"], "key")?,
        headers: pairs(&asked["headers"], "headers")?,
        tags: pairs(&asked["tags"], "tags")?,
        unix_s: scene.now().unix_ms / 1_000,
    })
}
