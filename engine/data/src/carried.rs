//! An answer that is carried as it came, whatever it is: of a passthrough, of files, of streams that no dialect reads.
//!
//! Per read: no copy but for the last `TAIL_BYTES`, where usage stands if it stands anywhere.

use ringway_adapters::dialect::{Seen, Tap};
use ringway_adapters::fault::Fault;
use ringway_adapters::frame::Framing;

use crate::answer;
use crate::downstream::{Downstream, Last};
use crate::events::Source;
use crate::incoming::{Incoming, ReadEnd, Room};
use crate::journal::Journal;
use crate::relay::{Delivered, draining, first_byte_fault};
use crate::rt::Rt;

/// Bytes of an answer's end that are kept.
const TAIL_BYTES: usize = 16 * 1024;
/// A whole answer up to this size is read by the path's dialect, for its usage and the id of what it made.
const READ_BYTES_MAX: usize = 256 * 1024;

/// What became of it, and the body where it was short.
pub(crate) struct Carried {
    pub(crate) delivered: Delivered,
    pub(crate) body: Option<Vec<u8>>,
}

/// What an answer used that does not tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Untold {
    /// Nobody knows what its bytes are.
    Nothing,
    /// It is generated text of the path's dialect, which is counted.
    Counts,
}

/// Passes the answer on, its status included.
pub(crate) async fn carry<R: Rt>(
    down: &mut Downstream<'_, R>,
    journal: &mut Journal,
    incoming: &mut Incoming<R>,
    source: &Source<'_>,
    untold: Untold,
) -> Carried {
    let shard = down.shard;
    let is_stream = incoming.field("content-type").and_then(Framing::of_content_type).is_some();
    let mut head = shard.buffers.rent();
    let untold = if incoming.head.status < 300 { untold } else { Untold::Nothing };
    let mut look = Look::new((source.dialect.tap)(), is_stream, untold);
    let mut deadline_ns = source.first_ns;
    let mut begun = false;
    let delivered = loop {
        if let Err(fault) = incoming.decode(source.name) {
            break end(down, begun, fault);
        }
        let pieces = incoming.pieces();
        let ended = incoming.is_ended();
        let is_empty = pieces.iter().all(|piece| piece.is_empty());
        if !begun && (!is_empty || ended) {
            let now_ns = shard.rt.now_ns();
            let status = incoming.head.status;
            answer::begin(&mut head, status, journal, now_ns);
            answer::forward(&mut head, incoming, journal);
            journal.first_byte(status, now_ns);
            if ended && !is_stream {
                // All of it is there: the client gets its length.
                pieces.iter().for_each(|piece| look.feed(piece));
                let body = pieces.concat();
                break down.answer(&mut head, &body).await.map_or_else(Delivered::from, |()| Delivered::Done);
            }
            down.begin_stream(&mut head);
        }
        pieces.iter().for_each(|piece| look.feed(piece));
        let last = if ended { Last::Yes } else { Last::No };
        if (!is_empty || ended)
            && let Err(gone) = down.chunk(&head, &pieces, last).await
        {
            break gone.into();
        }
        if !is_empty {
            begun = true;
            head.clear();
        }
        if ended {
            break Delivered::Done;
        }
        drop(pieces);
        if begun {
            deadline_ns = source.clock.deadline_ns(shard.rt.now_ns());
        }
        let room = if begun { Room::Reuse } else { Room::BehindHead };
        match incoming.read(shard, down.gone, deadline_ns, room, source.name).await {
            Ok(()) => {}
            Err(ReadEnd::Gone) if shard.is_cut() => break end(down, begun, draining()),
            Err(ReadEnd::Gone) => break Delivered::Gone,
            Err(ReadEnd::Fault(fault)) if begun => break end(down, begun, fault),
            Err(ReadEnd::Fault(fault)) => break Delivered::Failed(first_byte_fault(fault, source.name)),
        }
        if !begun {
            journal.works_anew(shard.rt.now_ns());
        }
    };
    shard.buffers.give(head);
    let body = look.end(journal);
    Carried { delivered, body }
}

/// An answer that breaks has no word for it: the missing end says so.
fn end<R: Rt>(down: &mut Downstream<'_, R>, begun: bool, fault: Fault) -> Delivered {
    if !begun {
        return Delivered::Failed(fault);
    }
    down.keep_alive = false;
    Delivered::Broken(fault)
}

/// Looks at what goes by, and refuses none of it.
struct Look {
    tap: Box<dyn Tap>,
    /// The stream is in the dialect of the path so far.
    is_read: bool,
    is_stream: bool,
    untold: Untold,
    /// The whole body, as long as it is short; else its end.
    kept: Vec<u8>,
    is_cut: bool,
}

impl Look {
    fn new(tap: Box<dyn Tap>, is_stream: bool, untold: Untold) -> Look {
        Look { tap, is_read: is_stream, is_stream, untold, kept: Vec::new(), is_cut: false }
    }

    fn feed(&mut self, piece: &[u8]) {
        self.is_read = self.is_read && self.tap.feed(piece).is_ok();
        self.kept.extend_from_slice(piece);
        let bytes_max = if self.is_stream { TAIL_BYTES } else { READ_BYTES_MAX };
        // Twice as much is let come together, so that each byte is moved once.
        if self.kept.len() > 2 * bytes_max {
            self.is_cut = true;
            self.kept.drain(..self.kept.len() - bytes_max);
        }
    }

    /// Notes the usage; gives a short whole body.
    fn end(mut self, journal: &mut Journal) -> Option<Vec<u8>> {
        let tail = &self.kept[self.kept.len().saturating_sub(TAIL_BYTES)..];
        match (self.is_stream, self.is_cut) {
            (false, false) => self.tap.whole(&self.kept),
            _ if self.tap.seen().usage.is_none() => self.tap.tail(tail),
            _ => {}
        }
        let seen = self.tap.seen();
        if seen.usage.is_some() || self.untold == Untold::Counts {
            journal.usage(&Seen { is_whole: !self.is_stream || seen.is_whole, ..seen.clone() });
        }
        (!self.is_stream && !self.is_cut).then_some(self.kept)
    }
}
