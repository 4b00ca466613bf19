//! `/api/v1/{providers,routes,aliases,keys,…}`: the objects of the configuration with their live state.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::answer::Precondition;
use super::ask::{Asked, JsonBody, Named};
use super::paging::{self, PageQuery};
use super::problem::{FieldError, Problem};
use super::scene::Scene;
use super::{Shared, View, answer, described};
use crate::access::Caller;
use crate::objects::{self, Author, Change, Difference, Intent, Kind, Object, Objects, Refused};

/// One kind of objects.
pub(super) struct Collection {
    pub kind: Kind,
    /// One of them, in sentences.
    pub one: &'static str,
    /// What is so now; `None` where nothing of this name is served.
    live: fn(&Scene, &str) -> Option<Value>,
    /// Does a member of a team see those of his team, and change them?
    teams: Teams,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Teams {
    SeeNothing,
    /// Those whose `team` is theirs.
    Member,
    /// The one that has their name.
    Itself,
}

pub(super) const COLLECTIONS: &[Collection] = &[
    Collection { kind: Kind::Provider, one: "provider", live: Scene::provider, teams: Teams::SeeNothing },
    Collection { kind: Kind::Route, one: "route", live: Scene::route, teams: Teams::SeeNothing },
    Collection { kind: Kind::Alias, one: "alias", live: Scene::alias, teams: Teams::SeeNothing },
    Collection { kind: Kind::VirtualKey, one: "virtual key", live: Scene::key, teams: Teams::Member },
    Collection { kind: Kind::Profile, one: "profile", live: Scene::profile, teams: Teams::SeeNothing },
    Collection { kind: Kind::Team, one: "team", live: Scene::team, teams: Teams::Itself },
    Collection { kind: Kind::Customer, one: "customer", live: Scene::customer, teams: Teams::SeeNothing },
    Collection { kind: Kind::Channel, one: "channel", live: |_, _| None, teams: Teams::SeeNothing },
    Collection { kind: Kind::Alert, one: "alert", live: Scene::alert, teams: Teams::SeeNothing },
];

/// An object: what is said of it and how it stands.
#[derive(Debug, serde::Serialize, ToSchema)]
#[allow(dead_code, reason = "it describes what the handlers answer as JSON")]
pub struct Item {
    name: String,
    /// `file`, `store`, `environment` or `builtin`.
    origin: String,
    /// Changes whenever the object does; for `If-Match`.
    etag: Option<String>,
    /// When, where the store knows it.
    changed_at: Option<String>,
    changed_by: Option<String>,
    /// As in the file's section; secrets are masked.
    #[schema(value_type = Option<Object>)]
    spec: Option<Value>,
    /// Of a key that was drawn: shown this once.
    secret: Option<String>,
}

/// What a change did, or would do.
#[derive(Debug, serde::Serialize, ToSchema)]
#[allow(dead_code, reason = "it describes what the handlers answer as JSON")]
pub struct Changed {
    /// Of a dry run: whether it could be done.
    valid: Option<bool>,
    /// The new revision; null where nothing was changed.
    revision: Option<u64>,
    diff: Vec<DifferenceShown>,
    errors: Option<Vec<FieldError>>,
    /// Of a key that was drawn: shown this once.
    secret: Option<String>,
}

/// The object as it stands; of a dry run, what would be.
#[derive(Debug, serde::Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "it describes what the handlers answer as JSON")]
pub enum ItemOrChange {
    Item(Item),
    Change(Changed),
}

/// One object before and after a change.
#[derive(Debug, serde::Serialize, ToSchema)]
#[allow(dead_code, reason = "it describes what the handlers answer as JSON")]
pub struct DifferenceShown {
    kind: String,
    name: String,
    before: Option<Value>,
    after: Option<Value>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Entries of a page; 100 where it is not said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Only names that hold this.
    search: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ChangeQuery {
    /// Say what would be done, and do nothing.
    pub dry_run: Option<bool>,
}

impl ChangeQuery {
    pub fn intent(&self) -> Intent {
        if self.dry_run == Some(true) { Intent::DryRun } else { Intent::Apply }
    }
}

pub(super) fn router() -> OpenApiRouter<Shared> {
    let add = |router: OpenApiRouter<Shared>, collection| router.routes(list_route(collection)).routes(item_routes(collection));
    COLLECTIONS.iter().fold(OpenApiRouter::new(), add)
}

fn list_route(collection: &'static Collection) -> UtoipaMethodRouter<Shared> {
    let handler = get(async move |State(view): State<Shared>, caller: Caller, Asked(query): Asked<ListQuery>| {
        list(&view, collection, &caller, &query)
    });
    (Vec::new(), described::list(collection.kind.plural(), ListQuery::into_params(|| None)), handler)
}

fn item_routes(collection: &'static Collection) -> UtoipaMethodRouter<Shared> {
    let read = async move |State(view): State<Shared>, caller: Caller, headers: HeaderMap, Named(name): Named<String>| {
        one(&view, collection, &caller, &headers, &name)
    };
    let put = async move |State(view): State<Shared>,
                          caller: Caller,
                          headers: HeaderMap,
                          Named(name): Named<String>,
                          Asked(query): Asked<ChangeQuery>,
                          JsonBody(body): JsonBody| {
        let asked = Asking { view: &view, collection, caller: &caller, name: &name, intent: query.intent() };
        asked.put(&headers, body).await
    };
    let delete = async move |State(view): State<Shared>,
                             caller: Caller,
                             headers: HeaderMap,
                             Named(name): Named<String>,
                             Asked(query): Asked<ChangeQuery>| {
        let asked = Asking { view: &view, collection, caller: &caller, name: &name, intent: query.intent() };
        asked.delete(&headers).await
    };
    let paths = described::item(collection.kind.plural(), collection.one, ChangeQuery::into_params(|| None));
    (Vec::new(), paths, get(read).put(put).delete(delete))
}

/// What stands in a list before the cursor's.
const BUILTIN: char = '!';
const OTHERS: char = '~';

fn list(view: &View, collection: &Collection, caller: &Caller, query: &ListQuery) -> Result<Response, Problem> {
    let page = PageQuery { limit: query.limit, cursor: query.cursor.clone() };
    let (limit, position) = (page.limit()?, page.position()?.unwrap_or_default());
    let scene = Scene::of(view);
    let search = query.search.as_deref().filter(|part| !part.is_empty());
    let fits = |name: &str| search.is_none_or(|part| name.contains(part));
    let after = position.strip_prefix(OTHERS);
    let mut names: Vec<Entry> = Vec::new();
    // What is built in stands first.
    if collection.kind == Kind::Provider && after.is_none() {
        let builtin = scene.snapshot.providers.iter().filter(|upstream| upstream.builtin && fits(&upstream.name));
        let builtin = builtin.map(|upstream| Entry { name: upstream.name.to_string(), origin: "builtin", object: None });
        names.extend(builtin.filter(|entry| position.strip_prefix(BUILTIN).is_none_or(|after| entry.name.as_str() > after)));
    }
    let is_cut = search.is_some() || caller.team.is_some();
    let wanted = if is_cut { usize::MAX } else { limit + 1 };
    names.extend(entries(view, &scene, collection.kind, after, wanted).into_iter().filter(|entry| fits(&entry.name)));
    names.retain(|entry| collection.shows(&scene, caller, &entry.name));
    let has_more = names.len() > limit;
    names.truncate(limit);
    let mark = |entry: &Entry| if entry.origin == "builtin" { BUILTIN } else { OTHERS };
    let next = names.last().filter(|_| has_more).map(|last| paging::encode(&format!("{}{}", mark(last), last.name)));
    let data = names.into_iter().map(|entry| collection.item(&scene, entry)).collect();
    Ok(answer::json(&paging::list(data, next, scene.snapshot.revision)))
}

/// An object by its name, and what is said of it where that is known.
struct Entry {
    name: String,
    origin: &'static str,
    object: Option<Object>,
}

impl From<Object> for Entry {
    fn from(object: Object) -> Entry {
        Entry { name: object.name.clone(), origin: object.origin.word(), object: Some(object) }
    }
}

fn entries(view: &View, scene: &Scene, kind: Kind, after: Option<&str>, limit: usize) -> Vec<Entry> {
    if let Some(objects) = &view.objects {
        return objects.page(kind, after, limit).into_iter().map(Entry::from).collect();
    }
    let mut names = scene.names(kind);
    names.retain(|name| after.is_none_or(|after| name.as_str() > after));
    names.sort();
    names.into_iter().take(limit).map(|name| Entry { name, origin: "file", object: None }).collect()
}

fn find(view: &View, scene: &Scene, kind: Kind, name: &str) -> Option<Entry> {
    if kind == Kind::Provider && scene.upstream(name).is_some_and(|upstream| upstream.builtin) {
        return Some(Entry { name: name.to_owned(), origin: "builtin", object: None });
    }
    match &view.objects {
        Some(objects) => objects.read(kind, name).map(Entry::from),
        None => {
            let is_there = scene.names(kind).iter().any(|known| known == name);
            is_there.then(|| Entry { name: name.to_owned(), origin: "file", object: None })
        }
    }
}

fn one(view: &View, collection: &Collection, caller: &Caller, headers: &HeaderMap, name: &str) -> Response {
    let scene = Scene::of(view);
    match find(view, &scene, collection.kind, name).filter(|entry| collection.shows(&scene, caller, &entry.name)) {
        Some(entry) => {
            let etag = entry.object.as_ref().map(|object| object.etag.clone());
            match etag {
                Some(etag) if answer::is_known(headers, &etag) => answer::not_modified(&etag),
                Some(etag) => answer::with_etag(answer::json(&collection.item(&scene, entry)), &etag),
                None => answer::json(&collection.item(&scene, entry)),
            }
        }
        None => collection.nothing(name).into_response(),
    }
}

impl Collection {
    pub fn nothing(&self, name: &str) -> Problem {
        Problem::not_found(format!("there is no {} {name:?}; see /api/v1/{}", self.one, self.kind.plural()))
    }

