//! The gate: every request to the admin listener passes here, before and after its handler.
//!
//! Before: preflight, who asks, the name it was sent to, the rule, whose page it is. After: the fields that every answer has.

use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

use super::caller::{Caller, How};
use super::role::{Right, Role};
use super::routes::Noted;
use super::rule::{Rule, Ruling, rule_on};
use super::same_origin::{self, Asked};
use super::{Access, api_tokens, headers, sessions};
use crate::admin::{Peer, Problem};
use crate::audit::Act;
use crate::store;

/// Probes tell nothing that is worth a name, and those who send them rarely set one.
const NAMELESS: &[&str] = &["/livez", "/readyz"];

/// Puts the gate before every route of `router`, its fallback included: call it last.
///
/// A matched route that is not in `table` answers 403, a method that is not in it 405. The fallback is let through, below
/// `/api` for known callers alone: it must hold nothing but public files and the answer 404.
pub fn guard<S: Clone + Send + Sync + 'static>(router: Router<S>, access: Access, table: &'static [Rule]) -> Router<S> {
    router.layer(middleware::from_fn_with_state(Gate { access, table }, pass))
}

#[derive(Clone)]
struct Gate {
    access: Access,
    table: &'static [Rule],
}

async fn pass(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let asking = request.headers().clone();
    let origins = &gate.access.shared.setup.origins;
    let mut response = match origins.preflight(request.method(), &asking) {
        Some(response) => response,
        None => {
            let peer = peer_of(&request);
            let found = gate.access.caller(&asking, peer).await;
            let attempt = Attempt::of(&request, peer, found.caller.as_ref());
            match gate.judge(&request, found) {
                Ok(caller) => {
                    request.extensions_mut().insert(Address(attempt.address.clone()));
                    if let Some(caller) = caller {
                        request.extensions_mut().insert(caller);
                    }
                    gate.let_in(attempt, request, next).await
                }
                Err(refusal) => {
                    // Strangers who ask for the page or a probe are no act; who asks the API for what he may not is one. Nothing was
                    // done, so that a log which cannot be written changes nothing of the answer; the writer tells of it.
                    let response = refusal.response();
                    if headers::is_api(&path) || attempt.is_change {
                        let act = attempt.act(&response);
                        let _ = gate.access.shared.setup.audit.note(act).await;
                    }
                    response
                }
            }
        }
    };
    origins.allow(&asking, response.headers_mut());
    headers::add(&path, response.headers_mut());
    response
}

/// The peer's address, for handlers that need no caller.
#[derive(Clone, Debug)]
pub(super) struct Address(pub String);

impl<S: Sync> axum::extract::FromRequestParts<S> for Address {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, _: &S) -> Result<Address, std::convert::Infallible> {
        Ok(parts.extensions.get::<Address>().cloned().unwrap_or_else(|| Address("unknown".to_owned())))
    }
}

/// What the audit log says of a request, but for its end.
#[derive(Clone, Debug)]
struct Attempt {
    who: String,
    role: &'static str,
    team: Option<String>,
    how: &'static str,
    address: String,
    method: String,
    path: String,
    is_change: bool,
}

/// Longest path in the audit log.
const PATH_BYTES_MAX: usize = 512;

impl Attempt {
    fn of(request: &Request, peer: Option<Peer>, caller: Option<&Caller>) -> Attempt {
        let path = request.uri().path();
        Attempt {
            who: caller.map_or("", |caller| &caller.name).to_owned(),
            role: caller.map_or("", |caller| caller.role.name()),
            team: caller.and_then(|caller| caller.team.clone()),
            how: caller.map_or("", |caller| caller.how.name()),
            address: address_of(peer),
            method: request.method().as_str().chars().take(16).collect(),
            path: path.get(..PATH_BYTES_MAX).unwrap_or(path).to_owned(),
            is_change: !is_safe(request.method()),
        }
    }

    /// With how it ended.
    fn act(self, response: &Response) -> Act {
        let Attempt { who, role, team, how, address, method, path, .. } = self;
        let detail = response.extensions().get::<Noted>().map(|noted| noted.0.clone());
        Act { who, role, team, how, address, method, path, status: response.status().as_u16(), detail }
    }
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

impl Gate {
    /// A change is made where it can be noted, and it is noted before its answer goes out.
    async fn let_in(&self, attempt: Attempt, request: Request, next: Next) -> Response {
        if !attempt.is_change {
            let response = next.run(request).await;
            if matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
                let act = attempt.act(&response);
                let _ = self.access.shared.setup.audit.note(act).await;
            }
            return response;
        }
        if let Err(reason) = self.access.shared.setup.audit.ready().await {
            return unnoted("nothing was done", &reason);
        }
        self.note(attempt, next.run(request).await).await
    }

