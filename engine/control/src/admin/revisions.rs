//! `/api/v1/revisions`, `/api/v1/export`, `/api/v1/apply`: the history of the store's objects, and all of them as YAML.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{Asked, Named, YamlBody};
use super::collections::{Changed, author, changeable, differences, dry_run_or, refused_as};
use super::paging::{self, PageQuery};
use super::problem::Problem;
use super::{Shared, answer};
use crate::access::Caller;
use crate::objects::{Intent, Prune, Revision};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ApplyQuery {
    /// Say what would be done, and do nothing.
    dry_run: Option<bool>,
    /// Take away the store's objects that the text does not name.
    prune: Option<bool>,
}

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(revisions))
        .routes(routes!(revision))
        .routes(routes!(revert))
        .routes(routes!(export))
        .routes(routes!(apply))
}

/// The changes of the store, the newest first.
#[utoipa::path(get, path = "/api/v1/revisions", tag = "revisions", params(PageQuery),
    responses((status = 200, description = "A page of them", body = paging::List)))]
async fn revisions(State(view): State<Shared>, Asked(query): Asked<PageQuery>) -> Result<Response, Problem> {
    let (objects, limit) = (changeable(&view)?, query.limit()?);
    let wrong = |_| Problem::invalid("cursor", "it is not one of this list; take next of the page before, or leave it out");
    let before: Option<u64> = query.position()?.map(|text| text.parse().map_err(wrong)).transpose()?;
    let before = before.map(|before| before.min(i64::MAX as u64));
    let mut page = objects.revisions(before, limit as u64 + 1).await.map_err(|refused| refused_as(refused, &HeaderMap::new()))?;
    let has_more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| has_more).map(|last| paging::encode(&last.number.to_string()));
    Ok(answer::json(&paging::list(page.iter().map(shown).collect(), next, view.publisher.current().revision)))
}

/// One change, with what it changed.
#[utoipa::path(get, path = "/api/v1/revisions/{number}", tag = "revisions", params(("number" = u64, Path)),
    responses((status = 200, description = "The change", body = Value)))]
async fn revision(State(view): State<Shared>, Named(number): Named<u64>) -> Result<Response, Problem> {
    let found = changeable(&view)?.revision(number.min(i64::MAX as u64 - 1)).await;
    let found = found.map_err(|refused| refused_as(refused, &HeaderMap::new()))?;
    let nothing = || Problem::not_found(format!("there is no revision {number}; see /api/v1/revisions"));
    let revision = found.ok_or_else(nothing)?;
    let mut out = shown(&revision);
    out["diff"] = json!(differences(&revision.diff));
    Ok(answer::json(&out))
}

/// Undoes a change, as a new one.
#[utoipa::path(post, path = "/api/v1/revisions/{number}/revert", tag = "revisions", params(("number" = u64, Path)),
    responses((status = 200, description = "Undone", body = Changed)))]
async fn revert(State(view): State<Shared>, caller: Caller, Named(number): Named<u64>) -> Result<Response, Problem> {
    let outcome = changeable(&view)?.revert(&author(&caller), number.min(i64::MAX as u64 - 1)).await;
    dry_run_or(outcome, Intent::Apply, &HeaderMap::new())
}

/// The store's objects in the form of the file; secrets are masked.
#[utoipa::path(get, path = "/api/v1/export", tag = "revisions",
    responses((status = 200, description = "Sections of a file", body = Value, content_type = "application/yaml")))]
async fn export(State(view): State<Shared>) -> Result<Response, Problem> {
    Ok(answer::with_type("application/yaml", changeable(&view)?.export()))
}

/// Makes the store's objects what a text in the form of the file says, in one change.
#[utoipa::path(post, path = "/api/v1/apply", tag = "revisions", params(ApplyQuery),
    request_body(content = String, content_type = "application/yaml", description = "Sections of a file"),
    responses((status = 200, description = "Done; of a dry run, what would be", body = Changed)))]
async fn apply(
    State(view): State<Shared>,
    caller: Caller,
    Asked(query): Asked<ApplyQuery>,
    YamlBody(text): YamlBody,
) -> Result<Response, Problem> {
    let intent = if query.dry_run == Some(true) { Intent::DryRun } else { Intent::Apply };
    let prune = if query.prune == Some(true) { Prune::Remove } else { Prune::Keep };
    let outcome = changeable(&view)?.apply(&author(&caller), &text, prune, intent).await;
    dry_run_or(outcome, intent, &HeaderMap::new())
}

fn shown(revision: &Revision) -> Value {
    let author = &revision.author;
    json!({
        "number": revision.number,
        "at": answer::time(revision.at_ms),
        "author": {"name": author.name, "role": author.role, "address": author.address},
        "summary": revision.summary,
    })
}
