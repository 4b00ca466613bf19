//! One try on one target: a connection, the request out, the answer's head in.
//!
//! Per attempt on a pooled connection: one `sendmsg` for head and body (pieces of the client's own buffer), one read.

use std::cell::Cell;
use std::io::{self, IoSlice};

use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::json::patch::{self, Edit};
use ringway_policy::snapshot::Upstream;
use smallvec::SmallVec;

use crate::incoming::{Expects, HeadEnd, Incoming};
use crate::journal::Journal;
use crate::pool::{self, Connection};
use crate::race::{Gone, unless_gone};
use crate::rt::{Io, Rt};
use crate::shard::Shard;
use crate::upload::{Piece, Upload};
use crate::wheel::within;

/// The body as it goes upstream.
pub(crate) enum Outbound<'a> {
    /// The client's own bytes, but for the edited spans.
    Patched { body: &'a [u8], edits: &'a [Edit] },
    /// Written anew for another dialect.
    Encoded(&'a [u8]),
    /// The beginning of the client's own bytes, but for the edited spans, and what is still to come of them.
    Upload { beginning: &'a [u8], edits: &'a [Edit], upload: &'a Upload },
    /// None: the connection is to speak another protocol.
    Upgrade,
}

impl<'a> Outbound<'a> {
    /// `None` where the client does not say it beforehand.
    pub(crate) fn len(&self) -> Option<u64> {
        let beginning = self.beginning_len() as u64;
        self.upload().map_or(Some(beginning), |upload| Some(beginning + upload.len?))
    }

    fn beginning_len(&self) -> usize {
        match self {
            Outbound::Patched { body: bytes, edits } | Outbound::Upload { beginning: bytes, edits, .. } => patch::len(bytes, edits),
            Outbound::Encoded(body) => body.len(),
            Outbound::Upgrade => 0,
        }
    }

    fn expects(&self, head: &[u8]) -> Expects {
        match self {
            Outbound::Upgrade => Expects::Upgrade,
            _ if head.starts_with(b"HEAD ") => Expects::NoBody,
            _ => Expects::Body,
        }
    }

    fn upload(&self) -> Option<&'a Upload> {
        if let Outbound::Upload { upload, .. } = self { Some(*upload) } else { None }
    }

    /// Its bytes, piece by piece; of an upload those that are there.
    pub(crate) fn each_piece(&self, mut each: impl FnMut(&'a [u8])) {
        match self {
            Outbound::Patched { body, edits } => patch::pieces(body, edits, each),
            Outbound::Encoded(body) => each(body),
            Outbound::Upload { beginning, edits, .. } => patch::pieces(beginning, edits, each),
            Outbound::Upgrade => {}
        }
    }

    fn pieces(&self, list: &mut SmallVec<[IoSlice<'a>; PIECES_INLINE]>) {
        self.each_piece(|piece| list.push(IoSlice::new(piece)));
    }
}

/// Head, size of a chunk, pieces between edits, end of a chunk.
const PIECES_INLINE: usize = 2 * patch::EDITS_MAX + 4;

/// Points in time by which things must have happened, and what may happen twice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    /// When the attempt began.
    pub(crate) now_ns: u64,
    pub(crate) connect_ns: u64,
    pub(crate) first_byte_ns: u64,
    pub(crate) total_ns: u64,
    pub(crate) repeat: Repeat,
}

impl Deadlines {
    /// Until when the answer's first byte is waited for, from `now_ns` on.
    fn first_byte(&self, now_ns: u64) -> u64 {
        now_ns.saturating_add(self.first_byte_ns).min(self.total_ns)
    }
}

/// Whether a request that may have reached its provider can go out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    Allowed,
    /// It makes something, which would be made twice (RFC 9110 §9.2.2).
    Never,
}

