//! The store's objects in memory, as the database holds them: secrets sealed, bodies as text.
//!
//! A hundred thousand of them cost their text; a body is parsed when somebody asks for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard};

use ringway_policy::config::{Entry, Problem, objects};
use serde_json::Value;

use super::Kind;
use super::secret_fields;
use crate::seal::{MasterPlace, Sealer};
use crate::store::{Database, Error, Row};

const NO_MASTER: &str = "there is no store to keep a secret in";
const OBJECTS: &str = "SELECT kind, name, body, revision, changed_at_ms, changed_by FROM objects";
const NEWEST: &str = "SELECT COALESCE(MAX(number), 0) FROM revisions";

/// One object as it is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    /// JSON; secrets are sealed.
    pub body: Box<str>,
    /// Names it in problems; no other object of the process has it.
    pub number: usize,
    /// The one that made it what it is.
    pub revision: u64,
    pub changed_at_ms: u64,
    pub changed_by: Arc<str>,
}

impl Kept {
    pub fn new(body: String, revision: u64, changed_at_ms: u64, changed_by: Arc<str>) -> Arc<Kept> {
        Arc::new(Kept { body: body.into(), number: next_number(), revision, changed_at_ms, changed_by })
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Numbers go up for ever; a process makes fewer than there are.
pub(crate) fn next_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

type Objects = BTreeMap<(Kind, Arc<str>), Arc<Kept>>;

#[derive(Default)]
pub(crate) struct Set {
    pub objects: Objects,
    /// The newest revision that it has.
    pub revision: u64,
}

impl Set {
    pub fn get(&self, kind: Kind, name: &str) -> Option<&Arc<Kept>> {
        self.objects.get(&(kind, Arc::from(name)))
    }

    pub fn of(&self, kind: Kind) -> impl Iterator<Item = (&Arc<str>, &Arc<Kept>)> {
        self.after(kind, None)
    }

    /// By name, behind `after`.
    pub fn after(&self, kind: Kind, after: Option<&str>) -> impl Iterator<Item = (&Arc<str>, &Arc<Kept>)> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let from = after.map_or(Included((kind, Arc::from(""))), |after| Excluded((kind, Arc::from(after))));
        let within = self.objects.range((from, Unbounded)).take_while(move |((other, _), _)| *other == kind);
        within.map(|((_, name), kept)| (name, kept))
    }
}

struct Inner {
    sealer: Sealer,
    set: RwLock<Set>,
}

/// The objects of a database. Clones share them.
#[derive(Clone)]
pub struct Stored(Arc<Inner>);

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stored").field("count", &self.set().objects.len()).finish_non_exhaustive()
    }
}

impl Default for Stored {
    fn default() -> Stored {
        Stored::new(MasterPlace::Nowhere(NO_MASTER))
    }
}

impl Stored {
    /// None yet.
    pub fn new(master: MasterPlace) -> Stored {
        Stored(Arc::new(Inner { sealer: Sealer::new(master), set: RwLock::default() }))
    }

    /// Reads all of them.
    ///
    /// # Errors
    /// Where the database cannot be read, or its secrets cannot be unsealed.
    pub async fn load(&self, database: &Database) -> Result<(), Error> {
        self.sealer().load(database).await?;
        // The revision first: what is written in between is read twice rather than never.
        let revision = database.query(NEWEST, vec![]).await?.first().map_or(0, |row| row.unsigned(0));
        let rows = database.query(OBJECTS, vec![]).await?;
        let mut authors = Authors::default();
        let objects = rows.iter().filter_map(|row| kept(row, &mut authors)).collect();
        self.change(|set| *set = Set { objects, revision });
        Ok(())
    }

    /// Makes the master key now rather than with the first secret.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn prepare(&self) -> Result<(), String> {
        self.sealer().prepare()
    }

    pub(crate) fn sealer(&self) -> &Sealer {
        &self.0.sealer
    }

    pub(crate) fn set(&self) -> RwLockReadGuard<'_, Set> {
        self.0.set.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Set) -> T) -> T {
        change(&mut self.0.set.write().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub fn is_empty(&self) -> bool {
        self.set().objects.is_empty()
    }

    /// Every object with its secrets, to be read into the configuration.
    ///
    /// # Errors
    /// What cannot be unsealed.
    pub(crate) fn plain(&self) -> Result<Vec<Plain>, String> {
        let set = self.set();
        let one = |((kind, name), kept): (&(Kind, Arc<str>), &Arc<Kept>)| Plain::of(*kind, name, kept, self.sealer());
        set.objects.iter().map(one).collect()
    }

    /// Gives problems of objects their paths; `changed` are those that are not kept yet.
    pub(crate) fn locate(&self, problems: &mut [Problem], changed: &[Plain]) {
        for problem in problems {
            let Some(number) = objects::number_of(problem.line) else { continue };
            if let Some(plain) = changed.iter().find(|plain| plain.number == number) {
                objects::locate(problem, plain.entry());
                continue;
            }
            let set = self.set();
            let found = set.objects.iter().find(|(_, kept)| kept.number == number);
            if let Some(((kind, name), kept)) = found {
                // Sealing keeps the number of nodes before a secret, and a secret has no nodes behind it but its own.
                let plain = Plain::of(*kind, name, kept, self.sealer());
                let body = plain.map_or_else(|_| kept.json(), |plain| plain.body);
                objects::locate(problem, Entry { section: kind.section(), name, body: &body, number });
            }
        }
    }
}

/// An object with its secrets: for as long as it is read.
pub(crate) struct Plain {
    pub kind: Kind,
    pub name: Arc<str>,
    pub body: Value,
    pub number: usize,
}

impl Plain {
    pub fn of(kind: Kind, name: &Arc<str>, kept: &Kept, sealer: &Sealer) -> Result<Plain, String> {
        let body = secret_fields::unsealed(kind, name, kept.json(), sealer)?;
        Ok(Plain { kind, name: name.clone(), body, number: kept.number })
    }

    pub fn entry(&self) -> Entry<'_> {
        Entry { section: self.kind.section(), name: &self.name, body: &self.body, number: self.number }
    }
}

/// Names of those who changed something, each kept once.
#[derive(Default)]
struct Authors(std::collections::HashMap<String, Arc<str>>);

fn kept(row: &Row, authors: &mut Authors) -> Option<((Kind, Arc<str>), Arc<Kept>)> {
    // A kind that this binary does not know would be a newer schema.
    let kind = Kind::find(row.text(0))?;
    let by = authors.0.entry(row.text(5).to_owned()).or_insert_with(|| row.text(5).into()).clone();
    Some(((kind, row.text(1).into()), Kept::new(row.text(2).to_owned(), row.unsigned(3), row.unsigned(4), by)))
}
