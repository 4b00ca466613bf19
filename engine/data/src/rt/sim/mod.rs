//! The simulated runtime: a virtual clock, a seeded scheduler, in-memory pipes, injected errors.
//!
//! One seed gives one run. Which ready task goes next, how much a read or a write moves, whether a completion comes late
//! or a connect fails: all drawn from the seed. Time stands still while anything can run and then jumps to the next timer.

mod pipe;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::{Address, Rt};

pub use pipe::{SimStream, pair};

/// Polls after which a run is taken for a livelock.
const POLLS_MAX: u64 = 50_000_000;
/// A run that gets here waits for something that never comes: housekeeping alone keeps its clock going.
const TIME_NS_MAX: u64 = 48 * 3600 * 1_000_000_000;
/// The virtual Unix time at which every run starts, in milliseconds.
const START_UNIX_MS: u64 = 1_790_000_000_000;

/// Odds of the injected errors, each one in so many (0 = never).
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// A connect fails with EMFILE.
    pub connect_emfile_in: u64,
    /// A connect is refused although somebody listens.
    pub connect_refused_in: u64,
    /// A read or write resets the connection.
    pub reset_in: u64,
    /// A read gives fewer bytes than are there.
    pub short_read_in: u64,
    /// A write takes fewer bytes than there is room for.
    pub short_write_in: u64,
    /// A completion comes late, by up to `delay_max`.
    pub delay_in: u64,
    pub delay_max: Duration,
}

impl Faults {
    /// Nothing fails, nothing is cut.
    pub const NONE: Faults = Faults {
        connect_emfile_in: 0,
        connect_refused_in: 0,
        reset_in: 0,
        short_read_in: 0,
        short_write_in: 0,
        delay_in: 0,
        delay_max: Duration::ZERO,
    };

    /// What every correct program must bear: cuts and delays, but no error.
    pub const ROUGH: Faults =
        Faults { short_read_in: 3, short_write_in: 3, delay_in: 4, delay_max: Duration::from_millis(5), ..Faults::NONE };
}

/// The simulated runtime. Cheap to clone.
#[derive(Clone)]
pub struct Sim {
    core: Rc<Core>,
}

struct Core {
    now_ns: Cell<u64>,
    random: Cell<u64>,
    faults: Cell<Faults>,
    tasks: RefCell<HashMap<u64, Task>>,
    spawned: RefCell<Vec<Task>>,
    next_id: Cell<u64>,
    ready: Arc<Mutex<Vec<u64>>>,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    listeners: RefCell<HashMap<Address, Rc<Backlog>>>,
    next_port: Cell<u16>,
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

#[derive(Default)]
struct Backlog {
    waiting: RefCell<VecDeque<SimStream>>,
    acceptor: RefCell<Option<Waker>>,
}

/// Runs `main` under `seed`, with nothing injected until `Sim::inject`.
///
/// # Panics
/// With the seed, where `main` or a task panics, nothing can run any more, or the run does not end.
pub fn run<F: Future + 'static>(seed: u64, main: impl FnOnce(Sim) -> F) -> F::Output
where
    F::Output: 'static,
{
    let announce = Announce(seed);
    let output = try_run(seed, main);
    std::mem::forget(announce);
    match output {
        Ok(output) => output,
        Err(stuck) => panic!("sim seed {seed}: {stuck}"),
    }
}

/// Prints the seed when a panic passes through.
struct Announce(u64);

impl Drop for Announce {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("sim seed {}", self.0);
        }
    }
}

/// As `run`, but a run that cannot go on is an error.
///
/// # Errors
/// What the run is stuck in.
pub fn try_run<F: Future + 'static>(seed: u64, main: impl FnOnce(Sim) -> F) -> Result<F::Output, &'static str>
where
    F::Output: 'static,
{
    let core = Rc::new(Core {
        now_ns: Cell::new(1_000_000_000),
        random: Cell::new(seed),
        faults: Cell::new(Faults::NONE),
        tasks: RefCell::default(),
        spawned: RefCell::default(),
        next_id: Cell::new(1),
        ready: Arc::default(),
        timers: RefCell::default(),
        listeners: RefCell::default(),
        next_port: Cell::new(40_000),
    });
    let sim = Sim { core: core.clone() };
    let output = Rc::new(RefCell::new(None));
    let main = main(sim.clone());
    let slot = output.clone();
    sim.spawn(async move {
        let value = main.await;
        *slot.borrow_mut() = Some(value);
    });
    let mut ended = Err("the run does not end");
    for _ in 0..POLLS_MAX {
        if !core.step() {
            ended = Err("deadlock: nothing can run any more, or time alone goes on");
            break;
        }
        if let Some(value) = output.borrow_mut().take() {
            ended = Ok(value);
            break;
        }
    }
    core.dismantle();
    ended
}

