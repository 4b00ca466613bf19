//! `/api/v1/tokens`: API tokens for programs. For owners.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::api_tokens::{self, ApiToken, TOKENS_MAX};
use super::super::login::{check_name, check_role};
use super::super::{Access, Caller};
use super::{noted, read, refused};
use crate::admin::answer::{json as answer, time};
use crate::admin::ask::{Asked, JsonBody, Named};
use crate::admin::paging::{List, PageQuery, list};
use crate::admin::{Problem, View};

/// Days in the longest life of a token that is said to end.
const DAYS_MAX: u64 = 3650;

#[derive(Serialize, ToSchema)]
struct Token {
    id: String,
    name: String,
    role: &'static str,
    team: Option<String>,
    last4: String,
    made_at: String,
    made_by: String,
    /// Null: it does not end by itself.
    ends_at: Option<String>,
    /// The token, shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TokenBody {
    name: String,
    role: String,
    team: Option<String>,
    /// In how many days it ends; left out, it does not end by itself.
    #[schema(minimum = 1, maximum = 3650)]
    days: Option<u64>,
}

pub(super) fn router() -> OpenApiRouter<Arc<View>> {
    OpenApiRouter::new().routes(routes!(tokens_list, token_make)).routes(routes!(token_delete))
}

/// The API tokens, without their secrets.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", params(PageQuery), responses((status = 200, description = "A page", body = List)))]
async fn tokens_list(State(access): State<Access>, Asked(page): Asked<PageQuery>) -> Result<Response, Problem> {
    let mut all = api_tokens::all(access.database()).await.map_err(|error| Problem::unavailable(error.to_string()))?;
    all.sort_by(|one, other| one.id.cmp(&other.id));
    let (tokens, next) = page.cut(all, |token| &token.id)?;
    let data: Vec<Value> = tokens.into_iter().map(|token| json!(shown(token, None))).collect();
    Ok(answer(&list(data, next, 0)))
}

/// Make an API token: it is shown in this answer and never again.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = TokenBody,
    responses((status = 201, description = "Made", body = Token)))]
async fn token_make(State(access): State<Access>, caller: Caller, JsonBody(body): JsonBody) -> Result<Response, Problem> {
    let body: TokenBody = read(body)?;
    check_name(&body.name).map_err(|message| Problem::invalid("name", message))?;
    let role = check_role(&body.role, body.team.as_deref()).map_err(|(path, message)| Problem::invalid(path, message))?;
    let days = match body.days {
        Some(days) if !(1..=DAYS_MAX).contains(&days) => {
            return Err(Problem::invalid("days", format!("{days} is not between 1 and {DAYS_MAX}")));
        }
        days => days,
    };
    let database = access.database();
    let count = api_tokens::all(database).await.map_err(|error| Problem::unavailable(error.to_string()))?.len() as u64;
    if count >= TOKENS_MAX {
        return Err(Problem::new(StatusCode::CONFLICT, "conflict", format!("there are {TOKENS_MAX} tokens, which is the most")));
    }
    let now_ms = access.now_ms();
    let wanted = ApiToken {
        id: String::new(),
        name: body.name,
        role,
        team: body.team,
        last4: String::new(),
        made_at_ms: now_ms,
        made_by: caller.name,
        ends_at_ms: days.map(|days| now_ms + days * 86_400_000),
    };
    let (made, secret) = api_tokens::make(database, wanted).await.map_err(|error| refused(error, "try again"))?;
    let what = format!("token {} ({}), role {}", made.id, made.name, role.name());
    Ok(noted((StatusCode::CREATED, answer(&shown(made, Some(secret)))).into_response(), what))
}

/// End an API token.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens", params(("id" = String, Path)), responses((status = 204, description = "Ended")))]
async fn token_delete(State(access): State<Access>, Named(id): Named<String>) -> Result<Response, Problem> {
    match api_tokens::remove(access.database(), &id).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(crate::store::Error::Conflict) => Err(Problem::not_found(format!("there is no token {id:?}"))),
        Err(error) => Err(refused(error, "")),
    }
}

fn shown(token: ApiToken, secret: Option<String>) -> Token {
    Token {
        id: token.id,
        name: token.name,
        role: token.role.name(),
        team: token.team,
        last4: token.last4,
        made_at: time(token.made_at_ms),
        made_by: token.made_by,
        ends_at: token.ends_at_ms.map(time),
        token: secret,
    }
}
