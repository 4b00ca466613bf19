//! Hedging: where the first byte of an answer is late, the next target is asked, too. The first good answer to begin is kept.
//!
//! A request that is not late costs one more allocation (the boxed race); one that is, a copy of its body and head.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::ir::{Loss, Mode};
use ringway_adapters::usage::Usage;
use ringway_policy::breaker;
use ringway_policy::health::Watch;
use ringway_policy::plan::{Plan, Step};
use ringway_policy::record::Attempt;
use ringway_policy::snapshot::Upstream;
use ringway_policy::snapshot::credential::Credential;

use crate::attempt::{self, Deadlines, Outbound, Teller, TryEnd};
use crate::incoming::{Incoming, ReadEnd, Room};
use crate::race::{Either, Gone, Nobody, race, unless_gone};
use crate::relay::first_byte_fault;
use crate::rt::Rt;
use crate::shard::Shard;

/// When the second request goes out.
#[derive(Clone, Copy)]
pub(crate) struct Due {
    pub(crate) after: Duration,
    /// The step that is asked first.
    pub(crate) step: usize,
}

/// What is asked first.
pub(crate) struct First<'a> {
    pub(crate) step: &'a Step,
    pub(crate) upstream: &'a Upstream,
    pub(crate) head: &'a [u8],
    pub(crate) outbound: &'a Outbound<'a>,
    pub(crate) deadlines: Deadlines,
}

/// What is asked beside it.
pub(crate) struct Second {
    pub(crate) index: usize,
    pub(crate) begun_ns: u64,
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) credential: Option<Credential>,
    pub(crate) losses: Vec<Loss>,
    pub(crate) watch: Watch,
    /// Where its promises begin on the bill.
    pub(crate) rows_from: usize,
    /// Its span in the exchange's trace; 0 where tracing is off.
    pub(crate) span: u64,
}

/// A second attempt that goes on.
pub(crate) struct Kept {
    pub(crate) index: usize,
    pub(crate) begun_ns: u64,
    pub(crate) credential: Option<Credential>,
}

pub(crate) type Sent<R> = Result<(Box<Incoming<R>>, u64), TryEnd>;

/// What the attempt that goes on has brought; `second` where it is that one.
pub(crate) struct Raced<R: Rt> {
    pub(crate) sent: Sent<R>,
    pub(crate) second: Option<Kept>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    First,
    Second,
}

/// Who goes on, with what, and what became of the other.
pub(crate) struct Outcome<R: Rt> {
    pub(crate) sent: Sent<R>,
    pub(crate) who: Who,
    pub(crate) other: Other,
}

/// What became of the attempt that does not go on.
pub(crate) enum Other {
    /// Cancelled: its connection is closed, its provider may bill it all the same.
    Overtaken,
    Failed {
        status: u16,
        kind: Kind,
    },
}

/// The first attempt of an exchange is hedged, where the route says so and it is known when. Every such request pays in.
pub(crate) fn due(plan: &Plan, mode: Mode, step: usize, attempts_before: usize) -> Option<Due> {
    let (hedge, state) = (plan.rules.hedge?, plan.hedging.as_ref()?);
    if attempts_before > 0 {
        return None;
    }
    state.pay_in(hedge.share);
    let after = hedge.after.or_else(|| plan.steps.get(step)?.target.health.p95(mode))?;
    Some(Due { after, step })
}

/// As `attempt::send`, until the first byte of a good answer's body is there. Tells how long a new connection took.
pub(crate) async fn send<R: Rt>(
    shard: &Shard<R>,
    upstream: &Upstream,
    head: &[u8],
    outbound: &Outbound<'_>,
    deadlines: Deadlines,
    connect_ns: &Cell<u64>,
) -> Sent<R> {
    // The race is left as a whole, never one of its runners.
    let mut nobody = Nobody;
    let (mut incoming, first_ns) =
        attempt::send(shard, &mut nobody, Teller::Connect(connect_ns), upstream, head, outbound, deadlines).await?;
    while is_good(&incoming) && incoming.buffer.len() == incoming.head.len && !incoming.is_ended() {
        match incoming.read(shard, &mut nobody, first_ns, Room::Behind, &upstream.name).await {
            Ok(()) => {}
            Err(ReadEnd::Gone) => return Err(TryEnd::Gone),
            Err(ReadEnd::Fault(fault)) => return Err(TryEnd::Fault(first_byte_fault(fault, &upstream.name))),
        }
    }
    Ok((incoming, first_ns))
}