impl Core {
    /// Polls one ready task or moves the clock. `false` where neither is possible.
    fn step(&self) -> bool {
        self.adopt();
        let picked = {
            let mut ready = self.ready.lock().expect("no task panics while it holds this");
            let count = ready.len() as u64;
            if count == 0 { None } else { Some(ready.swap_remove((self.draw() % count) as usize)) }
        };
        let Some(id) = picked else { return self.advance() };
        // A task that ended may still be woken.
        let Some(mut task) = self.tasks.borrow_mut().remove(&id) else { return true };
        let waker = Waker::from(Arc::new(Handle { id, ready: self.ready.clone() }));
        if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.tasks.borrow_mut().insert(id, task);
        }
        true
    }

    fn adopt(&self) {
        let spawned = std::mem::take(&mut *self.spawned.borrow_mut());
        for task in spawned {
            let id = self.fresh_id();
            self.tasks.borrow_mut().insert(id, task);
            self.ready.lock().expect("no task panics while it holds this").push(id);
        }
    }

    fn advance(&self) -> bool {
        let Some(((at_ns, _), waker)) = self.timers.borrow_mut().pop_first() else { return false };
        self.now_ns.set(self.now_ns.get().max(at_ns));
        waker.wake();
        at_ns < TIME_NS_MAX
    }

    /// Drops tasks one by one: each may touch the others' pipes on its way out.
    fn dismantle(&self) {
        loop {
            self.adopt();
            let Some(id) = self.tasks.borrow().keys().next().copied() else { return };
            let task = self.tasks.borrow_mut().remove(&id);
            drop(task);
        }
    }

    fn fresh_id(&self) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        id
    }

    fn draw(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        super::mix(state)
    }

    /// One in `odds`.
    fn strikes(&self, odds: u64) -> bool {
        odds != 0 && self.draw().is_multiple_of(odds)
    }
}

struct Handle {
    id: u64,
    ready: Arc<Mutex<Vec<u64>>>,
}

impl Wake for Handle {
    fn wake(self: Arc<Self>) {
        let mut ready = self.ready.lock().expect("no task panics while it holds this");
        if !ready.contains(&self.id) {
            ready.push(self.id);
        }
    }
}

impl Sim {
    /// Sets what goes wrong from now on.
    pub fn inject(&self, faults: Faults) {
        self.core.faults.set(faults);
    }

    /// Listens at an address.
    ///
    /// # Panics
    /// Where somebody listens there already.
    pub fn listen(&self, at: Address) -> SimListener {
        let backlog = Rc::new(Backlog::default());
        let before = self.core.listeners.borrow_mut().insert(at.clone(), backlog.clone());
        assert!(before.is_none(), "two listeners at {at:?}");
        SimListener { core: self.core.clone(), at, backlog }
    }

    async fn connect_to(self, to: Address) -> io::Result<SimStream> {
        let faults = self.core.faults.get();
        pipe::maybe_late(&self).await;
        if self.core.strikes(faults.connect_emfile_in) {
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        let backlog = self.core.listeners.borrow().get(&to).cloned();
        let Some(backlog) = backlog.filter(|_| !self.core.strikes(faults.connect_refused_in)) else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let port = self.core.next_port.get();
        self.core.next_port.set(port.checked_add(1).unwrap_or(40_000));
        let (ours, theirs) = pipe::pair_between(
            &self,
            match &to {
                Address::Ip(ip) => Some(*ip),
                Address::Unix(_) => None,
            },
            Some(SocketAddr::from(([127, 0, 0, 1], port))),
        );
        backlog.waiting.borrow_mut().push_back(theirs);
        if let Some(acceptor) = backlog.acceptor.borrow_mut().take() {
            acceptor.wake();
        }
        Ok(ours)
    }
}

impl Rt for Sim {
    type Stream = SimStream;

    fn now_ns(&self) -> u64 {
        self.core.now_ns.get()
    }

    fn unix_ms(&self) -> u64 {
        START_UNIX_MS + self.core.now_ns.get() / 1_000_000
    }

    fn random(&self) -> u64 {
        self.core.draw()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> {
        let deadline_ns = self.core.now_ns.get().saturating_add(duration.as_nanos().min(u128::from(u64::MAX)) as u64);
        Sleep { core: self.core.clone(), deadline_ns, id: None }
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.core.spawned.borrow_mut().push(Box::pin(task));
    }

    fn connect(&self, to: &Address) -> impl Future<Output = io::Result<SimStream>> {
        self.clone().connect_to(to.clone())
    }
}

struct Sleep {
    core: Rc<Core>,
    deadline_ns: u64,
    id: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.core.now_ns.get() >= self.deadline_ns {
            return Poll::Ready(());
        }
        let core = self.core.clone();
        let id = *self.id.get_or_insert_with(|| core.fresh_id());
        core.timers.borrow_mut().insert((self.deadline_ns, id), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.core.timers.borrow_mut().remove(&(self.deadline_ns, id));
        }
    }
}

/// A listening address of the simulation; dropped, it refuses connections.
pub struct SimListener {
    core: Rc<Core>,
    at: Address,
    backlog: Rc<Backlog>,
}

impl SimListener {
    /// The next connection.
    pub async fn accept(&self) -> SimStream {
        poll_fn(|context| match self.backlog.waiting.borrow_mut().pop_front() {
            Some(stream) => Poll::Ready(stream),
            None => {
                *self.backlog.acceptor.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.core.listeners.borrow_mut().remove(&self.at);
    }
}

#[cfg(test)]
mod tests;
