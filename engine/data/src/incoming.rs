//! The answer of an upstream: its head, and its body read by read.
//!
//! Per read: no copy (spans of the read buffer), no allocation up to `SPANS_INLINE` chunks a read.

use std::ops::Range;

use ringway_adapters::fault::{Fault, Kind};
use smallvec::SmallVec;

use crate::encoding::Inflater;
use crate::http1::chunked::{ChunkedDecoder, Step};
use crate::http1::head::{Framing, HeadLimits, ResponseHead, parse_response};
use crate::pool::Connection;
use crate::race::{Gone, unless_gone};
use crate::rt::{Io, Rt};
use crate::shard::Shard;
use crate::wheel::{Timer, until, within};

/// Chunks of one read that need no allocation.
pub(crate) const SPANS_INLINE: usize = 6;

/// Bounds of an answer's head. Providers send more than clients may.
const HEAD_LIMITS: HeadLimits = HeadLimits { bytes_max: 128 * 1024, fields_max: 256 };

/// Interim (1xx) heads that are skipped before the real one.
const INTERIM_MAX: usize = 8;

/// Why reading ended early.
#[derive(Debug)]
pub(crate) enum ReadEnd {
    /// The client left.
    Gone,
    Fault(Fault),
}

impl From<Fault> for ReadEnd {
    fn from(fault: Fault) -> ReadEnd {
        ReadEnd::Fault(fault)
    }
}

/// An answer that has begun.
pub(crate) struct Incoming<R: Rt> {
    connection: Connection<R>,
    pub(crate) head: ResponseHead,
    pub(crate) buffer: Vec<u8>,
    /// Where undecoded bytes begin.
    at: usize,
    body: Body,
    spans: SmallVec<[Range<usize>; SPANS_INLINE]>,
    inflater: Option<Inflater>,
    /// Of the reads of the body, once one had to be waited for.
    timer: Option<Timer<R>>,
    pub(crate) read_bytes: u64,
}

enum Body {
    Length(u64),
    Chunked(ChunkedDecoder),
    UntilClose,
    Ended,
}

/// What the request makes the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expects {
    Body,
    /// It was HEAD.
    NoBody,
    /// It asked for another protocol.
    Upgrade,
}

/// What `head` reads before there is an `Incoming`.
pub(crate) enum HeadEnd {
    Gone,
    /// No byte of an answer came: a reused connection may have been stale.
    Silent,
    Fault(Fault),
}

impl<R: Rt> Incoming<R> {
    /// Reads the answer's head. It comes boxed: in the exchange's future it would stand several times. `name` is the provider's, for messages.
    pub(crate) async fn begin(
        shard: &Shard<R>,
        connection: Connection<R>,
        gone: &mut dyn Gone,
        deadline_ns: u64,
        expects: Expects,
        name: &str,
    ) -> Result<Box<Incoming<R>>, HeadEnd> {
        let mut buffer = shard.buffers.rent();
        let mut interim_count = 0;
        loop {
            if buffer.len() == buffer.capacity() {
                buffer.reserve(buffer.capacity());
            }
            let read = within(&shard.wheel, deadline_ns, connection.stream.read(buffer));
            let (result, returned) = match unless_gone(gone, read).await {
                None => return Err(HeadEnd::Gone),
                Some(Err(_)) => {
                    return Err(HeadEnd::Fault(Fault::new(Kind::UpstreamTimeout, format!("upstream {name} sent no answer in time"))));
                }
                Some(Ok(read)) => read,
            };
            buffer = returned;
            match result {
                Ok(0) if buffer.is_empty() => return Err(HeadEnd::Silent),
                Err(_) if buffer.is_empty() => return Err(HeadEnd::Silent),
                Ok(0) | Err(_) => {
                    return Err(HeadEnd::Fault(Fault::new(
                        Kind::UpstreamReset,
                        format!("upstream {name} closed inside the answer's head"),
                    )));
                }
                Ok(_) => {}
            }
            while let Some(head) = parse_response(&buffer, HEAD_LIMITS, expects == Expects::NoBody)
                .map_err(|refusal| HeadEnd::Fault(malformed(name, refusal.reason)))?
            {
                if head.status >= 200 || (head.status == 101 && expects == Expects::Upgrade) {
                    return Incoming::new(connection, head, buffer, name).map_err(HeadEnd::Fault);
                }
                interim_count += 1;
                if head.status == 101 || interim_count > INTERIM_MAX {
                    return Err(HeadEnd::Fault(malformed(name, "an interim answer that was not asked for")));
                }
                buffer.drain(..head.len);
            }
        }
    }

