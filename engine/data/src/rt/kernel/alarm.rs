//! Sleep on one timerfd per shard.
//!
//! For the few long-lived sleepers of a shard: the timer wheel's tick and back-offs. Everything per connection or request
//! waits on the wheel. Waits in the ring carry no timeout, so that a wake-up programs no timer.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::socket::Core;
use super::{check, now_ns};

/// The timerfd and who waits on it.
pub(super) struct Alarm {
    timer: Core,
    /// What the timerfd is set to; `u64::MAX` where it is not.
    armed_ns: Cell<u64>,
    next_id: Cell<u64>,
    sleepers: RefCell<Vec<Sleeper>>,
}

struct Sleeper {
    id: u64,
    deadline_ns: u64,
    waker: Waker,
}

impl Alarm {
    pub(super) fn new() -> io::Result<Rc<Alarm>> {
        // SAFETY: a plain system call; its result is checked.
        let fd = check(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK) })?;
        // SAFETY: `fd` is fresh and ours.
        let timer = Core::adopt(unsafe { OwnedFd::from_raw_fd(fd) })?;
        Ok(Rc::new(Alarm { timer, armed_ns: Cell::new(u64::MAX), next_id: Cell::new(0), sleepers: RefCell::default() }))
    }

    /// Wakes sleepers as the timer fires; lives as long as the shard.
    pub(super) async fn run(self: Rc<Alarm>) {
        while self.timer.readable().await.is_ok() {
            let mut expirations = 0u64;
            // SAFETY: eight bytes of room, as timerfd_create(2) asks for.
            unsafe { libc::read(self.timer.fd(), (&raw mut expirations).cast(), 8) };
            self.armed_ns.set(u64::MAX);
            self.wake_due();
        }
    }

    pub(super) fn sleep(self: Rc<Alarm>, deadline_ns: u64) -> Sleep {
        Sleep { alarm: self, deadline_ns, id: None }
    }

    fn wake_due(&self) {
        let now_ns = now_ns();
        let mut next_ns = u64::MAX;
        for sleeper in self.sleepers.borrow().iter() {
            if sleeper.deadline_ns <= now_ns {
                sleeper.waker.wake_by_ref();
            } else {
                next_ns = next_ns.min(sleeper.deadline_ns);
            }
        }
        self.arm(next_ns);
    }

    fn arm(&self, deadline_ns: u64) {
        if deadline_ns >= self.armed_ns.get() {
            return;
        }
        self.armed_ns.set(deadline_ns);
        let value = libc::timespec { tv_sec: (deadline_ns / 1_000_000_000) as _, tv_nsec: (deadline_ns % 1_000_000_000) as _ };
        let setting = libc::itimerspec { it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        // SAFETY: `setting` lives through the call; the old value is not asked for.
        unsafe { libc::timerfd_settime(self.timer.fd(), libc::TFD_TIMER_ABSTIME, &setting, std::ptr::null_mut()) };
    }
}

/// Completes at its deadline.
pub(super) struct Sleep {
    alarm: Rc<Alarm>,
    deadline_ns: u64,
    id: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if now_ns() >= self.deadline_ns {
            return Poll::Ready(());
        }
        let alarm = self.alarm.clone();
        let mut sleepers = alarm.sleepers.borrow_mut();
        if let Some(sleeper) = self.id.and_then(|id| sleepers.iter_mut().find(|sleeper| sleeper.id == id)) {
            sleeper.waker.clone_from(context.waker());
        } else {
            let id = alarm.next_id.get();
            alarm.next_id.set(id + 1);
            self.id = Some(id);
            sleepers.push(Sleeper { id, deadline_ns: self.deadline_ns, waker: context.waker().clone() });
        }
        alarm.arm(self.deadline_ns);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.alarm.sleepers.borrow_mut().retain(|sleeper| sleeper.id != id);
        }
    }
}
