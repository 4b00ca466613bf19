//! One request's place in line: told when to try, gone from the line when it is dropped.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use ringway_policy::lease::Now;
use ringway_policy::priority::Class;
use ringway_policy::queue::Ticket;
use ringway_policy::record::{Before, Ended, Waited};

use super::lobby::{OwnRoom, STORE_ASK, Seat, Shards, Told};
use crate::journal::Journal;
use crate::rt::Rt;
use crate::shard::Shard;
use crate::wheel::{GRAIN_NS, Timer};

/// Those of a shard who wait, with what wakes each.
pub(crate) type Seated = Vec<(Arc<Seat>, Option<Waker>)>;

impl<R: Rt> Shard<R> {
    /// Something may have given room back: whoever waits for it is called.
    #[inline]
    pub(crate) fn made_room(&self) {
        if !self.lobby.is_empty() {
            self.call_next();
        }
    }

    #[cold]
    pub(super) fn call_next(&self) {
        let own = OwnRoom {
            shard: self.index,
            in_flight: self.counters.in_flight.load(Ordering::Relaxed),
            in_flight_max: self.tuning.in_flight_max as u64,
        };
        let now = Now { mono_ns: self.now_ns(), unix_ms: self.rt.unix_ms() };
        let told = self.lobby.call(now, own);
        self.tell(&told);
    }

    pub(super) fn tell(&self, shards: &Shards) {
        for shard in shards {
            match *shard == self.index {
                true => self.look_around(),
                false => self.lobby.wake(*shard),
            }
        }
    }

    /// Wakes those of this shard who were told something. Another shard's call comes as a wake-up of the whole shard.
    pub fn look_around(&self) {
        let mut seated = self.seated.borrow_mut();
        let told = seated.iter_mut().filter(|(seat, _)| seat.told() != Told::Nothing);
        told.filter_map(|(_, waker)| waker.take()).for_each(Waker::wake);
    }
}

/// A place in line; dropped, it is free again, and the next one is called.
pub(crate) struct Standing<'s, R: Rt> {
    pub(super) shard: &'s Shard<R>,
    pub(super) seat: Arc<Seat>,
    pub(super) before: Before,
    pub(super) class: Class,
    pub(super) begun_ns: u64,
}

impl<'s, R: Rt> Standing<'s, R> {
    pub(super) fn new(shard: &'s Shard<R>, seat: Arc<Seat>, before: Before, class: Class) -> Standing<'s, R> {
        shard.seated.borrow_mut().push((seat.clone(), None));
        shard.counters.queued[class.index()].fetch_add(1, Ordering::Relaxed);
        Standing { shard, seat, before, class, begun_ns: shard.now_ns() }
    }

    /// Ends the wait and notes it.
    pub(crate) fn end(self, journal: &mut Journal, ended: Ended) {
        let waited_ns = self.shard.now_ns().saturating_sub(self.begun_ns);
        journal.record.trail.waits.push(Waited { before: self.before.clone(), class: self.class, waited_ns, ended });
    }

    /// Completes once it was told something, or at `until_ns`. `first_look_ns` is when it looks by itself for the first time.
    pub(super) async fn told(&self, first_look_ns: u64, until_ns: u64, amount: u64) -> Told {
        let mut look_ns = self.next_look_ns(until_ns, amount).min(first_look_ns);
        loop {
            let turn = Turn { standing: self, timer: self.shard.wheel.timer(look_ns) };
            match turn.await {
                Told::Nothing if self.shard.now_ns() >= until_ns => return Told::Nothing,
                // A rate may have refilled meanwhile; nobody but the clock tells of that.
                Told::Nothing => self.shard.call_next(),
                told => return told,
            }
            look_ns = self.next_look_ns(until_ns, amount);
        }
    }

    /// When there may be room without anybody's giving back, but not later than `until_ns`.
    fn next_look_ns(&self, until_ns: u64, amount: u64) -> u64 {
        let Before::Quota(quota) = &self.before else { return until_ns };
        let now = Now { mono_ns: self.shard.now_ns(), unix_ms: self.shard.rt.unix_ms() };
        let refill_ns = match quota.account.is_shared() {
            true => Some(STORE_ASK.as_nanos() as u64),
            false => quota.account.shortage(amount, now).retry_in_ns,
        };
        refill_ns.map_or(until_ns, |wait_ns| now.mono_ns.saturating_add(wait_ns.max(GRAIN_NS)).min(until_ns))
    }

    fn ticket(&self) -> Ticket {
        self.seat.ticket
    }
}

impl<R: Rt> Drop for Standing<'_, R> {
    fn drop(&mut self) {
        self.shard.lobby.leave(&self.seat);
        let ticket = self.ticket();
        self.shard.seated.borrow_mut().retain(|(seat, _)| seat.ticket != ticket);
        self.shard.counters.queued[self.class.index()].fetch_sub(1, Ordering::Relaxed);
        // It may have stood in the way of others, or have been called in vain.
        self.shard.made_room();
    }
}

/// See `Standing::told`.
struct Turn<'a, 's, R: Rt> {
    standing: &'a Standing<'s, R>,
    timer: Timer<R>,
}

impl<R: Rt> Future for Turn<'_, '_, R> {
    type Output = Told;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Told> {
        let told = self.standing.seat.told();
        if told != Told::Nothing {
            return Poll::Ready(told);
        }
        // Another shard's call that comes from here on wakes this shard, which then finds the waker.
        let ticket = self.standing.ticket();
        let mut seated = self.standing.shard.seated.borrow_mut();
        if let Some((_, waker)) = seated.iter_mut().find(|(seat, _)| seat.ticket == ticket) {
            match waker {
                Some(waker) if waker.will_wake(context.waker()) => {}
                waker => *waker = Some(context.waker().clone()),
            }
        }
        drop(seated);
        Pin::new(&mut self.timer).poll(context).map(|()| Told::Nothing)
    }
}
