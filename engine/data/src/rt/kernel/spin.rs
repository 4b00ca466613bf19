//! Busy polling: for a while after bytes came, the thread asks the driver for more instead of sleeping.
//!
//! A task that is always ready keeps monoio from waiting: between two rounds of its tasks it looks for completions without a wait
//! (an enter of the ring, an `epoll_wait` of zero). Off, it costs one load of a thread's variable per read.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

use super::now_ns;

/// One per thread, as there is one runtime per thread.
struct Spin {
    /// How long after the last bytes; 0 is off.
    for_ns: Cell<u64>,
    until_ns: Cell<u64>,
    /// Of the spinning task, while it rests.
    resting: RefCell<Option<Waker>>,
}

thread_local! {
    static SPIN: Spin = const { Spin { for_ns: Cell::new(0), until_ns: Cell::new(0), resting: RefCell::new(None) } };
}

/// Bytes came on this thread.
#[inline]
pub(super) fn bytes_came() {
    SPIN.with(|spin| {
        if spin.for_ns.get() > 0 {
            spin.begin();
        }
    });
}

impl Spin {
    #[cold]
    fn begin(&self) {
        self.until_ns.set(now_ns().saturating_add(self.for_ns.get()));
        if let Some(task) = self.resting.borrow_mut().take() {
            task.wake();
        }
    }
}

/// Spins whenever bytes came less than `busy_poll_us` ago; lives as long as the runtime.
pub(super) async fn run(busy_poll_us: u32) {
    SPIN.with(|spin| spin.for_ns.set(u64::from(busy_poll_us) * 1_000));
    poll_fn(|context| {
        SPIN.with(|spin| {
            if now_ns() < spin.until_ns.get() {
                context.waker().wake_by_ref();
            } else {
                spin.resting.replace(Some(context.waker().clone()));
            }
        });
        Poll::Pending
    })
    .await
}
