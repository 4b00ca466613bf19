//! API tokens: of programs, shown once, known by their hash.

use super::role::Role;
use super::secret;
use crate::store::{Database, Error, Row, Statement};

/// What every one begins with, so that a scanner of secrets knows it.
const PREFIX: &str = "rw-admin-";
/// Most tokens that there may be.
pub const TOKENS_MAX: u64 = 10_000;

/// A token as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    pub id: String,
    pub name: String,
    pub role: Role,
    pub team: Option<String>,
    /// The end of it, to tell it from others.
    pub last4: String,
    pub made_at_ms: u64,
    pub made_by: String,
    /// `None`: it does not end by itself.
    pub ends_at_ms: Option<u64>,
}

const ALL: &str = "SELECT id, name, role, team, last4, made_at_ms, made_by, ends_at_ms FROM api_tokens ORDER BY name, id";
const FIND: &str = "SELECT id, name, role, team, last4, made_at_ms, made_by, ends_at_ms FROM api_tokens WHERE hash = ?1";
const ADD: &str = "INSERT INTO api_tokens (id, hash, name, role, team, last4, made_at_ms, made_by, ends_at_ms) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

pub(super) async fn all(database: &Database) -> Result<Vec<ApiToken>, Error> {
    Ok(database.query(ALL, Vec::new()).await?.iter().filter_map(token).collect())
}

/// The token that is shown, unless it has ended. What is of another form is not looked for.
pub(super) async fn find(database: &Database, shown: &str, now_ms: u64) -> Result<Option<ApiToken>, Error> {
    if !shown.starts_with(PREFIX) {
        return Ok(None);
    }
    let rows = database.query(FIND, vec![secret::hash(shown).into()]).await?;
    Ok(rows.first().and_then(token).filter(|token| token.ends_at_ms.is_none_or(|ends_at_ms| now_ms < ends_at_ms)))
}

/// Makes one: `id`, `last4` are filled in. Returns it with its secret, which nobody sees again.
pub(super) async fn make(database: &Database, token: ApiToken) -> Result<(ApiToken, String), Error> {
    let drawn = secret::draw().map_err(Error::Unavailable)?;
    let shown = format!("{PREFIX}{drawn}");
    let id = secret::draw().map_err(Error::Unavailable)?[..12].to_owned();
    let made = ApiToken { id, last4: shown[shown.len() - 4..].to_owned(), ..token };
    let values = vec![
        made.id.as_str().into(),
        secret::hash(&shown).into(),
        made.name.as_str().into(),
        made.role.name().into(),
        made.team.clone().into(),
        made.last4.as_str().into(),
        made.made_at_ms.into(),
        made.made_by.as_str().into(),
        made.ends_at_ms.into(),
    ];
    database.apply(vec![Statement::expecting(ADD, values, 1)]).await?;
    Ok((made, shown))
}

/// # Errors
/// `Conflict` where there is none of this id.
pub(super) async fn remove(database: &Database, id: &str) -> Result<(), Error> {
    database.apply(vec![Statement::expecting("DELETE FROM api_tokens WHERE id = ?1", vec![id.into()], 1)]).await
}

fn token(row: &Row) -> Option<ApiToken> {
    Some(ApiToken {
        id: row.text(0).to_owned(),
        name: row.text(1).to_owned(),
        role: Role::parse(row.text(2))?,
        team: row.optional_text(3).map(str::to_owned),
        last4: row.text(4).to_owned(),
        made_at_ms: row.unsigned(5),
        made_by: row.text(6).to_owned(),
        ends_at_ms: (!row.is_null(7)).then(|| row.unsigned(7)),
    })
}
