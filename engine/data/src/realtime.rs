//! A realtime session: a WebSocket whose frames go by untouched both ways, while the provider's are read for what they used.
//!
//! Per read: no copy but of texts that are cut between two reads; one `recv` and one `sendmsg`. Each direction holds what one read gave,
//! and reads on once that is written: a side that takes nothing stops the other one alone.

use std::io::{self, IoSlice};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use ringway_adapters::dialect::realtime::{self, Event, Session};
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::frame::websocket::{
    Frames, GOING_AWAY, INTERNAL_ERROR, POLICY_VIOLATION, PROTOCOL_ERROR, Passed, Side, write_close, write_masked_close, write_text,
};
use ringway_policy::plan::Rules;
use ringway_policy::quota::Flow;

use crate::ahead::Ahead;
use crate::answer;
use crate::conn;
use crate::downstream::Downstream;
use crate::http1::write;
use crate::incoming::Incoming;
use crate::journal::Journal;
use crate::race::Gone;
use crate::relay::{Delivered, draining};
use crate::rt::{Io, Rt};
use crate::tls::Stream;
use crate::wheel::within;

/// Fields of the provider's half of the handshake that the client's half needs (RFC 6455 §4.2.2).
const HANDSHAKE: &[&str] = &["sec-websocket-accept", realtime::PROTOCOL_FIELD];

/// How long the other side may take to end a session that one side has closed.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// One direction: what was read of one side and is not written to the other yet.
struct Way {
    frames: Frames,
    bytes: Vec<u8>,
    written: usize,
    /// The other side took less than there was.
    is_blocked: bool,
    /// Its sender said that it closes.
    is_closing: bool,
}

impl Way {
    fn of(side: Side, bytes: Vec<u8>) -> Way {
        Way { frames: Frames::new(side), bytes, written: 0, is_blocked: false, is_closing: false }
    }

    fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    /// Writes what the other side takes now; gives how much that was.
    fn write<S: Io>(&mut self, to: &S) -> io::Result<u64> {
        let before = self.written;
        self.is_blocked = false;
        while !self.is_empty() {
            match to.try_write(&[IoSlice::new(&self.bytes[self.written..])]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_blocked = true;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        let count = (self.written - before) as u64;
        if self.is_empty() {
            self.bytes.clear();
            self.written = 0;
        }
        Ok(count)
    }
}

/// What the session waited for.
enum Heard {
    Client(usize),
    Provider(usize),
    /// A side that was full takes more.
    Room,
    /// The client is gone, or the process ends, while nothing is read of it.
    Gone,
}

/// Why a session ends.
enum End {
    /// As it should.
    Closed,
    Gone,
    Fault(u16, Fault),
}

/// Relays the session that the provider agreed to, until one side ends it or a bound does.
pub(crate) async fn relay<R: Rt>(
    down: &mut Downstream<'_, R>,
    journal: &mut Journal,
    incoming: Incoming<R>,
    name: &str,
    rules: &Rules,
) -> Delivered {
    let shard = down.shard;
    down.keep_alive = false;
    let mut head = shard.buffers.rent();
    let now_ns = shard.rt.now_ns();
    answer::begin(&mut head, 101, journal, now_ns);
    head.extend_from_slice(b"connection: Upgrade\r\nupgrade: websocket\r\n");
    for name in HANDSHAKE {
        if let Some(value) = incoming.field(name) {
            write::field(&mut head, name, value);
        }
    }
    head.extend_from_slice(b"\r\n");
    journal.first_byte(101, now_ns);
    let written = down.write(&mut [IoSlice::new(&head)]).await;
    shard.buffers.give(head);
    if let Err(end) = written {
        return end.into();
    }
    let (connection, early) = incoming.into_upgraded();
    let stream = &connection.stream;
    let make = |buffer: Vec<u8>| conn::arrive(shard, stream, buffer);
    let read = pin!(make(Vec::new()));
    let mut provider = Ahead::new(make, read);
    let mut session = Running {
        session: Session::default(),
        up: Way::of(Side::Client, Vec::new()),
        down: Way::of(Side::Server, Vec::new()),
        name,
        ends_ns: now_ns.saturating_add(nanos(rules.session)),
        idle_ns: nanos(rules.session_idle),
        since_ns: now_ns,
    };
    let end = match session.take_from_provider(journal, early, now_ns) {
        Some(end) => end,
        None => session.run(down, journal, stream, &mut provider).await,
    };
    journal.usage(&session.session.seen());
    session.finish(down, stream, end)
}

struct Running<'a> {
    session: Session,
    /// To the provider, and from it.
    up: Way,
    down: Way,
    name: &'a str,
    ends_ns: u64,
    idle_ns: u64,
    /// When a byte last went by.
    since_ns: u64,
}

impl Running<'_> {
    async fn run<R: Rt>(
        &mut self,
        down: &mut Downstream<'_, R>,
        journal: &mut Journal,
        stream: &Stream<R>,
        provider: &mut dyn Gone,
    ) -> End {
        let shard = down.shard;
        loop {
            match self.down.write(down.stream) {
                Ok(count) => down.written_bytes += count,
                Err(_) => return End::Gone,
            }
            if self.up.write(stream).is_err() {
                return self.provider_ended();
            }
            if self.down.is_closing && self.up.is_closing && self.down.is_empty() && self.up.is_empty() {
                return End::Closed;
            }
            let deadline_ns = self.deadline_ns();
            let heard = within(&shard.wheel, deadline_ns, self.hear(down.gone, down.stream, stream, provider)).await;
            let now_ns = shard.rt.now_ns();
            let heard = match heard {
                Ok(heard) => heard,
                Err(_) if self.down.is_closing || self.up.is_closing => return End::Closed,
                Err(_) => return self.too_long(now_ns),
            };
            if !matches!(heard, Heard::Room) {
                self.since_ns = now_ns;
            }
            match heard {
                Heard::Room => {}
                Heard::Gone | Heard::Client(0) if shard.is_cut() => return End::Fault(GOING_AWAY, draining()),
                Heard::Gone | Heard::Client(0) if self.up.is_closing || self.down.is_closing => return End::Closed,
                Heard::Gone | Heard::Client(0) => return End::Gone,
                Heard::Provider(0) => return self.provider_ended(),
                Heard::Client(_) => {
                    let Way { frames, bytes, is_closing, .. } = &mut self.up;
                    if let Err(fault) = frames.feed(bytes, |passed| *is_closing |= passed == Passed::Close) {
                        bytes.clear();
                        return End::Fault(PROTOCOL_ERROR, Fault::new(Kind::InvalidRequest, fault.message));
                    }
                    journal.record.request_bytes += self.up.bytes.len() as u64;
                }
                Heard::Provider(_) => {
                    let bytes = std::mem::take(&mut self.down.bytes);
                    if let Some(end) = self.take_from_provider(journal, bytes, now_ns) {
                        return end;
                    }
                }
            }
        }
    }

