//! `/api/v1/provider-types`: what is known of the providers that a configuration may name.

use axum::extract::State;
use axum::response::Response;
use ringway_adapters::provider::{Auth, Provider, builtins};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::Asked;
use super::paging::{self, PageQuery};
use super::problem::Problem;
use super::{Shared, answer};

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(types))
}

/// The built-in providers: operations, auth, the fields that they want, where the facts are from.
#[utoipa::path(get, path = "/api/v1/provider-types", tag = "providers", params(PageQuery),
    responses((status = 200, description = "A page of them", body = paging::List)))]
async fn types(State(view): State<Shared>, Asked(query): Asked<PageQuery>) -> Result<Response, Problem> {
    let mut all: Vec<&Provider> = builtins().iter().collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    let (page, next) = query.cut(all, |provider| &provider.name)?;
    Ok(answer::json(&paging::list(page.into_iter().map(shown).collect(), next, view.publisher.current().revision)))
}

fn shown(provider: &Provider) -> Value {
    let operations = provider.operations.iter();
    let operations =
        operations.map(|served| json!({"operation": served.operation.name(), "dialect": served.dialect.row().name, "path": served.path}));
    let variables = provider.variables.iter();
    let variables = variables.map(|variable| json!({"name": variable.name, "env": variable.env, "default": variable.default}));
    json!({
        "name": provider.name,
        "aliases": provider.aliases,
        "base_url": provider.base_url,
        "auth": auth(&provider.auth),
        "env_keys": provider.env_keys,
        "fields": variables.collect::<Vec<_>>(),
        "operations": operations.collect::<Vec<_>>(),
        "models": provider.models,
        "source": provider.source,
        "date": provider.date,
    })
}

fn auth(auth: &Auth) -> String {
    match auth {
        Auth::Bearer => "bearer".to_owned(),
        Auth::Scheme(scheme) => scheme.clone(),
        Auth::Header(name) => format!("{name}:"),
        Auth::Query(name) => format!("?{name}="),
        Auth::Sigv4 { .. } => "sigv4".to_owned(),
        Auth::None => "none".to_owned(),
    }
}
