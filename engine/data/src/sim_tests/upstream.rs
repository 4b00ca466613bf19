//! Virtual providers: each request gets the behaviour that the seed draws, and the log keeps what was sent and when.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::wire::{self, Body, Wire};
use super::{FIRST_BYTE_NS, Scene};
use crate::race::{Either, race};
use crate::rt::sim::SimStream;
use crate::rt::{Address, Io, Rt};

/// One provider of the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub name: &'static str,
    pub wire: Wire,
    pub port: u16,
}

pub(super) const PLACES: [Place; 4] = [
    Place { name: "alpha", wire: Wire::Chat, port: 9001 },
    Place { name: "beta", wire: Wire::Chat, port: 9002 },
    Place { name: "gamma", wire: Wire::Messages, port: 9003 },
    Place { name: "delta", wire: Wire::Messages, port: 9004 },
];

/// What a provider does with one request. Offsets are bytes of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    Good,
    /// As good, but bytes that belong to nothing follow.
    Leftover,
    /// As good, but the connection ends although it promised to stay.
    CloseBehind,
    /// As good, but a second between two pieces.
    Slow,
    Cut(usize),
    Reset(usize),
    Stall(usize),
    GarbageChunk(usize),
    GarbageEvent,
    InBandError,
    Silent,
    HeadThenSilent,
    CloseAtOnce,
    ResetAtOnce,
    GarbageHead,
    Status(u16),
}

/// A request that reached a provider, and what it got.
#[derive(Debug)]
pub(super) struct Served {
    pub place: Place,
    pub marker: String,
    pub behaviour: Behaviour,
    pub begun_ns: u64,
    /// The body as it was to be sent, garbage included.
    pub body: Vec<u8>,
    /// When all of a complete answer was sent.
    pub whole_ns: Option<u64>,
    /// When the gateway was seen to have closed the connection under the answer.
    pub closed_ns: Option<u64>,
    pub written_bytes: usize,
}

impl Served {
    /// It sent no byte of an answer until the gateway gave up.
    pub(super) fn was_silent(&self) -> bool {
        let kept_ns = self.closed_ns.map_or(0, |closed_ns| closed_ns - self.begun_ns);
        matches!(self.behaviour, Behaviour::Silent | Behaviour::HeadThenSilent) && kept_ns >= FIRST_BYTE_NS
    }

    /// The provider keeps the connection until the gateway closes it, unless it comes to the answer's end.
    pub(super) fn is_held_open(&self) -> bool {
        matches!(
            self.behaviour,
            Behaviour::Good
                | Behaviour::Slow
                | Behaviour::Leftover
                | Behaviour::CloseBehind
                | Behaviour::Stall(_)
                | Behaviour::Silent
                | Behaviour::HeadThenSilent
        )
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    Chunked,
    Length,
    UntilClose,
}

/// The gateway closed the connection.
struct Closed;

pub(super) fn start(scene: &Rc<Scene>) {
    for place in PLACES {
        let listener = scene.sim.listen(Address::Ip(SocketAddr::from(([127, 0, 0, 1], place.port))));
        let scene = scene.clone();
        scene.sim.clone().spawn(async move {
            loop {
                let stream = listener.accept().await;
                let scene = scene.clone();
                scene.sim.clone().spawn(async move { connection(&scene, place, &stream).await });
            }
        });
    }
}

async fn connection(scene: &Scene, place: Place, stream: &SimStream) {
    let mut buffer = Vec::new();
    let mut poisoned = false;
    while let Some(request) = request(stream, &mut buffer).await {
        let Some(marker) = wire::find_marker(&request) else {
            scene.violation("a request without its marker reached a provider".to_owned());
            return;
        };
        if poisoned {
            scene.violation(format!("{marker}: a connection with leftover bytes was used again"));
        }
        let body = wire::answer(place.wire, &marker, &request);
        let scripted = scene.script.borrow_mut().pop_front();
        let behaviour = scripted.unwrap_or_else(|| draw(scene, &body));
        let index = scene.log.borrow().len();
        scene.log.borrow_mut().push(Served {
            place,
            marker,
            behaviour,
            begun_ns: scene.sim.now_ns(),
            body: Vec::new(),
            whole_ns: None,
            closed_ns: None,
            written_bytes: 0,
        });
        let answer = Answering { scene, stream, index };
        match answer.give(place.wire, body, behaviour).await {
            Ok(Next::Again) => {}
            Ok(Next::Poisoned) => poisoned = !matches!(stream.peek(&mut [0]), Ok(count) if count > 0),
            Ok(Next::Close) => return,
            Err(Closed) => {
                scene.log.borrow_mut()[index].closed_ns = Some(scene.sim.now_ns());
                return;
            }
        }
    }
}

/// What becomes of the connection.
enum Next {
    Again,
    Poisoned,
    Close,
}

fn draw(scene: &Scene, body: &Body) -> Behaviour {
    let at = scene.below(body.bytes.len().max(1));
    if scene.below(100) < scene.calm_percent {
        return match scene.below(8) {
            0 => Behaviour::Leftover,
            1 => Behaviour::CloseBehind,
            _ => Behaviour::Good,
        };
    }
    match scene.below(16) {
        0..=2 => Behaviour::Cut(at),
        3 => Behaviour::Reset(at),
        4..=5 => Behaviour::Stall(at),
        6 => Behaviour::GarbageChunk(at),
        7 => Behaviour::GarbageEvent,
        8 => Behaviour::InBandError,
        9 => Behaviour::Silent,
        10 => Behaviour::HeadThenSilent,
        11 => Behaviour::CloseAtOnce,
        12 => Behaviour::ResetAtOnce,
        13 => Behaviour::GarbageHead,
        14 => Behaviour::Slow,
        _ => Behaviour::Status([429, 500, 503, 400, 401][scene.below(5)]),
    }
}

struct Answering<'a> {
    scene: &'a Scene,
    stream: &'a SimStream,
    index: usize,
}

