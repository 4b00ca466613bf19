//! `/api/v1/series`: what records add up to, over time and by group.

use axum::extract::State;
use axum::response::Response;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::Asked;
use super::problem::Problem;
use super::records::{FilterQuery, Pairs, filter, unknown};
use super::{Shared, answer};
use crate::access::Caller;
use crate::request_log::{GroupBy, SeriesQuery, TOP_DEFAULT};

const STEP_S_DEFAULT: u64 = 60;
const STEP_S_MAX: u64 = 366 * 86_400;
/// What is looked back at where `from_ms` does not say.
const SPAN_MS_DEFAULT: u64 = 3_600_000;

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "it describes what callers send")]
struct Steps {
    /// Seconds of a bucket; 60 where it is not said, longer where there would be too many.
    step_s: Option<u64>,
    /// What sums are told apart by: `provider`, `model`, `team`, `key`, `route`, …, or `tag:NAME`.
    by: Option<String>,
    /// Groups with most requests that are told apart; the others are `other`.
    top: Option<usize>,
}

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(series))
}

/// Requests, errors, tokens, cost, latency: in buckets of time, by group.
#[utoipa::path(get, path = "/api/v1/series", tag = "records", params(Steps, FilterQuery),
    responses((status = 200, description = "Buckets and totals", body = serde_json::Value)))]
async fn series(State(view): State<Shared>, caller: Caller, Asked(pairs): Asked<Pairs>) -> Result<Response, Problem> {
    let (filter, others) = filter(pairs, &caller)?;
    let now_ms = (view.clock)().unix_ms;
    let to_ms = filter.to_ms.unwrap_or(now_ms + 1);
    let from_ms = filter.from_ms.unwrap_or_else(|| to_ms.saturating_sub(SPAN_MS_DEFAULT));
    let mut query = SeriesQuery { from_ms, to_ms, step_s: STEP_S_DEFAULT, group_by: None, filter, top: TOP_DEFAULT };
    for (name, value) in others {
        let number = || value.parse::<u64>().map_err(|_| Problem::invalid(name.as_str(), "write a whole number"));
        match name.as_str() {
            "step_s" => query.step_s = number()?.clamp(1, STEP_S_MAX),
            "top" => query.top = usize::try_from(number()?).unwrap_or(usize::MAX).clamp(1, TOP_DEFAULT),
            "by" => query.group_by = Some(GroupBy::parse(&value).map_err(|message| Problem::invalid("by", message))?),
            _ => return Err(unknown(&name)),
        }
    }
    Ok(answer::json(&view.request_log.series(query).await?))
}
