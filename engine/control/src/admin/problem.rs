//! Errors of the admin API: RFC 9457 problem documents, with the `error` member that the data listener's errors have.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

/// The content type of a problem.
const CONTENT_TYPE: &str = "application/problem+json";

/// What is wrong at one place of what was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where: `routes.chat.targets[0].model`, or the name of a query parameter.
    pub path: String,
    /// What it is, and what to write instead.
    pub message: String,
}

/// Why a request was not answered as it wished.
#[derive(Clone, Debug)]
pub struct Problem {
    pub status: StatusCode,
    /// A word for programs.
    pub code: &'static str,
    /// A sentence for people: what happened, with the value, and what to do.
    pub detail: String,
    pub errors: Vec<FieldError>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, code, detail: detail.into(), errors: Vec::new() }
    }

    /// 400: what was asked cannot be understood.
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Problem {
        let (path, message) = (path.into(), message.into());
        let detail = if path.is_empty() { message.clone() } else { format!("{path}: {message}") };
        Problem { errors: vec![FieldError { path, message }], ..Problem::new(StatusCode::BAD_REQUEST, "invalid_request_error", detail) }
    }

    pub fn unauthorized() -> Problem {
        let detail = "the admin token is missing or wrong; send it as authorization: Bearer TOKEN (printed at start, or --admin-token)";
        Problem::new(StatusCode::UNAUTHORIZED, "invalid_api_key", detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 409: the gateway was started without what is asked for; `detail` says with which flag it is there.
    pub fn absent(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, "not_available", detail)
    }

    /// 503: a part is out of order now.
    pub fn unavailable(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Problem");
        let body = json!({
            "type": "about:blank",
            "title": title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
            "errors": self.errors,
            "error": {"message": self.detail, "type": self.code, "param": null, "code": self.code},
        });
        let mut response = super::answer::with_type(CONTENT_TYPE, format!("{body}\n"));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            StatusCode::SERVICE_UNAVAILABLE => headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1")),
            _ => None,
        };
        response
    }
}

/// The document as the API description shows it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// Always `about:blank`: `code` tells problems apart.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    pub status: u16,
    /// What happened, and what to do.
    pub detail: String,
    /// A word for programs.
    pub code: String,
    pub errors: Vec<FieldError>,
    /// The same in the shape of the data listener's errors.
    pub error: OlderError,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct OlderError {
    pub message: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub param: Option<String>,
    pub code: String,
}
