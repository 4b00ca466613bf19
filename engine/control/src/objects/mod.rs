//! The configuration with one truth: objects of the file and of the store, and how the store's are changed.
//!
//! A change is one numbered revision. It is validated as a part of the whole configuration, written to the database, and only then
//! published. What the file says is read-only here. Changes run one after the other, with reloads of the file between them.

mod change;
mod file;
mod history;
mod kind;
mod object;
mod rekey;
mod secret_fields;
mod set;
mod yaml;

use std::sync::Arc;

use ringway_policy::config::{At, Config, objects};
use serde_json::{Value, json};

use crate::reload::Reloader;
use crate::store::Database;

pub use kind::Kind;
pub use object::{Author, Change, Difference, Flaw, Intent, Object, Origin, Precondition, Prune, Refused, Revision};
pub use rekey::rekey;
pub use set::Stored;

pub(crate) use file::FileText;
pub(crate) use set::Plain;

/// All objects, and the way to change the store's.
pub struct Objects {
    reloader: Arc<Reloader>,
    database: Database,
}

impl Objects {
    /// The reloader's source already has what `database` holds.
    pub fn new(reloader: Arc<Reloader>, database: Database) -> Objects {
        Objects { reloader, database }
    }

    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Every object of a kind, by name.
    pub fn list(&self, kind: Kind) -> Vec<Object> {
        self.page(kind, None, usize::MAX)
    }

    /// At most `limit` objects of a kind, by name, behind the one called `after`.
    pub fn page(&self, kind: Kind, after: Option<&str>, limit: usize) -> Vec<Object> {
        let served = self.reloader.served.load_full();
        let mut wanted: Vec<(String, Option<usize>)> = Vec::new();
        served.each_name(kind.section(), &mut |name| {
            if !objects::is_object_line(name.line) && after.is_none_or(|after| name.value.as_str() > after) {
                wanted.push((name.value.clone(), Some(name.line)));
            }
        });
        let set = self.stored().set();
        wanted.extend(set.after(kind, after).take(limit).map(|(name, _)| (name.to_string(), None)));
        wanted.sort();
        // The store's stands first, and takes the place of one of the environment.
        wanted.dedup_by(|later, first| later.0 == first.0);
        wanted.truncate(limit);
        let bodies = self.reloader.source.file_bodies(kind, &|name| wanted.iter().any(|(wanted, line)| line.is_some() && wanted == name));
        let one = |(name, line): &(String, Option<usize>)| match line {
            None => self.of_store(kind, name, set.get(kind, name)?),
            Some(line) => Some(of_file(kind, name, *line, bodies.get(name.as_str()).cloned())),
        };
        wanted.iter().filter_map(one).collect()
    }

    /// One object.
    pub fn read(&self, kind: Kind, name: &str) -> Option<Object> {
        if let Some(kept) = self.stored().set().get(kind, name) {
            return self.of_store(kind, name, kept);
        }
        let line = line_of(&self.reloader.served.load(), kind, name)?;
        let mut bodies = self.reloader.source.file_bodies(kind, &|other| other == name);
        Some(of_file(kind, name, line, bodies.remove(name)))
    }

    /// How many objects the store has.
    pub fn store_count(&self) -> usize {
        self.stored().set().objects.len()
    }

    /// The newest revision.
    pub fn revision_number(&self) -> u64 {
        self.stored().set().revision
    }

    fn stored(&self) -> &Stored {
        self.reloader.source.stored()
    }

    fn of_store(&self, kind: Kind, name: &str, kept: &set::Kept) -> Option<Object> {
        let body = secret_fields::masked_from_sealed(kind, name, kept.json(), self.stored().sealer());
        Some(Object {
            kind,
            name: name.to_owned(),
            origin: Origin::Store,
            body,
            etag: etag(kept.revision),
            changed_at_ms: Some(kept.changed_at_ms),
            changed_by: Some(kept.changed_by.to_string()),
        })
    }
}

fn etag(revision: u64) -> String {
    format!("r{revision}")
}

/// Where it stands in what the file or the environment says; 0 for the environment.
fn line_of(config: &Config, kind: Kind, name: &str) -> Option<usize> {
    let mut line = None;
    config.each_name(kind.section(), &mut |at: &At<String>| {
        if at.value == name && !objects::is_object_line(at.line) {
            line = Some(at.line);
        }
    });
    line
}

fn of_file(kind: Kind, name: &str, line: usize, body: Option<Value>) -> Object {
    let origin = if line == 0 { Origin::Environment } else { Origin::File { line } };
    let body = body.map_or_else(|| json!({}), |body| secret_fields::masked(kind, body));
    let digest = ringway_policy::config::digest(&format!("{line} {body}"));
    Object {
        kind,
        name: name.to_owned(),
        origin,
        etag: format!("f{}", secret_fields::hex(&digest[..6])),
        body,
        changed_at_ms: None,
        changed_by: None,
    }
}

#[cfg(test)]
mod tests;