    /// Waits for bytes of either side, as far as there is room for them, and for room.
    async fn hear<S: Io>(&mut self, client: &mut dyn Gone, client_stream: &S, provider_stream: &S, provider: &mut dyn Gone) -> Heard {
        let (up_blocked, down_blocked) = (self.up.is_blocked, self.down.is_blocked);
        let mut up_room = pin!(room(provider_stream, up_blocked));
        let mut down_room = pin!(room(client_stream, down_blocked));
        std::future::poll_fn(|context: &mut Context<'_>| {
            if self.up.is_empty() {
                if let Poll::Ready(count) = client.poll_more(context, &mut self.up.bytes) {
                    return Poll::Ready(Heard::Client(count));
                }
            } else if client.poll_gone(context).is_ready() {
                return Poll::Ready(Heard::Gone);
            }
            if self.down.is_empty()
                && let Poll::Ready(count) = provider.poll_more(context, &mut self.down.bytes)
            {
                return Poll::Ready(Heard::Provider(count));
            }
            if up_room.as_mut().poll(context).is_ready() || down_room.as_mut().poll(context).is_ready() {
                return Poll::Ready(Heard::Room);
            }
            Poll::Pending
        })
        .await
    }

    /// Takes what the provider sent: it goes on to the client, and what it used is counted. `Some` where the session ends behind it.
    fn take_from_provider(&mut self, journal: &mut Journal, bytes: Vec<u8>, now_ns: u64) -> Option<End> {
        let Running { session, down, .. } = self;
        let (mut is_more, mut is_closing) = (false, false);
        let looked = down.frames.feed(&bytes, |passed| match passed {
            Passed::Message(text) => is_more |= session.take(text) == Event::Answered,
            Passed::Close => is_closing = true,
        });
        if let Err(mut fault) = looked {
            fault.message = format!("upstream {}: {}", self.name, fault.message).into();
            return Some(End::Fault(INTERNAL_ERROR, fault));
        }
        down.bytes = bytes;
        down.is_closing |= is_closing;
        if is_more && journal.used(&session.seen(), now_ns) == Flow::Cut {
            journal.record.cut = true;
            let fault = journal.bill.ended_by();
            let fault = fault.unwrap_or_else(|| Fault::new(Kind::BudgetExceeded, "what this key may use is used up"));
            return Some(End::Fault(POLICY_VIOLATION, fault));
        }
        None
    }

    fn deadline_ns(&self) -> u64 {
        let idle_ns = if self.up.is_closing || self.down.is_closing { nanos(CLOSE_WAIT).min(self.idle_ns) } else { self.idle_ns };
        self.since_ns.saturating_add(idle_ns).min(self.ends_ns)
    }

    fn too_long(&self, now_ns: u64) -> End {
        let message = match now_ns >= self.ends_ns {
            true => "the session has lasted as long as the route allows; begin another one".to_owned(),
            false => format!("the session was silent for {} s; begin another one", self.idle_ns / 1_000_000_000),
        };
        End::Fault(GOING_AWAY, Fault::new(Kind::RequestTimeout, message))
    }

    fn provider_ended(&self) -> End {
        if self.down.is_closing || self.up.is_closing {
            return End::Closed;
        }
        End::Fault(INTERNAL_ERROR, Fault::new(Kind::UpstreamCut, format!("upstream {} ended the session without a word", self.name)))
    }

    /// Tells both sides, as far as they take it at once: who is told is about to be left.
    fn finish<R: Rt>(&mut self, down: &mut Downstream<'_, R>, stream: &Stream<R>, end: End) -> Delivered {
        let (code, fault) = match end {
            End::Closed => {
                stream.shutdown();
                return Delivered::Done;
            }
            End::Gone => {
                self.close_provider(down, stream, GOING_AWAY);
                return Delivered::Gone;
            }
            End::Fault(code, fault) => (code, fault),
        };
        self.close_provider(down, stream, GOING_AWAY);
        let (may_begin, at_boundary) = (self.down.frames.may_begin(), self.down.frames.at_boundary());
        let out = &mut self.down.bytes;
        if may_begin {
            let mut event = Vec::new();
            realtime::error_event(&fault, &mut event);
            write_text(&event, out);
        }
        if at_boundary {
            write_close(code, fault.kind.code(), out);
        }
        if let Ok(count) = self.down.write(down.stream) {
            down.written_bytes += count;
        }
        Delivered::Broken(fault)
    }

    fn close_provider<R: Rt>(&mut self, down: &Downstream<'_, R>, stream: &Stream<R>, code: u16) {
        if self.up.frames.at_boundary() && !self.up.is_closing && self.up.is_empty() {
            let mask = (down.shard.rt.random() as u32).to_be_bytes();
            write_masked_close(code, mask, &mut self.up.bytes);
            // A provider that takes no more has lost its session either way.
            let _ = self.up.write(stream);
        }
        stream.shutdown();
    }
}

/// Waits until a side that was full takes more; for ever where it is not.
async fn room<S: Io>(stream: &S, is_blocked: bool) {
    match is_blocked {
        // An error shows with the next write.
        true => drop(stream.writable().await),
        false => std::future::pending().await,
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
