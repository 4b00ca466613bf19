//! The timer wheel of a shard: deadlines of connections and exchanges at 10 ms grain.
//!
//! Arming and disarming are a list link in a slab: no system call, no allocation once warm. One tick task sleeps until
//! the nearest occupied slot, so an idle shard sleeps as long as its nearest deadline allows; far deadlines sit in coarser
//! slots and move down when their time is near. A deadline never fires early, and at most one grain late.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::rt::Rt;

/// Nanoseconds of one tick.
pub const GRAIN_NS: u64 = 10_000_000;
const LEVELS: usize = 3;
const SLOTS: u64 = 64;
/// Ticks that the wheel spans; what is farther sits in the last slot and is linked anew there (about 43 minutes).
const SPAN: u64 = SLOTS * SLOTS * SLOTS;
const NONE: u32 = u32::MAX;

/// The timers of one shard. Cheap to clone.
pub struct Wheel<R: Rt> {
    core: Rc<Core<R>>,
}

struct Core<R: Rt> {
    rt: R,
    state: RefCell<State>,
}

struct State {
    entries: Vec<Entry>,
    free: u32,
    slots: [[u32; SLOTS as usize]; LEVELS],
    occupied: [u64; LEVELS],
    /// The last tick that was worked on.
    tick: u64,
    /// The tick at which the task wakes by itself; `u64::MAX` where it sleeps without end.
    wakes_at: u64,
    sleeper: Option<Waker>,
}

struct Entry {
    deadline_tick: u64,
    next: u32,
    previous: u32,
    place: Place,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Free,
    Slot { level: u8, slot: u8 },
    Fired,
}

/// The deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired;

/// Runs `future` until `deadline_ns` of the shard's clock. A future that is ready at once never touches the wheel.
///
/// # Errors
/// `Expired`; the future is dropped then.
pub fn within<R: Rt, F: Future>(wheel: &Wheel<R>, deadline_ns: u64, future: F) -> Within<R, F> {
    Within { timer: wheel.timer(deadline_ns), future }
}

pin_project! {
    /// See `within`. A type of its own, because an async function would hold the future twice.
    pub struct Within<R: Rt, F> {
        timer: Timer<R>,
        #[pin]
        future: F,
    }
}

impl<R: Rt, F: Future> Future for Within<R, F> {
    type Output = Result<F::Output, Expired>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.future.poll(context) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => Pin::new(this.timer).poll(context).map(|()| Err(Expired)),
        }
    }
}

/// As `within`, with a timer that is used again: while it is armed, a later deadline costs one store.
pub(crate) fn until<R: Rt, F: Future>(timer: &mut Timer<R>, deadline_ns: u64, future: F) -> Until<'_, R, F> {
    timer.reset(deadline_ns);
    Until { timer, future }
}

pin_project! {
    /// See `until`.
    pub(crate) struct Until<'a, R: Rt, F> {
        timer: &'a mut Timer<R>,
        #[pin]
        future: F,
    }
}

impl<R: Rt, F: Future> Future for Until<'_, R, F> {
    type Output = Result<F::Output, Expired>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.future.poll(context) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => Pin::new(&mut **this.timer).poll(context).map(|()| Err(Expired)),
        }
    }
}

impl<R: Rt> Clone for Wheel<R> {
    fn clone(&self) -> Self {
        Wheel { core: self.core.clone() }
    }
}

impl<R: Rt> Wheel<R> {
    /// Makes the wheel and spawns its tick task.
    pub fn new(rt: R) -> Wheel<R> {
        let state = State {
            entries: Vec::new(),
            free: NONE,
            slots: [[NONE; SLOTS as usize]; LEVELS],
            occupied: [0; LEVELS],
            tick: rt.now_ns() / GRAIN_NS,
            wakes_at: 0,
            sleeper: None,
        };
        let core = Rc::new(Core { rt: rt.clone(), state: RefCell::new(state) });
        rt.spawn(tick(Rc::downgrade(&core), rt.clone()));
        Wheel { core }
    }

    /// A future that completes at `deadline_ns`. Armed by its first poll, disarmed by its drop.
    pub fn timer(&self, deadline_ns: u64) -> Timer<R> {
        Timer { core: self.core.clone(), deadline_tick: ceil(deadline_ns), entry: NONE }
    }

    /// Nanoseconds of the shard's clock, `duration` from now.
    pub fn after(&self, duration: Duration) -> u64 {
        self.core.rt.now_ns().saturating_add(duration.as_nanos().min(u128::from(u64::MAX)) as u64)
    }

