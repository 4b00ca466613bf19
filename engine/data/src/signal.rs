//! A one-time signal to the tasks of one shard: raised once, never lowered, no lock, no allocation once warm.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// The signal. Waiting costs a slot in a list.
#[derive(Default)]
pub struct Signal {
    raised: Cell<bool>,
    waiters: RefCell<Waiters>,
}

#[derive(Default)]
struct Waiters {
    slots: Vec<Option<Waker>>,
    free: Vec<u32>,
}

impl Signal {
    pub fn is_raised(&self) -> bool {
        self.raised.get()
    }

    /// Wakes everyone who waits; whoever comes later does not wait.
    pub fn raise(&self) {
        self.raised.set(true);
        for waker in self.waiters.borrow_mut().slots.iter_mut().filter_map(Option::take) {
            waker.wake();
        }
    }

    /// Frees the room of those who wait no more, as far as nobody who waits stands behind it.
    pub fn shrink(&self) {
        // A raised signal has taken the wakers out of slots that are still held.
        if self.raised.get() {
            return;
        }
        let waiters = &mut *self.waiters.borrow_mut();
        let kept = waiters.slots.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        waiters.slots.truncate(kept);
        waiters.slots.shrink_to_fit();
        waiters.free = (0..kept as u32).filter(|slot| waiters.slots[*slot as usize].is_none()).collect();
    }

    /// Completes once the signal is raised.
    pub fn wait(&self) -> Wait<'_> {
        Wait { signal: self, slot: None }
    }
}

/// See `Signal::wait`.
pub struct Wait<'a> {
    signal: &'a Signal,
    slot: Option<u32>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.signal.raised.get() {
            return Poll::Ready(());
        }
        let waiters = &mut *self.signal.waiters.borrow_mut();
        let slot = *self.slot.get_or_insert_with(|| {
            waiters.free.pop().unwrap_or_else(|| {
                waiters.slots.push(None);
                waiters.slots.len() as u32 - 1
            })
        });
        match &mut waiters.slots[slot as usize] {
            Some(waker) if waker.will_wake(context.waker()) => {}
            waker => *waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            let waiters = &mut *self.signal.waiters.borrow_mut();
            waiters.slots[slot as usize] = None;
            waiters.free.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[test]
    fn a_signal_that_shrank_still_wakes_all_who_wait() {
        let signal = Signal::default();
        let context = &mut Context::from_waker(Waker::noop());
        let mut waits: Vec<_> = (0..100).map(|_| Box::pin(signal.wait())).collect();
        waits.iter_mut().for_each(|wait| assert!(wait.as_mut().poll(context).is_pending()));
        waits.truncate(40);
        waits.drain(1..39);
        signal.shrink();
        assert_eq!((signal.waiters.borrow().slots.len(), signal.waiters.borrow().free.len()), (40, 38));
        let mut late = pin!(signal.wait());
        assert!(late.as_mut().poll(context).is_pending());
        assert_eq!(signal.waiters.borrow().slots.len(), 40, "a freed slot is used again");
        signal.raise();
        signal.shrink();
        assert!(waits.iter_mut().all(|wait| wait.as_mut().poll(context).is_ready()));
        assert!(late.as_mut().poll(context).is_ready());
    }
}
