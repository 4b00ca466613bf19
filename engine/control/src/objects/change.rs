//! A change: what callers ask → the configuration that it makes → a revision in the database → the published snapshot.

use std::sync::Arc;
use std::time::SystemTime;

use ringway_policy::config::{self, objects};
use serde_json::Value;

use super::set::{Kept, Set, next_number};
use super::{Author, Change, Difference, Flaw, Intent, Kind, Objects, Plain, Precondition, Refused, etag, line_of, secret_fields};
use crate::objects::secret_fields::Sealing;
use crate::reload::{Changing, Refusal};
use crate::seal;
use crate::store::{Error, Statement};

/// How often a change is tried anew where another gateway was faster.
const TRIES_MAX: usize = 4;
/// Largest body of one object.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most objects of one change.
const EDITS_MAX: usize = 200_000;

const REVISION: &str = "INSERT INTO revisions (number, at_ms, author, role, address, summary) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const STEP: &str = "INSERT INTO revision_changes (number, kind, name, body_before, body_after) VALUES (?1, ?2, ?3, ?4, ?5)";
const INSERT: &str = "INSERT INTO objects (kind, name, body, revision, changed_at_ms, changed_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const UPDATE: &str = "UPDATE objects SET body = ?1, revision = ?2, changed_at_ms = ?3, changed_by = ?4 WHERE kind = ?5 AND name = ?6 \
                      AND revision = ?7";
const DELETE: &str = "DELETE FROM objects WHERE kind = ?1 AND name = ?2 AND revision = ?3";

/// What is asked of one object.
pub(super) struct Edit {
    pub kind: Kind,
    pub name: String,
    pub to: To,
    pub precondition: Option<Precondition>,
}

pub(super) enum To {
    /// As a caller wrote it.
    Written(Value),
    /// As the database held it.
    Sealed(Value),
    Gone,
}

/// One object of a change, ready to be kept.
struct Step {
    kind: Kind,
    name: Arc<str>,
    before: Option<Arc<Kept>>,
    /// JSON with its secrets sealed; `None` = it goes.
    after: Option<String>,
    plain: Option<Plain>,
}