    /// May this caller see the one of this name?
    pub fn shows(&self, scene: &Scene, caller: &Caller, name: &str) -> bool {
        let Some(team) = &caller.team else { return true };
        match self.teams {
            Teams::SeeNothing => false,
            Teams::Itself => name == team,
            Teams::Member => (self.live)(scene, name).is_some_and(|live| live["team"] == team.as_str()),
        }
    }

    fn item(&self, scene: &Scene, entry: Entry) -> Value {
        let mut item =
            json!({"name": entry.name, "origin": entry.origin, "etag": null, "changed_at": null, "changed_by": null, "spec": null});
        let Some(fields) = item.as_object_mut() else { return item };
        if let Some(object) = entry.object {
            fields.insert("etag".into(), json!(object.etag));
            fields.insert("changed_at".into(), json!(object.changed_at_ms.map(answer::time)));
            fields.insert("changed_by".into(), json!(object.changed_by));
            fields.insert("spec".into(), object.body);
            if let objects::Origin::File { line } = object.origin {
                fields.insert("line".into(), json!(line));
            }
        }
        if let Some(Value::Object(live)) = (self.live)(scene, &entry.name) {
            fields.extend(live);
        }
        item
    }
}

/// A change of one object.
struct Asking<'a> {
    view: &'a Shared,
    collection: &'static Collection,
    caller: &'a Caller,
    name: &'a str,
    intent: Intent,
}

impl Asking<'_> {
    async fn put(&self, headers: &HeaderMap, body: Value) -> Result<Response, Problem> {
        let (objects, kind) = (changeable(self.view)?, self.collection.kind);
        self.check_team(Some(&body))?;
        let is_there = objects.read(kind, self.name).is_some();
        let precondition = self.precondition(headers, is_there)?;
        let change = objects.put(&author(self.caller), kind, self.name, body, precondition, self.intent).await;
        let change = match (change, self.intent) {
            (Ok(change), Intent::Apply) => change,
            (outcome, _) => return dry_run_or(outcome, self.intent, headers),
        };
        let scene = Scene::of(self.view);
        let entry = find(self.view, &scene, kind, self.name);
        let mut item = entry.map_or_else(|| json!({"name": self.name}), |entry| self.collection.item(&scene, entry));
        item["revision"] = json!(change.revision);
        if let Some(secret) = &change.secret {
            item["secret"] = json!(secret);
        }
        let status = if is_there { StatusCode::OK } else { StatusCode::CREATED };
        let response = answer::json_of(status, &item);
        Ok(change.etag.iter().fold(response, |response, etag| answer::with_etag(response, etag)))
    }

