//! Reload: file → configuration → snapshot → published. A bad file never replaces a good one.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use ringway_policy::config::{Change, Config, Draft, Entry, OnPartition, Problem, Section};
use ringway_policy::lease::Now;
use ringway_policy::snapshot::Snapshot;

use crate::certificates::Certificates;
use crate::environment;
use crate::health::{Health, Part};
use crate::objects::{FileText, Kind, Plain, Stored};
use crate::operator::operator;
use crate::own_providers::OwnProviders;
use crate::proxies::Proxies;
use crate::publish::Publisher;
use crate::resolve::{self, Names};
use crate::spend::Store;
use crate::tokens::{self, Tokens};

/// Largest configuration file; 100,000 virtual keys take 10 to 30 MiB.
pub(crate) const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Where the configuration comes from.
#[derive(Debug)]
pub struct Source {
    place: Place,
    /// Providers that it may name beside the built-in ones.
    own: OwnProviders,
    /// The store's objects, which stand beside what the file says.
    stored: Stored,
    /// The file as it was when it was taken last.
    in_force: ArcSwap<FileText>,
}

/// A configuration that was read, and the text that it came from.
struct Loaded {
    config: Config,
    text: FileText,
}

#[derive(Debug)]
enum Place {
    File(PathBuf),
    /// A provider for each well-known key in the environment.
    Environment,
}

/// Why a configuration was not taken.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Names the source in messages.
    pub origin: String,
    /// Line 0 where the problem is in no line.
    pub problems: Vec<Problem>,
}

impl Refusal {
    pub(crate) fn whole(origin: &str, message: impl Into<String>) -> Refusal {
        Refusal { origin: origin.to_owned(), problems: vec![Problem { line: 0, column: 0, path: String::new(), message: message.into() }] }
    }
}

/// One line per problem: `FILE:line:column: message`.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match problem.line {
                0 if !problem.path.is_empty() => write!(f, "the store: {}: {}", problem.path, problem.message)?,
                0 => write!(f, "{}: {}", self.origin, problem.message)?,
                line => write!(f, "{}:{line}:{}: {}", self.origin, problem.column, problem.message)?,
            }
        }
        Ok(())
    }
}

impl Source {
    /// A configuration file.
    pub fn file(path: PathBuf) -> Source {
        Source::new(Place::File(path))
    }

    /// A provider for each well-known key in the environment.
    pub fn environment() -> Source {
        Source::new(Place::Environment)
    }

    fn new(place: Place) -> Source {
        Source { place, own: OwnProviders::default(), stored: Stored::default(), in_force: ArcSwap::default() }
    }

    /// With the objects of a store beside what it says itself.
    pub fn with_stored(self, stored: Stored) -> Source {
        Source { stored, ..self }
    }

    pub(crate) fn stored(&self) -> &Stored {
        &self.stored
    }

    /// With the providers of a folder beside the built-in ones.
    pub fn with_providers(self, folder: Option<PathBuf>) -> Source {
        Source { own: OwnProviders::new(folder), ..self }
    }

