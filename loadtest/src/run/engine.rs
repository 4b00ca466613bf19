//! The generator's loop: who is due, who is free, what has arrived.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Registry, Token};

use super::connection::{Connection, Progress};
use super::{Figures, LoadArgs, Target};
use crate::timer::Timers;
use crate::units::Rate;

const TIMER: Token = Token(usize::MAX);
const READ_BUFFER_BYTES: usize = 256 * 1024;
const EVENTS_PER_POLL: usize = 1024;
/// Requests that may be due and unsent; more means that the target is hopelessly behind, and they count as unsent.
const BACKLOG_MAX: usize = 1_000_000;
/// How often answers that are too late are looked for.
const TIMEOUT_SWEEP: Duration = Duration::from_millis(100);
/// Lasting streams begin over this time, not at once.
const STREAM_START_SPREAD: Duration = Duration::from_secs(1);
/// After a failed connect the connection waits this long, so that an absent target is not hammered.
const RECONNECT_PAUSE: Duration = Duration::from_millis(1);

/// Runs the load for `duration`, then waits for the answers in flight up to the timeout.
///
/// # Errors
/// Only those of the generator itself; what the target does wrong is in the figures.
pub(crate) fn run_load(target: &Target, load: &LoadArgs, duration: Duration) -> io::Result<Figures> {
    let (schedule, connection_count) = match (load.streams, load.rate) {
        (Some(streams), _) => (None, streams),
        (None, Rate::Max) => (None, load.connections),
        (None, Rate::PerSecond(rate)) => (Some(rate), load.connections),
    };
    let mut poll = Poll::new()?;
    let timers = Timers::open(poll.registry(), TIMER)?;
    // Held open and silent until the load is over.
    let _idle = (0..load.idle).map(|_| Connection::open(target.address)).collect::<io::Result<Vec<_>>>()?;
    let cpu_before = thread_cpu();
    let mut engine = Engine {
        target,
        figures: Figures::new(),
        connections: (0..connection_count.max(1)).map(|_| None).collect(),
        free: VecDeque::new(),
        planned: VecDeque::new(),
        backlog: VecDeque::new(),
        registry: poll.registry().try_clone()?,
        is_open_loop: schedule.is_some(),
        stops: Instant::now(),
        last_freed: Instant::now(),
    };
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    engine.open_all();
    let start = Instant::now();
    engine.stops = start + duration;
    let spread = if load.streams.is_some() { STREAM_START_SPREAD.min(duration / 4) } else { Duration::ZERO };
    engine.start_closed_loops(start, spread);
    engine.drive(&mut poll, timers, &mut buffer, schedule.map(|rate| Pace { start, rate, sent_count: 0 }), load.timeout)?;
    engine.figures.elapsed = engine.last_freed.saturating_duration_since(start);
    engine.figures.own_cpu = thread_cpu().saturating_sub(cpu_before);
    Ok(engine.figures)
}

/// A constant rate: request k is due at `start + k / rate`.
struct Pace {
    start: Instant,
    rate: f64,
    sent_count: u64,
}

impl Pace {
    fn next_due(&self) -> Instant {
        self.start + Duration::from_nanos((self.sent_count as f64 / self.rate * 1e9) as u64)
    }
}

struct Engine<'t> {
    target: &'t Target,
    figures: Figures,
    connections: Vec<Option<Connection>>,
    free: VecDeque<usize>,
    /// When the first round of streams begins; spread, because real streams do not beat in time.
    planned: VecDeque<Instant>,
    /// When each request that waits for a connection was due.
    backlog: VecDeque<Instant>,
    registry: Registry,
    is_open_loop: bool,
    stops: Instant,
    last_freed: Instant,
}

