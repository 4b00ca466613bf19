//! A streamed answer through the hub: for other dialects, and for routes that rescue.
//!
//! Per read: bytes → events → (what the client does not hold yet) → bytes, one `sendmsg`. It outlives an attempt: a rescued
//! stream goes on in the same encoder.

use ringway_adapters::dialect::{Client, Dialect, Seen, StreamDecoder, StreamEncoder};
use ringway_adapters::event::Event;
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::frame::Framing;
use ringway_adapters::ir::Mode;
use ringway_adapters::splice::Splice;
use ringway_adapters::tokens;
use ringway_adapters::usage::Usage;
use ringway_policy::quota::Flow;

use crate::answer;
use crate::downstream::{Downstream, Last, WriteEnd};
use crate::early_end::EarlyEnd;
use crate::http1::write;
use crate::incoming::{Incoming, ReadEnd, Room};
use crate::journal::Journal;
use crate::owners::{self, Owner};
use crate::relay::{Delivered, StreamClock, draining, first_byte_fault};
use crate::rt::Rt;

/// The client's end of a decoded stream.
pub(crate) struct Events {
    encoder: Box<dyn StreamEncoder>,
    /// In which the client reads it.
    framing: Framing,
    /// Present where the route rescues.
    pub(crate) splice: Option<Splice>,
    decoded: Vec<Event>,
    passed: Vec<Event>,
    out: Vec<u8>,
    early_end: EarlyEnd,
    /// The head was sent.
    pub(crate) begun: bool,
    pub(crate) seen: Seen,
}

/// How far decoded events went to the client.
enum Passed {
    All,
    /// A budget is used up: the answer has ended, whatever the provider still has.
    Cut,
}

/// What the stream is decoded from.
pub(crate) struct Source<'a> {
    pub(crate) dialect: &'static Dialect,
    /// Of the answer, where it is streamed.
    pub(crate) framing: Framing,
    /// Whether it is.
    pub(crate) mode: Mode,
    pub(crate) name: &'a str,
    /// The client's request.
    pub(crate) body: &'a [u8],
    /// Of an answer that its provider keeps: whose it is.
    pub(crate) owner: Option<Owner>,
    pub(crate) clock: StreamClock,
    /// Deadline of the first body byte.
    pub(crate) first_ns: u64,
}

impl Source<'_> {
    /// Notes whose the answer is that begins with `pieces`, where its provider keeps it.
    pub(crate) fn note_id(&self, pieces: &[&[u8]]) {
        if let (Some(start), Some(owner)) = (self.dialect.stored_id(), self.owner) {
            owners::note(pieces, start, owner);
        }
    }
}

impl Events {
    pub(crate) fn new(dialect: &'static Dialect, client: Client<'static>, splice: Option<Splice>) -> Events {
        Events {
            framing: client.framing,
            encoder: (dialect.stream_encoder)(client),
            splice,
            decoded: Vec::new(),
            passed: Vec::new(),
            out: Vec::new(),
            early_end: EarlyEnd::default(),
            begun: false,
            seen: Seen::default(),
        }
    }

    /// Decodes `incoming` and writes what the client does not hold yet.
    pub(crate) async fn relay<R: Rt>(
        &mut self,
        down: &mut Downstream<'_, R>,
        journal: &mut Journal,
        incoming: &mut Incoming<R>,
        source: &Source<'_>,
    ) -> Delivered {
        let shard = down.shard;
        let mut decoder = (source.dialect.stream_decoder)();
        let mut deadline_ns = source.first_ns;
        self.seen = Seen::default();
        let mut heard = false;
        loop {
            let decoded = self.decode(decoder.as_mut(), incoming, source.name);
            heard |= incoming.pieces().iter().any(|piece| !piece.is_empty());
            let last = match (&decoded, incoming.is_ended()) {
                (Ok(()), true) => Last::Yes,
                _ => Last::No,
            };
            let passed = self.pass(journal, shard.rt.now_ns());
            if let Ok(Passed::Cut) = passed {
                // What the provider still sends is not read: the connection closes with the attempt.
                let written = self.write(down, journal, incoming.head.status, Last::Yes).await;
                return written.map_or_else(Delivered::from, |()| Delivered::Done);
            }
            if !self.out.is_empty() || (last == Last::Yes && passed.is_ok()) {
                let last = if passed.is_ok() { last } else { Last::No };
                if let Err(end) = self.write(down, journal, incoming.head.status, last).await {
                    return end.into();
                }
            }
            match decoded.and(passed.map(drop)) {
                Err(fault) => return self.fail(fault),
                Ok(()) if last == Last::Yes => return Delivered::Done,
                Ok(()) => {}
            }
            if heard {
                deadline_ns = source.clock.deadline_ns(shard.rt.now_ns());
            }
            match incoming.read(shard, down.gone, deadline_ns, Room::Reuse, source.name).await {
                Ok(()) => {}
                Err(ReadEnd::Gone) if shard.is_cut() => return self.fail(draining()),
                Err(ReadEnd::Gone) => return Delivered::Gone,
                Err(ReadEnd::Fault(fault)) if !self.begun => return Delivered::Failed(first_byte_fault(fault, source.name)),
                Err(ReadEnd::Fault(fault)) if !heard => return Delivered::Broken(first_byte_fault(fault, source.name)),
                Err(ReadEnd::Fault(fault)) => return Delivered::Broken(fault),
            }
            if !self.begun {
                journal.works_anew(shard.rt.now_ns());
            }
        }
    }