    /// Frees the room of timers that are no more, as far as none that is armed lies behind it.
    pub(crate) fn shrink(&self) {
        self.core.state.borrow_mut().shrink();
    }

    /// Completes after `duration`.
    pub async fn sleep(&self, duration: Duration) {
        self.timer(self.after(duration)).await;
    }
}

impl<R: Rt> Drop for Core<R> {
    fn drop(&mut self) {
        // The tick task finds the wheel gone and ends.
        if let Some(sleeper) = self.state.borrow_mut().sleeper.take() {
            sleeper.wake();
        }
    }
}

async fn tick<R: Rt>(core: std::rc::Weak<Core<R>>, rt: R) {
    loop {
        let sleep_ns = {
            let Some(core) = core.upgrade() else { return };
            let mut state = core.state.borrow_mut();
            state.advance(rt.now_ns() / GRAIN_NS);
            state.wakes_at = state.next_tick();
            (state.wakes_at != u64::MAX).then(|| (state.wakes_at * GRAIN_NS).saturating_sub(rt.now_ns()))
        };
        // Without a deadline an hour's sleep stands for sleep without end.
        let mut sleep = pin!(rt.sleep(sleep_ns.map_or(Duration::from_secs(3600), Duration::from_nanos)));
        poll_fn(|context| {
            if sleep.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            let Some(core) = core.upgrade() else { return Poll::Ready(()) };
            let mut state = core.state.borrow_mut();
            // `arm` sets this to zero when it wants an earlier wake-up.
            if state.wakes_at == 0 {
                return Poll::Ready(());
            }
            state.sleeper = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// A deadline. Completes once; `reset` makes it good again.
pub struct Timer<R: Rt> {
    core: Rc<Core<R>>,
    deadline_tick: u64,
    entry: u32,
}

impl<R: Rt> Timer<R> {
    /// Moves the deadline. Moving an armed timer to a later time costs one store.
    pub fn reset(&mut self, deadline_ns: u64) {
        self.deadline_tick = ceil(deadline_ns);
        if self.entry == NONE {
            return;
        }
        let mut state = self.core.state.borrow_mut();
        let entry = &mut state.entries[self.entry as usize];
        let later = self.deadline_tick >= entry.deadline_tick;
        entry.deadline_tick = self.deadline_tick;
        // An armed entry that is found early in its slot is linked anew there.
        if !later || entry.place == Place::Fired {
            state.unlink(self.entry);
            state.link(self.entry);
        }
    }
}

impl<R: Rt> Future for Timer<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.core.state.borrow_mut();
        if this.entry == NONE {
            this.entry = state.insert(this.deadline_tick, context.waker().clone());
            return Poll::Pending;
        }
        let entry = &mut state.entries[this.entry as usize];
        if entry.place == Place::Fired {
            state.remove(this.entry);
            this.entry = NONE;
            return Poll::Ready(());
        }
        match &mut entry.waker {
            Some(waker) if waker.will_wake(context.waker()) => {}
            waker => *waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl<R: Rt> Drop for Timer<R> {
    fn drop(&mut self) {
        if self.entry != NONE {
            self.core.state.borrow_mut().remove(self.entry);
        }
    }
}

impl State {
    fn insert(&mut self, deadline_tick: u64, waker: Waker) -> u32 {
        let entry = Entry { deadline_tick, next: NONE, previous: NONE, place: Place::Free, waker: Some(waker) };
        let index = if self.free == NONE {
            self.entries.push(entry);
            self.entries.len() as u32 - 1
        } else {
            let index = self.free;
            self.free = self.entries[index as usize].next;
            self.entries[index as usize] = entry;
            index
        };
        self.link(index);
        index
    }

    fn remove(&mut self, index: u32) {
        self.unlink(index);
        let entry = &mut self.entries[index as usize];
        entry.place = Place::Free;
        entry.waker = None;
        entry.next = self.free;
        self.free = index;
    }

    fn shrink(&mut self) {
        let kept = self.entries.iter().rposition(|entry| entry.place != Place::Free).map_or(0, |last| last + 1);
        self.entries.truncate(kept);
        self.entries.shrink_to_fit();
        self.free = NONE;
        for (index, entry) in self.entries.iter_mut().enumerate().rev() {
            if entry.place == Place::Free {
                entry.next = std::mem::replace(&mut self.free, index as u32);
            }
        }
    }

    /// Puts an entry into the slot of its deadline, and asks for an earlier wake-up where that needs one.
    fn link(&mut self, index: u32) {
        let deadline = self.entries[index as usize].deadline_tick.clamp(self.tick + 1, self.tick + SPAN - 1);
        let ahead = deadline - self.tick;
        let (level, shift) = if ahead < SLOTS {
            (0, 0)
        } else if ahead < SLOTS * SLOTS {
            (1, 6)
        } else {
            (2, 12)
        };
        let slot = ((deadline >> shift) % SLOTS) as usize;
        let head = std::mem::replace(&mut self.slots[level][slot], index);
        self.occupied[level] |= 1 << slot;
        let entry = &mut self.entries[index as usize];
        entry.next = head;
        entry.previous = NONE;
        entry.place = Place::Slot { level: level as u8, slot: slot as u8 };
        if head != NONE {
            self.entries[head as usize].previous = index;
        }
        let wake_at = (deadline >> shift) << shift;
        if wake_at < self.wakes_at {
            self.wakes_at = 0;
            if let Some(sleeper) = self.sleeper.take() {
                sleeper.wake();
            }
        }
    }

    fn unlink(&mut self, index: u32) {
        let (next, previous, place) = {
            let entry = &self.entries[index as usize];
            (entry.next, entry.previous, entry.place)
        };
        let Place::Slot { level, slot } = place else { return };
        if next != NONE {
            self.entries[next as usize].previous = previous;
        }
        if previous != NONE {
            self.entries[previous as usize].next = next;
        } else {
            self.slots[level as usize][slot as usize] = next;
            if next == NONE {
                self.occupied[level as usize] &= !(1 << slot);
            }
        }
    }

    fn take_slot(&mut self, level: usize, slot: usize) -> u32 {
        self.occupied[level] &= !(1 << slot);
        std::mem::replace(&mut self.slots[level][slot], NONE)
    }

    /// Works on every tick up to `now`.
    fn advance(&mut self, now: u64) {
        // `link` must not ask for wake-ups while we move entries about; the caller computes the next one.
        self.wakes_at = 0;
        while self.tick < now {
            self.tick = match self.next_tick() {
                next if next > now => now,
                next => next,
            };
            for level in (1..LEVELS).rev() {
                let shift = 6 * level;
                if self.tick.trailing_zeros() as usize >= shift {
                    let head = self.take_slot(level, ((self.tick >> shift) % SLOTS) as usize);
                    self.relink(head);
                }
            }
            let head = self.take_slot(0, (self.tick % SLOTS) as usize);
            self.relink(head);
        }
    }

    /// Fires what is due in a list taken out of its slot, links the rest anew.
    fn relink(&mut self, mut index: u32) {
        while index != NONE {
            let entry = &mut self.entries[index as usize];
            let next = entry.next;
            if entry.deadline_tick <= self.tick {
                entry.place = Place::Fired;
                if let Some(waker) = entry.waker.take() {
                    waker.wake();
                }
            } else {
                self.link(index);
            }
            index = next;
        }
    }

    /// The first tick after this one at which a slot must be looked at; `u64::MAX` where none is occupied.
    fn next_tick(&self) -> u64 {
        let mut next = u64::MAX;
        for (level, &occupied) in self.occupied.iter().enumerate() {
            if occupied != 0 {
                let current = self.tick >> (6 * level);
                let first = (current + 1) % SLOTS;
                let ahead = u64::from(occupied.rotate_right(first as u32).trailing_zeros()) + 1;
                next = next.min((current + ahead) << (6 * level));
            }
        }
        next
    }
}

fn ceil(deadline_ns: u64) -> u64 {
    deadline_ns.div_ceil(GRAIN_NS)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::rt::sim;

    const MS: u64 = 1_000_000;

    #[test]
    fn every_timer_fires_on_time_never_early_whatever_its_distance() {
        for seed in 0..32 {
            sim::run(seed, |rt| async move {
                let wheel = Wheel::new(rt.clone());
                let left = Rc::new(Cell::new(0));
                for _ in 0..300 {
                    let scale = [100, 10_000, 1_000_000, 10_000_000][(rt.random() % 4) as usize];
                    let deadline_ns = rt.now_ns() + rt.random() % (scale * MS);
                    let (timer, clock, counter) = (wheel.timer(deadline_ns), rt.clone(), left.clone());
                    left.set(left.get() + 1);
                    rt.spawn(async move {
                        timer.await;
                        let now_ns = clock.now_ns();
                        assert!(now_ns >= deadline_ns, "early by {}", deadline_ns - now_ns);
                        assert!(now_ns - deadline_ns < 2 * GRAIN_NS, "late by {}", now_ns - deadline_ns);
                        counter.set(counter.get() - 1);
                    });
                    rt.sleep(Duration::from_millis(7)).await;
                }
                wheel.sleep(Duration::from_secs(10_001)).await;
                assert_eq!(left.get(), 0);
            });
        }
    }

    #[test]
    fn a_reset_timer_fires_at_its_last_deadline() {
        sim::run(1, |rt| async move {
            let wheel = Wheel::new(rt.clone());
            for (first, second) in [(50, 5_000), (5_000, 50), (700, 100_000), (100_000, 700)] {
                let start_ns = rt.now_ns();
                let mut timer = wheel.timer(start_ns + first * MS);
                poll_fn(|context| {
                    assert!(Pin::new(&mut timer).poll(context).is_pending());
                    Poll::Ready(())
                })
                .await;
                timer.reset(start_ns + second * MS);
                timer.await;
                let took_ns = rt.now_ns() - start_ns;
                assert!((second * MS..=second * MS + 2 * GRAIN_NS).contains(&took_ns), "{took_ns}");
            }
        });
    }

    #[test]
    fn arming_and_dropping_a_thousand_requests_deadlines_leaves_the_wheel_asleep() {
        sim::run(1, |rt| async move {
            let wheel = Wheel::new(rt.clone());
            for _ in 0..1000 {
                let expired = within(&wheel, wheel.after(Duration::from_secs(10)), rt.sleep(Duration::from_millis(1))).await;
                assert!(expired.is_ok());
            }
            assert!(wheel.core.state.borrow().entries.len() <= 1, "entries are used again");
        });
    }

    #[test]
    fn a_wheel_that_shrank_still_knows_its_timers() {
        sim::run(1, |rt| async move {
            let wheel = Wheel::new(rt.clone());
            let start_ns = rt.now_ns();
            let mut timers: Vec<_> = (0..100).map(|index| Box::pin(wheel.timer(start_ns + (index + 1) * 100 * MS))).collect();
            let arm = |timers: &mut Vec<Pin<Box<Timer<sim::Sim>>>>, context: &mut Context<'_>| {
                timers.iter_mut().for_each(|timer| assert!(timer.as_mut().poll(context).is_pending()));
                Poll::Ready(())
            };
            poll_fn(|context| arm(&mut timers, context)).await;
            timers.retain({
                let mut index = 0;
                move |_| {
                    index += 1;
                    [3, 40].contains(&index)
                }
            });
            wheel.shrink();
            assert!(wheel.core.state.borrow().entries.len() <= 41, "what lies behind the last timer is gone");
            for _ in 0..60 {
                timers.push(Box::pin(wheel.timer(start_ns + 5_000 * MS)));
            }
            poll_fn(|context| arm(&mut timers, context)).await;
            assert!(wheel.core.state.borrow().entries.len() <= 63, "freed entries are used again");
            for (timer, due_ms) in timers.into_iter().zip([300, 4000].into_iter().chain([5000; 60])) {
                timer.await;
                assert!(rt.now_ns() - start_ns >= due_ms * MS && rt.now_ns() - start_ns <= (due_ms + 20) * MS);
            }
        });
    }

    #[test]
    fn a_timer_that_is_used_again_gives_up_at_its_last_deadline() {
        sim::run(1, |rt| async move {
            let wheel = Wheel::new(rt.clone());
            let mut timer = wheel.timer(0);
            for _ in 0..20 {
                let deadline_ns = rt.now_ns() + 100 * MS;
                assert_eq!(until(&mut timer, deadline_ns, rt.sleep(Duration::from_millis(70))).await, Ok(()));
            }
            let start_ns = rt.now_ns();
            assert_eq!(until(&mut timer, start_ns + 250 * MS, std::future::pending::<()>()).await, Err(Expired));
            assert!((250 * MS..=270 * MS).contains(&(rt.now_ns() - start_ns)));
            assert_eq!(until(&mut timer, rt.now_ns() + 100 * MS, rt.sleep(Duration::from_millis(70))).await, Ok(()));
        });
    }

    #[test]
    fn within_gives_up_at_the_deadline() {
        sim::run(1, |rt| async move {
            let wheel = Wheel::new(rt.clone());
            let start_ns = rt.now_ns();
            let result = within(&wheel, start_ns + 250 * MS, std::future::pending::<()>()).await;
            assert_eq!(result, Err(Expired));
            assert!(rt.now_ns() - start_ns <= 270 * MS);
        });
    }
}
