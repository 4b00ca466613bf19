//! The users: who they are, what they may, and how they prove it.

use super::role::Role;
use crate::store::{Database, Error, Statement, Value};

/// Most users: they are people.
pub const USERS_MAX: u64 = 10_000;

/// A user as the store has him; of his password only whether there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub role: Role,
    pub team: Option<String>,
    pub has_password: bool,
    pub made_at_ms: u64,
    pub changed_at_ms: u64,
    pub changed_by: String,
}

/// What becomes of a user.
#[derive(Clone, Debug)]
pub(super) struct Change<'c> {
    pub name: &'c str,
    pub role: Role,
    pub team: Option<&'c str>,
    /// The hash of a new password; `None` leaves the one that there is.
    pub password: Option<String>,
    pub by: &'c str,
    pub now_ms: u64,
}

const ALL: &str = "SELECT name, role, team, CASE WHEN password IS NULL THEN 0 ELSE 1 END, made_at_ms, changed_at_ms, changed_by FROM users \
    ORDER BY name";
const ONE: &str = "SELECT name, role, team, CASE WHEN password IS NULL THEN 0 ELSE 1 END, made_at_ms, changed_at_ms, changed_by FROM users \
    WHERE name = ?1";
const ADD: &str =
    "INSERT INTO users (name, role, team, password, made_at_ms, changed_at_ms, changed_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
/// Fails where anybody is there already, however many gateways share the store.
const ADD_FIRST: &str = "INSERT INTO users (name, role, team, password, made_at_ms, changed_at_ms, changed_by) \
    SELECT ?1, ?2, NULL, ?3, ?4, ?5, ?6 WHERE NOT EXISTS (SELECT 1 FROM users)";
/// Another owner must be left where an owner becomes something else.
const SET: &str = "UPDATE users SET role = ?2, team = ?3, password = COALESCE(?4, password), changed_at_ms = ?5, changed_by = ?6 \
    WHERE name = ?1 AND (?7 = 'owner' OR role <> 'owner' OR EXISTS (SELECT 1 FROM users WHERE role = 'owner' AND name <> ?8))";
const REMOVE: &str = "DELETE FROM users WHERE name = ?1 \
    AND (role <> 'owner' OR EXISTS (SELECT 1 FROM users WHERE role = 'owner' AND name <> ?2))";
const END_SESSIONS: &str = "DELETE FROM sessions WHERE user_name = ?1";

pub(super) async fn count(database: &Database) -> Result<u64, Error> {
    Ok(database.query("SELECT COUNT(*) FROM users", Vec::new()).await?.first().map_or(0, |row| row.unsigned(0)))
}

pub(super) async fn all(database: &Database) -> Result<Vec<User>, Error> {
    Ok(database.query(ALL, Vec::new()).await?.iter().filter_map(user).collect())
}

pub(super) async fn one(database: &Database, name: &str) -> Result<Option<User>, Error> {
    Ok(database.query(ONE, vec![name.into()]).await?.first().and_then(user))
}

/// The hash of his password.
pub(super) async fn password(database: &Database, name: &str) -> Result<Option<String>, Error> {
    let rows = database.query("SELECT password FROM users WHERE name = ?1", vec![name.into()]).await?;
    Ok(rows.first().and_then(|row| row.optional_text(0)).map(str::to_owned))
}

/// Adds the first user, an owner.
///
/// # Errors
/// `Conflict` where there is a user already.
pub(super) async fn add_first(database: &Database, name: &str, password: Option<String>, now_ms: u64) -> Result<(), Error> {
    let values = vec![name.into(), Role::Owner.name().into(), password.into(), now_ms.into(), now_ms.into(), name.into()];
    database.apply(vec![Statement::expecting(ADD_FIRST, values, 1)]).await
}

/// Adds a user.
///
/// # Errors
/// `Conflict` where the name is taken.
pub(super) async fn add(database: &Database, change: Change<'_>) -> Result<(), Error> {
    let Change { name, role, team, password, by, now_ms } = change;
    let values = vec![name.into(), role.name().into(), team.into(), password.into(), now_ms.into(), now_ms.into(), by.into()];
    database.apply(vec![Statement::expecting(ADD, values, 1)]).await
}

/// Changes a user and ends all his sessions.
///
/// # Errors
/// `Conflict` where he is not there, or is the last owner and would be none.
pub(super) async fn set(database: &Database, change: Change<'_>) -> Result<(), Error> {
    let Change { name, role, team, password, by, now_ms } = change;
    let role = || Value::from(role.name());
    let values = vec![name.into(), role(), team.into(), password.into(), now_ms.into(), by.into(), role(), name.into()];
    let sessions = Statement::new(END_SESSIONS, vec![name.into()]);
    database.apply(vec![Statement::expecting(SET, values, 1), sessions]).await
}

/// Removes a user and ends all his sessions.
///
/// # Errors
/// `Conflict` where he is not there, or is the last owner.
pub(super) async fn remove(database: &Database, name: &str) -> Result<(), Error> {
    let sessions = Statement::new(END_SESSIONS, vec![name.into()]);
    database.apply(vec![Statement::expecting(REMOVE, vec![name.into(), name.into()], 1), sessions]).await
}

fn user(row: &crate::store::Row) -> Option<User> {
    Some(User {
        name: row.text(0).to_owned(),
        role: Role::parse(row.text(1))?,
        team: row.optional_text(2).map(str::to_owned),
        has_password: row.integer(3) != 0,
        made_at_ms: row.unsigned(4),
        changed_at_ms: row.unsigned(5),
        changed_by: row.text(6).to_owned(),
    })
}
