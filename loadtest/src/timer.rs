//! Wake-ups with nanosecond aim: a heap of deadlines in front of one timerfd.
//!
//! epoll's own timeout is whole milliseconds, too coarse to pace 5,000 requests a second. Cost: one `timerfd_settime`
//! when the earliest deadline changes; the descriptor is edge-triggered, so it is never read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

/// Deadlines, each with a key that the owner understands.
pub(crate) struct Timers<K: Ord> {
    descriptor: OwnedFd,
    heap: BinaryHeap<Reverse<(Instant, K)>>,
    armed_for: Option<Instant>,
}

impl<K: Ord> Timers<K> {
    /// Opens the timer and registers it under `token`.
    pub(crate) fn open(registry: &Registry, token: Token) -> io::Result<Self> {
        // SAFETY: timerfd_create takes no pointers; a negative result is handled below.
        let raw = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `raw` is a fresh descriptor that nothing else owns.
        let descriptor = unsafe { OwnedFd::from_raw_fd(raw) };
        registry.register(&mut SourceFd(&descriptor.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { descriptor, heap: BinaryHeap::new(), armed_for: None })
    }

    /// Adds a deadline; `arm` makes it effective.
    pub(crate) fn add(&mut self, due: Instant, key: K) {
        self.heap.push(Reverse((due, key)));
    }

    /// Takes the next deadline that has passed.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<K> {
        let Reverse((due, _)) = self.heap.peek()?;
        if *due > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, key))| key)
    }

    /// Points the timerfd at the earliest deadline, if that is not where it points already. Call before each poll.
    pub(crate) fn arm(&mut self, now: Instant) -> io::Result<()> {
        let earliest = self.heap.peek().map(|Reverse((due, _))| *due);
        if earliest == self.armed_for && earliest.is_none_or(|due| due > now) {
            return Ok(());
        }
        self.armed_for = earliest;
        // A zero duration disarms, so a deadline already past becomes one nanosecond.
        let wait = earliest.map_or(Duration::ZERO, |due| due.saturating_duration_since(now).max(Duration::from_nanos(1)));
        let setting = libc::itimerspec {
            it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: libc::timespec { tv_sec: wait.as_secs() as libc::time_t, tv_nsec: wait.subsec_nanos() as libc::c_long },
        };
        // SAFETY: the descriptor is ours and open, `setting` lives across the call, and the old value is not asked for.
        let result = unsafe { libc::timerfd_settime(self.descriptor.as_raw_fd(), 0, &setting, std::ptr::null_mut()) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