    /// The file that it is, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            Place::Environment => None,
        }
    }

    /// The files whose change is worth a reload.
    pub fn files(&self) -> Vec<PathBuf> {
        self.path().map(Path::to_owned).into_iter().collect()
    }

    /// Its name in messages.
    pub fn origin(&self) -> String {
        self.path().map_or_else(|| "the environment".to_owned(), |path| path.display().to_string())
    }

    /// Reads and checks the configuration, publishes nothing.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn load(&self) -> Result<Config, Refusal> {
        let Loaded { config, text } = self.load_with(&[])?;
        // Before the first one is taken, this is what will be.
        if matches!(**self.in_force.load(), FileText::None) {
            self.in_force.store(Arc::new(text));
        }
        Ok(config)
    }

    /// As `load`, with some of the store's objects changed.
    fn load_with(&self, changes: &[Change<'_>]) -> Result<Loaded, Refusal> {
        self.own.read()?;
        let origin = self.origin();
        let kept = self.stored.plain().map_err(|message| Refusal::whole("the store", message))?;
        let is_changed = |plain: &&Plain| !changes.iter().any(|change| names(change) == (plain.kind.section(), &*plain.name));
        let mut entries: Vec<Entry<'_>> = kept.iter().filter(is_changed).map(Plain::entry).collect();
        entries.extend(changes.iter().filter_map(|change| if let Change::Put(entry) = change { Some(*entry) } else { None }));
        entries.sort_by_key(|entry| (entry.section, entry.name));
        let (draft, text) = match &self.place {
            Place::Environment => (Ok(self.own.with_all(|builtins| Draft::environment(&environment::lookup, builtins))), FileText::None),
            Place::File(path) => {
                let text = read_bounded(path, FILE_BYTES_MAX).map_err(|message| Refusal::whole(&origin, message))?;
                let draft = self.own.with_all(|builtins| Draft::read(&text, &environment::lookup, builtins));
                (draft, FileText::new(path.clone(), &text))
            }
        };
        let merged =
            draft.and_then(|draft| self.own.with_all(|builtins| draft.merge(entries.iter().copied(), &environment::lookup, builtins)));
        match merged {
            Ok(config) => Ok(Loaded { config, text }),
            Err(mut problems) => {
                self.stored.locate(&mut problems, &[]);
                Err(Refusal { origin, problems })
            }
        }
    }

    /// `config` with some of the store's objects changed.
    fn changed(&self, config: &Config, changes: &[Change<'_>]) -> Result<Config, Refusal> {
        let changed = self.own.with_all(|builtins| config.changed(changes, &environment::lookup, builtins));
        changed.map_err(|problems| Refusal { origin: self.origin(), problems })
    }

    /// What the file or the environment says of the objects that are wanted.
    pub(crate) fn file_bodies(&self, kind: Kind, wanted: &dyn Fn(&str) -> bool) -> HashMap<String, serde_json::Value> {
        match &self.place {
            Place::File(_) => self.in_force.load().bodies(kind, wanted),
            Place::Environment if kind == Kind::Provider => self.own.with_all(|builtins| {
                let named = builtins.iter().filter(|provider| wanted(&provider.name));
                let set = |variable: &&String| environment::lookup(variable).is_some_and(|value| !value.trim().is_empty());
                let with_key = named.filter_map(|provider| Some((&provider.name, provider.env_keys.iter().find(set)?)));
                with_key.map(|(name, variable)| (name.clone(), serde_json::json!({"keys": [format!("${{{variable}}}")]}))).collect()
            }),
            Place::Environment => HashMap::new(),
        }
    }

    /// Tells what in a configuration that is taken is worth a second look.
    pub fn warn(&self, config: &Config) {
        let mut warnings = config.warnings();
        self.stored.locate(&mut warnings, &[]);
        for Problem { line, column, path, message } in warnings {
            match path.as_str() {
                "" => tracing::warn!(file = self.origin(), line, column, problem = message, "configuration"),
                path => tracing::warn!(object = path, problem = message, "configuration"),
            }
        }
    }

    /// As `compile_for`, for one shard: what tools and tests look at.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn compile(&self, config: &Config, previous: Option<&Snapshot>) -> Result<Snapshot, Refusal> {
        self.compile_for(config, previous, 1)
    }

    /// Makes the snapshot that `config` says, to be served by so many shards; states that `previous` knows go on.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn compile_for(&self, config: &Config, previous: Option<&Snapshot>, shard_count: usize) -> Result<Snapshot, Refusal> {
        let revision = previous.map_or(1, |previous| previous.revision + 1);
        let compiled = self.own.with_all(|providers| Snapshot::compile_for(config, providers, previous, revision, shard_count));
        let mut snapshot = compiled.map_err(|mut problems| {
            self.stored.locate(&mut problems, &[]);
            Refusal { origin: self.origin(), problems }
        })?;
        let proxies = Proxies::read(&environment::lookup).map_err(|message| Refusal::whole("the environment", message))?;
        proxies.apply(&mut snapshot);
        operator().admit(&mut snapshot);
        Ok(snapshot)
    }
}

