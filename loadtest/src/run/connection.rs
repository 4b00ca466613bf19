//! One client connection: a request at a time, its answer decoded as far as needed to know when and how it ended.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use super::figures::{Figures, note};
use crate::http::{Chunked, Framing, parse_response_head};

/// Connecting on loopback takes microseconds; beyond this the target is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A response head longer than this is malformed.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The tail of a stream that is kept to see whether it said that it was over.
const TAIL_BYTES: usize = 256;
/// What the short last event of a complete stream contains, in one dialect or another.
const SHORT_ENDINGS: &[&[u8]] = &[b"[DONE]", b"message_stop"];
/// What a last event begins with that may be longer than the tail; it says so twice, so that a cut hides only one.
const LONG_ENDINGS: &[&[u8]] = &[b"response.completed", b"response.incomplete"];

pub(super) struct Connection {
    pub(super) socket: TcpStream,
    exchange: Option<Exchange>,
    /// A head that arrived in parts.
    partial: Vec<u8>,
    tail: Vec<u8>,
}

/// The request in flight.
struct Exchange {
    due: Instant,
    sent_bytes: usize,
    body: Body,
    status: u16,
    keep_alive: bool,
    last_event: Option<Instant>,
    newline_last: bool,
    long_ending_seen: bool,
}

enum Body {
    /// The head is not complete yet.
    Awaited,
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

/// Where an exchange stands after `receive` or `send`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Going,
    /// Complete; the connection takes the next request.
    Free,
    /// Complete or failed, and the connection is of no more use.
    Closed,
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> io::Result<Self> {
        let socket = std::net::TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket: TcpStream::from_std(socket), exchange: None, partial: Vec::new(), tail: Vec::new() })
    }

    pub(super) fn is_busy(&self) -> bool {
        self.exchange.is_some()
    }

    /// When the request in flight was due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.exchange.as_ref().map(|exchange| exchange.due)
    }

    pub(super) fn start(&mut self, due: Instant, request: &[u8], figures: &mut Figures) -> Progress {
        self.partial.clear();
        self.tail.clear();
        let exchange = Exchange {
            due,
            sent_bytes: 0,
            body: Body::Awaited,
            status: 0,
            keep_alive: true,
            last_event: None,
            newline_last: false,
            long_ending_seen: false,
        };
        self.exchange = Some(exchange);
        self.send(request, figures)
    }

    /// Sends what is left of the request.
    pub(super) fn send(&mut self, request: &[u8], figures: &mut Figures) -> Progress {
        let Some(exchange) = &mut self.exchange else { return Progress::Going };
        while exchange.sent_bytes < request.len() {
            match self.socket.write(&request[exchange.sent_bytes..]) {
                Ok(count) => exchange.sent_bytes += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.fail("send", figures),
            }
        }
        Progress::Going
    }

    /// Reads until the socket is empty or the exchange is over.
    pub(super) fn receive(&mut self, buffer: &mut [u8], read_closed: bool, figures: &mut Figures) -> Progress {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return self.peer_closed(figures),
                Ok(count) => {
                    figures.bytes_received += count as u64;
                    let progress = self.received(&buffer[..count], figures);
                    if progress != Progress::Going || (count < buffer.len() && !read_closed) {
                        return progress;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Going,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.fail("reset", figures),
            }
        }
    }

    /// Counts the exchange in flight as failed.
    pub(super) fn fail(&mut self, kind: &str, figures: &mut Figures) -> Progress {
        if self.exchange.take().is_some() {
            figures.error(kind);
        }
        Progress::Closed
    }

    fn peer_closed(&mut self, figures: &mut Figures) -> Progress {
        match &self.exchange {
            Some(Exchange { body: Body::UntilClose, .. }) => {
                self.complete(figures);
                Progress::Closed
            }
            Some(Exchange { body: Body::Awaited, .. }) => self.fail("closed_before_head", figures),
            _ => self.fail("closed_mid_body", figures),
        }
    }

    fn received(&mut self, bytes: &[u8], figures: &mut Figures) -> Progress {
        let Some(exchange) = &mut self.exchange else { return Progress::Closed };
        if !matches!(exchange.body, Body::Awaited) {
            return self.body(bytes, figures);
        }
        let joined;
        let bytes = if self.partial.is_empty() {
            bytes
        } else {
            self.partial.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.partial);
            &joined
        };
        match parse_response_head(bytes) {
            Ok(None) if bytes.len() > HEAD_BYTES_MAX => self.fail("malformed", figures),
            Ok(None) => {
                self.partial = bytes.to_vec();
                Progress::Going
            }
            Ok(Some(head)) => {
                exchange.status = head.status;
                exchange.keep_alive = head.keep_alive;
                exchange.body = match head.framing {
                    Framing::Length(length) => Body::Length(length),
                    Framing::Chunked => Body::Chunked(Chunked::default()),
                    Framing::UntilClose => Body::UntilClose,
                };
                if let Some(overhead_us) = head.overhead_us {
                    note(&mut figures.overhead, Duration::from_nanos((overhead_us.max(0.0) * 1e3) as u64));
                }
                self.body(&bytes[head.head_bytes..], figures)
            }
            Err(_) => self.fail("malformed", figures),
        }
    }

    fn body(&mut self, bytes: &[u8], figures: &mut Figures) -> Progress {
        let Some(exchange) = &mut self.exchange else { return Progress::Closed };
        let mut events = 0;
        let tail = &mut self.tail;
        let newline_last = &mut exchange.newline_last;
        let long_ending_seen = &mut exchange.long_ending_seen;
        let ended = match &mut exchange.body {
            Body::Awaited => false,
            Body::UntilClose => false,
            Body::Length(left) => {
                *left = left.saturating_sub(bytes.len() as u64);
                *left == 0
            }
            Body::Chunked(decoder) => {
                let fed = decoder.feed(bytes, |data| {
                    events += count_events(data, newline_last);
                    keep_tail(tail, data);
                    *long_ending_seen = *long_ending_seen || contains_any(data, LONG_ENDINGS);
                });
                if fed.is_err() {
                    return self.fail("malformed", figures);
                }
                decoder.is_done()
            }
        };
        if events > 0 {
            figures.events += events;
            let now = Instant::now();
            match exchange.last_event.replace(now) {
                None => note(&mut figures.first_event, now - exchange.due),
                Some(before) => note(&mut figures.between_events, now - before),
            }
        }
        if !ended {
            return Progress::Going;
        }
        let keep_alive = exchange.keep_alive;
        self.complete(figures);
        if keep_alive { Progress::Free } else { Progress::Closed }
    }

    fn complete(&mut self, figures: &mut Figures) {
        let Some(exchange) = self.exchange.take() else { return };
        if exchange.status != 200 {
            return figures.error(format!("status_{}", exchange.status));
        }
        if exchange.last_event.is_some() && !exchange.long_ending_seen && !contains_any(&self.tail, SHORT_ENDINGS) {
            return figures.error("stream_without_end");
        }
        figures.completed += 1;
        note(&mut figures.latency, exchange.due.elapsed());
    }
}