impl Objects {
    /// Makes an object, or puts another one in its place. The whole configuration is validated with it, the store keeps it, and
    /// the data plane has it when this returns.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub async fn put(
        &self,
        author: &Author,
        kind: Kind,
        name: &str,
        body: Value,
        precondition: Option<Precondition>,
        intent: Intent,
    ) -> Result<Change, Refused> {
        let edit = Edit { kind, name: name.to_owned(), to: To::Written(body), precondition };
        self.change(author, format!("put {} {name}", kind.section().one()), vec![edit], intent).await
    }

    /// Takes an object of the store away.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub async fn delete(
        &self,
        author: &Author,
        kind: Kind,
        name: &str,
        precondition: Option<Precondition>,
        intent: Intent,
    ) -> Result<Change, Refused> {
        let edit = Edit { kind, name: name.to_owned(), to: To::Gone, precondition };
        self.change(author, format!("delete {} {name}", kind.section().one()), vec![edit], intent).await
    }

    pub(super) async fn change(&self, author: &Author, summary: String, edits: Vec<Edit>, intent: Intent) -> Result<Change, Refused> {
        if edits.len() > EDITS_MAX {
            return Err(Refused::flaw("", format!("{} objects are more than the {EDITS_MAX} of one change", edits.len())));
        }
        let mut changing = self.reloader.changing.lock().await;
        for attempt in 1.. {
            match self.try_change(&mut changing, author, &summary, &edits, intent).await {
                // Another gateway was faster: with what it did, it may still be possible.
                Err(Trouble::Faster) if attempt < TRIES_MAX => {
                    self.stored().sealer().load(&self.database).await.map_err(refused)?;
                    self.catch_up(&mut changing).await.map_err(refused)?;
                }
                Err(Trouble::Faster) => break,
                Err(Trouble::Refused(reason)) => return Err(reason),
                Ok(change) => return Ok(change),
            }
        }
        Err(Refused::Unavailable("other gateways change the store all the time; try again".to_owned()))
    }

    async fn try_change(
        &self,
        changing: &mut Changing,
        author: &Author,
        summary: &str,
        edits: &[Edit],
        intent: Intent,
    ) -> Result<Change, Trouble> {
        let (mut steps, mut flaws, mut secret, mut sealing) = (Vec::with_capacity(edits.len()), Vec::new(), None, Sealing::None);
        for edit in edits {
            match self.step(edit, &mut secret, &mut sealing) {
                Ok(step) => steps.extend(step),
                Err(Refused::Invalid(mut more)) => flaws.append(&mut more),
                Err(refused) => return Err(refused.into()),
            }
        }
        if !flaws.is_empty() {
            return Err(Refused::Invalid(flaws).into());
        }
        if steps.is_empty() {
            let one = edits.first().filter(|_| edits.len() == 1);
            let etag = one.and_then(|edit| Some(etag(self.stored().set().get(edit.kind, &edit.name)?.revision)));
            return Ok(Change { etag, ..Change::default() });
        }
        let changes: Vec<config::Change<'_>> = steps.iter().map(Step::change).collect();
        let prepared = self.reloader.prepare_change(changing, &changes).await.map_err(|refusal| self.invalid(refusal, &steps))?;
        let diff = steps.iter().map(|step| self.difference(step)).collect();
        if intent == Intent::DryRun {
            return Ok(Change { diff, ..Change::default() });
        }
        let revision = self.stored().set().revision + 1;
        let now_ms = now_ms();
        let statements = self.statements(author, summary, &steps, sealing, revision, now_ms);
        match self.database.apply(statements).await {
            Ok(()) => {}
            Err(Error::Conflict) => return Err(Trouble::Faster),
            Err(error) => return Err(refused(error).into()),
        }
        if sealing == Sealing::Some {
            self.stored().sealer().kept();
        }
        drop(changes);
        let has_one = (steps.len() == 1 && steps[0].after.is_some()).then(|| etag(revision));
        self.stored().change(|set| keep(set, steps, revision, now_ms, &author.name));
        self.reloader.enact(prepared, changing);
        Ok(Change { revision: Some(revision), diff, etag: has_one, secret })
    }

    /// What an edit comes to; `None` where everything is so already.
    fn step(&self, edit: &Edit, secret: &mut Option<String>, sealing: &mut Sealing) -> Result<Option<Step>, Refused> {
        let (kind, name, one) = (edit.kind, edit.name.as_str(), edit.kind.section().one());
        let before = self.stored().set().get(kind, name).cloned();
        if before.is_none()
            && let Some(line @ 1..) = line_of(&self.reloader.served.load(), kind, name)
        {
            let origin = self.reloader.source.origin();
            return Err(Refused::ReadOnly(format!("the {one} {name:?} stands in {origin}, line {line}; change it there")));
        }
        match (&edit.precondition, &before) {
            (Some(Precondition::Absent), Some(_)) => return Err(Refused::Conflict(format!("there is a {one} {name:?} already"))),
            (Some(Precondition::Etag(wanted)), Some(kept)) if *wanted != etag(kept.revision) => {
                return Err(Refused::Conflict(format!("the {one} {name:?} was changed since it was read; read it again")));
            }
            (Some(Precondition::Etag(_)), None) => return Err(Refused::Conflict(format!("there is no {one} {name:?} any more"))),
            _ => {}
        }
        let arc_name: Arc<str> = name.into();
        let old = before.as_ref().map(|kept| Plain::of(kind, &arc_name, kept, self.stored().sealer()).map(|plain| plain.body));
        let old = old.transpose().map_err(Refused::Unavailable)?;
        let mut body = match &edit.to {
            To::Gone if before.is_none() => return Err(Refused::NotFound(format!("there is no {one} {name:?} in the store"))),
            To::Gone => return Ok(Some(Step { kind, name: arc_name, before, after: None, plain: None })),
            To::Written(body) => body.clone(),
            To::Sealed(body) => secret_fields::unsealed(kind, name, body.clone(), self.stored().sealer()).map_err(Refused::Unavailable)?,
        };
        let word = kind.section().word();
        secret_fields::unmask(kind, &mut body, old.as_ref()).map_err(|flaws| {
            let flaw = |(at, message): (String, String)| Flaw { path: format!("{word}.{name}{at}"), message };
            Refused::Invalid(flaws.into_iter().map(flaw).collect())
        })?;
        secret_fields::hash_keys(kind, &mut body);
        if kind == Kind::VirtualKey {
            give_key(&mut body, old.as_ref(), secret)?;
        }
        if old.as_ref() == Some(&body) {
            return Ok(None);
        }
        let (sealed, sealed_any) = secret_fields::sealed(kind, name, body.clone(), self.stored().sealer()).map_err(Refused::Unavailable)?;
        if sealed_any == Sealing::Some {
            *sealing = Sealing::Some;
        }
        let after = sealed.to_string();
        if after.len() > BODY_BYTES_MAX {
            return Err(Refused::flaw(format!("{word}.{name}"), format!("it is larger than {} MiB", BODY_BYTES_MAX >> 20)));
        }
        let plain = Plain { kind, name: arc_name.clone(), body, number: next_number() };
        Ok(Some(Step { kind, name: arc_name, before, after: Some(after), plain: Some(plain) }))
    }

    fn statements(&self, author: &Author, summary: &str, steps: &[Step], sealing: Sealing, revision: u64, now_ms: u64) -> Vec<Statement> {
        let mut statements = Vec::with_capacity(2 + 2 * steps.len());
        if sealing == Sealing::Some {
            statements.extend(self.stored().sealer().statements(now_ms));
        }
        let Author { name, role, address } = author;
        let values =
            vec![revision.into(), now_ms.into(), name.as_str().into(), role.as_str().into(), address.as_str().into(), summary.into()];
        statements.push(Statement::expecting(REVISION, values, 1));
        for step in steps {
            let (kind, object) = (step.kind.plural(), &*step.name);
            let before = step.before.as_ref().map(|kept| &*kept.body);
            let after = step.after.as_deref();
            statements.push(Statement::expecting(STEP, vec![revision.into(), kind.into(), object.into(), before.into(), after.into()], 1));
            let by = author.name.as_str();
            statements.push(match (&step.before, after) {
                (None, after) => {
                    let values = vec![kind.into(), object.into(), after.into(), revision.into(), now_ms.into(), by.into()];
                    Statement::expecting(INSERT, values, 1)
                }
                (Some(kept), Some(after)) => {
                    let values =
                        vec![after.into(), revision.into(), now_ms.into(), by.into(), kind.into(), object.into(), kept.revision.into()];
                    Statement::expecting(UPDATE, values, 1)
                }
                (Some(kept), None) => Statement::expecting(DELETE, vec![kind.into(), object.into(), kept.revision.into()], 1),
            });
        }
        statements
    }

    fn difference(&self, step: &Step) -> Difference {
        let masked = |body: &str| self.masked(step.kind, &step.name, body);
        Difference {
            kind: step.kind,
            name: step.name.to_string(),
            before: step.before.as_ref().map(|kept| masked(&kept.body)),
            after: step.after.as_deref().map(masked),
        }
    }

    /// What the database holds of an object, for whoever may read.
    pub(super) fn masked(&self, kind: Kind, name: &str, body: &str) -> Value {
        let body = serde_json::from_str(body).unwrap_or_default();
        secret_fields::masked_from_sealed(kind, name, body, self.stored().sealer())
    }

    fn invalid(&self, mut refusal: Refusal, steps: &[Step]) -> Refused {
        let mut flaws = Vec::new();
        for problem in &mut refusal.problems {
            let number = objects::number_of(problem.line);
            let changed = steps.iter().filter_map(|step| step.plain.as_ref()).find(|plain| Some(plain.number) == number);
            match changed {
                Some(plain) => objects::locate(problem, plain.entry()),
                None => self.stored().locate(std::slice::from_mut(problem), &[]),
            }
            let message = match problem.line {
                0 => problem.message.clone(),
                line => format!("{}, line {line}: {}", refusal.origin, problem.message),
            };
            flaws.push(Flaw { path: problem.path.clone(), message });
        }
        Refused::Invalid(flaws)
    }
}

