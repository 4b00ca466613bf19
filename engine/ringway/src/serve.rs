//! Serving: puts the two planes together, and takes them down in order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ringway_control::admin::{self, View};
use ringway_control::audit::{Audit, Exchanges};
use ringway_control::certificates::Certificates;
use ringway_control::cluster;
use ringway_control::health::{Health, Part, Phase};
use ringway_control::ledger::log::{Format, Log};
use ringway_control::ledger::{self, Ledger, meter, recent::Recent};
use ringway_control::objects::Objects;
use ringway_control::publish::Publisher;
use ringway_control::quotas;
use ringway_control::reload::{self, Demand, Reloader, Source};
use ringway_control::request_log::{self, RequestLog};
use ringway_control::resolve::{self, Names};
use ringway_control::spend::{self, Store};
use ringway_control::telemetry::Telemetry;
use ringway_control::tokens::{self, Tokens};
use ringway_data::engine::{self, Engine};
use ringway_data::networks::Networks;
use ringway_policy::config::{Config, Listen};
use ringway_policy::counters::ShardCounters;
use ringway_policy::record::Record;
use tokio::time::sleep;

use crate::banner::{Banner, Keys, Place, Scheme};
use crate::flags::{DriverChoice, LogFormat, Serve, Switch};
use crate::signals::{Request, Signals};
use crate::{activation, administration, logging, objects, observe, settings, token};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const LISTEN_DEFAULT: &str = "127.0.0.1:8080";
/// Threads of the control plane. It does little, and each costs memory.
const CONTROL_THREADS: usize = 2;
/// Threads for name lookups and file reads.
const CONTROL_BLOCKING_THREADS: usize = 6;
/// How long the end waits for the access log's sink, and for the request log.
const LOG_WAIT: Duration = Duration::from_secs(1);
/// Exit code of an end that was not waited for: 128 + SIGINT.
const EXIT_AT_ONCE: i32 = 130;

/// Where the configuration comes from: the named file, the default one if it is there, else the environment.
pub fn source(config: Option<PathBuf>) -> Source {
    let default = || Some(PathBuf::from(crate::DEFAULT_FILE)).filter(|path| path.exists());
    config.or_else(default).map_or_else(Source::environment, Source::file)
}

/// Serves until a signal ends it.
///
/// # Errors
/// What is in the way of a start, and what to do about it.
pub fn run(flags: &Serve) -> Result<ExitCode, String> {
    let inherited = Inherited::take();
    logging::start(flags.log_format, flags.log_level);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .max_blocking_threads(CONTROL_BLOCKING_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|error| format!("control plane: {error}"))?;
    let outcome = runtime.block_on(serve(flags, inherited));
    // A name lookup may hang for long; nobody waits for its answer any more.
    runtime.shutdown_background();
    outcome
}

