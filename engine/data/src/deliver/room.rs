//! Room for an attempt whose limits are used up: at another credential, at the store, or in line.
//!
//! Where the plan has another target for it, that one is taken instead: who can be served elsewhere does not wait.

use std::sync::Arc;

use ringway_adapters::fault::{Fault, Kind};
use ringway_policy::health::Watch;
use ringway_policy::plan::{Step, Trigger};
use ringway_policy::quota::Quota;
use ringway_policy::snapshot::{Credential, Upstream};

use super::Delivery;
use crate::downstream::Downstream;
use crate::journal::Journal;
use crate::queue::{self, NoRoom, Who};
use crate::relay::Delivered;
use crate::rt::Rt;
use crate::shard::Shard;

impl Delivery<'_> {
    /// The first limit of an attempt that others wait for already.
    pub(super) fn waited_for<'q, R: Rt>(
        &'q self,
        shard: &Shard<R>,
        upstream: &'q Upstream,
        step: &'q Step,
        credential: Option<&'q Credential>,
    ) -> Option<&'q Arc<Quota>> {
        if shard.lobby.is_empty() || self.snapshot.queue.is_none() {
            return None;
        }
        let of_credential = credential.map_or(&[][..], |credential| &credential.quotas);
        let of_model = self.snapshot.quotas.of_model(&upstream.name, &step.model);
        shard.waited_for(upstream.quotas.iter().chain(of_credential).chain(of_model))
    }

    /// Reserves what was refused with `fault`, now or when there is room; gives the credential that it is for.
    pub(super) async fn room<'c, R: Rt>(
        &self,
        down: &mut Downstream<'_, R>,
        journal: &mut Journal,
        upstream: &'c Upstream,
        step: &Step,
        credential: Option<&'c Credential>,
        mut fault: Fault,
    ) -> Result<Option<&'c Credential>, Delivered> {
        let shard = down.shard;
        let mut tight = journal.tight();
        if journal.bill.is_asking() {
            let again = |journal: &mut Journal| self.try_one(shard, journal, step, credential);
            while shard.asked(&journal.bill).await {
                match again(journal) {
                    Ok(credential) => return Ok(credential),
                    Err(refused) => (fault, tight) = (refused, journal.tight()),
                }
            }
        }
        let own = self.principal.credential(step.provider).is_some();
        let is_behind = tight.as_ref().is_some_and(|(quota, _)| quota.kind == "credential");
        if !own
            && (is_behind || journal.bill.is_credential_tight())
            && let Some(credential) = self.try_others(shard, journal, upstream, step, credential)
        {
            return Ok(Some(credential));
        }
        let again = |journal: &mut Journal| {
            let tried = self.try_one(shard, journal, step, credential);
            if own || tried.is_ok() || !journal.bill.is_credential_tight() {
                return tried;
            }
            match self.try_others(shard, journal, upstream, step, credential) {
                Some(credential) => Ok(Some(credential)),
                // What is waited for stays the limit of the one that was drawn.
                None => self.try_one(shard, journal, step, credential),
            }
        };
        let (Some(bounds), Some(tight), Kind::RateLimited) = (self.snapshot.queue, tight, fault.kind) else {
            return Err(Delivered::Failed(fault));
        };
        if self.goes_elsewhere(step) {
            return Err(Delivered::Failed(fault));
        }
        let who = Who::new(self.principal, self.plan.rules.priority, self.request, bounds, self.total_ns);
        // Nobody is asked while it waits: that says nothing of how fast the target is, or how busy.
        let is_watched = journal.watch.take().is_some();
        match queue::until_room(shard, down.gone, journal, who, (fault, tight), again).await {
            Ok(credential) => {
                journal.watch = is_watched.then(|| Watch::begin(&step.target, self.asked.mode, shard.rt.now_ns()));
                Ok(credential)
            }
            Err(NoRoom::Gone) => Err(Delivered::Gone),
            Err(NoRoom::Fault(fault)) => Err(Delivered::Failed(fault)),
        }
    }

    fn goes_elsewhere(&self, step: &Step) -> bool {
        let index = self.plan.steps.iter().position(|other| std::ptr::eq(other, step));
        index.is_some_and(|index| self.plan.next_for(index, Trigger::RateLimit, self.plan.rules.on).is_some())
    }

    fn try_one<'c, R: Rt>(
        &self,
        shard: &Shard<R>,
        journal: &mut Journal,
        step: &Step,
        credential: Option<&'c Credential>,
    ) -> Result<Option<&'c Credential>, Fault> {
        journal.bill.forget_refused();
        let at = journal.at(shard.rt.now_ns());
        journal.bill.attempt(self.snapshot, &self.plan.rules, step, credential, at).map(|()| credential)
    }

    /// Another credential that does not rest and has room.
    fn try_others<'c, R: Rt>(
        &self,
        shard: &Shard<R>,
        journal: &mut Journal,
        upstream: &'c Upstream,
        step: &Step,
        refused: Option<&'c Credential>,
    ) -> Option<&'c Credential> {
        let now_ns = shard.rt.now_ns();
        let others = upstream.credentials.iter().filter(|other| !refused.is_some_and(|refused| std::ptr::eq(*other, refused)));
        let mut rested = others.filter(|other| other.weight > 0 && other.bench(now_ns).is_none());
        rested.find(|other| {
            let is_waited_for = self.snapshot.queue.is_some() && shard.waited_for(other.quotas.iter()).is_some();
            !is_waited_for && self.try_one(shard, journal, step, Some(other)).is_ok()
        })
    }
}