/// Who hears of an attempt's steps.
pub(crate) enum Teller<'a> {
    Journal(&'a mut Journal),
    /// Of an attempt beside another one: how long a connection took, 0 where none was made anew.
    Connect(&'a Cell<u64>),
    Nobody,
}

impl Teller<'_> {
    fn journal(&mut self) -> Option<&mut Journal> {
        match self {
            Teller::Journal(journal) => Some(journal),
            Teller::Connect(_) | Teller::Nobody => None,
        }
    }

    /// A connection was made anew.
    fn connected(&mut self, since_ns: u64, now_ns: u64) {
        match self {
            Teller::Journal(journal) => {
                // A handshake is the network's time, not the gateway's.
                journal.waits(since_ns);
                journal.works(now_ns);
                journal.connected(since_ns, now_ns);
            }
            Teller::Connect(connect_ns) => connect_ns.set(now_ns.saturating_sub(since_ns)),
            Teller::Nobody => {}
        }
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
    mut teller: Teller<'_>,
    upstream: &Upstream,
    head: &[u8],
    body: &Outbound<'_>,
    deadlines: Deadlines,
) -> Result<(Box<Incoming<R>>, u64), TryEnd> {
    let name: &str = &upstream.name;
    // What cannot be sent a second time gets a connection that is surely there.
    let mut was_stale = body.upload().is_some() || deadlines.repeat == Repeat::Never;
    loop {
        let deadline_ns = deadlines.now_ns.saturating_add(deadlines.connect_ns).min(deadlines.total_ns);
        let connected = match was_stale {
            false => unless_gone(gone, pool::checkout(shard, upstream, deadlines.now_ns, deadline_ns)).await,
            true => unless_gone(gone, pool::checkout_fresh(shard, upstream, deadline_ns)).await,
        };
        let connection = connected.ok_or(TryEnd::Gone)?.map_err(TryEnd::Fault)?;
        if !connection.reused {
            teller.connected(deadlines.now_ns, shard.rt.now_ns());
        }
        let reused = connection.reused;
        was_stale = reused;
        // A write that breaks is no verdict yet: the provider may have answered before it had read everything.
        let handed_ns = shard.rt.now_ns();
        if let Some(journal) = teller.journal() {
            journal.waits(handed_ns);
        }
        if write(shard, gone, &connection, head, body, deadlines).await? == Wrote::Nothing && reused {
            continue;
        }
        // An upload takes its time.
        let sent_ns = if body.upload().is_some() { shard.rt.now_ns() } else { handed_ns };
        let deadline_ns = deadlines.first_byte(sent_ns);
        let result = Incoming::begin(shard, connection, gone, deadline_ns, body.expects(head), name).await;
        if let Some(journal) = teller.journal() {
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
    let Some(upload) = body.upload() else {
        let mut list: SmallVec<[IoSlice<'_>; PIECES_INLINE]> = SmallVec::new();
        list.push(IoSlice::new(head));
        body.pieces(&mut list);
        return write_all(shard, gone, connection, &mut list, deadlines).await;
    };
    let size = if upload.len.is_none() { format!("{:x}\r\n", body.beginning_len()) } else { String::new() };
    let mut list: SmallVec<[IoSlice<'_>; PIECES_INLINE]> = SmallVec::new();
    list.extend([IoSlice::new(head), IoSlice::new(size.as_bytes())]);
    body.pieces(&mut list);
    if upload.len.is_none() {
        list.push(IoSlice::new(b"\r\n"));
    }
    match write_all(shard, gone, connection, &mut list, deadlines).await? {
        Wrote::All => Box::pin(pump(shard, gone, connection, upload, deadlines)).await,
        wrote => Ok(wrote),
    }
}

/// Passes the rest of an upload on as it comes.
async fn pump<R: Rt>(
    shard: &Shard<R>,
    gone: &mut dyn Gone,
    connection: &Connection<R>,
    upload: &Upload,
    deadlines: Deadlines,
) -> Result<Wrote, TryEnd> {
    let Some(mut rest) = upload.take() else { return Ok(Wrote::Some) };
    loop {
        match rest.next().map_err(TryEnd::Fault)? {
            Piece::More => rest.read(shard, gone, deadlines.total_ns).await.map_err(TryEnd::Fault)?.ok_or(TryEnd::Gone)?,
            Piece::Data(span) => {
                let size = if upload.len.is_none() { format!("{:x}\r\n", span.len()) } else { String::new() };
                let end: &[u8] = if upload.len.is_none() { b"\r\n" } else { b"" };
                let mut list = [IoSlice::new(size.as_bytes()), IoSlice::new(&rest.buffer[span]), IoSlice::new(end)];
                if write_all(shard, gone, connection, &mut list, deadlines).await? != Wrote::All {
                    return Ok(Wrote::Some);
                }
            }
            Piece::End => {
                let end: &[u8] = if upload.len.is_none() { b"0\r\n\r\n" } else { b"" };
                let wrote = write_all(shard, gone, connection, &mut [IoSlice::new(end)], deadlines).await?;
                upload.put_back(rest);
                return Ok(wrote);
            }
        }
    }
}

async fn write_all<R: Rt>(
    shard: &Shard<R>,
    gone: &mut dyn Gone,
    connection: &Connection<R>,
    mut left: &mut [IoSlice<'_>],
    deadlines: Deadlines,
) -> Result<Wrote, TryEnd> {
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
