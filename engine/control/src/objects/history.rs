//! Revisions: what was changed, by whom; how to go back; what other gateways changed.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use ringway_policy::key::Coverage;

use super::change::{Edit, To, refused};
use super::set::Kept;
use super::{Author, Change, Difference, Intent, Kind, Objects, Plain, Precondition, Refused, Revision, etag};
use crate::health::Part;
use crate::reload::{Changing, Refusal};
use crate::store::{Error, Row};

/// Most revisions of one answer.
const PAGE_MAX: u64 = 1000;
/// More changes of others than that at once are read as a whole.
const CATCH_UP_MAX: u64 = 256;

const PAGE: &str = "SELECT number, at_ms, author, role, address, summary FROM revisions WHERE number < ?1 ORDER BY number DESC LIMIT ?2";
const STEPS: &str = "SELECT kind, name, body_before, body_after FROM revision_changes WHERE number = ?1 ORDER BY kind, name";
const SINCE: &str = "SELECT c.number, c.kind, c.name, c.body_after, r.at_ms, r.author FROM revision_changes c \
                     JOIN revisions r ON r.number = c.number WHERE c.number > ?1 ORDER BY c.number";
const NEWEST: &str = "SELECT COALESCE(MAX(number), 0) FROM revisions";

impl Objects {
    /// The newest revisions first, those before `before`.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn revisions(&self, before: Option<u64>, limit: u64) -> Result<Vec<Revision>, Refused> {
        let before = before.unwrap_or(i64::MAX as u64);
        let rows = self.database.query(PAGE, vec![before.into(), limit.min(PAGE_MAX).into()]).await.map_err(refused)?;
        Ok(rows.iter().map(|row| revision(row, Vec::new())).collect())
    }

    /// One revision with what it changed.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn revision(&self, number: u64) -> Result<Option<Revision>, Refused> {
        let rows = self.database.query(PAGE, vec![(number.saturating_add(1)).into(), 1u64.into()]).await.map_err(refused)?;
        let Some(row) = rows.first().filter(|row| row.unsigned(0) == number) else { return Ok(None) };
        let steps = self.database.query(STEPS, vec![number.into()]).await.map_err(refused)?;
        let diff = steps.iter().filter_map(|step| self.step_shown(step)).collect();
        Ok(Some(revision(row, diff)))
    }

    /// Undoes what one revision changed, as a new revision: each of its objects is again what it was before.
    ///
    /// # Errors
    /// As `put`; `NotFound` where there is no such revision, `Conflict` where a later one changed one of its objects again.
    pub async fn revert(&self, author: &Author, number: u64) -> Result<Change, Refused> {
        let rows = self.database.query(STEPS, vec![number.into()]).await.map_err(refused)?;
        if rows.is_empty() {
            let newest = self.revision_number();
            return Err(Refused::NotFound(format!("there is no revision {number}; the newest is {newest}")));
        }
        let edits = rows.iter().filter_map(|row| self.undone(number, row).transpose()).collect::<Result<_, _>>()?;
        self.change(author, format!("revert revision {number}"), edits, Intent::Apply).await
    }

    fn undone(&self, number: u64, row: &Row) -> Result<Option<Edit>, Refused> {
        let Some(kind) = Kind::find(row.text(0)) else { return Ok(None) };
        let name = row.text(1).to_owned();
        let now = self.stored().set().get(kind, &name).map(|kept| kept.revision);
        // What it put must still stand; what it took away must still be absent.
        let precondition = match (row.is_null(3), now) {
            (true, None) => Precondition::Absent,
            (false, Some(now)) if now == number => Precondition::Etag(etag(number)),
            _ => {
                let one = kind.section().one();
                return Err(Refused::Conflict(format!("the {one} {name:?} was changed again after revision {number}; revert that first")));
            }
        };
        let to = match row.optional_text(2) {
            Some(body) => To::Sealed(serde_json::from_str(body).unwrap_or_default()),
            None => To::Gone,
        };
        Ok(Some(Edit { kind, name, to, precondition: Some(precondition) }))
    }

    fn step_shown(&self, step: &Row) -> Option<Difference> {
        let (kind, name) = (Kind::find(step.text(0))?, step.text(1));
        let shown = |body: &str| self.masked(kind, name, body);
        Some(Difference { kind, name: name.to_owned(), before: step.optional_text(2).map(shown), after: step.optional_text(3).map(shown) })
    }

    /// Takes over what others changed, again and again, for ever.
    pub async fn follow(self: Arc<Objects>) {
        let mut changes = self.database.watch();
        while changes.changed().await.is_ok() {
            let mut changing = self.reloader.changing.lock().await;
            match self.catch_up(&mut changing).await {
                Ok(()) => {
                    self.cover(Coverage::Whole);
                    self.reloader.health.recover(Part::Store);
                }
                Err(error) => {
                    self.cover(Coverage::Partial);
                    self.reloader.health.degrade(Part::Store, error.to_string());
                }
            }
        }
    }

    /// Whether a key that is not known here may be one all the same.
    fn cover(&self, coverage: Coverage) {
        let published = self.reloader.publisher.change(|current| Ok::<_, Infallible>(current.covering(coverage, current.revision + 1)));
        let Ok(()) = published;
    }

    /// Takes over what others changed. The caller holds the lock on changes.
    pub(super) async fn catch_up(&self, changing: &mut Changing) -> Result<(), Error> {
        let known = self.stored().set().revision;
        let newest = self.database.query(NEWEST, vec![]).await?.first().map_or(0, |row| row.unsigned(0));
        if newest == known {
            return Ok(());
        }
        if newest < known || newest - known > CATCH_UP_MAX {
            self.stored().load(&self.database).await?;
            return self.read_anew(changing).await;
        }
        let rows = self.database.query(SINCE, vec![known.into()]).await?;
        // A revision without a change of an object changed all of them: they are sealed anew.
        let mut numbers: Vec<u64> = rows.iter().map(|row| row.unsigned(0)).collect();
        numbers.dedup();
        if (numbers.len() as u64) < newest - known {
            self.stored().load(&self.database).await?;
            return self.read_anew(changing).await;
        }
        let mut gone: Vec<(Kind, Arc<str>)> = Vec::new();
        let mut put: BTreeMap<(Kind, Arc<str>), Arc<Kept>> = BTreeMap::new();
        for row in &rows {
            let Some(kind) = Kind::find(row.text(1)) else { continue };
            let key = (kind, Arc::from(row.text(2)));
            gone.retain(|other| *other != key);
            match row.optional_text(3) {
                Some(body) => drop(put.insert(key, Kept::new(body.to_owned(), row.unsigned(0), row.unsigned(4), row.text(5).into()))),
                None => {
                    put.remove(&key);
                    gone.push(key);
                }
            }
        }
        let sealer = self.stored().sealer();
        let plain = |put: &BTreeMap<(Kind, Arc<str>), Arc<Kept>>| -> Result<Vec<Plain>, String> {
            put.iter().map(|((kind, name), kept)| Plain::of(*kind, name, kept, sealer)).collect()
        };
        let plains = match plain(&put) {
            Ok(plains) => plains,
            // Sealed with a data key that is new.
            Err(_) => {
                sealer.load(&self.database).await?;
                plain(&put).map_err(Error::Other)?
            }
        };
        let changes: Vec<_> = plains
            .iter()
            .map(|plain| ringway_policy::config::Change::Put(plain.entry()))
            .chain(gone.iter().map(|(kind, name)| ringway_policy::config::Change::Remove(kind.section(), name)))
            .collect();
        let outcome = self.reloader.prepare_change(changing, &changes).await;
        // Whatever becomes of them here: the store has them.
        self.stored().change(|set| {
            for key in &gone {
                set.objects.remove(key);
            }
            set.objects.extend(put);
            set.revision = newest;
        });
        match outcome {
            Ok(prepared) => drop(self.reloader.enact(prepared, changing)),
            Err(mut refusal) => {
                self.stored().locate(&mut refusal.problems, &plains);
                self.tell(&refusal, changing);
            }
        }
        Ok(())
    }

    async fn read_anew(&self, changing: &mut Changing) -> Result<(), Error> {
        if let Err(refusal) = self.reloader.try_reload(changing).await {
            self.tell(&refusal, changing);
        }
        Ok(())
    }

    /// What others wrote cannot be served here: their files differ.
    fn tell(&self, refusal: &Refusal, changing: &mut Changing) {
        tracing::error!(problem = %refusal, "a change of another gateway cannot be served here; the old configuration stays");
        self.reloader.health.degrade(Part::Configuration, refusal.to_string());
        changing.fall_behind();
    }
}

fn revision(row: &Row, diff: Vec<Difference>) -> Revision {
    Revision {
        number: row.unsigned(0),
        at_ms: row.unsigned(1),
        author: Author { name: row.text(2).to_owned(), role: row.text(3).to_owned(), address: row.text(4).to_owned() },
        summary: row.text(5).to_owned(),
        diff,
    }
}