async fn serve(flags: &Serve, inherited: Inherited) -> Result<ExitCode, String> {
    let started = Instant::now();
    // First of all, so that a signal during the start is not lost.
    let mut signals = Signals::new().map_err(|error| format!("signals: {error}"))?;
    let source = source(flags.config.clone()).with_providers(flags.providers_dir.clone());
    let (source, database) = objects::open(flags, source).await?;
    let loaded = reload::look(&source.files());
    let config = source.load().map_err(|refusal| refusal.to_string())?;
    let listen = listen_addresses(flags, &config, &inherited);
    let health = Arc::new(Health::default());
    let threads = flags.threads.threads.map_or_else(cores, usize::from);
    let store = Arc::new(Store::new(store_place(flags, &source), threads, health.clone()));
    let demand = with_store(demand(&listen, &inherited, flags.allow_anonymous), store.clone());
    demand(&config)?;
    source.warn(&config);

    let (names, tokens) = (Names::default(), Tokens::default());
    let publisher = publish_first(&source, &config, (&names, &tokens), &health, threads).await?;
    store.restore(&publisher.current().quotas, None, engine::now());
    publisher.current().quotas.enact(engine::now());
    let certificates = match &config.tls {
        Some(tls) => {
            Some(Certificates::open(Path::new(&tls.cert.value), Path::new(&tls.key.value)).map_err(|error| format!("tls: {error}"))?)
        }
        None => None,
    };
    let administration = administration::open(flags, &config, &source, database.clone()).await?;

    let outboxes = ledger::outboxes(threads);
    let counters: Vec<Arc<ShardCounters>> = (0..threads).map(|_| Arc::default()).collect();
    let meter = Arc::new(Mutex::new(meter::Meter::with_series(flags.limits.metrics_series as usize)));
    let recent = Recent::default();
    let log = access_log(flags, &health)?;
    let log_dropped = log.as_ref().map(Log::dropped).unwrap_or_default();
    let request_log = RequestLog::new(request_log_settings(flags, &source), recent.clone(), health.clone());
    let reconcile = Duration::from_millis(flags.limits.reconcile_ms);
    let shared = config.state.as_ref().and_then(|state| Some((state, token::fresh().ok()?)));
    let shared = shared.and_then(|(state, node)| cluster::Settings::of(state, node, reconcile));
    let served = Arc::new(ArcSwap::from_pointee(config));
    let telemetry = observe::telemetry(VERSION, &publisher, &health);
    let gateway = listen.iter().map(shown).collect::<Vec<_>>().join(",");
    let alerts = observe::alerts(&served, &publisher, engine::now, &database, gateway).await;
    let ledger = ledger::start(ledger::Setup {
        outboxes: outboxes.clone(),
        log,
        meter: meter.clone(),
        recent: recent.clone(),
        sinks: telemetry
            .iter()
            .map(Telemetry::sink)
            .chain([alerts.sink()])
            .chain([Box::new({
                let request_log = request_log.clone();
                move |records: &[Record]| request_log.push(records)
            }) as ledger::Sink])
            .collect(),
    })
    .map_err(|error| format!("ledger: {error}"))?;

    let exchanges = administration.audit.is_kept().then(|| Exchanges::new(administration.audit.clone()));
    let tuning = flags.tuning();
    let drain = tuning.drain;
    let engine = engine::start(engine::Setup {
        listen: listen.iter().map(engine_address).collect(),
        inherited: inherited.fds,
        threads,
        pin: match flags.threads.pin {
            Switch::On => engine::Pin::Cores,
            Switch::Off => engine::Pin::None,
        },
        driver: match flags.threads.driver {
            DriverChoice::Auto => engine::Driver::Auto,
            DriverChoice::Uring => engine::Driver::Uring,
            DriverChoice::Epoll => engine::Driver::Epoll,
        },
        ring_entries: flags.threads.ring_entries,
        busy_poll_us: flags.threads.busy_poll_us,
        tuning: Arc::new(tuning),
        snapshot: publisher.shared(),
        outboxes: outboxes.clone(),
        counters: counters.clone(),
        tls: certificates.as_ref().map(Certificates::shared),
        trusted: trusted(&flags.trusted_proxies)?,
        proxy_protocol: flags.proxy_protocol,
        spend: store.sinks(),
        purge: crate::memory::purge,
        ask: cluster::ask,
        tracing: telemetry.as_ref().and_then(Telemetry::sampler),
        audit: exchanges.clone().map(|exchanges| Arc::new(exchanges) as _),
    })
    .map_err(|error| format!("data plane: {error}"))?;
    health.enter(Phase::Serving);

    let reloader = Arc::new(Reloader {
        source,
        publisher: publisher.clone(),
        names: names.clone(),
        tokens: tokens.clone(),
        health: health.clone(),
        certificates,
        admin_certificates: administration.certificates,
        served: served.clone(),
        demand,
        shard_count: threads,
        clock: engine::now,
        store: Some(store.clone()),
        changing: Default::default(),
    });
    let objects = Arc::new(Objects::new(reloader.clone(), database));
    let audit = administration.audit;
    let view = View {
        version: VERSION,
        driver: engine.driver(),
        access: administration.access,
        audit: audit.clone(),
        health: health.clone(),
        publisher: publisher.clone(),
        served: served.clone(),
        shards: counters,
        outboxes,
        telemetry: telemetry.clone(),
        alerts: Some(alerts),
        meter,
        recent,
        request_log: request_log.clone(),
        log_dropped,
        started,
        clock: engine::now,
        objects: Some(objects.clone()),
        door: engine
            .addresses()
            .first()
            .map(|address| door(address, if reloader.certificates.is_some() { admin::Tls::On } else { admin::Tls::Off })),
        settings: settings::of(flags, &reloader.source.origin(), engine.addresses(), &administration.address),
    };
    print_banner(&Banner {
        version: VERSION,
        data: engine.addresses().iter().map(place).collect(),
        tls: if reloader.certificates.is_some() { Scheme::Https } else { Scheme::Http },
        admin: administration.place,
        admin_tls: administration.scheme,
        fresh_token: administration.fresh_token,
        link: administration.link,
        driver: engine.driver(),
        threads,
        providers: publisher.current().providers.iter().map(|provider| provider.name.to_string()).collect(),
        origin: reloader.source.origin(),
        keys: if served.load().virtual_keys.is_empty() { Keys::Anonymous } else { Keys::Virtual },
    });
    tokio::spawn(quotas::reconcile(publisher.clone(), engine::now, reconcile));
    if let Some(settings) = shared {
        tokio::spawn(cluster::run(cluster_setup(settings, publisher.clone(), health.clone())));
    }
    tokio::spawn(admin::serve(administration.listener, view));
    tokio::spawn(resolve::run(names, publisher.clone(), health.clone()));
    tokio::spawn(tokens::run(tokens, publisher, health.clone()));
    tokio::spawn(reload::follow(reloader.clone(), loaded));
    tokio::spawn(objects.follow());
    if let Some(exchanges) = exchanges {
        tokio::spawn(exchanges.retry());
    }
    while signals.next().await == Request::Reload {
        reloader.reload().await;
    }
    let kept = Kept { ledger, store, audit, request_log, telemetry };
    end(engine, kept, &health, &mut signals, (flags.timeouts.drain_delay.0, drain)).await
}

