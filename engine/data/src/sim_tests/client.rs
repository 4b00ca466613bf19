//! Virtual clients: what they ask, how they read, when they leave, and what they got.

use std::io::{self, IoSlice};
use std::time::Duration;

use super::Scene;
use super::wire::{self, Form, Wire};
use crate::race::{Either, race};
use crate::rt::sim::SimStream;
use crate::rt::{Io, Rt};

/// A client waits so long for the next byte before the run counts as stuck.
const PATIENCE: Duration = Duration::from_secs(90);

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub marker: String,
    pub route: &'static str,
    pub form: Form,
    pub bytes: Vec<u8>,
    pub sense: Sense,
}

/// Can the request be read at all?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sense {
    Good,
    /// Two lengths: refused, and nothing behind it is read.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    OneByOne,
    Pipelined,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    Fast,
    Slow,
}

/// When a client drops its connection without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    Never,
    Sent(usize),
    Received(usize),
    After(Duration),
}

/// Everything that a client does.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub wire: Wire,
    pub style: Style,
    pub pace: Pace,
    pub leave: Leave,
    pub asks: Vec<Ask>,
}

/// How a connection ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client closed it.
    Left,
    /// The gateway closed it.
    Closed,
    Reset,
}

/// What a client saw.
#[derive(Debug)]
pub(super) struct Saw {
    pub plan: Plan,
    pub answers: Vec<Answer>,
    pub end: End,
    pub left_ns: Option<u64>,
    /// Requests of which the last byte was sent.
    pub asked_count: usize,
}

/// One answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    pub complete: bool,
    /// Bytes of head and framed body, where it is complete and framed.
    pub wire_len: usize,
}

impl Answer {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

struct Client<'a> {
    scene: &'a Scene,
    stream: &'a SimStream,
    plan: &'a Plan,
    sent: usize,
    received: Vec<u8>,
    /// Where the next answer begins in `received`.
    at: usize,
    answers: Vec<Answer>,
    asked_count: usize,
}

/// Plays `plan` on `stream`, and drops it.
pub(super) async fn play(scene: &Scene, stream: SimStream, plan: Plan) -> Saw {
    let mut client =
        Client { scene, stream: &stream, plan: &plan, sent: 0, received: Vec::new(), at: 0, answers: Vec::new(), asked_count: 0 };
    let played = match plan.leave {
        Leave::After(duration) => match race(client.all(), scene.sim.sleep(duration)).await {
            Either::Left(end) => end,
            Either::Right(()) => End::Left,
        },
        _ => client.all().await,
    };
    let Client { answers, received, at, asked_count, .. } = client;
    let mut saw = Saw { asked_count, answers, end: played, left_ns: None, plan: plan.clone() };
    if at < received.len() {
        saw.answers.extend(cut(&received[at..], played));
    }
    drop(stream);
    saw.left_ns = (played == End::Left).then(|| scene.sim.now_ns());
    saw
}

