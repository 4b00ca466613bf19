//! Sessions of browsers: a random secret in a cookie, its hash in the store, an end that no use puts off for ever.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};

use super::role::Role;
use super::same_origin::Transport;
use super::secret;
use crate::store::{Database, Error, Statement};

/// Unused for so long, a session ends.
pub const IDLE_MAX: Duration = Duration::from_secs(12 * 60 * 60);
/// So old, it ends however it is used.
pub const AGE_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Uses within so long are one, so that a look costs no write.
const SEEN_EVERY: Duration = Duration::from_secs(60);
/// Most sessions of one user; a further login ends the oldest.
const OF_USER_MAX: u64 = 32;

/// A session that is open.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub user: String,
    pub role: Role,
    pub team: Option<String>,
}

/// His role is read with it, so that a change of it counts at once.
const FIND: &str = "SELECT sessions.user_name, users.role, users.team, sessions.seen_at_ms FROM sessions \
    JOIN users ON users.name = sessions.user_name WHERE sessions.hash = ?1 AND sessions.ends_at_ms > ?2 AND sessions.seen_at_ms > ?3";
const ADD: &str = "INSERT INTO sessions (hash, user_name, address, made_at_ms, seen_at_ms, ends_at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const SEEN: &str = "UPDATE sessions SET seen_at_ms = ?2 WHERE hash = ?1";
const SWEEP: &str = "DELETE FROM sessions WHERE ends_at_ms <= ?1 OR seen_at_ms <= ?2";
const CROWD: &str = "DELETE FROM sessions WHERE user_name = ?1 AND made_at_ms <= \
    (SELECT made_at_ms FROM sessions WHERE user_name = ?2 ORDER BY made_at_ms DESC LIMIT 1 OFFSET ?3)";

/// The session of a cookie's value, if it is open.
pub(super) async fn find(database: &Database, value: &str, now_ms: u64) -> Result<Option<Session>, Error> {
    let hash = secret::hash(value);
    let rows = database.query(FIND, vec![hash.clone().into(), now_ms.into(), idle_since(now_ms).into()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let Some(role) = Role::parse(row.text(1)) else { return Ok(None) };
    if now_ms.saturating_sub(row.unsigned(3)) >= SEEN_EVERY.as_millis() as u64 {
        // A store that takes no writes ends sessions early; it does not refuse them.
        let _ = database.apply(vec![Statement::new(SEEN, vec![hash.into(), now_ms.into()])]).await;
    }
    Ok(Some(Session { user: row.text(0).to_owned(), role, team: row.optional_text(2).map(str::to_owned) }))
}

/// Opens one and returns the cookie's value. Ended ones, and the user's oldest beyond `OF_USER_MAX`, go.
pub(super) async fn open(database: &Database, user: &str, address: &str, now_ms: u64) -> Result<String, Error> {
    let value = secret::draw().map_err(Error::Unavailable)?;
    let ends_at_ms = now_ms + AGE_MAX.as_millis() as u64;
    let values = vec![secret::hash(&value).into(), user.into(), address.into(), now_ms.into(), now_ms.into(), ends_at_ms.into()];
    let sweep = Statement::new(SWEEP, vec![now_ms.into(), idle_since(now_ms).into()]);
    let crowd = Statement::new(CROWD, vec![user.into(), user.into(), (OF_USER_MAX - 1).into()]);
    database.apply(vec![sweep, crowd, Statement::expecting(ADD, values, 1)]).await?;
    Ok(value)
}

pub(super) async fn end(database: &Database, value: &str) -> Result<(), Error> {
    database.apply(vec![Statement::new("DELETE FROM sessions WHERE hash = ?1", vec![secret::hash(value).into()])]).await
}

fn idle_since(now_ms: u64) -> u64 {
    now_ms.saturating_sub(IDLE_MAX.as_millis() as u64)
}

/// The cookie's name. Browsers take `__Host-` from this very host over TLS alone. On plain-HTTP loopback not all of them take
/// `Secure`, and every port of the host shares its cookies, so that the name says the port.
fn cookie_name(transport: Transport) -> String {
    match transport {
        Transport::Tls | Transport::BehindTls => "__Host-ringway".to_owned(),
        Transport::Loopback { port } => format!("ringway-{port}"),
    }
}

/// The value of the session's cookie among the cookies of a request.
pub(super) fn cookie_of(headers: &HeaderMap, transport: Transport) -> Option<&str> {
    let name = cookie_name(transport);
    let fields = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value).filter(|value| !value.is_empty())
}

/// The field that hands out a session, or with `None` takes it back.
pub(super) fn set_cookie(value: Option<&str>, transport: Transport) -> Option<HeaderValue> {
    let secure = match transport {
        Transport::Tls | Transport::BehindTls => " Secure;",
        Transport::Loopback { .. } => "",
    };
    let age_s = value.map_or(0, |_| AGE_MAX.as_secs());
    let name = cookie_name(transport);
    HeaderValue::from_str(&format!("{name}={};{secure} HttpOnly; SameSite=Strict; Path=/; Max-Age={age_s}", value.unwrap_or_default())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_bound_to_this_host_and_kept_from_scripts() {
        let text = set_cookie(Some("ab"), Transport::Tls).unwrap();
        assert_eq!(text, "__Host-ringway=ab; Secure; HttpOnly; SameSite=Strict; Path=/; Max-Age=604800");
        let text = set_cookie(None, Transport::Loopback { port: 8081 }).unwrap();
        assert_eq!(text, "ringway-8081=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let headers: HeaderMap = [(header::COOKIE, HeaderValue::from_static("a=b; ringway-80=no; ringway-8081=yes"))].into_iter().collect();
        assert_eq!(cookie_of(&headers, Transport::Loopback { port: 8081 }), Some("yes"));
        assert_eq!(cookie_of(&headers, Transport::Tls), None);
        assert_eq!(cookie_of(&HeaderMap::new(), Transport::Tls), None);
    }
}