    async fn note(&self, attempt: Attempt, mut response: Response) -> Response {
        let act = attempt.act(&response);
        response.extensions_mut().remove::<Noted>();
        match self.access.shared.setup.audit.note(act).await {
            Ok(()) => response,
            Err(reason) => unnoted("what was done is not in it", &reason),
        }
    }
}

fn unnoted(what: &str, reason: &str) -> Response {
    let detail = format!("the audit log cannot be written, {what}: {reason}");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "audit_unavailable", detail).into_response()
}

/// Why a request goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    Unknown,
    ForeignHost(String),
    ForeignPage,
    /// `of_team`: the role would do, the route knows no teams.
    NotGiven {
        role: Role,
        right: Right,
        of_team: Option<String>,
    },
    /// Who asks cannot be looked up now.
    Store(String),
    NoRule,
    Method {
        allowed: Vec<&'static str>,
    },
}

impl Gate {
    /// Who asks, where he may; nobody where the route is open.
    fn judge(&self, request: &Request, found: Found) -> Result<Option<Caller>, Refusal> {
        let Found { caller, trouble } = found;
        let path = request.uri().path();
        let host = host_of(request);
        // A browser sends a token only where a script has it, so that a name which was bent to here gains nothing with one.
        let is_explicit = caller.as_ref().is_some_and(|caller| !caller.how.is_ambient());
        let is_nameless = NAMELESS.contains(&path) || matches!(peer_of(request), Some(Peer::Unix));
        if !is_explicit && !is_nameless && !self.access.shared.setup.hosts.hold(host) {
            return Err(Refusal::ForeignHost(host.to_owned()));
        }
        let caller = match (self.weigh(request, caller), trouble) {
            (Err(Refusal::Unknown), Some(trouble)) => return Err(Refusal::Store(trouble)),
            (weighed, _) => weighed?,
        };
        self.whose_page(request, host, caller.as_ref())?;
        Ok(caller)
    }

    /// Has the caller the right that the table asks for?
    fn weigh(&self, request: &Request, caller: Option<Caller>) -> Result<Option<Caller>, Refusal> {
        let known = caller.as_ref().is_some_and(|caller| caller.how != How::Local);
        let Some(matched) = request.extensions().get::<MatchedPath>() else {
            return if known || !headers::is_api(request.uri().path()) { Ok(caller) } else { Err(Refusal::Unknown) };
        };
        let right = match rule_on(self.table, request.method().as_str(), matched.as_str()) {
            Ruling::Right(right) => right,
            _ if headers::is_api(matched.as_str()) && !known => return Err(Refusal::Unknown),
            Ruling::OtherMethods(allowed) => return Err(Refusal::Method { allowed }),
            Ruling::Unknown => return Err(Refusal::NoRule),
        };
        let Some(least) = right.least_role() else { return Ok(caller) };
        match caller {
            Some(caller) if caller.how == How::Local && right == Right::Local => Ok(Some(caller)),
            Some(caller) if caller.how != How::Local => {
                if right.is_given(caller.role, caller.team.as_deref()) {
                    return Ok(Some(caller));
                }
                let of_team = caller.team.filter(|_| caller.role >= least);
                Err(Refusal::NotGiven { role: caller.role, right, of_team })
            }
            _ => Err(Refusal::Unknown),
        }
    }

    /// A page of another site must not act with this browser's cookie, nor read with it, nor log it in as somebody else.
    fn whose_page(&self, request: &Request, host: &str, caller: Option<&Caller>) -> Result<(), Refusal> {
        let is_safe = is_safe(request.method());
        let asked = same_origin::asked(request.headers(), self.access.transport(), host);
        let is_refused = match caller.map(|caller| caller.how) {
            Some(How::Session) if is_safe => asked == Asked::ByOthers && headers::is_api(request.uri().path()),
            Some(How::Session) => asked != Asked::ByUs,
            Some(How::Token | How::StartToken) => false,
            Some(How::Local) | None => !is_safe && asked == Asked::ByOthers,
        };
        if is_refused { Err(Refusal::ForeignPage) } else { Ok(()) }
    }
}

fn peer_of(request: &Request) -> Option<Peer> {
    request.extensions().get::<ConnectInfo<Peer>>().map(|info| info.0)
}

/// The name that the request was sent to (RFC 9112 §3.2.2: one in the request line comes first).
fn host_of(request: &Request) -> &str {
    let named = request.uri().authority().map(|authority| authority.as_str());
    named.or_else(|| request.headers().get(header::HOST)?.to_str().ok()).unwrap_or_default()
}

