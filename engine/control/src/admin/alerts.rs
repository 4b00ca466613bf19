//! `/api/v1/alerts/{name}/history` and `…/test`: what was told to whom. The alerts themselves are objects.

use axum::extract::State;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{Asked, Named};
use super::paging::{self, PageQuery};
use super::problem::Problem;
use super::{Shared, View, answer};
use crate::alerts::Alerts;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(history)).routes(routes!(test))
}

/// The messages of an alert, the newest first, with how each channel took them.
#[utoipa::path(get, path = "/api/v1/alerts/{name}/history", tag = "alerts", params(("name" = String, Path, min_length = 1), PageQuery),
    responses((status = 200, description = "The last of them", body = paging::List)))]
async fn history(State(view): State<Shared>, Named(name): Named<String>, Asked(query): Asked<PageQuery>) -> Result<Response, Problem> {
    let alerts = watched(&view, &name)?;
    let messages = alerts.history(&name, query.limit()?);
    Ok(answer::json(&paging::list(messages, None, view.publisher.current().revision)))
}

/// Posts a test message to the channels of an alert, and tells how each took it.
#[utoipa::path(post, path = "/api/v1/alerts/{name}/test", tag = "alerts", params(("name" = String, Path, min_length = 1)),
    responses((status = 200, description = "How each channel took it", body = paging::List)))]
async fn test(State(view): State<Shared>, Named(name): Named<String>) -> Result<Response, Problem> {
    let outcomes = watched(&view, &name)?.test(&name).await.map_err(|_| nothing(&name))?;
    Ok(answer::json(&paging::list(outcomes, None, view.publisher.current().revision)))
}

fn watched<'v>(view: &'v View, name: &str) -> Result<&'v Alerts, Problem> {
    view.alerts.as_ref().filter(|alerts| alerts.state_of(name).is_some()).ok_or_else(|| nothing(name))
}

fn nothing(name: &str) -> Problem {
    Problem::not_found(format!("there is no alert {name:?}; see /api/v1/alerts"))
}