impl Client<'_> {
    async fn all(&mut self) -> End {
        let result = match self.plan.style {
            Style::OneByOne => self.one_by_one().await,
            Style::Pipelined => self.pipelined().await,
        };
        match result {
            Ok(()) => End::Left,
            Err(end) => end,
        }
    }

    async fn one_by_one(&mut self) -> Result<(), End> {
        for index in 0..self.plan.asks.len() {
            self.send(index).await?;
            let wanted = index + 1;
            self.receive(wanted).await?;
        }
        Ok(())
    }

    async fn pipelined(&mut self) -> Result<(), End> {
        for index in 0..self.plan.asks.len() {
            self.send(index).await?;
        }
        self.receive(self.plan.asks.len()).await
    }

    async fn send(&mut self, index: usize) -> Result<(), End> {
        let bytes = &self.plan.asks[index].bytes;
        let mut left = &bytes[..];
        while !left.is_empty() {
            let mut take = 1 + self.scene.below(left.len().max(1));
            if let Leave::Sent(at) = self.plan.leave {
                if self.sent >= at {
                    return Err(End::Left);
                }
                take = take.min(at - self.sent);
            }
            match self.stream.try_write(&[IoSlice::new(&left[..take])]) {
                Ok(count) => {
                    left = &left[count..];
                    self.sent += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => drop(self.stream.writable().await),
                // The answer to the part that went out may still be there.
                Err(_) => return self.receive(usize::MAX).await,
            }
            if self.scene.below(4) == 0 {
                self.scene.sim.sleep(Duration::from_micros(self.scene.below(20_000) as u64)).await;
            }
        }
        self.asked_count = index + 1;
        Ok(())
    }

    /// Reads until there are `wanted` answers.
    async fn receive(&mut self, wanted: usize) -> Result<(), End> {
        while self.answers.len() < wanted {
            if let Some((answer, len)) = parse(&self.received[self.at..]) {
                self.at += len;
                self.answers.push(answer);
                continue;
            }
            let mut most = 64 * 1024;
            if self.plan.pace == Pace::Slow {
                self.scene.sim.sleep(Duration::from_millis(20)).await;
                most = 2048;
            }
            if let Leave::Received(at) = self.plan.leave {
                if self.received.len() >= at {
                    return Err(End::Left);
                }
                most = most.min(at - self.received.len());
            }
            let read = self.stream.read(Vec::with_capacity(most));
            let Either::Left((result, bytes)) = race(read, self.scene.sim.sleep(PATIENCE)).await else {
                let plan = self.plan;
                self.scene.violation(format!("a client got nothing for {PATIENCE:?}: {plan:?}"));
                return Err(End::Left);
            };
            match result {
                Ok(0) => return Err(End::Closed),
                Ok(_) => self.received.extend_from_slice(&bytes),
                Err(_) => return Err(End::Reset),
            }
        }
        Ok(())
    }
}

/// The next answer, where it is whole by its own framing, and its length.
fn parse(bytes: &[u8]) -> Option<(Answer, usize)> {
    let (answer, framing, start) = begin(bytes)?;
    let rest = &bytes[start..];
    let interim_len = start - answer.head.len();
    let (body, len) = match framing {
        Framing::Length(len) => (rest.get(..len)?.to_vec(), len),
        Framing::Chunked => match chunks(rest) {
            (body, Some(len)) => (body, len),
            _ => return None,
        },
        Framing::UntilClose => return None,
    };
    Some((Answer { body, complete: true, wire_len: start + len - interim_len, ..answer }, start + len))
}