/// Who was found, and why somebody could not be looked for.
#[derive(Debug, Default)]
struct Found {
    caller: Option<Caller>,
    trouble: Option<String>,
}

fn address_of(peer: Option<Peer>) -> String {
    match peer {
        Some(Peer::Tcp(address)) => address.ip().to_canonical().to_string(),
        Some(Peer::Unix) => "unix".to_owned(),
        None => "unknown".to_owned(),
    }
}

impl Access {
    /// Who the request speaks for. A token that is wrong speaks for nobody, whatever cookie comes with it; a peer on this
    /// machine that shows nothing is `How::Local`.
    async fn caller(&self, headers: &HeaderMap, peer: Option<Peer>) -> Found {
        let named = |name: String, role, team, how| Caller { name, role, team, address: address_of(peer), how };
        let looked_up = if let Some(value) = headers.get(header::AUTHORIZATION) {
            if self.shared.setup.token.is_in(headers) {
                let caller = named("start token".to_owned(), Role::Owner, None, How::StartToken);
                return Found { caller: Some(caller), trouble: None };
            }
            let shown = value.to_str().ok().and_then(bearer).unwrap_or_default();
            let found = api_tokens::find(self.database(), shown, self.now_ms()).await;
            found.map(|token| token.map(|token| named(token.name, token.role, token.team, How::Token)))
        } else if let Some(value) = sessions::cookie_of(headers, self.transport()) {
            let found = sessions::find(self.database(), value, self.now_ms()).await;
            found.map(|session| session.map(|session| named(session.user, session.role, session.team, How::Session)))
        } else {
            Ok(None)
        };
        let is_local = || !headers.contains_key(header::AUTHORIZATION) && peer.is_some_and(|peer| is_local(peer, headers));
        let local = || is_local().then(|| named("local".to_owned(), Role::Viewer, None, How::Local));
        match looked_up {
            Ok(caller) => Found { caller: caller.or_else(local), trouble: None },
            Err(error) => Found { caller: local(), trouble: Some(store::Error::to_string(&error)) },
        }
    }
}

/// What stands behind `Bearer`.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// A peer on this machine that speaks for itself: one that forwards for another is not local.
fn is_local(peer: Peer, headers: &HeaderMap) -> bool {
    peer.is_loopback() && !headers.contains_key("x-forwarded-for") && !headers.contains_key(header::FORWARDED)
}

impl Refusal {
    fn response(&self) -> Response {
        let forbidden = |detail: String| Problem::new(StatusCode::FORBIDDEN, "forbidden", detail).into_response();
        match self {
            Refusal::Unknown => unauthorized(),
            Refusal::Store(reason) => Problem::unavailable(format!("who asks cannot be looked up: {reason}")).into_response(),
            Refusal::ForeignHost(host) => {
                let detail = format!("this listener does not answer to {host:?}; use its address, or add the name to admin_hosts");
                Problem::new(StatusCode::MISDIRECTED_REQUEST, "host_not_allowed", detail).into_response()
            }
            Refusal::ForeignPage => {
                let detail =
                    "the request comes from a page of another origin; a session acts from its own pages alone, other clients send a token";
                Problem::new(StatusCode::FORBIDDEN, "cross_origin_request", detail).into_response()
            }
            Refusal::NotGiven { of_team: Some(team), .. } => {
                forbidden(format!("this is for callers without a team alone; you are of the team {team:?}"))
            }
            Refusal::NotGiven { role, right, of_team: None } => {
                let least = right.least_role().map_or("nobody", Role::name);
                forbidden(format!("the role {} may not do this; it takes {least}", role.name()))
            }
            Refusal::NoRule => forbidden("no rule lets anybody in here".to_owned()),
            Refusal::Method { allowed } => {
                let list = allowed.join(", ");
                let detail = format!("the method is not served here; use {list}");
                let mut response = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).into_response();
                response.headers_mut().extend(HeaderValue::from_str(&list).map(|value| (header::ALLOW, value)));
                response
            }
        }
    }
}

/// 401: no credential, or none that is known.
pub(super) fn unauthorized() -> Response {
    Problem::unauthorized().into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forwarded_peer_is_not_local() {
        let peer = Peer::Tcp("127.0.0.1:1".parse().unwrap());
        let forwarded = [("x-forwarded-for".parse().unwrap(), "203.0.113.9".parse().unwrap())].into_iter().collect();
        assert!(is_local(peer, &HeaderMap::new()));
        assert!(!is_local(peer, &forwarded));
        assert!(!is_local(Peer::Tcp("203.0.113.9:1".parse().unwrap()), &HeaderMap::new()));
        assert!(is_local(Peer::Tcp("[::ffff:127.0.0.1]:1".parse().unwrap()), &HeaderMap::new()));
    }
}