/// The limits and budgets of now are shared; `/readyz` says where that is not possible.
fn cluster_setup(settings: cluster::Settings, publisher: Publisher, health: Arc<Health>) -> cluster::Setup {
    let accounts = move || {
        let snapshot = publisher.current();
        let shared = snapshot.quotas.iter().filter(|quota| quota.account.is_shared());
        shared.map(|quota| (Arc::from(&*quota.id), quota.account.clone())).collect()
    };
    let tell = move |state: Result<(), String>| match state {
        Ok(()) => {
            tracing::info!("limits and budgets are shared with the other gateways");
            health.recover(Part::SharedState);
        }
        Err(error) => {
            tracing::warn!(error, "the shared store cannot be reached; limits and budgets go on as on_partition says");
            health.degrade(Part::SharedState, error);
        }
    };
    cluster::Setup { settings, accounts: Box::new(accounts), now: engine::now, tell: Box::new(tell) }
}

/// What outlives the last request.
struct Kept {
    ledger: Ledger,
    store: Arc<Store>,
    audit: Audit,
    request_log: RequestLog,
    telemetry: Option<Telemetry>,
}

/// Takes the process down: not ready, then no new requests, then no requests, then no records.
async fn end(
    engine: Engine,
    kept: Kept,
    health: &Health,
    signals: &mut Signals,
    (delay, drain): (Duration, Duration),
) -> Result<ExitCode, String> {
    health.enter(Phase::Draining);
    engine.retire();
    tracing::info!(drain_seconds = drain.as_secs(), "draining; a second signal ends at once");
    let drained = async {
        sleep(delay).await;
        engine.drain(drain);
        tokio::task::spawn_blocking(move || engine.join()).await
    };
    tokio::select! {
        _ = drained => {}
        () = signals.end() => std::process::exit(EXIT_AT_ONCE),
    }
    tokio::select! {
        () = last_words(kept) => {}
        () = signals.end() => std::process::exit(EXIT_AT_ONCE),
    }
    tracing::info!("ended");
    Ok(ExitCode::SUCCESS)
}

