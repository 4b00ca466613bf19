//! What a caller asks: query, path and body, read with problems in place of axum's plain text.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::Problem;

/// Largest body of a change: a whole configuration, or a chat with pictures.
pub(crate) const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The query, as `T`.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Asked<T>, Problem> {
        let read = Query::<T>::from_request_parts(parts, state).await;
        let cause = |error: &dyn std::error::Error| error.source().map_or_else(|| error.to_string(), ToString::to_string);
        read.map(|Query(query)| Asked(query)).map_err(|rejection| Problem::invalid("query", cause(&rejection)))
    }
}

/// The names in the path, percent-decoded.
#[derive(Debug)]
pub(crate) struct Named<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Named<T>, Problem> {
        let read = Path::<T>::from_request_parts(parts, state).await;
        read.map(|Path(names)| Named(names)).map_err(|rejection| Problem::invalid("path", rejection.body_text()))
    }
}

/// A JSON object.
#[derive(Debug)]
pub(crate) struct JsonBody(pub Value);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<JsonBody, Problem> {
        expect_type(&request, &["json"], "application/json")?;
        let bytes = body(request, state).await?;
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|error| Problem::invalid("body", format!("no JSON at line {}, column {}: {error}", error.line(), error.column())))?;
        match value.is_object() {
            true => Ok(JsonBody(value)),
            false => Err(Problem::invalid("body", "write a JSON object")),
        }
    }
}

/// YAML (or JSON, which is YAML).
#[derive(Debug)]
pub(crate) struct YamlBody(pub String);

impl<S: Send + Sync> FromRequest<S> for YamlBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<YamlBody, Problem> {
        expect_type(&request, &["yaml", "json", "text/plain"], "application/yaml")?;
        let bytes = body(request, state).await?;
        String::from_utf8(bytes.into()).map(YamlBody).map_err(|_| Problem::invalid("body", "write UTF-8"))
    }
}

/// A body without a type is taken for what is expected: `curl -d @file` would say that it is a form.
fn expect_type(request: &Request, words: &[&str], wanted: &str) -> Result<(), Problem> {
    let Some(found) = request.headers().get(header::CONTENT_TYPE) else { return Ok(()) };
    let found = found.to_str().unwrap_or("?").to_ascii_lowercase();
    if words.iter().any(|word| found.contains(word)) {
        return Ok(());
    }
    let detail = format!("the body is said to be {found:?}; send content-type: {wanted}");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = format!("the body is larger than {} MiB", BODY_BYTES_MAX >> 20);
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", detail)
        }
        _ => Problem::invalid("body", rejection.body_text()),
    })
}