    async fn delete(&self, headers: &HeaderMap) -> Result<Response, Problem> {
        let (objects, kind) = (changeable(self.view)?, self.collection.kind);
        self.check_team(None)?;
        let is_there = objects.read(kind, self.name).is_some();
        if !is_there {
            return Err(self.collection.nothing(self.name));
        }
        let precondition = self.precondition(headers, is_there)?;
        let outcome = objects.delete(&author(self.caller), kind, self.name, precondition, self.intent).await;
        dry_run_or(outcome, self.intent, headers)
    }

    fn precondition(&self, headers: &HeaderMap, is_there: bool) -> Result<Option<objects::Precondition>, Problem> {
        match Precondition::of(headers)? {
            Precondition::None => Ok(None),
            Precondition::Matches(etag) => Ok(Some(objects::Precondition::Etag(etag))),
            Precondition::Absent => Ok(Some(objects::Precondition::Absent)),
            Precondition::Present if is_there => Ok(None),
            Precondition::Present => {
                Err(Problem::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", self.collection.nothing(self.name).detail))
            }
        }
    }

    /// A member of a team changes what is of his team, and it stays there.
    fn check_team(&self, body: Option<&Value>) -> Result<(), Problem> {
        let Some(team) = &self.caller.team else { return Ok(()) };
        let scene = Scene::of(self.view);
        let is_there = find(self.view, &scene, self.collection.kind, self.name).is_some();
        if is_there && !self.collection.shows(&scene, self.caller, self.name) {
            return Err(self.collection.nothing(self.name));
        }
        match body {
            Some(body) if body["team"] != team.as_str() => {
                let detail = format!("you are of the team {team:?}; write \"team\": {team:?}");
                Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
            }
            _ => Ok(()),
        }
    }
}

/// The store's objects, where there is anything to change.
pub(super) fn changeable(view: &View) -> Result<&Objects, Problem> {
    let absent = || Problem::absent("the configuration cannot be changed here; start the gateway without --no-store");
    view.objects.as_deref().ok_or_else(absent)
}

pub(super) fn author(caller: &Caller) -> Author {
    Author { name: caller.name.clone(), role: caller.role.name().to_owned(), address: caller.address.clone() }
}

/// What a change did; of a dry run also why it could not be done.
pub(super) fn dry_run_or(outcome: Result<Change, Refused>, intent: Intent, headers: &HeaderMap) -> Result<Response, Problem> {
    match (outcome, intent) {
        (Ok(change), _) => Ok(answer::json(&changed(&change, intent))),
        (Err(Refused::Invalid(flaws)), Intent::DryRun) => {
            let errors: Vec<FieldError> = flaws.into_iter().map(FieldError::from).collect();
            Ok(answer::json(&json!({"valid": false, "revision": null, "diff": [], "errors": errors})))
        }
        (Err(refused), _) => Err(refused_as(refused, headers)),
    }
}

fn changed(change: &Change, intent: Intent) -> Value {
    let mut out = json!({"revision": change.revision, "diff": differences(&change.diff)});
    if intent == Intent::DryRun {
        out["valid"] = json!(true);
        out["errors"] = json!([]);
    }
    if let Some(secret) = change.secret.as_ref().filter(|_| intent == Intent::Apply) {
        out["secret"] = json!(secret);
    }
    out
}

pub(super) fn differences(diff: &[Difference]) -> Vec<Value> {
    let one = |step: &Difference| json!({"kind": step.kind.plural(), "name": step.name, "before": step.before, "after": step.after});
    diff.iter().map(one).collect()
}

impl From<objects::Flaw> for FieldError {
    fn from(flaw: objects::Flaw) -> FieldError {
        FieldError { path: flaw.path, message: flaw.message }
    }
}

/// Why nothing was changed, as the API says it.
pub(super) fn refused_as(refused: Refused, headers: &HeaderMap) -> Problem {
    let text = refused.to_string();
    match refused {
        Refused::ReadOnly(_) => Problem::new(StatusCode::CONFLICT, "read_only", text),
        Refused::NotFound(_) => Problem::not_found(text),
        Refused::Unavailable(_) => Problem::unavailable(text),
        Refused::Conflict(_) => match Precondition::of(headers) {
            Ok(Precondition::None) => Problem::new(StatusCode::CONFLICT, "conflict", text),
            _ => Problem::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", text),
        },
        Refused::Invalid(flaws) => Problem {
            errors: flaws.into_iter().map(FieldError::from).collect(),
            ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_configuration", text)
        },
    }
}