    fn new(connection: Connection<R>, head: ResponseHead, buffer: Vec<u8>, name: &str) -> Result<Box<Incoming<R>>, Fault> {
        let body = match head.framing {
            Framing::None | Framing::Length(0) => Body::Ended,
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked(ChunkedDecoder::default()),
            Framing::UntilClose => Body::UntilClose,
        };
        let inflater = match head.fields.get(&buffer, "content-encoding") {
            None => None,
            Some(coding) => {
                Inflater::for_coding(coding).map_err(|()| malformed(name, "a content-encoding that was not asked for and is not known"))?
            }
        };
        let read_bytes = buffer.len() as u64;
        Ok(Box::new(Incoming { connection, at: head.len, head, buffer, body, spans: SmallVec::new(), inflater, timer: None, read_bytes }))
    }

    /// The connection speaks another protocol from here on, which `buffer` holds the first bytes of.
    pub(crate) fn into_upgraded(self) -> (Connection<R>, Vec<u8>) {
        let mut buffer = self.buffer;
        buffer.drain(..self.head.len);
        (self.connection, buffer)
    }

    pub(crate) fn field(&self, name: &str) -> Option<&[u8]> {
        self.head.fields.get(&self.buffer, name)
    }

    /// The body was transfer-framed whole and nothing of it is left to read.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.body, Body::Ended)
    }

    /// The body bytes of the last `decode`.
    pub(crate) fn pieces(&self) -> SmallVec<[&[u8]; SPANS_INLINE]> {
        match &self.inflater {
            Some(inflater) => SmallVec::from_slice(&[inflater.output()]),
            None => self.spans.iter().map(|span| &self.buffer[span.clone()]).collect(),
        }
    }

    /// Decodes what the buffer holds behind the last decoded byte; `pieces` gives it.
    ///
    /// # Errors
    /// `MalformedResponse` for bad chunks or a bad coding.
    pub(crate) fn decode(&mut self, name: &str) -> Result<(), Fault> {
        self.spans.clear();
        let mut ended = false;
        match &mut self.body {
            Body::Ended => {}
            Body::Length(left) => {
                let take = (*left).min((self.buffer.len() - self.at) as u64);
                if take > 0 {
                    self.spans.push(self.at..self.at + take as usize);
                }
                self.at += take as usize;
                *left -= take;
                ended = *left == 0;
            }
            Body::UntilClose => {
                if self.at < self.buffer.len() {
                    self.spans.push(self.at..self.buffer.len());
                    self.at = self.buffer.len();
                }
            }
            Body::Chunked(decoder) => loop {
                match decoder.step(&self.buffer, self.at).map_err(|refusal| malformed(name, refusal.reason))? {
                    Step::Data(span) => {
                        self.at = span.end;
                        self.spans.push(span);
                    }
                    Step::More => {
                        self.at = self.buffer.len();
                        break;
                    }
                    Step::End(at) => {
                        self.at = at;
                        ended = true;
                        break;
                    }
                }
            },
        }
        if ended {
            self.body = Body::Ended;
        }
        if let Some(inflater) = &mut self.inflater {
            inflater.clear();
            for span in &self.spans {
                inflater.feed(&self.buffer[span.clone()]).map_err(|reason| malformed(name, reason))?;
            }
        }
        Ok(())
    }

    /// Reads more behind what the buffer holds; with `Room::Reuse` the buffer's decoded bytes are given up first.
    ///
    /// # Errors
    /// `UpstreamStalled` at the deadline, `UpstreamCut` where the connection ends inside the body.
    pub(crate) async fn read(
        &mut self,
        shard: &Shard<R>,
        gone: &mut dyn Gone,
        deadline_ns: u64,
        room: Room,
        name: &str,
    ) -> Result<(), ReadEnd> {
        let mut buffer = std::mem::take(&mut self.buffer);
        match room {
            Room::Reuse => {
                debug_assert_eq!(self.at, buffer.len());
                buffer.clear();
                self.at = 0;
            }
            Room::Behind | Room::BehindHead => {
                if room == Room::BehindHead {
                    buffer.truncate(self.head.len);
                    self.at = self.head.len;
                }
                if buffer.len() == buffer.capacity() {
                    buffer.reserve(buffer.capacity());
                }
            }
        }
        let timer = self.timer.get_or_insert_with(|| shard.wheel.timer(deadline_ns));
        let read = until(timer, deadline_ns, self.connection.stream.read(buffer));
        let (result, buffer) = match unless_gone(gone, read).await {
            None => return Err(ReadEnd::Gone),
            Some(Err(_)) => return Err(Fault::new(Kind::UpstreamStalled, format!("upstream {name} went silent inside the answer")).into()),
            Some(Ok(read)) => read,
        };
        self.buffer = buffer;
        match result {
            Ok(count) if count > 0 => {
                self.read_bytes += count as u64;
                Ok(())
            }
            Ok(_) if matches!(self.body, Body::UntilClose) => {
                self.body = Body::Ended;
                Ok(())
            }
            _ => Err(Fault::new(Kind::UpstreamCut, format!("upstream {name} closed inside the answer")).into()),
        }
    }

    /// Reads the body whole, or the beginning of one that is larger than `bytes_max`.
    ///
    /// # Errors
    /// As `read` and `decode`.
    pub(crate) async fn hold(
        &mut self,
        shard: &Shard<R>,
        gone: &mut dyn Gone,
        mut deadline_ns: impl FnMut() -> u64,
        bytes_max: usize,
        name: &str,
    ) -> Result<Held, ReadEnd> {
        if let Body::Length(length) = self.body
            && self.inflater.is_none()
            && length as usize <= bytes_max
        {
            let need = self.head.len + length as usize;
            self.buffer.reserve(need.saturating_sub(self.buffer.len()));
            while self.buffer.len() < need {
                self.read(shard, gone, deadline_ns(), Room::Behind, name).await?;
            }
            self.decode(name)?;
            return Ok(Held::InPlace(self.head.len..need));
        }
        let mut body = Vec::new();
        loop {
            self.decode(name)?;
            for piece in self.pieces() {
                body.extend_from_slice(piece);
            }
            if self.is_ended() {
                return Ok(Held::Copied(body));
            }
            if body.len() > bytes_max {
                return Ok(Held::Larger(body));
            }
            self.read(shard, gone, deadline_ns(), Room::BehindHead, name).await?;
        }
    }

    /// Gives the connection back where it can carry another request, and the buffer in any case.
    pub(crate) fn finish(self, shard: &Shard<R>) {
        let reusable = self.is_ended() && self.head.keep_alive && self.at == self.buffer.len();
        shard.buffers.give(self.buffer);
        if reusable {
            self.connection.checkin(shard);
        }
    }
}

/// Where a held body lies.
pub(crate) enum Held {
    /// In the read buffer, at this span.
    InPlace(Range<usize>),
    Copied(Vec<u8>),
    /// Over the bound: this is its beginning, the rest is still to be read.
    Larger(Vec<u8>),
}

/// What a read does with the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// All of it is used up: start anew.
    Reuse,
    /// Append.
    Behind,
    /// The decoded body is used up; the head's fields are still to be forwarded.
    BehindHead,
}

fn malformed(name: &str, reason: &str) -> Fault {
    Fault::new(Kind::MalformedResponse, format!("upstream {name} sent {reason}"))
}
