//! One try on one target: a connection, the request out, the answer's head in.
//!
//! Per attempt on a pooled connection: one `sendmsg` for head and body (pieces of the client's own buffer), one read.

use std::io::{self, IoSlice};

use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::json::patch::{self, Edit};
use ringway_policy::snapshot::Upstream;
use smallvec::SmallVec;

use crate::incoming::{HeadEnd, Incoming};
use crate::journal::Journal;
use crate::pool::{self, Connection};
use crate::race::{Gone, unless_gone};
use crate::rt::{Io, Rt};
use crate::shard::Shard;
use crate::wheel::within;

/// The body as it goes upstream.
pub(crate) enum Outbound<'a> {
    /// The client's own bytes, but for the edited spans.
    Patched { body: &'a [u8], edits: &'a [Edit] },
    /// Written anew for another dialect.
    Encoded(&'a [u8]),
}

impl<'a> Outbound<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Outbound::Patched { body, edits } => patch::len(body, edits),
            Outbound::Encoded(body) => body.len(),
        }
    }

    fn pieces(&self, list: &mut SmallVec<[IoSlice<'a>; PIECES_INLINE]>) {
        match self {
            Outbound::Patched { body, edits } => patch::pieces(body, edits, |piece| list.push(IoSlice::new(piece))),
            Outbound::Encoded(body) => list.push(IoSlice::new(body)),
        }
    }
}

const PIECES_INLINE: usize = 2 * patch::EDITS_MAX + 2;

/// Points in time by which things must have happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    /// When the attempt began.
    pub(crate) now_ns: u64,
    pub(crate) connect_ns: u64,
    pub(crate) first_byte_ns: u64,
    pub(crate) total_ns: u64,
}

impl Deadlines {
    /// Until when the answer's first byte is waited for, from `now_ns` on.
    fn first_byte(&self, now_ns: u64) -> u64 {
        now_ns.saturating_add(self.first_byte_ns).min(self.total_ns)
    }
}

/// Why there is no answer.
pub(crate) enum TryEnd {
    Gone,
    Fault(Fault),
}

/// Sends `head` and `body` to `upstream` and reads the answer's head; gives the deadline of its first body byte, too. A reused connection that turns out stale before any answer
/// byte came is replaced by a fresh one, once, within the same attempt.
pub(crate) async fn send<R: Rt>(
    shard: &Shard<R>,
    gone: &mut dyn Gone,
    mut journal: Option<&mut Journal>,
    upstream: &Upstream,
    head: &[u8],
    body: &Outbound<'_>,
    deadlines: Deadlines,
) -> Result<(Box<Incoming<R>>, u64), TryEnd> {
    let name: &str = &upstream.name;
    let mut was_stale = false;
    loop {
        let deadline_ns = deadlines.now_ns.saturating_add(deadlines.connect_ns).min(deadlines.total_ns);
        let connected = match was_stale {
            false => unless_gone(gone, pool::checkout(shard, upstream, deadline_ns)).await,
            true => unless_gone(gone, pool::checkout_fresh(shard, upstream, deadline_ns)).await,
        };
        let connection = connected.ok_or(TryEnd::Gone)?.map_err(TryEnd::Fault)?;
        if let Some(journal) = journal.as_deref_mut().filter(|_| !connection.reused) {
            // A handshake is the network's time, not the gateway's.
            journal.waits(deadlines.now_ns);
            let connected_ns = shard.rt.now_ns();
            journal.works(connected_ns);
            journal.connected(deadlines.now_ns, connected_ns);
        }
        let reused = connection.reused;
        was_stale = reused;
        // A write that breaks is no verdict yet: the provider may have answered before it had read everything.
        let handed_ns = shard.rt.now_ns();
        if let Some(journal) = journal.as_deref_mut() {
            journal.waits(handed_ns);
        }
        if write(shard, gone, &connection, head, body, deadlines).await? == Wrote::Nothing && reused {
            continue;
        }
        let deadline_ns = deadlines.first_byte(handed_ns);
        let result = Incoming::begin(shard, connection, gone, deadline_ns, name).await;
        if let Some(journal) = journal.as_deref_mut() {
            let answered_ns = shard.rt.now_ns();
            journal.works(answered_ns);
            if result.is_ok() {
                journal.answered(deadlines.now_ns, answered_ns);
            }
        }
        return match result {
            Ok(incoming) => Ok((incoming, deadline_ns)),
            Err(HeadEnd::Gone) => Err(TryEnd::Gone),
            Err(HeadEnd::Fault(fault)) => Err(TryEnd::Fault(fault)),
            Err(HeadEnd::Silent) if reused => continue,
            Err(HeadEnd::Silent) => {
                Err(TryEnd::Fault(Fault::new(Kind::UpstreamReset, format!("upstream {name} closed the connection without an answer"))))
            }
        };
    }
}

#[derive(PartialEq, Eq)]
enum Wrote {
    All,
    Some,
    Nothing,
}

/// Writes the request. An error after the first byte is left to the read of the answer.
async fn write<R: Rt>(
    shard: &Shard<R>,
    gone: &mut dyn Gone,
    connection: &Connection<R>,
    head: &[u8],
    body: &Outbound<'_>,
    deadlines: Deadlines,
) -> Result<Wrote, TryEnd> {
    let mut list: SmallVec<[IoSlice<'_>; PIECES_INLINE]> = SmallVec::new();
    list.push(IoSlice::new(head));
    body.pieces(&mut list);
    let mut left = &mut list[..];
    IoSlice::advance_slices(&mut left, 0);
    let mut wrote = Wrote::Nothing;
    while !left.is_empty() {
        match connection.stream.try_write(left) {
            Ok(count) => {
                IoSlice::advance_slices(&mut left, count);
                wrote = Wrote::Some;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let deadline_ns = deadlines.first_byte(shard.rt.now_ns());
                let room = Box::pin(within(&shard.wheel, deadline_ns, connection.stream.writable()));
                match unless_gone(gone, room).await {
                    None => return Err(TryEnd::Gone),
                    Some(Err(_)) => {
                        return Err(TryEnd::Fault(Fault::new(Kind::UpstreamTimeout, "the upstream did not take the request in time")));
                    }
                    Some(Ok(_)) => {}
                }
            }
            Err(_) => return Ok(wrote),
        }
    }
    Ok(Wrote::All)
}
