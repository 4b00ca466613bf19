//! The runtime on monoio: `uring` and `epoll` behind the same types.
//!
//! monoio 0.2.4 is used for its rings, its readiness and its tasks alone. Sockets are made, accepted and connected by
//! direct non-blocking calls (close-on-exec from birth, nothing to lose when a wait is dropped), time comes from one
//! timerfd per shard (a timeout on every ring wait would program a timer at every wake-up), and other threads wake a
//! shard through an eventfd, so that monoio's `sync` feature and its locks stay out.

mod alarm;
mod driver;
mod listen;
mod socket;
mod spin;
mod wake;

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use ringway_policy::lease::Now;

use super::{Address, Rt};

pub use driver::{Driver, Kind, choose, run};
pub use listen::{Bound, bind_tcp, bind_unix, local_address};
pub use socket::Socket;
pub use wake::{Wake, WakeReceiver, wake_pair};

use alarm::Alarm;

/// One shard's runtime. Made by `run`, lives on its thread.
#[derive(Clone)]
pub struct Monoio {
    inner: Rc<Inner>,
}

struct Inner {
    kind: Kind,
    alarm: Rc<Alarm>,
    random: Cell<u64>,
}

impl Monoio {
    /// Must be called inside the runtime of this thread.
    fn new(kind: Kind, busy_poll_us: u32) -> io::Result<Monoio> {
        let alarm = Alarm::new()?;
        monoio::spawn(alarm.clone().run());
        if busy_poll_us > 0 {
            monoio::spawn(spin::run(busy_poll_us));
        }
        Ok(Monoio { inner: Rc::new(Inner { kind, alarm, random: Cell::new(seed()) }) })
    }

    /// Which driver this shard runs on.
    pub fn kind(&self) -> Kind {
        self.inner.kind
    }
}

impl Rt for Monoio {
    type Stream = Socket;

    fn now_ns(&self) -> u64 {
        now_ns()
    }

    fn unix_ms(&self) -> u64 {
        unix_ms()
    }

    fn random(&self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014): enough for jitter and weights, not for secrets.
        let state = self.inner.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.inner.random.set(state);
        super::mix(state)
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> {
        self.inner.alarm.clone().sleep(now_ns().saturating_add(duration.as_nanos().min(u128::from(u64::MAX)) as u64))
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        drop(monoio::spawn(task));
    }

    fn connect(&self, to: &Address) -> impl Future<Output = io::Result<Socket>> {
        socket::connect(self.inner.kind, to)
    }
}

/// CLOCK_MONOTONIC: the same for every thread, so that breakers may compare what two shards saw.
/// The clock of all shards: monotonic, the same in every thread.
pub fn now_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec for the call's duration; CLOCK_MONOTONIC exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The kernel's tick: up to 4 ms late, and a fifth of the cost of the exact time. Records and windows need no more.
fn unix_ms() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec for the call's duration; CLOCK_REALTIME_COARSE exists on every Linux since 2.6.32.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &mut time) };
    time.tv_sec as u64 * 1_000 + time.tv_nsec as u64 / 1_000_000
}

/// Both clocks.
pub(crate) fn now() -> Now {
    Now { mono_ns: now_ns(), unix_ms: unix_ms() }
}

fn seed() -> u64 {
    let mut seed = 0u64;
    // SAFETY: the pointer and the length describe `seed`.
    let got = unsafe { libc::getrandom((&raw mut seed).cast(), 8, 0) };
    if got == 8 { seed } else { now_ns() ^ (&raw const seed as u64) }
}

#[cfg(test)]
mod tests;

/// Turns a libc result into an `io::Result`.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