impl Engine<'_> {
    fn open_all(&mut self) {
        for index in 0..self.connections.len() {
            self.open(index);
            self.free.push_back(index);
        }
    }

    fn drive(
        &mut self,
        poll: &mut Poll,
        mut timers: Timers<()>,
        buffer: &mut [u8],
        mut pace: Option<Pace>,
        timeout: Duration,
    ) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_POLL);
        let mut next_sweep = self.stops.min(Instant::now() + TIMEOUT_SWEEP);
        timers.add(next_sweep, ());
        loop {
            let mut now = Instant::now();
            if let Some(pace) = &mut pace {
                self.issue_due(pace, now);
                let next = pace.next_due();
                if next < self.stops {
                    timers.add(next, ());
                }
            }
            if let Some(next) = self.issue_planned(now) {
                timers.add(next, ());
            }
            if now >= next_sweep {
                self.sweep(now, timeout);
                if now >= self.stops && self.is_over() {
                    return Ok(());
                }
                next_sweep = now + TIMEOUT_SWEEP;
                timers.add(next_sweep, ());
            }
            now = Instant::now();
            timers.arm(now)?;
            match poll.poll(&mut events, None) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                if event.token() != TIMER {
                    self.ready(event.token().0, event.is_writable(), event.is_read_closed(), buffer);
                }
            }
            now = Instant::now();
            while timers.expired(now).is_some() {}
        }
    }

    /// Closed loop: every connection starts and then goes on by itself.
    fn start_closed_loops(&mut self, start: Instant, spread: Duration) {
        if self.is_open_loop {
            return;
        }
        for index in 0..self.connections.len() {
            if spread.is_zero() {
                self.issue(start);
            } else {
                self.planned.push_back(start + spread.mul_f64(index as f64 / self.connections.len() as f64));
            }
        }
    }

    /// Starts the streams whose turn has come; returns when the next one is due.
    fn issue_planned(&mut self, now: Instant) -> Option<Instant> {
        while let Some(due) = self.planned.front().copied() {
            if due > now {
                return Some(due);
            }
            self.planned.pop_front();
            self.issue(due);
        }
        None
    }

    fn issue_due(&mut self, pace: &mut Pace, now: Instant) {
        loop {
            let due = pace.next_due();
            if due > now || due >= self.stops {
                return;
            }
            pace.sent_count += 1;
            self.issue(due);
        }
    }

    /// Sends on a free connection, or leaves the request to the next that becomes free.
    fn issue(&mut self, due: Instant) {
        match self.free.pop_front() {
            Some(index) => self.start(index, due),
            None if self.backlog.len() < BACKLOG_MAX => self.backlog.push_back(due),
            None => self.figures.unsent += 1,
        }
    }

    fn start(&mut self, index: usize, due: Instant) {
        if self.connections[index].is_none() && !self.open(index) {
            self.free.push_back(index);
            return;
        }
        if let Some(connection) = &mut self.connections[index]
            && connection.start(due, &self.target.request, &mut self.figures) == Progress::Closed
        {
            self.connections[index] = None;
            self.freed(index);
        }
    }

    fn open(&mut self, index: usize) -> bool {
        let opened = Connection::open(self.target.address).and_then(|mut connection| {
            self.registry.register(&mut connection.socket, Token(index), Interest::READABLE | Interest::WRITABLE)?;
            Ok(connection)
        });
        match opened {
            Ok(connection) => {
                self.connections[index] = Some(connection);
                true
            }
            Err(_) => {
                self.figures.error("connect");
                std::thread::sleep(RECONNECT_PAUSE);
                false
            }
        }
    }

    fn ready(&mut self, index: usize, writable: bool, read_closed: bool, buffer: &mut [u8]) {
        let Some(Some(connection)) = self.connections.get_mut(index) else { return };
        let was_busy = connection.is_busy();
        let mut progress = Progress::Going;
        if writable && was_busy {
            progress = connection.send(&self.target.request, &mut self.figures);
        }
        if progress == Progress::Going && (was_busy || read_closed) {
            progress = connection.receive(buffer, read_closed, &mut self.figures);
        }
        if progress == Progress::Closed {
            self.connections[index] = None;
        }
        if was_busy && progress != Progress::Going {
            self.freed(index);
        }
    }

    /// A connection can take the next request: one that waits, or in the closed loop its own next.
    fn freed(&mut self, index: usize) {
        let now = Instant::now();
        self.last_freed = now;
        if now >= self.stops {
            self.free.push_back(index);
        } else if let Some(due) = self.backlog.pop_front() {
            self.start(index, due);
        } else if self.is_open_loop {
            self.free.push_back(index);
        } else {
            self.start(index, now);
        }
    }

    fn sweep(&mut self, now: Instant, timeout: Duration) {
        if now >= self.stops {
            self.figures.unsent += self.backlog.len() as u64;
            self.backlog.clear();
        }
        for index in 0..self.connections.len() {
            let late =
                self.connections[index].as_ref().and_then(Connection::due).is_some_and(|due| now.saturating_duration_since(due) > timeout);
            if late && let Some(mut connection) = self.connections[index].take() {
                connection.fail("timeout", &mut self.figures);
                self.freed(index);
            }
        }
        // In the closed loop a connection whose reopening failed would otherwise rest for ever.
        if !self.is_open_loop && now < self.stops && self.planned.is_empty() {
            for _ in 0..self.free.len() {
                self.issue(now);
            }
        }
    }

    fn is_over(&self) -> bool {
        self.connections.iter().flatten().all(|connection| !connection.is_busy())
    }
}

/// CPU time of this thread so far.
fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid, writable timespec for the whole call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    if result == 0 { Duration::new(time.tv_sec as u64, time.tv_nsec as u32) } else { Duration::ZERO }
}

#[cfg(test)]
mod tests;