/// Counts blank lines, also ones that two reads share.
fn count_events(data: &[u8], newline_last: &mut bool) -> u64 {
    let mut count = u64::from(*newline_last && data.first() == Some(&b'\n'));
    count += memchr::memmem::find_iter(data, b"\n\n").count() as u64;
    *newline_last = data.last() == Some(&b'\n') && !data.ends_with(b"\n\n");
    count
}

fn contains_any(data: &[u8], needles: &[&[u8]]) -> bool {
    needles.iter().any(|needle| memchr::memmem::find(data, needle).is_some())
}

fn keep_tail(tail: &mut Vec<u8>, data: &[u8]) {
    let data = &data[data.len().saturating_sub(TAIL_BYTES)..];
    let excess = (tail.len() + data.len()).saturating_sub(TAIL_BYTES);
    tail.drain(..excess.min(tail.len()));
    tail.extend_from_slice(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_wherever_the_cut_is() {
        let text = b"data: 1\n\ndata: 2\n\n";
        for cut in 0..text.len() {
            let mut newline_last = false;
            let count = count_events(&text[..cut], &mut newline_last) + count_events(&text[cut..], &mut newline_last);
            assert_eq!(count, 2, "cut at {cut}");
        }
    }

    #[test]
    fn the_tail_stays_short() {
        let mut tail = Vec::new();
        keep_tail(&mut tail, &[1; 300]);
        keep_tail(&mut tail, b"[DONE]");
        assert_eq!((tail.len(), tail.ends_with(b"[DONE]")), (TAIL_BYTES, true));
    }
}