/// What there is of an answer that the connection's end cut.
fn cut(bytes: &[u8], end: End) -> Option<Answer> {
    let (answer, framing, start) = begin(bytes)?;
    let rest = &bytes[start..];
    let body = match framing {
        Framing::Chunked => chunks(rest).0,
        Framing::Length(_) | Framing::UntilClose => rest.to_vec(),
    };
    Some(Answer { body, complete: framing == Framing::UntilClose && end == End::Closed, ..answer })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

fn begin(bytes: &[u8]) -> Option<(Answer, Framing, usize)> {
    const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let interim = if bytes.starts_with(CONTINUE) { CONTINUE.len() } else { 0 };
    let end = interim + memchr::memmem::find(&bytes[interim..], b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[interim..end]).into_owned();
    assert!(head.starts_with("HTTP/1.1 "), "a client read {head:?}");
    let answer = Answer { status: head[9..12].parse().ok()?, head, body: Vec::new(), complete: false, wire_len: 0 };
    let framing = match answer.field("content-length") {
        Some(len) => Framing::Length(len.parse().ok()?),
        None if answer.field("transfer-encoding").is_some() => Framing::Chunked,
        None => Framing::UntilClose,
    };
    Some((answer, framing, end))
}

/// The decoded body, and its length in `bytes` where it is whole.
fn chunks(bytes: &[u8]) -> (Vec<u8>, Option<usize>) {
    let mut body = Vec::new();
    let mut at = 0;
    while let Some(line) = memchr::memmem::find(&bytes[at..], b"\r\n") {
        let len = usize::from_str_radix(&String::from_utf8_lossy(&bytes[at..at + line]), 16).expect("the gateway writes plain chunk sizes");
        let start = at + line + 2;
        body.extend_from_slice(&bytes[start.min(bytes.len())..(start + len).min(bytes.len())]);
        match bytes.get(start + len..start + len + 2) {
            Some(b"\r\n") if len == 0 => return (body, Some(start + 2)),
            Some(b"\r\n") => at = start + len + 2,
            Some(other) => panic!("a chunk ends in {other:?}"),
            None => break,
        }
    }
    (body, None)
}

const ROUTES: [&str; 10] = ["a", "b", "c", "d", "solo-chat", "solo-messages", "rescue-chat", "rescue-messages", "resume", "hedged"];

/// Draws what a client does.
pub(super) fn draw(scene: &Scene, client: usize) -> Plan {
    let wire = [Wire::Chat, Wire::Messages][scene.below(2)];
    let minor_version = u8::from(scene.below(8) > 0);
    let style = if minor_version == 1 && scene.below(3) == 0 { Style::Pipelined } else { Style::OneByOne };
    let count = if minor_version == 0 { 1 } else { 1 + scene.below(4) };
    let asks: Vec<Ask> = (0..count).map(|request| ask(scene, client, request, wire, minor_version, style)).collect();
    let all_bytes: usize = asks.iter().map(|ask| ask.bytes.len()).sum();
    let leave = match scene.below(8) {
        0 => Leave::Sent(scene.below(all_bytes)),
        1 => Leave::Received(1 + scene.below(6000)),
        2 => Leave::After(Duration::from_micros(scene.below(3_000_000) as u64)),
        _ => Leave::Never,
    };
    let pace = if scene.below(6) == 0 { Pace::Slow } else { Pace::Fast };
    Plan { wire, style, pace, leave, asks }
}

fn ask(scene: &Scene, client: usize, request: usize, wire: Wire, minor_version: u8, style: Style) -> Ask {
    let words = [0, 1, 5, 40, 400][scene.below(5)];
    let words = if scene.below(60) == 0 { 3000 } else { words };
    let marker = wire::marker(client, request, words);
    let form = if scene.below(3) > 0 { Form::Stream } else { Form::Whole };
    let route = ROUTES[scene.below(ROUTES.len())];
    let padding = match scene.below(12) {
        0 if style == Style::OneByOne => 100_000,
        1 => 3000,
        _ => 0,
    };
    let body = wire::question(wire, route, &marker, form, padding);
    let path = if wire == Wire::Chat { "/v1/chat/completions" } else { "/v1/messages" };
    let mut bytes =
        format!("POST {path} HTTP/1.{minor_version}\r\nhost: x\r\nx-request-id: {marker}\r\ncontent-type: application/json\r\n");
    if minor_version == 1 && scene.below(10) == 0 {
        bytes += "expect: 100-continue\r\n";
    }
    if minor_version == 1 && scene.below(3) == 0 {
        bytes += "transfer-encoding: chunked\r\n\r\n";
        let mut left = body.as_str();
        while !left.is_empty() {
            let (chunk, rest) = left.split_at(left.len().min(1 + scene.below(left.len().max(40))));
            bytes += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
            left = rest;
        }
        bytes += "0\r\n\r\n";
    } else {
        bytes += &format!("content-length: {}\r\n\r\n{body}", body.len());
    }
    let sense = if scene.below(25) == 0 { Sense::None } else { Sense::Good };
    if sense == Sense::None {
        let at = bytes.find("\r\n").map_or(0, |line| line + 2);
        bytes.insert_str(at, "content-length: 5\r\ntransfer-encoding: chunked\r\n");
    }
    Ask { marker, route, form, bytes: bytes.into_bytes(), sense }
}