fn is_good<R: Rt>(incoming: &Incoming<R>) -> bool {
    (200..300).contains(&incoming.head.status)
}

type Boxed<F> = Pin<Box<F>>;

/// Waits for the first good answer; where the first to end is none, for the other one. The one that is not kept is dropped here, which
/// closes its connection.
pub(crate) async fn first_good<R: Rt, A, B>(gone: &mut dyn Gone, mut one: Boxed<A>, mut two: Boxed<B>) -> Outcome<R>
where
    A: Future<Output = Sent<R>>,
    B: Future<Output = Sent<R>>,
{
    let left = || Outcome { sent: Err(TryEnd::Gone), who: Who::First, other: Other::Overtaken };
    let (sent, who) = match unless_gone(gone, race(&mut one, &mut two)).await {
        None => return left(),
        Some(Either::Left(sent)) => (sent, Who::First),
        Some(Either::Right(sent)) => (sent, Who::Second),
    };
    let Some(failed) = failure(&sent) else { return Outcome { sent, who, other: Other::Overtaken } };
    let other = match who {
        Who::First => unless_gone(gone, two).await.map(|sent| (sent, Who::Second)),
        Who::Second => unless_gone(gone, one).await.map(|sent| (sent, Who::First)),
    };
    match other {
        None => left(),
        Some((other_sent, other_who)) => match failure(&other_sent) {
            None => Outcome { sent: other_sent, who: other_who, other: failed },
            // Both failed: the exchange goes on behind the later target.
            Some(first_failed) if who == Who::Second => Outcome { sent, who, other: first_failed },
            Some(_) => Outcome { sent: other_sent, who: other_who, other: failed },
        },
    }
}

fn failure<R: Rt>(sent: &Sent<R>) -> Option<Other> {
    match sent {
        Ok((incoming, _)) if is_good(incoming) => None,
        Ok((incoming, _)) => Some(Other::Failed { status: incoming.head.status, kind: kind_of(incoming.head.status) }),
        Err(TryEnd::Gone) => Some(Other::Overtaken),
        Err(TryEnd::Fault(Fault { kind, .. })) => Some(Other::Failed { status: 0, kind: *kind }),
    }
}

/// By the status alone: nobody reads the body of the one that does not go on.
fn kind_of(status: u16) -> Kind {
    match status {
        401 | 403 => Kind::UpstreamAuth,
        429 => Kind::UpstreamRateLimited,
        400..=499 => Kind::UpstreamRefused,
        _ => Kind::UpstreamError,
    }
}

impl Other {
    /// What it says of its target's health.
    pub(crate) fn health(&self) -> breaker::Outcome {
        match self {
            Other::Overtaken => breaker::Outcome::Unknown,
            Other::Failed { kind, .. } => breaker::Outcome::of(*kind),
        }
    }

    /// Completes its line of the record.
    pub(crate) fn note(&self, line: &mut Attempt, input_tokens: u64, total_ns: u64) {
        line.total_ns = total_ns;
        match self {
            Other::Overtaken => {
                line.overtaken = true;
                line.usage = Usage { input: input_tokens, ..Usage::default() };
            }
            Other::Failed { status, kind } => (line.status, line.fault) = (*status, Some(*kind)),
        }
    }
}

impl Second {
    /// Its line of the record, where it does not go on.
    pub(crate) fn line(&self, upstream: &Upstream, step: &Step, became: &Other, input_tokens: u64, now_ns: u64) -> Attempt {
        let (provider, model) = (upstream.name.clone(), step.model.clone());
        let mut line = Attempt {
            provider,
            model,
            status: 0,
            fault: None,
            total_ns: 0,
            usage: Usage::default(),
            delivered: None,
            cost: None,
            times: Default::default(),
            tier: None,
            overtaken: false,
            span: self.span,
        };
        became.note(&mut line, input_tokens, now_ns.saturating_sub(self.begun_ns));
        line
    }
}
