//! `/api/v1/models`: the names that clients may ask for, and the catalog of all that is known.

use axum::extract::State;
use axum::response::Response;
use ringway_policy::catalog::{self, ModelFacts};
use ringway_policy::cost::{FAMILIES, Side};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::Asked;
use super::paging::{self, PageQuery};
use super::problem::Problem;
use super::scene::Scene;
use super::{Shared, answer};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ModelsQuery {
    /// Entries of a page; 100 where it is not said (all of the configured ones).
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Only names that hold this, whatever the case.
    search: Option<String>,
    /// `1`: the catalog in place of what is configured.
    catalog: Option<String>,
}

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(models))
}

/// The names that clients may ask for, or the catalog, with context windows and prices.
#[utoipa::path(get, path = "/api/v1/models", tag = "models", params(ModelsQuery),
    responses((status = 200, description = "A page of them", body = paging::List)))]
async fn models(State(view): State<Shared>, Asked(query): Asked<ModelsQuery>) -> Result<Response, Problem> {
    let scene = Scene::of(&view);
    let part = query.search.as_deref().unwrap_or_default().to_ascii_lowercase();
    let fits = |name: &str| part.is_empty() || name.to_ascii_lowercase().contains(&part);
    let page = PageQuery { limit: query.limit, cursor: query.cursor };
    if !matches!(query.catalog.as_deref(), None | Some("" | "0" | "false")) {
        let named =
            catalog::catalog().iter().map(|(provider, facts)| (full_name(provider, facts), &**facts)).filter(|(name, _)| fits(name));
        let mut all: Vec<(String, &ModelFacts)> = named.collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all.dedup_by(|one, other| one.0 == other.0);
        let (page, next) = page.cut(all, |(name, _)| name)?;
        let data = page.into_iter().map(|(name, facts)| with_facts(json!({"name": name, "kind": "catalog"}), Some(facts))).collect();
        return Ok(answer::json(&paging::list(data, next, scene.snapshot.revision)));
    }
    page.limit()?;
    let mut data = configured(&scene);
    data.retain(|model| model["name"].as_str().is_some_and(fits));
    Ok(answer::json(&paging::list(data, None, scene.snapshot.revision)))
}

/// As a configuration's `catalog` takes it from any provider.
fn full_name(provider: &str, facts: &ModelFacts) -> String {
    let has_provider = facts.id.strip_prefix(provider).is_some_and(|rest| rest.starts_with('/'));
    if has_provider { facts.id.to_string() } else { format!("{provider}/{}", facts.id) }
}

/// The built-in one, the routes, the aliases, the models that providers list.
fn configured(scene: &Scene) -> Vec<Value> {
    let (config, snapshot) = (&scene.config, &scene.snapshot);
    let mut all = vec![json!({"name": "ringway/echo", "kind": "builtin"})];
    all.extend(config.routes.names().map(|name| json!({"name": name, "kind": "route"})));
    all.extend(config.aliases.iter().map(|(name, model)| json!({"name": name.value, "kind": "alias", "model": model.value})));
    for (provider, entry) in config.providers.iter() {
        let index = snapshot.provider_index(&provider.value);
        for model in &entry.models {
            let facts = index.and_then(|index| snapshot.facts(index, &model.name.value));
            let name = format!("{}/{}", provider.value, model.name.value);
            all.push(with_facts(json!({"name": name, "kind": "model", "provider": provider.value}), facts.as_deref()));
        }
    }
    all
}

/// Windows in tokens; prices in dollars, of tokens for a million, of other things for one.
fn with_facts(mut model: Value, facts: Option<&ModelFacts>) -> Value {
    let Some(facts) = facts else { return model };
    model["context"] = json!(facts.context_tokens_max);
    model["output_max"] = json!(facts.output_tokens_max);
    model["mode"] = json!(facts.mode.map(catalog::Mode::name));
    if let Some(rates) = &facts.rates {
        let mut prices = Map::new();
        for (family, name, side, ..) in FAMILIES {
            if let Some(usd) = rates.standard(*family) {
                let usd = if *side == Side::Unit { usd } else { usd.per_million() };
                prices.insert((*name).to_owned(), json!(usd.to_string()));
            }
        }
        model["prices"] = Value::Object(prices);
    }
    model
}