    /// Writes all of an answer that is already decoded.
    pub(crate) async fn replay<R: Rt>(&mut self, down: &mut Downstream<'_, R>, journal: &mut Journal, events: Vec<Event>) -> Delivered {
        self.decoded = events;
        let passed = self.pass(journal, down.shard.rt.now_ns());
        if self.out.is_empty() {
            return self.fail(passed.err().unwrap_or_else(|| Fault::new(Kind::MalformedResponse, "the answer holds nothing")));
        }
        let last = if passed.is_ok() { Last::Yes } else { Last::No };
        match (self.write(down, journal, 200, last).await, passed) {
            (Err(end), _) => end.into(),
            (Ok(()), Err(fault)) => self.fail(fault),
            (Ok(()), Ok(_)) => Delivered::Done,
        }
    }

    /// The one error event of a broken stream; no final chunk follows.
    pub(crate) async fn break_off<R: Rt>(&mut self, down: &mut Downstream<'_, R>, fault: &Fault) {
        self.out.clear();
        self.encoder.encode(&Event::Fault(fault.clone()), &mut self.out);
        // The connection closes either way: a client that does not take the event any more has noticed.
        let _ = down.chunk(&[], &[&self.out], Last::No).await;
        down.keep_alive = false;
    }

    fn fail(&self, fault: Fault) -> Delivered {
        match self.begun {
            true => Delivered::Broken(fault),
            false => Delivered::Failed(fault),
        }
    }

    fn decode<R: Rt>(&mut self, decoder: &mut dyn StreamDecoder, incoming: &mut Incoming<R>, name: &str) -> Result<(), Fault> {
        incoming.decode(name)?;
        for piece in incoming.pieces() {
            decoder.feed(piece, &mut self.decoded)?;
        }
        if incoming.is_ended() {
            decoder.finish(&mut self.decoded)?;
        }
        Ok(())
    }

    /// Decoded events → `out`. Stops at a fault in the stream, and where a budget ends it.
    fn pass(&mut self, journal: &mut Journal, now_ns: u64) -> Result<Passed, Fault> {
        self.out.clear();
        for event in self.decoded.drain(..) {
            if let Event::Fault(fault) = event {
                self.seen.fault = Some(fault.clone());
                return Err(fault);
            }
            self.seen.note(&event);
            match &mut self.splice {
                Some(splice) => splice.pass(event, &mut self.passed)?,
                None => self.passed.push(event),
            }
            for event in self.passed.drain(..) {
                self.early_end.note(&event);
                self.encoder.encode(&event, &mut self.out);
            }
            if !self.seen.finished && journal.delivered(self.seen.text_bytes, || now_ns) == Flow::Cut {
                journal.record.cut = true;
                let bill = self.seen.bill();
                // The record counts the request's text; the client hears of a figure near it.
                let input = if bill.lacks_input { tokens::by_length(journal.record.request_bytes) } else { bill.usage.input };
                let usage = Usage { input, ..bill.usage };
                for event in self.early_end.end(usage) {
                    self.encoder.encode(&event, &mut self.out);
                }
                return Ok(Passed::Cut);
            }
        }
        Ok(Passed::All)
    }

    async fn write<R: Rt>(&mut self, down: &mut Downstream<'_, R>, journal: &mut Journal, status: u16, last: Last) -> Result<(), WriteEnd> {
        let shard = down.shard;
        let mut head = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            let now_ns = shard.rt.now_ns();
            head = shard.buffers.rent();
            answer::begin(&mut head, status, journal, now_ns);
            write::field(&mut head, "content-type", self.framing.content_type().as_bytes());
            write::field(&mut head, "cache-control", b"no-cache");
            down.begin_stream(&mut head);
            journal.first_byte(status, now_ns);
        }
        let result = down.chunk(&head, &[&self.out], last).await;
        shard.buffers.give(head);
        result
    }
}