/// Why a change did not come about.
enum Trouble {
    /// The store is not what it was a moment ago.
    Faster,
    Refused(Refused),
}

impl From<Refused> for Trouble {
    fn from(refused: Refused) -> Trouble {
        Trouble::Refused(refused)
    }
}

impl Step {
    fn change(&self) -> config::Change<'_> {
        match &self.plain {
            Some(plain) => config::Change::Put(plain.entry()),
            None => config::Change::Remove(self.kind.section(), &self.name),
        }
    }
}

pub(super) fn refused(error: Error) -> Refused {
    match error {
        Error::ReadOnly(reason) => Refused::ReadOnly(reason),
        other => Refused::Unavailable(other.to_string()),
    }
}

/// A key that says nothing of itself keeps what it had, or is drawn.
fn give_key(body: &mut Value, old: Option<&Value>, secret: &mut Option<String>) -> Result<(), Refused> {
    // What is no mapping is the readers' to refuse; an empty one may be written as nothing.
    if body.is_null() {
        *body = serde_json::json!({});
    }
    let Some(fields) = body.as_object_mut() else { return Ok(()) };
    if fields.contains_key("key") || fields.contains_key("key_sha256") {
        return Ok(());
    }
    let had = ["key", "key_sha256"].into_iter().find_map(|field| Some((field, old?.get(field)?.clone())));
    let (field, value) = match had {
        Some((field, value)) => (field, value),
        None => {
            let key = format!("rw-{}", seal::random_hex::<16>().map_err(Refused::Unavailable)?);
            let sha256 = secret_fields::hex(&config::digest(&key));
            *secret = Some(key);
            ("key_sha256", Value::String(sha256))
        }
    };
    fields.insert(field.to_owned(), value);
    Ok(())
}

fn keep(set: &mut Set, steps: Vec<Step>, revision: u64, now_ms: u64, author: &str) {
    let author: Arc<str> = author.into();
    for step in steps {
        match (step.after, step.plain) {
            (Some(body), Some(plain)) => {
                let (number, changed_by) = (plain.number, author.clone());
                let kept = Kept { body: body.into(), number, revision, changed_at_ms: now_ms, changed_by };
                set.objects.insert((step.kind, step.name), Arc::new(kept));
            }
            _ => drop(set.objects.remove(&(step.kind, step.name))),
        }
    }
    set.revision = revision;
}

pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
