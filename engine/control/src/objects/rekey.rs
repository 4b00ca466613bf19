//! A new data key for the store, and on demand a new master key: every secret is sealed anew, in one transaction.

use super::change::now_ms;
use super::secret_fields::{self, Sealing};
use super::{Author, Kind};
use crate::seal::{MasterPlace, Sealer};
use crate::store::{Database, Error, Row, Statement};

const OBJECTS: &str = "SELECT kind, name, body FROM objects";
const STEPS: &str = "SELECT kind, name, body_before, body_after, number FROM revision_changes";
const OBJECT: &str = "UPDATE objects SET body = ?1 WHERE kind = ?2 AND name = ?3 AND body = ?4";
const STEP: &str = "UPDATE revision_changes SET body_before = ?1, body_after = ?2 WHERE number = ?3 AND kind = ?4 AND name = ?5";
const NEWEST: &str = "SELECT COALESCE(MAX(number), 0) FROM revisions";
/// A revision that changes no object: gateways that follow read everything again.
const REVISION: &str = "INSERT INTO revisions (number, at_ms, author, role, address, summary) VALUES (?1, ?2, ?3, ?4, ?5, 'rekey')";
const FORGET: &str = "DELETE FROM seals";

/// Seals every secret of the store with a new data key, which is sealed with the master key of `new`. Nothing is readable with the
/// former data key any more. Gives the number of secrets-bearing rows.
///
/// # Errors
/// `Conflict` where a gateway changed something meanwhile: try again. All others as of `Sealer` and `Database`.
pub async fn rekey(database: &Database, old: MasterPlace, new: MasterPlace, author: &Author) -> Result<usize, Error> {
    let (old, new) = (Sealer::new(old), Sealer::new(new));
    old.load(database).await?;
    let newest = database.query(NEWEST, vec![]).await?.first().map_or(0, |row| row.unsigned(0));
    let mut statements = Vec::new();
    for row in database.query(OBJECTS, vec![]).await? {
        let Some(kind) = Kind::find(row.text(0)) else { continue };
        if let Some(body) = anew(kind, &row, 2, &old, &new)? {
            let values = vec![body.into(), row.text(0).into(), row.text(1).into(), row.text(2).into()];
            statements.push(Statement::expecting(OBJECT, values, 1));
        }
    }
    for row in database.query(STEPS, vec![]).await? {
        let Some(kind) = Kind::find(row.text(0)) else { continue };
        let (before, after) = (anew(kind, &row, 2, &old, &new)?, anew(kind, &row, 3, &old, &new)?);
        if before.is_some() || after.is_some() {
            let same = |index| row.optional_text(index).map(str::to_owned);
            let (before, after) = (before.or_else(|| same(2)), after.or_else(|| same(3)));
            let values = vec![before.into(), after.into(), row.integer(4).into(), row.text(0).into(), row.text(1).into()];
            statements.push(Statement::expecting(STEP, values, 1));
        }
    }
    let count = statements.len();
    if count == 0 {
        return Ok(0);
    }
    let Author { name, role, address } = author;
    let values = vec![(newest + 1).into(), now_ms().into(), name.as_str().into(), role.as_str().into(), address.as_str().into()];
    statements.push(Statement::expecting(REVISION, values, 1));
    statements.push(Statement::new(FORGET, vec![]));
    statements.extend(new.statements(now_ms()));
    database.apply(statements).await.map(|()| count)
}

/// The body in a column with its secrets sealed anew; `None` where it has none.
fn anew(kind: Kind, row: &Row, column: usize, old: &Sealer, new: &Sealer) -> Result<Option<String>, Error> {
    let Some(body) = row.optional_text(column).and_then(|body| serde_json::from_str(body).ok()) else { return Ok(None) };
    let plain = secret_fields::unsealed(kind, row.text(1), body, old).map_err(Error::Other)?;
    let (sealed, sealing) = secret_fields::sealed(kind, row.text(1), plain, new).map_err(Error::Other)?;
    Ok((sealing == Sealing::Some).then(|| sealed.to_string()))
}
