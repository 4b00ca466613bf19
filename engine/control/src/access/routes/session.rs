//! `/api/v1/session`: log in, see who one is, log out, change one's password.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use std::sync::Arc;

use super::super::login::{Opened, Refused};
use super::super::{Access, Caller, How, sessions};
use super::{noted, read};
use crate::access::guard::{Address, unauthorized};
use crate::admin::answer::json;
use crate::admin::ask::JsonBody;
use crate::admin::{Problem, View};

/// A name and a password; or the link of the first start, with the name and password of the owner-to-be if he likes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    user: Option<String>,
    password: Option<String>,
    /// What stands behind `/start?link=` in the URL that the first start prints.
    link: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    /// The password of now; not needed where there is none yet.
    current: Option<String>,
    password: String,
}

/// Who the caller is.
#[derive(Serialize, ToSchema)]
pub(super) struct Who {
    name: String,
    role: &'static str,
    /// What he sees and changes is of this team alone.
    team: Option<String>,
    /// `session`, `token` or `start token`.
    how: &'static str,
    /// False: he came by the link and has no password yet.
    has_password: Option<bool>,
}

pub(super) fn router() -> OpenApiRouter<Arc<View>> {
    OpenApiRouter::new().routes(routes!(log_in, who, log_out)).routes(routes!(change_password))
}

/// Log in: the answer sets the session's cookie.
#[utoipa::path(post, path = "/api/v1/session", tag = "session", request_body = Login, security(()),
    responses((status = 200, description = "Logged in", body = Who), (status = 401, description = "Name, password or link are wrong")))]
async fn log_in(State(access): State<Access>, Address(address): Address, JsonBody(body): JsonBody) -> Result<Response, Response> {
    let login: Login = read(body).map_err(IntoResponse::into_response)?;
    let (user, password) = (login.user.as_deref(), login.password.as_deref());
    let (opened, what) = match (&login.link, user, password) {
        (Some(link), user, password) => (access.open_link(link, (user, password), &address).await, "by the link of the start".to_owned()),
        (None, Some(user), Some(password)) => (access.log_in(user, password, &address).await, format!("user {user:?}")),
        _ => return Err(Problem::invalid("body", "write user and password, or link").into_response()),
    };
    answer(&access, opened, &what).await
}

/// Who the caller is.
#[utoipa::path(get, path = "/api/v1/session", tag = "session", responses((status = 200, description = "The caller", body = Who)))]
async fn who(State(access): State<Access>, caller: Caller) -> Response {
    let user = match caller.how {
        How::Session => super::super::users::one(access.database(), &caller.name).await.ok().flatten(),
        _ => None,
    };
    let has_password = user.map(|user| user.has_password);
    json(&Who { name: caller.name, role: caller.role.name(), team: caller.team, how: caller.how.name(), has_password })
}

/// Log out: the session ends, here and in the browser.
#[utoipa::path(delete, path = "/api/v1/session", tag = "session", responses((status = 204, description = "Logged out")))]
async fn log_out(State(access): State<Access>, caller: Caller, headers: HeaderMap) -> Result<Response, Problem> {
    let transport = access.transport();
    if caller.how != How::Session {
        return Err(Problem::new(StatusCode::CONFLICT, "no_session", "a token is no session; delete it below /api/v1/tokens"));
    }
    if let Some(value) = sessions::cookie_of(&headers, transport) {
        sessions::end(access.database(), value).await.map_err(|error| super::refused(error, "it has ended already"))?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().extend(sessions::set_cookie(None, transport).map(|cookie| (header::SET_COOKIE, cookie)));
    Ok(response)
}

/// Change one's own password: all one's sessions end, and a new one begins.
#[utoipa::path(post, path = "/api/v1/session/password", tag = "session", request_body = NewPassword,
    responses((status = 200, description = "Changed", body = Who)))]
async fn change_password(State(access): State<Access>, caller: Caller, JsonBody(body): JsonBody) -> Result<Response, Response> {
    let new: NewPassword = read(body).map_err(IntoResponse::into_response)?;
    if caller.how != How::Session {
        let problem =
            Problem::new(StatusCode::CONFLICT, "no_session", "a token has no password; change a user's with PUT /api/v1/users/{name}");
        return Err(problem.into_response());
    }
    let opened = access.change_password(&caller.name, (new.current.as_deref(), &new.password), &caller.address).await;
    answer(&access, opened, "his own password").await
}

async fn answer(access: &Access, opened: Result<Opened, Refused>, what: &str) -> Result<Response, Response> {
    let opened = match opened {
        Ok(opened) => opened,
        Err(refusal) => return Err(noted(refusal_response(refusal), what)),
    };
    let session = sessions::find(access.database(), &opened.cookie, access.now_ms()).await;
    let session = session.map_err(|error| Problem::unavailable(error.to_string()).into_response())?;
    let Some(session) = session else { return Err(unauthorized()) };
    let user = super::super::users::one(access.database(), &opened.user).await.ok().flatten();
    let has_password = user.map(|user| user.has_password);
    let how = How::Session.name();
    let mut response = json(&Who { name: session.user, role: session.role.name(), team: session.team, how, has_password });
    response
        .headers_mut()
        .extend(sessions::set_cookie(Some(&opened.cookie), access.transport()).map(|cookie| (header::SET_COOKIE, cookie)));
    Ok(noted(response, what))
}

/// With the exact wait, in whole seconds: the next try is heard then, and not before.
fn refusal_response(refusal: Refused) -> Response {
    let wait_s = match &refusal {
        Refused::Wait(wait) => Some(wait.as_millis().div_ceil(1000)),
        _ => None,
    };
    let mut response = Problem::from(refusal).into_response();
    if let Some(value) = wait_s.and_then(|wait_s| HeaderValue::from_str(&wait_s.to_string()).ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}