impl Source {
    /// The database that the file names for the store's objects: it is opened before they can be read.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn store_url(&self) -> Result<Option<String>, Refusal> {
        let Place::File(path) = &self.place else { return Ok(None) };
        let text = read_bounded(path, FILE_BYTES_MAX).map_err(|message| Refusal::whole(&self.origin(), message))?;
        // A long file is not read twice for nothing.
        if !text.contains("postgres") {
            return Ok(None);
        }
        self.own.read()?;
        let draft = self.own.with_all(|builtins| Draft::read(&text, &environment::lookup, builtins));
        let draft = draft.map_err(|problems| Refusal { origin: self.origin(), problems })?;
        Ok(draft.store().and_then(|store| store.postgres.as_ref()).map(|url| url.value.clone()))
    }

    /// `base` with the routes and aliases of `config`, which differs in those alone.
    fn with_routes(&self, config: &Config, base: &Snapshot) -> Result<Snapshot, Refusal> {
        base.with_routes(config, base.revision + 1).map_err(|mut problems| {
            self.stored.locate(&mut problems, &[]);
            Refusal { origin: self.origin(), problems }
        })
    }
}

fn names<'c>(change: &Change<'c>) -> (Section, &'c str) {
    match change {
        Change::Put(entry) => (entry.section, entry.name),
        Change::Remove(section, name) => (*section, name),
    }
}

pub(crate) fn read_bounded(path: &Path, bytes_max: u64) -> Result<String, String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let read = file.take(bytes_max + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if read as u64 > bytes_max {
        return Err(format!("the file is larger than {} KiB", bytes_max >> 10));
    }
    Ok(text)
}

/// What the process asks of every configuration beyond its own soundness: the message says what to do instead.
pub type Demand = Box<dyn Fn(&Config) -> Result<(), String> + Send + Sync>;

/// The time by the clocks that the data plane reads: limits and budgets are shared with it.
pub type Clock = fn() -> Now;

/// Reads the source again when it is told to.
pub struct Reloader {
    pub source: Source,
    pub publisher: Publisher,
    pub names: Names,
    pub tokens: Tokens,
    pub health: Arc<Health>,
    pub certificates: Option<Certificates>,
    /// Of the admin listener.
    pub admin_certificates: Option<Certificates>,
    /// The configuration that is served, for the admin API.
    pub served: Arc<ArcSwap<Config>>,
    pub demand: Demand,
    /// Shards that spend limits and budgets.
    pub shard_count: usize,
    pub clock: Clock,
    /// What was spent before, for budgets that a reload brings.
    pub store: Option<Arc<Store>>,
    /// Held while something is changed, from reading what is there to publishing what comes of it.
    pub changing: tokio::sync::Mutex<Changing>,
}

/// How what is served stands to what was read.
#[derive(Debug, Default)]
pub struct Changing {
    /// The store has objects that could not be served: the next change reads everything again.
    is_behind: bool,
}

impl Changing {
    /// The store has what cannot be served.
    pub(crate) fn fall_behind(&mut self) {
        self.is_behind = true;
    }
}

/// A configuration that can be published.
pub(crate) struct Prepared {
    config: Config,
    draft: Compiled,
    /// The snapshot that the draft was made from.
    base_revision: u64,
    /// Where the file was read.
    text: Option<FileText>,
}

/// What becomes of the snapshot.
enum Compiled {
    /// It is another one, with everything else that was prepared.
    Whole(Box<Snapshot>),
    /// It is the one in force then, with these virtual keys changed.
    Keys(Vec<String>),
}

/// How much of the snapshot a change touches.
enum Touches {
    All(Wait),
    Routes,
    Keys(Vec<String>),
}

/// More changed keys than that are compiled together with all others.
const KEYS_ALONE_MAX: usize = 8;

impl Touches {
    fn of(changes: &[Change<'_>]) -> Touches {
        let all = |sections: &[Section]| changes.iter().all(|change| sections.contains(&change.section()));
        match () {
            () if changes.len() <= KEYS_ALONE_MAX && all(&[Section::VirtualKeys]) => {
                Touches::Keys(changes.iter().map(|change| names(change).1.to_owned()).collect())
            }
            () if all(&[Section::Routes, Section::Aliases]) => Touches::Routes,
            () if changes.iter().any(|change| change.section() == Section::Providers) => Touches::All(Wait::ForNames),
            () => Touches::All(Wait::ForNothing),
        }
    }
}

impl Reloader {
    /// Reads everything again and publishes it whole, or reports why not and leaves everything as it is.
    pub async fn reload(&self) {
        let mut changing = self.changing.lock().await;
        match self.try_reload(&mut changing).await {
            Ok(()) => {
                let revision = self.publisher.current().revision;
                self.health.recover(Part::Configuration);
                tracing::info!(revision, source = self.source.origin(), "configuration reloaded");
            }
            Err(refusal) => {
                for problem in &refusal.problems {
                    let (line, column) = (problem.line, problem.column);
                    tracing::error!(
                        file = refusal.origin,
                        line,
                        column,
                        problem = problem.message,
                        "configuration refused; the old one stays"
                    );
                }
                self.health.degrade(Part::Configuration, refusal.to_string());
            }
        }
        drop(changing);
        self.reload_certificates();
    }

