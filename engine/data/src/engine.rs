//! Starting and stopping the data plane: one pinned thread per shard.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam::queue::ArrayQueue;
use ringway_policy::counters::ShardCounters;
use ringway_policy::lease::Now;
use ringway_policy::record::Outbox;
use ringway_policy::snapshot::Snapshot;
use ringway_policy::spend::Sink;
use ringway_policy::trace::Sampler;
use ringway_policy::tuning::Tuning;
use rustls::ServerConfig;

use crate::listener::{self, Crew, HAND_OFF_MAX, ProxyProtocol};
use crate::networks::Networks;
use crate::queue::Lobby;
pub use crate::rt::kernel::Driver;
use crate::rt::kernel::{self, Bound, Kind, Monoio, Wake, WakeReceiver};
use crate::shard::Shard;

/// How often a draining shard looks whether its connections are gone.
const DRAIN_LOOK: Duration = Duration::from_millis(50);
/// What a cut stream gets to send its error event.
const CUT_GRACE: Duration = Duration::from_secs(1);
/// Bound of `Setup::threads`.
pub const THREADS_MAX: usize = 1024;

/// Everything that the data plane starts from.
pub struct Setup {
    pub listen: Vec<ListenAddress>,
    /// Listening sockets from systemd or from the process before; already bound.
    pub inherited: Vec<OwnedFd>,
    /// Shards. 1 to `THREADS_MAX`.
    pub threads: usize,
    pub pin: Pin,
    pub driver: Driver,
    pub ring_entries: u32,
    /// Microseconds that an idle shard looks for completions before it sleeps.
    pub busy_poll_us: u32,
    pub tuning: Arc<Tuning>,
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// One per shard.
    pub outboxes: Vec<Arc<Outbox>>,
    /// One per shard.
    pub counters: Vec<Arc<ShardCounters>>,
    /// Of the listener; a reload stores a new one, which the next handshake takes.
    pub tls: Option<Arc<ArcSwap<ServerConfig>>>,
    /// Whose PROXY header and X-Forwarded-For are believed.
    pub trusted: Arc<Networks>,
    /// A PROXY header comes first on connections from trusted networks.
    pub proxy_protocol: bool,
    /// Where each shard leaves what its exchanges cost: one per shard, or none.
    pub spend: Vec<Box<dyn Sink>>,
    /// Gives the calling thread's unused memory back to the system; a shard calls it after many connections have gone.
    pub purge: fn(),
    /// Has the store asked that limits and budgets are shared through; a shard calls it where a request waits for the answer.
    pub ask: fn(),
    /// Which exchanges are traced; `None`: their trace context is passed on and not looked at.
    pub tracing: Option<Sampler>,
    /// The audit log, where one is kept.
    pub audit: Option<Arc<dyn ringway_policy::audit::Sink>>,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Which processor a shard runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pin {
    /// Wherever the kernel likes.
    None,
    /// Shard N on the N-th processor that this process may use; none where there are more shards than processors.
    #[default]
    Cores,
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<ListenAddress, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return if path.is_absolute() { Ok(ListenAddress::Unix(path)) } else { Err(format!("{text:?}: write unix:/absolute/path")) };
        }
        let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        let address = numeric.as_deref().unwrap_or(text).parse();
        address.map(ListenAddress::Tcp).map_err(|_| format!("{text:?} is no address; write 127.0.0.1:8080, [::1]:8080 or unix:/path"))
    }
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ListenAddress::Tcp(address) => address.fmt(f),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The time by the clocks that the shards read, for whoever shares their limits and budgets.
pub fn now() -> Now {
    kernel::now()
}

