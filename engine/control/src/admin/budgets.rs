//! `/api/v1/budgets`: every limit and budget, and how it stands.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use ringway_policy::config::{At, VirtualKeyConfig};
use ringway_policy::quota::Quota;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::Asked;
use super::paging::{self, PageQuery};
use super::problem::Problem;
use super::scene::Scene;
use super::{Shared, answer};
use crate::access::Caller;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct BudgetsQuery {
    /// Entries of a page; 100 where it is not said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Only owners whose name holds this.
    search: Option<String>,
    /// Only those of this kind: key, team, customer, all, tag, provider, credential, model.
    kind: Option<String>,
}

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(budgets))
}

/// Every limit and budget: whose, what it allows, what is used, what is left, when it begins anew.
#[utoipa::path(get, path = "/api/v1/budgets", tag = "budgets", params(BudgetsQuery),
    responses((status = 200, description = "A page of them", body = paging::List)))]
async fn budgets(State(view): State<Shared>, caller: Caller, Asked(query): Asked<BudgetsQuery>) -> Result<Response, Problem> {
    let scene = Scene::of(&view);
    let mut quotas = all(&scene, &caller);
    quotas.retain(|quota| query.search.as_deref().is_none_or(|part| quota.owner.contains(part)));
    quotas.retain(|quota| query.kind.as_deref().is_none_or(|kind| quota.kind == kind));
    quotas.sort_by(|one, other| one.id.cmp(&other.id));
    quotas.dedup_by(|one, other| one.id == other.id);
    let (page, next) = PageQuery { limit: query.limit, cursor: query.cursor }.cut(quotas, |quota| &quota.id)?;
    let data = page.iter().map(|quota| shown(&scene, quota)).collect();
    Ok(answer::json(&paging::list(data, next, scene.snapshot.revision)))
}

/// Those of keys that never asked, too; of a team's member those of his team and its keys.
fn all(scene: &Scene, caller: &Caller) -> Vec<Arc<Quota>> {
    let now = scene.now();
    let is_meant = |key: &VirtualKeyConfig| {
        let team = key.team.as_ref().map(|team| team.value.as_str());
        caller.is_of(team)
    };
    let of_key = |(_, key): (&At<String>, &VirtualKeyConfig)| {
        let principal = key.sha256().and_then(|sha256| scene.snapshot.keys.by_sha256(&sha256.value));
        principal
            .map_or_else(Vec::new, |principal| principal.quotas.look(now).iter().filter(|quota| quota.kind == "key").cloned().collect())
    };
    let mut quotas: Vec<Arc<Quota>> = scene.config.virtual_keys.iter().filter(|(_, key)| is_meant(key)).flat_map(of_key).collect();
    let owner = caller.team.as_ref().map(|team| format!("team {team:?}"));
    let others = scene.all_quotas().filter(|quota| quota.kind != "key");
    quotas.extend(others.filter(|quota| owner.as_deref().is_none_or(|owner| &*quota.owner == owner)).cloned());
    quotas
}

fn shown(scene: &Scene, quota: &Quota) -> Value {
    let mut out = scene.quota(quota);
    let resets_in_ms = out["resets_in_ms"].as_u64().unwrap_or(0);
    out["kind"] = json!(quota.kind);
    out["subject"] = json!(&*quota.owner);
    out["what"] = json!(if quota.is_budget() { "budget" } else { "limit" });
    out["used"] = out["settled"].clone();
    out["resets_at"] = match resets_in_ms {
        0 => Value::Null,
        ms => json!(answer::time(scene.now().unix_ms.saturating_add(ms))),
    };
    out
}
