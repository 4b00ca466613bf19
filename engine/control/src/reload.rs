//! Reload: file → configuration → snapshot → published. A bad file never replaces a good one.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use ringway_policy::config::{self, Config, OnPartition, Problem};
use ringway_policy::lease::Now;
use ringway_policy::snapshot::Snapshot;

use crate::certificates::Certificates;
use crate::environment;
use crate::health::{Health, Part};
use crate::own_providers::OwnProviders;
use crate::proxies::Proxies;
use crate::publish::Publisher;
use crate::resolve::{self, Names};
use crate::spend::Store;
use crate::tokens::{self, Tokens};
use crate::vocabulary;

/// Largest configuration file; 100,000 virtual keys take 10 to 30 MiB.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Where the configuration comes from.
#[derive(Debug)]
pub struct Source {
    place: Place,
    /// Providers that it may name beside the built-in ones.
    own: OwnProviders,
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
        Refusal { origin: origin.to_owned(), problems: vec![Problem { line: 0, column: 0, message: message.into() }] }
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
        Source { place: Place::File(path), own: OwnProviders::default() }
    }

    /// A provider for each well-known key in the environment.
    pub fn environment() -> Source {
        Source { place: Place::Environment, own: OwnProviders::default() }
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
        self.own.read()?;
        match &self.place {
            Place::Environment => Ok(self.own.with_all(|providers| config::from_environment(providers, &environment::lookup))),
            Place::File(path) => {
                let origin = self.origin();
                let text = read_bounded(path, FILE_BYTES_MAX).map_err(|message| Refusal::whole(&origin, message))?;
                let parsed = self.own.with_all(|providers| config::parse_with(&text, &environment::lookup, providers));
                parsed.map_err(|problems| Refusal { origin, problems })
            }
        }
    }

    /// Tells what in a configuration that is taken is worth a second look.
    pub fn warn(&self, config: &Config) {
        for Problem { line, column, message } in config.warnings() {
            tracing::warn!(file = self.origin(), line, column, problem = message, "configuration");
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
        let mut snapshot = compiled.map_err(|problems| Refusal { origin: self.origin(), problems })?;
        let proxies = Proxies::read(&environment::lookup).map_err(|message| Refusal::whole("the environment", message))?;
        proxies.apply(&mut snapshot);
        Ok(snapshot)
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
    /// The configuration that is served, for the admin API.
    pub served: Arc<ArcSwap<Config>>,
    pub demand: Demand,
    /// Shards that spend limits and budgets.
    pub shard_count: usize,
    pub clock: Clock,
    /// What was spent before, for budgets that a reload brings.
    pub store: Option<Arc<Store>>,
}

impl Reloader {
    /// Reads everything again and publishes it whole, or reports why not and leaves everything as it is.
    pub async fn reload(&self) {
        match self.try_reload().await {
            Ok(revision) => {
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
        self.reload_certificates();
    }

    async fn try_reload(&self) -> Result<u64, Refusal> {
        let config = self.source.load()?;
        let origin = self.source.origin();
        (self.demand)(&config).map_err(|message| Refusal::whole(&origin, message))?;
        // Names that are new are looked up before the first request needs them.
        let base = self.publisher.current();
        let draft = self.source.compile_for(&config, Some(&base), self.shard_count)?;
        let base_revision = base.revision;
        drop(base);
        let (missing, ()) =
            tokio::join!(self.names.learn(resolve::names_of(&draft), resolve::FIRST_WAIT), self.tokens.learn(&draft, tokens::FIRST_WAIT));
        self.publisher.change(|current| {
            // Addresses may have come in between: what stands on them is made anew.
            let next = match current.revision == base_revision {
                true => draft,
                false => self.source.compile_for(&config, Some(current), self.shard_count)?,
            };
            // Nothing can fail from here on: the accounts take the amounts of the file that is now in force.
            next.quotas.enact((self.clock)());
            if let Some(store) = &self.store {
                store.restore(&next.quotas, Some(&current.quotas), (self.clock)());
            }
            let next = self.names.apply(&next, next.revision).unwrap_or(next);
            Ok::<_, Refusal>(Some(self.tokens.apply(&next, next.revision).unwrap_or(next)))
        })?;
        resolve::tell(&self.health, &missing);
        self.names.wake.notify_one();
        self.tokens.wake.notify_one();
        self.warn_of_fixed_parts(&config);
        self.source.warn(&config);
        vocabulary::keep_for(&config);
        self.served.store(Arc::new(config));
        Ok(self.publisher.current().revision)
    }

    /// Sockets are bound once, and the store that gateways share is joined once: say so, where the file now wants others.
    fn warn_of_fixed_parts(&self, config: &Config) {
        let served = self.served.load();
        for (part, changed) in [
            ("listen", served.listen.iter().map(|at| &at.value).ne(config.listen.iter().map(|at| &at.value))),
            ("admin", served.admin.as_ref().map(|at| &at.value) != config.admin.as_ref().map(|at| &at.value)),
            ("tls", paths(&served) != paths(config)),
            ("state", shared_state(&served) != shared_state(config)),
        ] {
            if changed {
                tracing::warn!(part, "this part of the configuration takes effect at the next start");
            }
        }
    }

    fn reload_certificates(&self) {
        let Some(certificates) = &self.certificates else { return };
        match certificates.reload() {
            Ok(()) => self.health.recover(Part::Certificates),
            Err(error) => {
                tracing::error!(error, "certificate refused; the old one stays");
                self.health.degrade(Part::Certificates, error);
            }
        }
    }

    /// The files whose change is worth a reload.
    pub fn files(&self) -> Vec<PathBuf> {
        self.source.files().into_iter().chain(self.certificates.iter().flat_map(Certificates::files)).collect()
    }
}

fn paths(config: &Config) -> Option<(&str, &str)> {
    config.tls.as_ref().map(|tls| (tls.cert.value.as_str(), tls.key.value.as_str()))
}

type SharedState<'c> = (Option<&'c str>, Option<&'c str>, Option<OnPartition>);

/// The store that gateways share, wherever in the file it stands.
fn shared_state(config: &Config) -> Option<SharedState<'_>> {
    let state = config.state.as_ref()?;
    let redis = state.redis.as_ref().map(|at| at.value.as_str());
    let prefix = state.prefix.as_ref().map(|at| at.value.as_str());
    Some((redis, prefix, state.on_partition))
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
