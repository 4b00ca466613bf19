//! A streamed answer between equal dialects: forwarded as it came, looked at afterwards.
//!
//! Per read of the upstream: no copy, no allocation; one `sendmsg` (a fresh chunk head, the spans of the read buffer, a line
//! end); then the tap reads the same bytes. The first read is looked at before anything goes out, so that an error in its
//! first event can still be retried. Where the gateway asked for the usage event and the client did not, the reads after
//! the finish reason are looked at first, too, and that one event is left out.

use std::sync::OnceLock;

use memchr::memmem::Finder;
use ringway_adapters::dialect::{Dialect, Tap};
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::frame::Framing;
use smallvec::SmallVec;

use crate::answer;
use crate::downstream::{Downstream, Last, WriteEnd};
use crate::events::Source;
use crate::incoming::{Incoming, ReadEnd, Room, SPANS_INLINE};
use crate::journal::Journal;
use crate::rt::Rt;
use crate::strip::Strip;

/// How a delivery ended.
pub(crate) enum Delivered {
    Done,
    /// The client left, or read nothing for too long.
    Gone,
    /// Nothing was sent yet: another attempt may follow.
    Failed(Fault),
    /// The head was sent: rescue, or the error event.
    Broken(Fault),
}

impl From<WriteEnd> for Delivered {
    fn from(_: WriteEnd) -> Delivered {
        Delivered::Gone
    }
}

/// Bounds of a stream.
#[derive(Clone, Copy)]
pub(crate) struct StreamClock {
    pub(crate) idle_ns: u64,
    pub(crate) total_ns: u64,
}

impl StreamClock {
    pub(crate) fn deadline_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_add(self.idle_ns).min(self.total_ns)
    }
}

/// Forwards `incoming` to the client.
pub(crate) async fn relay<R: Rt>(
    down: &mut Downstream<'_, R>,
    journal: &mut Journal,
    incoming: &mut Incoming<R>,
    source: &Source<'_>,
    mut strip: Option<Strip>,
) -> Delivered {
    let shard = down.shard;
    let Source { dialect, framing, name, clock, first_ns, .. } = *source;
    let mut tap = (dialect.tap)();
    let mut head = shard.buffers.rent();
    let mut deadline_ns = first_ns;
    let mut begun = false;
    let mut at_boundary = true;
    let delivered = loop {
        if let Err(fault) = incoming.decode(name) {
            break fail(begun, fault);
        }
        let mut pieces = incoming.pieces();
        let is_empty = pieces.iter().all(|piece| piece.is_empty());
        let ended = incoming.is_ended();
        // An end marker must not go out behind an event that turns out to be malformed.
        let look_first = !begun || ended || strip.is_some() || pieces.iter().any(|piece| may_end(dialect, piece));
        let mut looked = Ok(());
        if look_first {
            let good_count;
            (good_count, looked) = look(tap.as_mut(), &pieces);
            pieces.truncate(good_count);
            if looked.is_ok() && tap.seen().ended && !tap.seen().finished && tap.seen().fault.is_none() {
                looked = Err(incomplete(name));
                leave_out_end(dialect, framing, &mut pieces);
            }
        }
        if !begun && !is_empty {
            if let Some(fault) = first_fault(&looked, tap.as_ref()) {
                break Delivered::Failed(fault);
            }
            source.note_id(&pieces);
            let now_ns = shard.rt.now_ns();
            answer::begin(&mut head, incoming.head.status, journal, now_ns);
            answer::forward(&mut head, incoming, journal);
            down.begin_stream(&mut head);
            journal.first_byte(incoming.head.status, now_ns);
        }
        let complete = ended && looked.is_ok() && is_complete(tap.as_ref());
        let last = if complete { Last::Yes } else { Last::No };
        let written = match &mut strip {
            Some(strip) if !is_empty || ended => strip.forward(down, &head, &pieces, tap.seen().finished, last).await,
            _ if !is_empty || complete => down.chunk(&head, &pieces, last).await,
            _ => Ok(()),
        };
        if !is_empty {
            begun = true;
            head.clear();
        }
        // Also where the client left: what was generated for it is counted.
        if !look_first {
            (_, looked) = look(tap.as_mut(), &pieces);
        }
        if let Err(end) = written {
            break end.into();
        }
        // More is reserved as the answer grows; what cannot be is debt, because no budget here may end the stream.
        journal.delivered(tap.seen().text_bytes, || shard.rt.now_ns());
        if let Some(piece) = pieces.last() {
            at_boundary = strip.as_ref().and_then(Strip::at_boundary).unwrap_or_else(|| framing.ends_event(piece));
        }
        if let Err(fault) = looked {
            break Delivered::Broken(fault);
        }
        if let Some(fault) = &tap.seen().fault {
            // The provider's own error event was the client's one error event.
            break Delivered::Broken(fault.clone());
        }
        if complete {
            break Delivered::Done;
        }
        if ended {
            break fail(begun, incomplete(name));
        }
        drop(pieces);
        if begun {
            deadline_ns = clock.deadline_ns(shard.rt.now_ns());
        }
        let room = if begun { Room::Reuse } else { Room::BehindHead };
        match incoming.read(shard, down.gone, deadline_ns, room, name).await {
            Ok(()) => {}
            Err(ReadEnd::Gone) if shard.is_cut() => break fail(begun, draining()),
            Err(ReadEnd::Gone) => break Delivered::Gone,
            Err(ReadEnd::Fault(fault)) if !begun => break Delivered::Failed(first_byte_fault(fault, name)),
            Err(ReadEnd::Fault(fault)) => break Delivered::Broken(fault),
        }
        if !begun {
            journal.works_anew(shard.rt.now_ns());
        }
    };
    journal.usage(tap.seen());
    shard.buffers.give(head);
    if let Delivered::Broken(fault) = &delivered
        && tap.seen().fault.is_none()
    {
        error_event(down, dialect, framing, fault, at_boundary).await;
    }
    delivered
}