    /// Reads the file and the store's objects, and publishes what they say.
    pub(crate) async fn try_reload(&self, changing: &mut Changing) -> Result<(), Refusal> {
        let Loaded { config, text } = self.source.load_with(&[])?;
        let prepared = self.prepare(config, Some(text), Touches::All(Wait::ForNames)).await?;
        let config = self.enact(prepared, changing);
        self.warn_of_fixed_parts(&config);
        self.source.warn(&self.served.load());
        Ok(())
    }

    /// What the configuration comes to with some of the store's objects changed.
    pub(crate) async fn prepare_change(&self, changing: &Changing, changes: &[Change<'_>]) -> Result<Prepared, Refusal> {
        let touches_providers = changes.iter().any(|change| change.section() == Section::Providers);
        // A provider of the environment comes back when the object in its place goes.
        let from_environment = self.source.path().is_none() && touches_providers;
        if changing.is_behind || from_environment {
            let Loaded { config, text } = self.source.load_with(changes)?;
            return self.prepare(config, Some(text), Touches::All(Wait::ForNames)).await;
        }
        let config = self.source.changed(&self.served.load(), changes)?;
        self.prepare(config, None, Touches::of(changes)).await
    }

    async fn prepare(&self, config: Config, text: Option<FileText>, touches: Touches) -> Result<Prepared, Refusal> {
        (self.demand)(&config).map_err(|message| Refusal::whole(&self.source.origin(), message))?;
        let base = self.publisher.current();
        let base_revision = base.revision;
        let (draft, wait) = match touches {
            Touches::Keys(names) => (Compiled::Keys(names), Wait::ForNothing),
            Touches::Routes => (Compiled::Whole(Box::new(self.source.with_routes(&config, &base)?)), Wait::ForNothing),
            Touches::All(wait) => (Compiled::Whole(Box::new(self.source.compile_for(&config, Some(&base), self.shard_count)?)), wait),
        };
        drop(base);
        if let (Compiled::Whole(draft), Wait::ForNames) = (&draft, wait) {
            // Names that are new are looked up before the first request needs them.
            let (missing, ()) =
                tokio::join!(self.names.learn(resolve::names_of(draft), resolve::FIRST_WAIT), self.tokens.learn(draft, tokens::FIRST_WAIT));
            resolve::tell(&self.health, &missing);
        }
        Ok(Prepared { config, draft, base_revision, text })
    }

    /// Publishes what was prepared; gives the configuration that was served before.
    pub(crate) fn enact(&self, prepared: Prepared, changing: &mut Changing) -> Arc<Config> {
        let Prepared { config, draft, base_revision, text } = prepared;
        let served = self.served.load();
        let published = self.publisher.change(|current| {
            let next = match draft {
                // Addresses may have come in between: what stands on them is made anew.
                Compiled::Whole(draft) if current.revision == base_revision => *draft,
                Compiled::Whole(_) => self.source.compile_for(&config, Some(current), self.shard_count)?,
                Compiled::Keys(names) => {
                    let names: Vec<&str> = names.iter().map(String::as_str).collect();
                    if let Some(next) = current.with_keys(&served, &config, &names, current.revision + 1) {
                        self.restore(&next, current);
                        return Ok(Some(next));
                    }
                    self.source.compile_for(&config, Some(current), self.shard_count)?
                }
            };
            // Nothing can fail from here on: the accounts take the amounts of the file that is now in force.
            next.quotas.enact((self.clock)());
            self.restore(&next, current);
            let next = self.names.apply(&next, next.revision).unwrap_or(next);
            Ok::<_, Refusal>(Some(self.tokens.apply(&next, next.revision).unwrap_or(next)))
        });
        if let Err(refusal) = published {
            // It compiled a moment ago; what changed since are addresses and tokens, which no configuration fails for.
            tracing::error!(problem = %refusal, "a sound configuration could not be published");
        }
        self.names.wake.notify_one();
        self.tokens.wake.notify_one();
        if let Some(text) = text {
            // All of it was read.
            changing.is_behind = false;
            self.source.in_force.store(Arc::new(text));
        }
        self.served.swap(Arc::new(config))
    }

    /// What was spent of budgets before the process began.
    fn restore(&self, next: &Snapshot, current: &Snapshot) {
        if let Some(store) = &self.store {
            store.restore(&next.quotas, Some(&current.quotas), (self.clock)());
        }
    }

    /// Sockets are bound once, and the store that gateways share is joined once: say so, where the file now wants others.
    fn warn_of_fixed_parts(&self, before: &Config) {
        let (served, config) = (before, &**self.served.load());
        for (part, changed) in [
            ("listen", served.listen.iter().map(|at| &at.value).ne(config.listen.iter().map(|at| &at.value))),
            ("admin", served.admin.as_ref().map(|at| &at.value) != config.admin.as_ref().map(|at| &at.value)),
            ("tls", paths(served) != paths(config)),
            ("state", shared_state(served) != shared_state(config)),
            ("store", database(served) != database(config)),
        ] {
            if changed {
                tracing::warn!(part, "this part of the configuration takes effect at the next start");
            }
        }
    }

    fn reload_certificates(&self) {
        let mut outcome = Ok(());
        for certificates in self.certificates.iter().chain(&self.admin_certificates) {
            outcome = outcome.and(certificates.reload());
        }
        match outcome {
            Ok(()) => self.health.recover(Part::Certificates),
            Err(error) => {
                tracing::error!(error, "certificate refused; the old one stays");
                self.health.degrade(Part::Certificates, error);
            }
        }
    }

    /// The files whose change is worth a reload.
    pub fn files(&self) -> Vec<PathBuf> {
        let certificates = self.certificates.iter().chain(&self.admin_certificates);
        self.source.files().into_iter().chain(certificates.flat_map(Certificates::files)).collect()
    }
}

fn paths(config: &Config) -> Option<(&str, &str)> {
    config.tls.as_ref().map(|tls| (tls.cert.value.as_str(), tls.key.value.as_str()))
}

fn database(config: &Config) -> Option<&str> {
    config.store.as_ref()?.postgres.as_ref().map(|at| at.value.as_str())
}

type SharedState<'c> = (Option<&'c str>, Option<&'c str>, Option<OnPartition>);

/// The store that gateways share, wherever in the file it stands.
fn shared_state(config: &Config) -> Option<SharedState<'_>> {
    let state = config.state.as_ref()?;
    let redis = state.redis.as_ref().map(|at| at.value.as_str());
    let prefix = state.prefix.as_ref().map(|at| at.value.as_str());
    Some((redis, prefix, state.on_partition))
}

/// Whether a change may bring names and tokens that are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    ForNames,
    ForNothing,
}

/// How files look from outside: size and time of change, `None` for one that is not there.
pub type Look = Vec<Option<(u64, Option<SystemTime>)>>;

pub fn look(files: &[PathBuf]) -> Look {
    let one = |path: &PathBuf| std::fs::metadata(path).ok().map(|found| (found.len(), found.modified().ok()));
    files.iter().map(one).collect()
}

/// Reloads whenever one of the files changed, for ever. `loaded` is how the source's files looked before they were read: a
/// change since then is not missed.
pub async fn follow(reloader: Arc<Reloader>, loaded: Look) {
    let files = reloader.files();
    let mut watch = match crate::watch::watch(&files) {
        Ok(Some(watch)) => watch,
        Ok(None) => return,
        Err(error) => {
            tracing::warn!(%error, "files are not watched; send SIGHUP after a change");
            return;
        }
    };
    let certificates = look(&files[loaded.len()..]);
    let mut seen = [loaded, certificates].concat();
    loop {
        let now = look(&files);
        if now != seen {
            seen = now;
            // A file that is being replaced may be gone or empty for a moment: what follows is another change.
            if seen.iter().all(|look| look.is_some_and(|(len, _)| len > 0)) {
                reloader.reload().await;
            }
        }
        watch.changed().await;
    }
}
