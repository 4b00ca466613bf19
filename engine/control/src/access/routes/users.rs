//! `/api/v1/users`: who may log in, and what each may do. For owners.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::login::{check_name, check_role};
use super::super::users::{self, Change, USERS_MAX};
use super::super::{Access, Caller, password, secret};
use super::{noted, read, refused};
use crate::admin::answer::{json as answer, time};
use crate::admin::ask::{Asked, JsonBody, Named};
use crate::admin::paging::{List, PageQuery, list};
use crate::admin::{Problem, View};
use crate::store::Error;

#[derive(Serialize, ToSchema)]
struct User {
    name: String,
    /// `owner`, `admin`, `operator` or `viewer`.
    role: &'static str,
    /// He sees and changes what is of this team alone.
    team: Option<String>,
    has_password: bool,
    made_at: String,
    changed_at: String,
    changed_by: String,
    /// The password that was drawn for a new user, shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UserBody {
    role: String,
    team: Option<String>,
    /// Left out, a new user gets one that is drawn, and another one keeps his.
    password: Option<String>,
}

pub(super) fn router() -> OpenApiRouter<Arc<View>> {
    OpenApiRouter::new().routes(routes!(users_list)).routes(routes!(user_read, user_put, user_delete))
}

/// The users.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", params(PageQuery), responses((status = 200, description = "A page", body = List)))]
async fn users_list(State(access): State<Access>, Asked(page): Asked<PageQuery>) -> Result<Response, Problem> {
    let all = users::all(access.database()).await.map_err(|error| Problem::unavailable(error.to_string()))?;
    let (users, next) = page.cut(all, |user| &user.name)?;
    let data: Vec<Value> = users.into_iter().map(|user| json!(shown(user, None))).collect();
    Ok(answer(&list(data, next, 0)))
}

/// One user.
#[utoipa::path(get, path = "/api/v1/users/{name}", tag = "users", params(("name" = String, Path)), responses((status = 200, description = "The user", body = User)))]
async fn user_read(State(access): State<Access>, Named(name): Named<String>) -> Result<Response, Problem> {
    let user = users::one(access.database(), &name).await.map_err(|error| Problem::unavailable(error.to_string()))?;
    user.map(|user| answer(&shown(user, None))).ok_or_else(|| nobody(&name))
}

/// Add a user, or change his role, team or password: all his sessions end.
#[utoipa::path(put, path = "/api/v1/users/{name}", tag = "users", params(("name" = String, Path)), request_body = UserBody,
    responses((status = 200, description = "Changed", body = User), (status = 201, description = "Added", body = User)))]
async fn user_put(
    State(access): State<Access>,
    caller: Caller,
    Named(name): Named<String>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let body: UserBody = read(body)?;
    check_name(&name).map_err(|message| Problem::invalid("name", message))?;
    let role = check_role(&body.role, body.team.as_deref()).map_err(|(path, message)| Problem::invalid(path, message))?;
    if let Some(word) = &body.password {
        password::check(&name, word).map_err(|message| Problem::invalid("password", message))?;
    }
    let database = access.database();
    let known = users::one(database, &name).await.map_err(|error| Problem::unavailable(error.to_string()))?;
    let drawn = match (&known, &body.password) {
        (None, None) => Some(secret::draw().map_err(Problem::unavailable)?[..24].to_owned()),
        _ => None,
    };
    let hash = match body.password.as_deref().or(drawn.as_deref()) {
        Some(word) => Some(access.hashed(word).await?),
        None => None,
    };
    let change = Change { name: &name, role, team: body.team.as_deref(), password: hash, by: &caller.name, now_ms: access.now_ms() };
    let is_new = known.is_none();
    if is_new {
        let count = users::count(database).await.map_err(|error| Problem::unavailable(error.to_string()))?;
        if count >= USERS_MAX {
            return Err(Problem::new(StatusCode::CONFLICT, "conflict", format!("there are {USERS_MAX} users, which is the most")));
        }
        users::add(database, change)
            .await
            .map_err(|error| refused(error, "somebody added this user at the same time; read him and try again"))?;
        access.shared.link.close();
    } else {
        users::set(database, change).await.map_err(|error| refused(error, LAST_OWNER))?;
    }
    let user = users::one(database, &name).await.ok().flatten().ok_or_else(|| nobody(&name))?;
    let team = body.team.map(|team| format!(" of the team {team:?}")).unwrap_or_default();
    let what = format!("role {}{team}{}", role.name(), if body.password.is_some() { ", new password" } else { "" });
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(noted((status, answer(&shown(user, drawn))).into_response(), what))
}

/// Remove a user: all his sessions end.
#[utoipa::path(delete, path = "/api/v1/users/{name}", tag = "users", params(("name" = String, Path)), responses((status = 204, description = "Removed")))]
async fn user_delete(State(access): State<Access>, Named(name): Named<String>) -> Result<Response, Problem> {
    let known = users::one(access.database(), &name).await.map_err(|error| Problem::unavailable(error.to_string()))?;
    let Some(known) = known else { return Err(nobody(&name)) };
    match users::remove(access.database(), &name).await {
        Ok(()) => Ok(noted(StatusCode::NO_CONTENT.into_response(), format!("was {}", known.role.name()))),
        Err(Error::Conflict) => Err(Problem::new(StatusCode::CONFLICT, "conflict", LAST_OWNER)),
        Err(error) => Err(refused(error, LAST_OWNER)),
    }
}

const LAST_OWNER: &str = "he is the last owner, or was changed at the same time; make another one an owner first";

fn nobody(name: &str) -> Problem {
    Problem::not_found(format!("there is no user {name:?}"))
}

fn shown(user: users::User, password: Option<String>) -> User {
    User {
        name: user.name,
        role: user.role.name(),
        team: user.team,
        has_password: user.has_password,
        made_at: time(user.made_at_ms),
        changed_at: time(user.changed_at_ms),
        changed_by: user.changed_by,
        password,
    }
}
