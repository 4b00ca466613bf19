//! A whole answer: held until it is complete, so that it can still be retried, then written in one piece.
//!
//! Same dialect and a known length: no copy, the body goes out of the read buffer. Larger than `hold_bytes_max`: streamed on.

use ringway_adapters::dialect::{Client, Dialect, Seen};
use ringway_adapters::event::Event;
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::ir::Mode;
use ringway_adapters::operation::Operation;

use crate::answer;
use crate::downstream::{Downstream, Last};
use crate::events::{Events, Source};
use crate::http1::head::Framing;
use crate::incoming::{Held, Incoming, ReadEnd, Room};
use crate::journal::Journal;
use crate::nesting::Nesting;
use crate::relay::{Delivered, first_byte_fault};
use crate::rt::Rt;

/// Passes a whole answer of the client's own dialect on as it is.
pub(crate) async fn untouched<R: Rt>(
    down: &mut Downstream<'_, R>,
    journal: &mut Journal,
    incoming: &mut Incoming<R>,
    source: &Source<'_>,
) -> Delivered {
    let shard = down.shard;
    let head_read_bytes = incoming.read_bytes;
    let held = match hold(down, incoming, source, shard.tuning.hold_bytes_max).await {
        Ok(held) => held,
        Err(delivered) => return delivered,
    };
    if incoming.read_bytes > head_read_bytes {
        journal.works_anew(shard.rt.now_ns());
    }
    if let Held::Larger(begun) = held {
        return stream_on(down, journal, incoming, begun, source).await;
    }
    let body = match &held {
        Held::InPlace(span) => &incoming.buffer[span.clone()],
        Held::Copied(body) | Held::Larger(body) => body,
    };
    let mut tap = (source.dialect.tap)();
    tap.whole(body);
    if let Some(fault) = &tap.seen().fault {
        return Delivered::Failed(fault.clone());
    }
    if is_unframed(journal, incoming) && !tap.seen().ended {
        return Delivered::Failed(Fault::new(Kind::UpstreamReset, format!("upstream {} closed inside the answer", source.name)));
    }
    // A stream whose content type was lost on its way comes here, too, and is no whole answer.
    if journal.record.operation == Operation::Chat && journal.record.mode == Mode::Whole && !tap.seen().ended {
        return Delivered::Failed(Fault::new(Kind::MalformedResponse, format!("upstream {} sent a body that is no answer", source.name)));
    }
    source.note_id(&[body]);
    journal.usage(tap.seen());
    journal.input(source.body);
    let mut head = shard.buffers.rent();
    let now_ns = shard.rt.now_ns();
    answer::begin(&mut head, incoming.head.status, journal, now_ns);
    answer::forward(&mut head, incoming, journal);
    journal.first_byte(incoming.head.status, now_ns);
    let result = down.answer(&mut head, body).await;
    shard.buffers.give(head);
    result.map_or_else(Delivered::from, |()| Delivered::Done)
}

/// Decodes a whole answer and writes it in the client's dialect, whole or as a stream.
pub(crate) async fn translated<R: Rt>(
    down: &mut Downstream<'_, R>,
    journal: &mut Journal,
    incoming: &mut Incoming<R>,
    source: &Source<'_>,
    target: Target<'_>,
) -> Delivered {
    let shard = down.shard;
    let mut held = match hold(down, incoming, source, shard.tuning.body_bytes_max).await {
        Ok(held) => held,
        Err(delivered) => return delivered,
    };
    journal.works_anew(shard.rt.now_ns());
    let body = match &mut held {
        Held::InPlace(span) => &mut incoming.buffer[span.clone()],
        Held::Copied(body) | Held::Larger(body) => body,
    };
    let mut events = Vec::new();
    let decoded = match source.mode {
        Mode::Whole => (source.dialect.decode_answer)(body, &mut events),
        Mode::Stream => {
            let mut decoder = (source.dialect.stream_decoder)();
            decoder.feed(body, &mut events).and_then(|()| decoder.finish(&mut events))
        }
    };
    match decoded {
        Err(fault) => Delivered::Failed(fault),
        Ok(()) => write_events(down, journal, source.body, events, target).await,
    }
}

/// Where the events of a whole answer go.
pub(crate) enum Target<'a> {
    Whole { dialect: &'static Dialect, client: Client<'a> },
    Stream(&'a mut Events),
}