/// The records that are left reach the logs and the collectors.
async fn last_words(kept: Kept) {
    let Kept { ledger, store, audit, request_log, telemetry } = kept;
    let closed = tokio::task::spawn_blocking(move || {
        store.close();
        audit.close();
        ledger.finish(LOG_WAIT);
        request_log.finish(LOG_WAIT);
    });
    let _ = closed.await;
    if let Some(telemetry) = telemetry {
        telemetry.finish(observe::END_WAIT).await;
    }
}

/// Sockets that systemd opened.
struct Inherited {
    fds: Vec<std::os::fd::OwnedFd>,
    addresses: Vec<Option<SocketAddr>>,
}

impl Inherited {
    fn take() -> Inherited {
        let fds = activation::inherited();
        Inherited { addresses: fds.iter().map(activation::address).collect(), fds }
    }
}

/// The flags' addresses, else the file's, else none beside inherited sockets, else the default.
fn listen_addresses(flags: &Serve, config: &Config, inherited: &Inherited) -> Vec<Listen> {
    if !flags.listen.is_empty() {
        return flags.listen.clone();
    }
    if !config.listen.is_empty() || !inherited.fds.is_empty() {
        return config.listen.iter().map(|at| at.value.clone()).collect();
    }
    Listen::parse(LISTEN_DEFAULT).into_iter().collect()
}

/// Whoever reaches a listener without keys spends the operator's money: also a reload must not open that door.
fn demand(listen: &[Listen], inherited: &Inherited, allow_anonymous: bool) -> Demand {
    let inherited = inherited.addresses.iter().flatten().map(|address| Listen::Ip(*address));
    let exposed: Vec<String> =
        listen.iter().cloned().chain(inherited).filter(|listen| !listen.is_local()).map(|listen| shown(&listen)).collect();
    Box::new(move |config| {
        if allow_anonymous || exposed.is_empty() || !config.virtual_keys.is_empty() {
            return Ok(());
        }
        Err(format!(
            "listening on {} without a virtual key lets anyone who reaches it use your provider keys; add virtual_keys to the \
             configuration, listen on 127.0.0.1, or pass --allow-anonymous",
            exposed.join(", ")
        ))
    })
}

fn store_place(flags: &Serve, source: &Source) -> spend::Place {
    match &flags.data_dir {
        Some(directory) => spend::Place::Chosen(directory.clone()),
        None if flags.no_store => spend::Place::Nowhere,
        None => spend::Place::Default(default_directory(source)),
    }
}

fn request_log_settings(flags: &Serve, source: &Source) -> request_log::Settings {
    let data = match store_place(flags, source) {
        _ if flags.no_store || flags.request_log == Switch::Off => None,
        spend::Place::Nowhere => None,
        spend::Place::Default(directory) | spend::Place::Chosen(directory) => Some(directory),
    };
    request_log::Settings {
        folder: data.map(|directory| directory.join(request_log::FOLDER)),
        days: flags.request_log_days,
        bytes_max: flags.request_log_bytes.0 as u64,
    }
}

/// A folder for each configuration: two files that are served from one directory do not count each other's spend.
pub fn default_directory(source: &Source) -> PathBuf {
    Path::new(spend::DEFAULT_DIRECTORY).join(folder_of(source))
}

fn folder_of(source: &Source) -> String {
    let Some(path) = source.path() else { return "environment".to_owned() };
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in whole.as_os_str().as_encoded_bytes() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let name = path.file_stem().map_or_else(|| "file".into(), |stem| stem.to_string_lossy());
    format!("{name}-{:08x}", hash >> 32)
}

/// A chosen directory is tried at the start; else the store is opened by the first configuration that has a budget.
fn with_store(demand: Demand, store: Arc<Store>) -> Demand {
    Box::new(move |config| {
        demand(config)?;
        if config.is_audited() && store.is_nowhere() {
            return Err(
                "audit: requests needs a data directory to keep the audit log in; remove it, or start without --no-store".to_owned()
            );
        }
        if config.has_budgets() || store.is_chosen() {
            store.open()?;
        }
        Ok(())
    })
}

pub fn shown(listen: &Listen) -> String {
    match listen {
        Listen::Ip(address) => address.to_string(),
        Listen::Unix(path) => format!("unix:{path}"),
    }
}

