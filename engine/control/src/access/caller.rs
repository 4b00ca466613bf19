//! The caller: who a request speaks for, found once by the gate and handed to the handlers.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::response::Response;

use super::guard::unauthorized;
use super::role::Role;

/// Who asks. Handlers take it as an argument; `Option<Caller>` where the route is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub name: String,
    pub role: Role,
    /// `Some`: sees and changes what is of this team alone.
    pub team: Option<String>,
    /// The peer's address, without its port.
    pub address: String,
    pub how: How,
}

/// What a caller showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// An API token.
    Token,
    /// A browser's cookie.
    Session,
    /// The token of the start.
    StartToken,
    /// Nothing: a peer on this machine.
    Local,
}

impl How {
    pub fn name(self) -> &'static str {
        match self {
            How::Token => "token",
            How::Session => "session",
            How::StartToken => "start token",
            How::Local => "local",
        }
    }

    /// Does a browser add it by itself, whoever's page asks it to?
    pub(super) fn is_ambient(self) -> bool {
        matches!(self, How::Session | How::Local)
    }
}

impl Caller {
    /// May he see what belongs to `team`? Whoever has no team sees all.
    pub fn is_of(&self, team: Option<&str>) -> bool {
        self.team.is_none() || self.team.as_deref() == team
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Response> {
        parts.extensions.get::<Caller>().cloned().ok_or_else(unauthorized)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Caller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Caller>, std::convert::Infallible> {
        Ok(parts.extensions.get::<Caller>().cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_team_sees_its_own_alone() {
        let caller = |team: Option<&str>| Caller {
            name: "a".into(),
            role: Role::Admin,
            team: team.map(str::to_owned),
            address: "127.0.0.1".into(),
            how: How::Token,
        };
        assert!(caller(None).is_of(Some("apps")) && caller(None).is_of(None));
        assert!(caller(Some("apps")).is_of(Some("apps")));
        assert!(!caller(Some("apps")).is_of(Some("ops")) && !caller(Some("apps")).is_of(None));
    }
}