impl<'a> Target<'a> {
    pub(crate) fn for_client(dialect: &'static Dialect, client: Client<'static>, events: &'a mut Option<Events>) -> Target<'a> {
        match client.mode {
            Mode::Whole => Target::Whole { dialect, client },
            Mode::Stream => Target::Stream(events.get_or_insert_with(|| Events::new(dialect, client, None))),
        }
    }
}

/// Writes an answer that is there as events.
pub(crate) async fn write_events<R: Rt>(
    down: &mut Downstream<'_, R>,
    journal: &mut Journal,
    body: &[u8],
    events: Vec<Event>,
    target: Target<'_>,
) -> Delivered {
    if let Some(Event::Fault(fault)) = events.iter().find(|event| matches!(event, Event::Fault(_))) {
        return Delivered::Failed(fault.clone());
    }
    let is_told = events.iter().any(|event| matches!(event, Event::Usage { .. }));
    let mut seen = if is_told { Seen::without_text() } else { Seen::default() };
    events.iter().for_each(|event| seen.note(event));
    journal.usage(&seen);
    journal.input(body);
    match target {
        Target::Stream(stream) => stream.replay(down, journal, events).await,
        Target::Whole { dialect, client } => {
            let mut body = Vec::new();
            (dialect.encode_answer)(&events, &client, &mut body);
            let result = answer::whole(down, journal, 200, "application/json", &body).await;
            result.map_or_else(Delivered::from, |()| Delivered::Done)
        }
    }
}

/// Reads the answer whole, or the beginning of one over `bytes_max`.
pub(crate) async fn hold<R: Rt>(
    down: &mut Downstream<'_, R>,
    incoming: &mut Incoming<R>,
    source: &Source<'_>,
    bytes_max: usize,
) -> Result<Held, Delivered> {
    let shard = down.shard;
    let mut begun = false;
    let deadline_ns = || match std::mem::replace(&mut begun, true) {
        false => source.first_ns,
        true => source.clock.deadline_ns(shard.rt.now_ns()),
    };
    incoming.hold(shard, down.gone, deadline_ns, bytes_max, source.name).await.map_err(|end| match end {
        ReadEnd::Gone => Delivered::Gone,
        ReadEnd::Fault(fault) => Delivered::Failed(first_byte_fault(fault, source.name)),
    })
}

/// An answer over the bound: its head and beginning now, the rest as it comes.
async fn stream_on<R: Rt>(
    down: &mut Downstream<'_, R>,
    journal: &mut Journal,
    incoming: &mut Incoming<R>,
    begun: Vec<u8>,
    source: &Source<'_>,
) -> Delivered {
    let shard = down.shard;
    let now_ns = shard.rt.now_ns();
    let mut head = shard.buffers.rent();
    answer::begin(&mut head, incoming.head.status, journal, now_ns);
    answer::forward(&mut head, incoming, journal);
    down.begin_stream(&mut head);
    journal.first_byte(incoming.head.status, now_ns);
    let mut nesting = is_unframed(journal, incoming).then(Nesting::default);
    feed(&mut nesting, &[&begun]);
    let mut sent = Sent::default();
    sent.feed(&[&begun]);
    let written = down.chunk(&head, &[&begun], Last::No).await;
    shard.buffers.give(head);
    drop(begun);
    let delivered = match written {
        Ok(()) => rest(down, incoming, &mut nesting, &mut sent, source).await,
        Err(end) => end.into(),
    };
    journal.usage(&sent.seen(source.dialect, journal.record.operation));
    delivered
}

/// The rest of a long answer, read by read.
async fn rest<R: Rt>(
    down: &mut Downstream<'_, R>,
    incoming: &mut Incoming<R>,
    nesting: &mut Option<Nesting>,
    sent: &mut Sent,
    source: &Source<'_>,
) -> Delivered {
    let shard = down.shard;
    loop {
        match incoming.read(shard, down.gone, source.clock.deadline_ns(shard.rt.now_ns()), Room::Reuse, source.name).await {
            Ok(()) => {}
            Err(ReadEnd::Gone) => return Delivered::Gone,
            Err(ReadEnd::Fault(fault)) => return cut_whole(down, fault),
        }
        if let Err(fault) = incoming.decode(source.name) {
            return cut_whole(down, fault);
        }
        let pieces = incoming.pieces();
        feed(nesting, &pieces);
        sent.feed(&pieces);
        let last = if incoming.is_ended() { Last::Yes } else { Last::No };
        if last == Last::Yes && nesting.as_ref().is_some_and(|nesting| !nesting.is_whole()) {
            return cut_whole(down, Fault::new(Kind::UpstreamCut, format!("upstream {} closed inside the answer", source.name)));
        }
        if let Err(end) = down.chunk(&[], &pieces, last).await {
            return end.into();
        }
        if last == Last::Yes {
            return Delivered::Done;
        }
    }
}

/// Bytes of a long answer's end that are kept: its usage stands there.
const TAIL_BYTES: usize = 16 * 1024;

/// What went out of an answer that nobody held.
#[derive(Default)]
struct Sent {
    bytes: u64,
    tail: Vec<u8>,
}

impl Sent {
    fn feed(&mut self, pieces: &[&[u8]]) {
        for piece in pieces {
            self.bytes += piece.len() as u64;
            let kept = &piece[piece.len().saturating_sub(TAIL_BYTES)..];
            let over = (self.tail.len() + kept.len()).saturating_sub(TAIL_BYTES);
            self.tail.drain(..over);
            self.tail.extend_from_slice(kept);
        }
    }

    /// Usage from its end; where that is missing, by its length, but where it is no text.
    fn seen(&self, dialect: &Dialect, operation: Operation) -> Seen {
        let mut tap = (dialect.tap)();
        tap.tail(&self.tail);
        let mut seen = tap.seen().clone();
        if seen.usage.is_none() && operation == Operation::Chat {
            seen.text_bytes = self.bytes;
        }
        // It was generated before its head came, wherever the client left it.
        seen.is_whole = true;
        seen
    }
}

/// Where the connection's end is the only framing, the body has to tell a whole answer from a cut one.
fn is_unframed<R: Rt>(journal: &Journal, incoming: &Incoming<R>) -> bool {
    incoming.head.framing == Framing::UntilClose && journal.record.operation == Operation::Chat
}

fn feed(nesting: &mut Option<Nesting>, pieces: &[&[u8]]) {
    if let Some(nesting) = nesting {
        pieces.iter().for_each(|piece| nesting.feed(piece));
    }
}

/// A whole answer that breaks after its head has no word for it: the missing last chunk says so.
fn cut_whole<R: Rt>(down: &mut Downstream<'_, R>, fault: Fault) -> Delivered {
    down.keep_alive = false;
    Delivered::Broken(fault)
}