async fn publish_first(
    source: &Source,
    config: &Config,
    (names, tokens): (&Names, &Tokens),
    health: &Health,
    shard_count: usize,
) -> Result<Publisher, String> {
    let first = source.compile_for(config, None, shard_count).map_err(|refusal| refusal.to_string())?;
    let (missing, ()) = tokio::join!(names.learn(resolve::names_of(&first), resolve::FIRST_WAIT), tokens.learn(&first, tokens::FIRST_WAIT));
    resolve::tell(health, &missing);
    tokens.tell(health, &first);
    let first = names.apply(&first, first.revision).unwrap_or(first);
    Ok(Publisher::new(tokens.apply(&first, first.revision).unwrap_or(first)))
}

fn access_log(flags: &Serve, health: &Arc<Health>) -> Result<Option<Log>, String> {
    use std::os::fd::AsFd;
    if flags.access_log == Switch::Off {
        return Ok(None);
    }
    let format = match flags.log_format {
        LogFormat::Json => Format::Json,
        LogFormat::Text => Format::Text,
    };
    // Past the standard library's line buffer: a batch is one write.
    let stdout = std::io::stdout().as_fd().try_clone_to_owned().map_err(|error| format!("stdout: {error}; pass --access-log off"))?;
    let log = Log::start(format, std::fs::File::from(stdout), health.clone()).map_err(|error| format!("access log: {error}"))?;
    Ok(Some(log))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn print_banner(banner: &Banner) {
    use std::io::Write;
    let _ = std::io::stderr().lock().write_all(banner.render().as_bytes());
}

fn engine_address(listen: &Listen) -> engine::ListenAddress {
    match listen {
        Listen::Ip(address) => engine::ListenAddress::Tcp(*address),
        Listen::Unix(path) => engine::ListenAddress::Unix(path.into()),
    }
}

/// Where the control plane reaches the data plane: an unspecified address is also this machine's own.
fn door(address: &engine::ListenAddress, tls: admin::Tls) -> admin::Door {
    let place = match address {
        engine::ListenAddress::Tcp(address) => {
            let ip = match address.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
                ip => ip,
            };
            admin::Place::Tcp(SocketAddr::new(ip, address.port()))
        }
        engine::ListenAddress::Unix(path) => admin::Place::Unix(path.clone()),
    };
    admin::Door { place, tls }
}

fn place(address: &engine::ListenAddress) -> Place {
    match address {
        engine::ListenAddress::Tcp(address) => Place::Tcp(*address),
        engine::ListenAddress::Unix(path) => Place::Unix(path.display().to_string()),
    }
}

fn trusted(networks: &[String]) -> Result<Arc<Networks>, String> {
    Networks::parse(networks.iter().map(String::as_str)).map(Arc::new).map_err(|error| format!("--trusted-proxies: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Inherited {
        Inherited { fds: Vec::new(), addresses: Vec::new() }
    }

    fn listen(text: &str) -> Vec<Listen> {
        vec![Listen::parse(text).unwrap()]
    }

    fn with_key() -> Config {
        let key = "virtual_keys: {a: {key: 0123456789abcdef}}";
        ringway_policy::config::parse(key, &|_| None).unwrap()
    }

    #[test]
    fn an_open_door_needs_a_key_or_a_word() {
        let open = demand(&listen("0.0.0.0:8080"), &none(), false);
        let error = open(&Config::default()).unwrap_err();
        assert!(error.contains("0.0.0.0:8080") && error.contains("--allow-anonymous"), "{error}");
        assert!(open(&with_key()).is_ok());
        assert!(demand(&listen("0.0.0.0:8080"), &none(), true)(&Config::default()).is_ok());
        assert!(demand(&listen("127.0.0.1:8080"), &none(), false)(&Config::default()).is_ok());
        assert!(demand(&listen("unix:/run/r.sock"), &none(), false)(&Config::default()).is_ok());
    }

    #[test]
    fn an_inherited_socket_can_be_an_open_door() {
        let inherited = Inherited { fds: Vec::new(), addresses: vec![Some("192.0.2.1:80".parse().unwrap())] };
        assert!(demand(&[], &inherited, false)(&Config::default()).is_err());
    }
}