/// The running data plane.
pub struct Engine {
    kind: Kind,
    addresses: Vec<ListenAddress>,
    wakes: Vec<Wake>,
    drain_ms: Arc<AtomicU64>,
    retired: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// `drain_ms` before anyone asked for a drain.
const NO_DRAIN: u64 = u64::MAX;

/// Binds, starts the shards and returns once all of them run.
///
/// # Errors
/// Where an address cannot be bound, the driver cannot be set up, or a figure is out of its bounds.
pub fn start(setup: Setup) -> io::Result<Engine> {
    let threads = setup.threads;
    if threads == 0 || threads > THREADS_MAX || setup.outboxes.len() < threads || setup.counters.len() < threads {
        let message = format!("threads is {threads}: write 1 to {THREADS_MAX}, with an outbox and counters for each");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let kind = kernel::choose(setup.driver, setup.ring_entries)?;
    let (addresses, listeners) = bind(&setup.listen, setup.inherited, threads)?;
    let (wakes, receivers) = (0..threads).map(|_| kernel::wake_pair()).collect::<io::Result<(Vec<_>, Vec<_>)>>()?;
    let crew = Arc::new(Crew {
        counters: setup.counters[..threads].to_vec(),
        arrivals: (0..threads).map(|_| ArrayQueue::new(HAND_OFF_MAX)).collect(),
        wakes: wakes.clone(),
        connections_max: setup.tuning.connections_max as u64,
        tls: setup.tls,
        proxy_protocol: if setup.proxy_protocol { ProxyProtocol::Expected } else { ProxyProtocol::Off },
    });
    let lobby = Arc::new(waker_of(&wakes));
    let drain_ms = Arc::new(AtomicU64::new(NO_DRAIN));
    let cores = cores(setup.pin, threads);
    let (started, starts) = mpsc::channel();
    let retired = Arc::new(AtomicBool::new(false));
    let mut engine = Engine { kind, addresses, wakes, drain_ms: drain_ms.clone(), retired: retired.clone(), threads: Vec::new() };
    let mut spend = setup.spend.into_iter();
    for (index, (listeners, receiver)) in listeners.into_iter().zip(receivers).enumerate() {
        let worker = Worker {
            index: index as u16,
            core: cores.get(index).copied(),
            kind,
            ring_entries: setup.ring_entries,
            busy_poll_us: setup.busy_poll_us,
            tuning: setup.tuning.clone(),
            snapshot: setup.snapshot.clone(),
            outbox: setup.outboxes[index].clone(),
            trusted: setup.trusted.clone(),
            crew: crew.clone(),
            lobby: lobby.clone(),
            listeners,
            receiver,
            drain_ms: drain_ms.clone(),
            retired: retired.clone(),
            purge: setup.purge,
            ask: setup.ask,
            tracing: setup.tracing,
            audit: setup.audit.clone(),
            spend: spend.next(),
            started: started.clone(),
        };
        engine.threads.push(thread::Builder::new().name(format!("shard-{index}")).spawn(move || worker.run())?);
    }
    drop(started);
    for _ in 0..threads {
        let outcome = starts.recv().unwrap_or_else(|_| Err(io::Error::other("a shard ended before it started")));
        if let Err(error) = outcome {
            engine.drain(Duration::ZERO);
            return Err(error);
        }
    }
    Ok(engine)
}

impl Engine {
    /// `uring` or `epoll`.
    pub fn driver(&self) -> &'static str {
        self.kind.name()
    }

    /// What is listened on, with the ports that the kernel chose; inherited sockets last.
    pub fn addresses(&self) -> &[ListenAddress] {
        &self.addresses
    }

    /// `/readyz` turns false on the data listeners, so that load balancers look elsewhere; all is served as before.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        for wake in &self.wakes {
            wake.wake();
        }
    }

    /// Stops accepting, closes idle connections, gives live ones `patience`, then cuts them. Returns at once; may be called
    /// again with less patience.
    pub fn drain(&self, patience: Duration) {
        let patience_ms = patience.as_millis().min(u128::from(NO_DRAIN - 1)) as u64;
        self.drain_ms.fetch_min(patience_ms, Ordering::Release);
        for wake in &self.wakes {
            wake.wake();
        }
    }

    /// Waits until every shard has ended; after `drain`.
    pub fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a shard ended by a bug in the gateway; please report it");
            }
        }
    }
}

/// What one thread starts from.
struct Worker {
    index: u16,
    core: Option<usize>,
    kind: Kind,
    ring_entries: u32,
    busy_poll_us: u32,
    tuning: Arc<Tuning>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    outbox: Arc<Outbox>,
    trusted: Arc<Networks>,
    crew: Arc<Crew>,
    lobby: Arc<Lobby>,
    listeners: Vec<OwnedFd>,
    receiver: WakeReceiver,
    drain_ms: Arc<AtomicU64>,
    retired: Arc<AtomicBool>,
    purge: fn(),
    ask: fn(),
    tracing: Option<Sampler>,
    audit: Option<Arc<dyn ringway_policy::audit::Sink>>,
    spend: Option<Box<dyn Sink>>,
    started: mpsc::Sender<io::Result<()>>,
}

impl Worker {
    fn run(self) {
        if let Some(core) = self.core {
            pin_to(core);
        }
        let started = self.started.clone();
        let (kind, ring_entries, busy_poll_us) = (self.kind, self.ring_entries, self.busy_poll_us);
        if let Err(error) = kernel::run(kind, ring_entries, busy_poll_us, |rt| self.live(rt)) {
            // Nobody listens any more where the start went well.
            let _ = started.send(Err(error));
        }
    }