fn fail(begun: bool, fault: Fault) -> Delivered {
    match begun {
        true => Delivered::Broken(fault),
        false => Delivered::Failed(fault),
    }
}

/// The drain's patience is over.
pub(crate) fn draining() -> Fault {
    Fault::new(Kind::Draining, "the gateway is going down; ask again")
}

/// Silence before the first body byte is a target that is not retried, not a stall.
pub(crate) fn first_byte_fault(fault: Fault, name: &str) -> Fault {
    match fault.kind {
        Kind::UpstreamStalled => Fault::new(Kind::UpstreamTimeout, format!("upstream {name} sent no byte of the answer in time")),
        Kind::UpstreamCut => Fault::new(Kind::UpstreamReset, fault.message),
        _ => fault,
    }
}

/// Feeds the tap; gives the count of pieces before the one that is malformed.
fn look(tap: &mut dyn Tap, pieces: &[&[u8]]) -> (usize, Result<(), Fault>) {
    for (index, piece) in pieces.iter().enumerate() {
        if let Err(fault) = tap.feed(piece) {
            return (index, Err(fault));
        }
    }
    (pieces.len(), Ok(()))
}

/// The bytes hold the dialect's own word for a clean end. To make a searcher costs more than to search an event.
fn may_end(dialect: &Dialect, bytes: &[u8]) -> bool {
    static FINDERS: [OnceLock<Finder<'static>>; FINDERS_MAX] = [const { OnceLock::new() }; FINDERS_MAX];
    match FINDERS.get(dialect.id as usize) {
        Some(finder) => finder.get_or_init(|| Finder::new(dialect.end_marker)).find(bytes).is_some(),
        None => memchr::memmem::find(bytes, dialect.end_marker).is_some(),
    }
}

/// Dialects with a searcher of their own.
const FINDERS_MAX: usize = 16;

fn incomplete(name: &str) -> Fault {
    Fault::new(Kind::UpstreamCut, format!("upstream {name} ended the answer before it was complete"))
}

/// Cuts `pieces` before the event with the end marker, or before the array's end: to a client it would be the clean end that this answer has not.
fn leave_out_end(dialect: &Dialect, framing: Framing, pieces: &mut SmallVec<[&[u8]; SPANS_INLINE]>) {
    if framing == Framing::JsonArray {
        // The bracket that closes the array stands last.
        while let Some(piece) = pieces.last_mut() {
            *piece = piece.trim_ascii_end();
            if let Some(open) = piece.strip_suffix(b"]") {
                *piece = open;
                return;
            }
            if !piece.is_empty() {
                return;
            }
            pieces.pop();
        }
        return;
    }
    let found = pieces.iter().enumerate().find_map(|(index, piece)| Some((index, memchr::memmem::find(piece, dialect.end_marker)?)));
    let Some((index, at)) = found else { return };
    pieces.truncate(index + 1);
    if let Some(piece) = pieces.last_mut() {
        *piece = &piece[..framing.last_event_start(&piece[..at])];
    }
}

/// An error before any content: nothing is lost by trying again.
fn first_fault(looked: &Result<(), Fault>, tap: &dyn Tap) -> Option<Fault> {
    match looked {
        Err(fault) => Some(fault.clone()),
        Ok(()) if tap.seen().text_bytes == 0 => tap.seen().fault.clone(),
        Ok(()) => None,
    }
}

/// Every choice has its finish reason and no event is half written.
fn is_complete(tap: &dyn Tap) -> bool {
    let seen = tap.seen();
    seen.finished && !seen.mid_event && seen.fault.is_none()
}

/// The one error event of a broken stream; a half-written event is ended first, and where nothing ends one there is none. No final
/// chunk follows.
async fn error_event<R: Rt>(down: &mut Downstream<'_, R>, dialect: &Dialect, framing: Framing, fault: &Fault, at_boundary: bool) {
    // The connection closes either way: a client that does not take the event any more has noticed.
    down.keep_alive = false;
    let mut event = Vec::new();
    match framing.partial_end() {
        _ if at_boundary => {}
        Some(end) => event.extend_from_slice(end),
        None => return,
    }
    (dialect.encode_error_event)(fault, framing, &mut event);
    let _ = down.chunk(&[], &[&event], Last::No).await;
}