impl Answering<'_> {
    async fn give(&self, wire: Wire, mut body: Body, behaviour: Behaviour) -> Result<Next, Closed> {
        let scene = self.scene;
        self.pause().await?;
        let streams = !body.event_ends.is_empty();
        let framing = match (scene.below(8), streams) {
            (0, _) => Framing::UntilClose,
            (1..=3, false) => Framing::Length,
            _ => Framing::Chunked,
        };
        match behaviour {
            Behaviour::Silent => return self.wait_for_close().await,
            Behaviour::CloseAtOnce => return Ok(Next::Close),
            Behaviour::ResetAtOnce => {
                self.stream.reset();
                return Ok(Next::Close);
            }
            Behaviour::GarbageHead => {
                self.push(b"HTTP/1.1 2x0 what\r\n\r\n").await?;
                return Ok(Next::Close);
            }
            Behaviour::Status(status) => {
                let reason = "{\"error\":{\"message\":\"no\",\"type\":\"x\",\"param\":null,\"code\":null},\"type\":\"error\"}";
                let head = format!("HTTP/1.1 {status} No\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", reason.len());
                self.push(head.as_bytes()).await?;
                self.push(reason.as_bytes()).await?;
                return Ok(Next::Again);
            }
            Behaviour::GarbageEvent if streams => {
                let at = body.event_ends[scene.below(body.event_ends.len() - 1)];
                body.bytes.splice(at.., *b"data: {\"id\":\"c1\",\"choices\":[{]]\n\n");
            }
            Behaviour::InBandError if streams => {
                let at = body.event_ends[scene.below(body.event_ends.len() - 1)];
                body.bytes.splice(at.., wire::in_band_error(wire).iter().copied());
            }
            _ => {}
        }
        scene.log.borrow_mut()[self.index].body = body.bytes.clone();
        self.push(head(framing, streams, body.bytes.len()).as_bytes()).await?;
        if behaviour == Behaviour::HeadThenSilent {
            return self.wait_for_close().await;
        }
        if scene.below(3) == 0 {
            self.pause().await?;
        }
        let until = match behaviour {
            Behaviour::Cut(at) | Behaviour::Reset(at) | Behaviour::Stall(at) | Behaviour::GarbageChunk(at) => at,
            _ => body.bytes.len(),
        };
        self.pieces(framing, &body.bytes[..until], behaviour).await?;
        match behaviour {
            Behaviour::GarbageChunk(_) if framing == Framing::Chunked => {
                self.push(b"zz\r\n").await?;
                return self.wait_for_close().await;
            }
            Behaviour::Cut(_) | Behaviour::GarbageChunk(_) => {
                // Without framing, an end behind the finish reason is a whole answer by the failure table.
                let is_finished = memchr::memmem::rfind(&body.bytes[..until], wire::finish(wire)).is_some();
                if framing == Framing::UntilClose && is_finished {
                    scene.log.borrow_mut()[self.index].whole_ns = Some(scene.sim.now_ns());
                }
                return Ok(Next::Close);
            }
            Behaviour::Reset(_) => {
                self.stream.reset();
                return Ok(Next::Close);
            }
            Behaviour::Stall(_) => return self.wait_for_close().await,
            _ => {}
        }
        let mut tail = if framing == Framing::Chunked { b"0\r\n\r\n".to_vec() } else { Vec::new() };
        let garbled = streams && matches!(behaviour, Behaviour::GarbageEvent | Behaviour::InBandError);
        if !garbled {
            // Set before the last byte is out: only now may the client see the end.
            scene.log.borrow_mut()[self.index].whole_ns = Some(scene.sim.now_ns());
        }
        if behaviour == Behaviour::Leftover && framing != Framing::UntilClose {
            tail.extend_from_slice(b"left over");
        }
        self.push(&tail).await?;
        Ok(match (behaviour, framing) {
            (Behaviour::CloseBehind, _) | (_, Framing::UntilClose) => Next::Close,
            (Behaviour::Leftover, _) => Next::Poisoned,
            _ => Next::Again,
        })
    }

    /// The body in pieces of any size, some after a pause.
    async fn pieces(&self, framing: Framing, body: &[u8], behaviour: Behaviour) -> Result<(), Closed> {
        let mut left = body;
        let piece_max = [7, 200, 3000, 60_000][self.scene.below(4)].max(body.len() / 200);
        while !left.is_empty() {
            let (piece, rest) = left.split_at(left.len().min(1 + self.scene.below(piece_max)));
            left = rest;
            if framing == Framing::Chunked {
                let framed = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
                self.push(&framed).await?;
            } else {
                self.push(piece).await?;
            }
            if !left.is_empty() && behaviour == Behaviour::Slow {
                self.race(self.scene.sim.sleep(Duration::from_secs(1))).await?;
            } else if !left.is_empty() && self.scene.below(10) == 0 {
                self.pause().await?;
            }
        }
        Ok(())
    }

    async fn pause(&self) -> Result<(), Closed> {
        let pause = Duration::from_micros(self.scene.below(30_000) as u64);
        self.race(self.scene.sim.sleep(pause)).await
    }

    async fn wait_for_close(&self) -> Result<Next, Closed> {
        let _ = self.stream.readable().await;
        Err(Closed)
    }

    async fn push(&self, mut bytes: &[u8]) -> Result<(), Closed> {
        while !bytes.is_empty() {
            match self.stream.try_write(&[IoSlice::new(bytes)]) {
                Ok(count) => {
                    bytes = &bytes[count..];
                    self.scene.log.borrow_mut()[self.index].written_bytes += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.race(async { drop(self.stream.writable().await) }).await?;
                }
                Err(_) => return Err(Closed),
            }
        }
        Ok(())
    }

    /// `future`, unless the gateway closes first: it never sends anything while it is answered.
    async fn race(&self, future: impl Future<Output = ()>) -> Result<(), Closed> {
        match race(future, self.stream.readable()).await {
            Either::Left(()) => Ok(()),
            Either::Right(_) => Err(Closed),
        }
    }
}

fn head(framing: Framing, streams: bool, len: usize) -> String {
    let kind = if streams { "text/event-stream" } else { "application/json" };
    let framing = match framing {
        Framing::Chunked => "transfer-encoding: chunked".to_owned(),
        Framing::Length => format!("content-length: {len}"),
        Framing::UntilClose => "connection: close".to_owned(),
    };
    format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{framing}\r\n\r\n")
}

/// The next request: head and body by its length. `None` at the connection's end.
async fn request(stream: &SimStream, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let len: usize = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.trim().parse().ok()?;
            let end = end + 4 + len;
            if buffer.len() >= end {
                return Some(buffer.drain(..end).collect());
            }
        }
        buffer.reserve(16 * 1024);
        let (result, returned) = stream.read(std::mem::take(buffer)).await;
        *buffer = returned;
        if !matches!(result, Ok(count) if count > 0) {
            return None;
        }
    }
}