    async fn live(self, rt: Monoio) {
        let counters = self.crew.counters[usize::from(self.index)].clone();
        let shard = Shard::trusting(rt.clone(), self.index, self.tuning, self.snapshot, self.outbox, counters, self.trusted, self.lobby);
        shard.purge_with(self.purge);
        shard.ask_with(self.ask);
        shard.trace_with(self.tracing);
        shard.audit_into(self.audit);
        shard.spend_into(self.spend);
        for fd in self.listeners {
            match Bound::new(&rt, fd) {
                Ok(bound) => shard.spawn(listener::listen(shard.clone(), self.crew.clone(), bound)),
                Err(error) => return drop(self.started.send(Err(error))),
            }
        }
        let (shard_there, crew, drain_ms, retired) = (shard.clone(), self.crew, self.drain_ms.clone(), self.retired);
        shard.spawn(async move {
            let on_wake = move || {
                listener::receive(&shard_there, &crew);
                shard_there.look_around();
                if retired.load(Ordering::Acquire) {
                    shard_there.retire();
                }
                if drain_ms.load(Ordering::Acquire) != NO_DRAIN {
                    shard_there.drain();
                }
                std::ops::ControlFlow::Continue(())
            };
            if let Err(error) = self.receiver.listen(on_wake).await {
                tracing::error!(%error, "a shard can no longer be woken");
            }
        });
        let _ = self.started.send(Ok(()));
        shard.drained().await;
        wind_down(&shard, &self.drain_ms).await;
    }
}

/// Waits for the connections to end, cuts those that do not, and gives them a moment to say so.
async fn wind_down(shard: &Shard<Monoio>, drain_ms: &AtomicU64) {
    let start_ns = shard.now_ns();
    let passed = || Duration::from_nanos(shard.now_ns() - start_ns);
    // The listeners' tasks take what the kernel has queued before they end.
    shard.wheel.sleep(DRAIN_LOOK).await;
    while shard.counters.connections.load(Ordering::Relaxed) > 0 {
        let patience = Duration::from_millis(drain_ms.load(Ordering::Acquire));
        if passed() >= patience {
            shard.cut();
        }
        if passed() >= patience.saturating_add(CUT_GRACE) {
            return;
        }
        shard.wheel.sleep(DRAIN_LOOK).await;
    }
}

/// The lobby of all shards: who is called on another shard is woken through it.
fn waker_of(wakes: &[Wake]) -> Lobby {
    let wakes = wakes.to_vec();
    Lobby::new(move |shard| wakes.get(shard).into_iter().for_each(Wake::wake))
}

/// Binds every address: TCP once per shard, a Unix or inherited socket for one shard, which spreads its connections.
fn bind(listen: &[ListenAddress], inherited: Vec<OwnedFd>, threads: usize) -> io::Result<(Vec<ListenAddress>, Vec<Vec<OwnedFd>>)> {
    let mut addresses = Vec::new();
    let mut listeners: Vec<Vec<OwnedFd>> = (0..threads).map(|_| Vec::new()).collect();
    let name = |address: &ListenAddress| {
        let address = address.to_string();
        move |error: io::Error| io::Error::new(error.kind(), format!("listen on {address}: {error}"))
    };
    for address in listen {
        match address {
            ListenAddress::Tcp(wanted) => {
                let first = kernel::bind_tcp(*wanted).map_err(name(address))?;
                // Port 0 is chosen once, for all shards.
                let bound = kernel::local_address(&first).unwrap_or(*wanted);
                listeners[0].push(first);
                for list in &mut listeners[1..] {
                    list.push(kernel::bind_tcp(bound).map_err(name(address))?);
                }
                addresses.push(ListenAddress::Tcp(bound));
            }
            ListenAddress::Unix(path) => {
                listeners[addresses.len() % threads].push(kernel::bind_unix(path).map_err(name(address))?);
                addresses.push(address.clone());
            }
        }
    }
    for fd in inherited {
        let address = kernel::local_address(&fd).map_or_else(|| ListenAddress::Unix(PathBuf::from("inherited")), ListenAddress::Tcp);
        listeners[addresses.len() % threads].push(fd);
        addresses.push(address);
    }
    Ok((addresses, listeners))
}

/// The processors that this process may use, one per shard.
fn cores(pin: Pin, threads: usize) -> Vec<usize> {
    if pin == Pin::None {
        return Vec::new();
    }
    // SAFETY: all-zero is an empty set; the size given is the set's.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) != 0 {
            return Vec::new();
        }
        set
    };
    // SAFETY: the index stays below the set's size.
    let cores: Vec<usize> = (0..libc::CPU_SETSIZE as usize).filter(|&core| unsafe { libc::CPU_ISSET(core, &set) }).collect();
    if cores.len() < threads { Vec::new() } else { cores }
}

/// Best effort: a container may forbid it.
fn pin_to(core: usize) {
    // SAFETY: `core` came out of a set of this type; the set lives through the call.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}

#[cfg(test)]
mod tests;
