//! What an exchange does where there is not room for all: it stands in line, tries when it is called, and gives up in time.

use std::sync::Arc;

use ringway_adapters::fault::Fault;
use ringway_policy::key::Principal;
use ringway_policy::lease::Now;
use ringway_policy::priority::{self, Class};
use ringway_policy::queue::{Bounds, Entry};
use ringway_policy::quota::Quota;
use ringway_policy::record::{Before, Ended, Waited};

use super::lobby::{Place, Told};
use super::standing::Standing;
use crate::journal::Journal;
use crate::race::{Gone, unless_gone};
use crate::request::Request;
use crate::rt::Rt;
use crate::shard::Shard;
use crate::wheel::GRAIN_NS;

/// Who waits, and under which bounds.
#[derive(Clone)]
pub(crate) struct Who {
    pub(crate) class: Class,
    /// The virtual key's name.
    pub(crate) key: Arc<str>,
    pub(crate) bounds: Bounds,
    /// Of the exchange, in nanoseconds of the shard's clock.
    pub(crate) total_ns: u64,
}

/// Why a wait is over without room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// The client left, or the process ends.
    Gone,
    /// Tell the client the fault that it waited for.
    Over,
}

/// One exchange's waits, one after the other.
struct Line<'s, R: Rt> {
    shard: &'s Shard<R>,
    who: Who,
    standing: Option<Standing<'s, R>>,
}

impl<'s, R: Rt> Line<'s, R> {
    fn new(shard: &'s Shard<R>, who: Who) -> Line<'s, R> {
        Line { shard, who, standing: None }
    }

    /// Stands in line, or goes back to the head of it after a call that found no room, until it is time to try (again).
    async fn stand(&mut self, gone: &mut dyn Gone, journal: &mut Journal, before: Before, amount: u64) -> Result<(), Refused> {
        let (shard, now_ns) = (self.shard, self.shard.now_ns());
        let waited_ns: u64 = journal.record.trail.waits.iter().map(|wait| wait.waited_ns).sum();
        let begun_ns = self.standing.as_ref().map_or(now_ns, |standing| standing.begun_ns);
        let until_ns = begun_ns.saturating_add(self.who.bounds.wait_ns().saturating_sub(waited_ns)).min(self.who.total_ns);
        let place = place(&before, shard.index);
        if now_ns >= until_ns || !self.may_come(&before, amount, until_ns) {
            return Err(self.give_up(journal, before, Ended::TimedOut));
        }
        let mut first_look_ns = until_ns;
        match &self.standing {
            Some(standing) if standing.seat.place == place => {
                shard.lobby.give_back(&standing.seat, amount);
                // Room that was made between the try and now has called nobody. Looked for a little later: a limit that looks as if it
                // had room and has none must not be tried in a circle.
                first_look_ns = now_ns + GRAIN_NS;
            }
            _ => {
                self.end(journal, Ended::Admitted);
                let Some(standing) = self.enter(place, &before, amount, now_ns) else {
                    return Err(self.give_up(journal, before, Ended::Full));
                };
                self.standing = Some(standing);
                shard.call_next();
            }
        }
        let Some(standing) = &self.standing else { return Err(Refused::Over) };
        journal.waits(now_ns);
        let told = unless_gone(gone, standing.told(first_look_ns, until_ns, amount)).await;
        journal.works(shard.now_ns());
        match told {
            Some(Told::Called) => Ok(()),
            None => {
                self.end(journal, Ended::Left);
                Err(Refused::Gone)
            }
            Some(Told::Displaced) => Err(self.give_up(journal, before, Ended::Displaced)),
            Some(Told::Nothing) => Err(self.give_up(journal, before, Ended::TimedOut)),
        }
    }

    fn enter(&self, place: Place, before: &Before, amount: u64, now_ns: u64) -> Option<Standing<'s, R>> {
        let quota = match before {
            Before::Quota(quota) => Some(quota),
            Before::InFlight => None,
        };
        let Who { class, key, bounds, .. } = &self.who;
        let entry = |ticket| Entry { ticket, class: *class, key: key.clone(), amount, since_ns: now_ns };
        let (seat, displaced) = self.shard.lobby.enter(place, self.shard.index, quota, bounds, entry)?;
        self.shard.tell(&displaced);
        Some(Standing::new(self.shard, seat, before.clone(), *class))
    }

    /// Whether there can be room before `until_ns`: a rate says when.
    fn may_come(&self, before: &Before, amount: u64, until_ns: u64) -> bool {
        let Before::Quota(quota) = before else { return true };
        let now = Now { mono_ns: self.shard.now_ns(), unix_ms: self.shard.rt.unix_ms() };
        let retry_in_ns = quota.account.shortage(amount, now).retry_in_ns;
        retry_in_ns.is_none_or(|wait_ns| now.mono_ns.saturating_add(wait_ns) <= until_ns)
    }

