//! The routes of who may do what: sessions, users, API tokens.

mod session;
mod tokens;
mod users;

use std::sync::Arc;

use axum::extract::FromRef;
use axum::http::StatusCode;
use axum::response::Response;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;

use super::Access;
use super::login::Refused;
use crate::admin::{Problem, View};
use crate::store::Error;

/// All of them; their rights stand in the one table.
pub(crate) fn router() -> OpenApiRouter<Arc<View>> {
    session::router().merge(users::router()).merge(tokens::router())
}

impl FromRef<Arc<View>> for Access {
    fn from_ref(view: &Arc<View>) -> Access {
        view.access.clone()
    }
}

/// What an act was about, for the audit log: no secret, no body.
#[derive(Clone, Debug, Default)]
pub struct Noted(pub String);

fn noted(mut response: Response, detail: impl Into<String>) -> Response {
    response.extensions_mut().insert(Noted(detail.into()));
    response
}

/// Reads a body as `T`; a field that it does not know is an error.
fn read<T: DeserializeOwned>(body: Value) -> Result<T, Problem> {
    serde_json::from_value(body).map_err(|error| Problem::invalid("body", error.to_string()))
}

/// A change of the store that was not made; `conflict` says what a conflict means here.
fn refused(error: Error, conflict: &str) -> Problem {
    match error {
        Error::Conflict => Problem::new(StatusCode::CONFLICT, "conflict", conflict),
        Error::ReadOnly(reason) => Problem::new(StatusCode::CONFLICT, "read_only", reason),
        other => Problem::unavailable(other.to_string()),
    }
}

impl From<Refused> for Problem {
    fn from(refusal: Refused) -> Problem {
        match refusal {
            Refused::Wrong => Problem::new(StatusCode::UNAUTHORIZED, "invalid_login", "the name, the password or the link is wrong"),
            Refused::Wait(wait) => {
                let detail = format!("too many failed logins; try again in {} s", wait.as_millis().div_ceil(1000));
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_logins", detail)
            }
            Refused::Password(message) => Problem::invalid("password", message),
            Refused::Name(message) => Problem::invalid("user", message),
            Refused::Busy => Problem::unavailable("too many logins at this moment; try again"),
            Refused::Store(error) => refused(error, "somebody changed it at the same time; read it again and try again"),
        }
    }
}
