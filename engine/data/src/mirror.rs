//! Mirroring: a copy of a request goes to a shadow target beside the exchange; its answer is dropped and leaves a record of its own.
//!
//! The exchange pays for the copy (head and body, two allocations) and never waits for it. Copies under way, their bodies and their
//! answers have bounds; a copy beyond them is not made.

use std::rc::Rc;

use ringway_adapters::dialect::Seen;
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::frame::Framing;
use ringway_policy::plan::Step;
use ringway_policy::snapshot::Upstream;
use ringway_policy::snapshot::credential::Credential;

use crate::attempt::{self, Deadlines, Outbound, Teller, TryEnd};
use crate::incoming::{Incoming, ReadEnd, Room};
use crate::journal::Journal;
use crate::race::{Gone, Nobody, Watch};
use crate::rt::Rt;
use crate::shard::Shard;

/// Copies under way per shard.
const MIRRORS_MAX: usize = 64;
/// A larger body is not copied.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// After so many bytes of its answer a copy is given up.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// What is held of a whole answer, for its usage.
const HELD_BYTES_MAX: usize = 1024 * 1024;

/// The right to send one copy.
pub(crate) struct Mirror<R: Rt> {
    shard: Rc<Shard<R>>,
}

/// A request, ready to be sent.
pub(crate) struct Copy {
    pub(crate) journal: Journal,
    pub(crate) upstream: Upstream,
    pub(crate) step: Step,
    pub(crate) credential: Option<Credential>,
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) deadlines: Deadlines,
    pub(crate) idle_ns: u64,
}

/// `None` where there is no room for one more, or no time: the process goes down.
pub(crate) fn begin<R: Rt>(shard: &Shard<R>, body_bytes: usize) -> Option<Mirror<R>> {
    if shard.mirrors.get() >= MIRRORS_MAX || body_bytes > BODY_BYTES_MAX || shard.draining() {
        return None;
    }
    let shard = shard.shared()?;
    shard.mirrors.set(shard.mirrors.get() + 1);
    Some(Mirror { shard })
}

impl<R: Rt> Drop for Mirror<R> {
    fn drop(&mut self) {
        self.shard.mirrors.set(self.shard.mirrors.get() - 1);
    }
}

impl<R: Rt> Mirror<R> {
    /// Sends the copy in a task of its own.
    pub(crate) fn send(self, copy: Copy) {
        let shard = self.shard.clone();
        shard.spawn(async move { self.run(copy).await });
    }

    async fn run(self, mut copy: Copy) {
        let shard = &*self.shard;
        copy.journal.attempt(&copy.upstream, &copy.step);
        let fault = match self.exchange(&mut copy).await {
            Ok(seen) => {
                copy.credential.iter().for_each(|credential| credential.heal(shard.rt.now_ns()));
                copy.journal.usage(&seen);
                copy.journal.input(&copy.body);
                seen.fault
            }
            Err(TryEnd::Fault(fault)) => Some(fault),
            Err(TryEnd::Gone) => Some(Fault::new(Kind::Draining, "the gateway is going down")),
        };
        let now_ns = shard.rt.now_ns();
        if let (Some(fault), Some(credential)) = (&fault, &copy.credential) {
            credential.tell_of(copy.journal.record.model.as_deref().unwrap_or_default(), fault, now_ns);
        }
        let (kind, status) = (fault.as_ref().map(|fault| fault.kind), copy.journal.record.status);
        copy.journal.end_attempt(copy.deadlines.now_ns, kind, Some(status), now_ns);
        leave(shard, copy.journal, fault.as_ref());
    }

    /// What was seen of the answer.
    async fn exchange(&self, copy: &mut Copy) -> Result<Seen, TryEnd> {
        let shard = &*self.shard;
        let mut nobody = Nobody;
        let mut gone = Watch { peer: &mut nobody, cut: shard.cut_off() };
        let outbound = Outbound::Encoded(&copy.body);
        let sent = attempt::send(shard, &mut gone, Teller::Nobody, &copy.upstream, &copy.head, &outbound, copy.deadlines).await;
        let (mut incoming, first_ns) = sent?;
        let status = incoming.head.status;
        copy.journal.first_byte(status, shard.rt.now_ns());
        let seen = read(shard, &mut gone, &mut incoming, copy, first_ns).await;
        incoming.finish(shard);
        seen
    }
}

async fn read<R: Rt>(
    shard: &Shard<R>,
    gone: &mut dyn Gone,
    incoming: &mut Incoming<R>,
    copy: &Copy,
    first_ns: u64,
) -> Result<Seen, TryEnd> {
    let dialect = copy.step.dialect.row();
    let name = &copy.upstream.name;
    let status = incoming.head.status;
    let is_stream = incoming.field("content-type").and_then(Framing::of_content_type).is_some();
    let mut tap = (dialect.tap)();
    let mut held = Vec::new();
    let mut deadline_ns = first_ns;
    loop {
        incoming.decode(name).map_err(TryEnd::Fault)?;
        for piece in incoming.pieces() {
            if is_stream {
                tap.feed(piece).map_err(TryEnd::Fault)?;
            } else if held.len() < HELD_BYTES_MAX {
                held.extend_from_slice(piece);
            }
        }
        if incoming.is_ended() {
            break;
        }
        if incoming.read_bytes > ANSWER_BYTES_MAX {
            return Err(TryEnd::Fault(Fault::new(Kind::UpstreamCut, "the mirrored answer is longer than what is read of one")));
        }
        match incoming.read(shard, gone, deadline_ns, Room::Reuse, name).await {
            Ok(()) => deadline_ns = shard.rt.now_ns().saturating_add(copy.idle_ns).min(copy.deadlines.total_ns),
            Err(ReadEnd::Gone) => return Err(TryEnd::Gone),
            Err(ReadEnd::Fault(fault)) => return Err(TryEnd::Fault(fault)),
        }
    }
    if !(200..300).contains(&status) {
        let mut fault = (dialect.decode_error)(status, &held);
        fault.upstream_status = Some(status);
        return Err(TryEnd::Fault(fault));
    }
    if !is_stream {
        tap.whole(&held);
    }
    Ok(tap.seen().clone())
}

/// Ends the copy's record.
pub(crate) fn leave<R: Rt>(shard: &Shard<R>, mut journal: Journal, fault: Option<&Fault>) {
    // No stage admitted it, so its bill is empty.
    journal.end(fault, 0, shard.rt.now_ns());
    shard.leave(journal.record);
}