    /// Ends the wait, if there was one.
    fn end(&mut self, journal: &mut Journal, ended: Ended) {
        if let Some(standing) = self.standing.take() {
            standing.end(journal, ended);
        }
    }

    fn give_up(&mut self, journal: &mut Journal, before: Before, ended: Ended) -> Refused {
        match self.standing.take() {
            Some(standing) => standing.end(journal, ended),
            None => journal.record.trail.waits.push(Waited { before, class: self.who.class, waited_ns: 0, ended }),
        }
        Refused::Over
    }
}

impl Who {
    /// A request of `principal`. The class of a `route` counts where the key has none; the request's own wish lowers it.
    pub(crate) fn new(principal: &Principal, route: Option<Class>, request: &Request<'_>, bounds: Bounds, total_ns: u64) -> Who {
        let class = principal.access.priority.or(route).unwrap_or_default();
        let class = class.lowered(priority::wish(request.field(priority::HEADER)));
        Who { class, key: principal.key.clone(), bounds, total_ns }
    }
}

impl<R: Rt> Shard<R> {
    /// The first of these limits that others wait for: who comes now stands in line behind them.
    pub(crate) fn waited_for<'q>(&self, mut quotas: impl Iterator<Item = &'q Arc<Quota>>) -> Option<&'q Arc<Quota>> {
        if self.lobby.is_empty() {
            return None;
        }
        quotas.find(|quota| quota.is_common() && self.lobby.is_waited_for(Place::Quota(quota.account_id)))
    }
}

/// Why there is no room.
pub(crate) enum NoRoom {
    Gone,
    Fault(Fault),
}

/// Tries `again` each time that it is called, until there is room, or no hope of it. `tight` is the limit that refused with `fault`,
/// and what is wanted of it.
pub(crate) async fn until_room<R: Rt, T>(
    shard: &Shard<R>,
    gone: &mut dyn Gone,
    journal: &mut Journal,
    who: Who,
    (mut fault, mut tight): (Fault, (Arc<Quota>, u64)),
    mut again: impl FnMut(&mut Journal) -> Result<T, Fault>,
) -> Result<T, NoRoom> {
    let mut line = Line::new(shard, who);
    loop {
        match line.stand(gone, journal, Before::Quota(tight.0.clone()), tight.1).await {
            Ok(()) => {}
            Err(Refused::Gone) => return Err(NoRoom::Gone),
            Err(Refused::Over) => return Err(NoRoom::Fault(told(fault, journal))),
        }
        let mut tried = again(journal);
        while tried.is_err() && shard.asked(&journal.bill).await {
            tried = again(journal);
        }
        fault = match tried {
            Ok(room) => {
                line.end(journal, Ended::Admitted);
                return Ok(room);
            }
            Err(fault) => fault,
        };
        match journal.bill.tight() {
            Some((quota, amount)) => tight = (quota.clone(), amount),
            None => {
                line.end(journal, Ended::TimedOut);
                return Err(NoRoom::Fault(fault));
            }
        }
    }
}

/// Waits for room under the shard's own bound of requests under way. `fault` is told where there is none.
pub(crate) async fn until_uncrowded<R: Rt>(
    shard: &Shard<R>,
    gone: &mut dyn Gone,
    journal: &mut Journal,
    who: Who,
    fault: Fault,
) -> Result<(), NoRoom> {
    let mut line = Line::new(shard, who);
    match line.stand(gone, journal, Before::InFlight, 1).await {
        // Whoever comes meanwhile finds the shard as crowded as before, and stands in line, too.
        Ok(()) => line.end(journal, Ended::Admitted),
        Err(Refused::Gone) => return Err(NoRoom::Gone),
        Err(Refused::Over) => return Err(NoRoom::Fault(told(fault, journal))),
    }
    Ok(())
}

/// The fault of a request that waited, with how long.
fn told(mut fault: Fault, journal: &Journal) -> Fault {
    if let Some(wait) = journal.record.trail.waits.last() {
        let text = match wait.ended {
            Ended::Full => "; as many wait already as may".to_owned(),
            Ended::Displaced => "; its place in the queue went to another one".to_owned(),
            _ if wait.waited_ns == 0 => return fault,
            _ => format!("; it waited {} ms for room", wait.waited_ns / 1_000_000),
        };
        fault.message = format!("{}{text}", fault.message).into();
    }
    fault
}

fn place(before: &Before, shard: u16) -> Place {
    match before {
        Before::InFlight => Place::InFlight(shard),
        Before::Quota(quota) => Place::Quota(quota.account_id),
    }
}
