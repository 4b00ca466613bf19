//! One thread's epoll loop: accept, receive, play, wait.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use mio::event::Event;
use mio::{Events, Interest, Poll, Token};

use super::connection::{Connection, Played, Playing};
use super::{Handler, RequestLog, Script, ScriptBuilder};
use crate::http::{Parsed, Request, parse_request};
use crate::timer::Timers;

/// Receives this much at once; larger requests are collected in the connection.
const READ_BUFFER_BYTES: usize = 256 * 1024;
/// An unfinished request may hold this much; beyond it the connection ends.
const PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;
const EVENTS_PER_POLL: usize = 1024;

const LISTENER: Token = Token(usize::MAX);
const TIMER: Token = Token(usize::MAX - 1);

/// Connection serials are unique across threads, because the log is.
static NEXT_SERIAL: AtomicU64 = AtomicU64::new(1);

/// Accepts and serves until an error of the loop itself.
pub(super) fn serve_connections<H: Handler>(listener: TcpListener, handler: H, log: Option<Arc<RequestLog>>) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = mio::net::TcpListener::from_std(listener);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let timers = Timers::open(poll.registry(), TIMER)?;
    let mut shard = Shard {
        registry: poll.registry().try_clone()?,
        listener,
        timers,
        handler,
        log,
        connections: Vec::new(),
        free: VecDeque::new(),
        read_buffer: vec![0; READ_BUFFER_BYTES],
    };
    let mut events = Events::with_capacity(EVENTS_PER_POLL);
    loop {
        shard.timers.arm(Instant::now())?;
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            match event.token() {
                LISTENER => shard.accept(),
                TIMER => {}
                Token(index) => shard.ready(index, event),
            }
        }
        shard.wake_due();
    }
}

struct Shard<H> {
    registry: mio::Registry,
    listener: mio::net::TcpListener,
    timers: Timers<(usize, u64)>,
    handler: H,
    log: Option<Arc<RequestLog>>,
    connections: Vec<Option<Connection>>,
    free: VecDeque<usize>,
    read_buffer: Vec<u8>,
}

impl<H: Handler> Shard<H> {
    fn accept(&mut self) {
        // Any error (WouldBlock, or a peer already gone, or no descriptors) ends this turn; the next edge tries again.
        while let Ok((mut socket, _)) = self.listener.accept() {
            let _ = socket.set_nodelay(true);
            let index = self.free.pop_front().unwrap_or(self.connections.len());
            if self.registry.register(&mut socket, Token(index), Interest::READABLE | Interest::WRITABLE).is_err() {
                self.free.push_back(index);
                continue;
            }
            let serial = NEXT_SERIAL.fetch_add(1, Ordering::Relaxed);
            let connection = Connection { socket, serial, pending: Vec::new(), playing: None, continue_sent: false };
            match self.connections.get_mut(index) {
                Some(slot) => *slot = Some(connection),
                None => self.connections.push(Some(connection)),
            }
        }
    }

    fn ready(&mut self, index: usize, event: &Event) {
        if event.is_writable() {
            self.go_on(index);
        }
        if event.is_readable() || event.is_read_closed() {
            self.receive(index, event.is_read_closed());
        }
    }

    fn wake_due(&mut self) {
        let now = Instant::now();
        while let Some((index, serial)) = self.timers.expired(now) {
            if self.connections.get(index).and_then(Option::as_ref).is_some_and(|connection| connection.serial == serial) {
                self.go_on(index);
            }
        }
    }

    /// Plays on, unless a pause is running.
    fn go_on(&mut self, index: usize) {
        let Some(Some(connection)) = self.connections.get_mut(index) else { return };
        if connection.playing.as_ref().is_none_or(|playing| playing.pauses(Instant::now())) {
            return;
        }
        self.play(index);
        self.serve_pending(index);
    }

    fn receive(&mut self, index: usize, read_closed: bool) {
        let mut buffer = std::mem::take(&mut self.read_buffer);
        while let Some(Some(connection)) = self.connections.get_mut(index) {
            match connection.socket.read(&mut buffer) {
                Ok(0) => self.peer_left(index),
                Ok(count) => {
                    self.received(index, &buffer[..count]);
                    // A short read has emptied the socket: the next edge comes by itself, unless the end was reported already.
                    if count < buffer.len() && !read_closed {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.peer_left(index),
            }
        }
        self.read_buffer = buffer;
    }

    fn received(&mut self, index: usize, bytes: &[u8]) {
        let Some(Some(connection)) = self.connections.get_mut(index) else { return };
        if connection.playing.is_some() || !connection.pending.is_empty() {
            if connection.pending.len() + bytes.len() > PENDING_BYTES_MAX {
                return self.drop_connection(index);
            }
            connection.pending.extend_from_slice(bytes);
            return self.serve_pending(index);
        }
        let used = self.serve_from(index, bytes);
        if let Some(Some(connection)) = self.connections.get_mut(index) {
            connection.pending.extend_from_slice(&bytes[used..]);
        }
    }

    fn serve_pending(&mut self, index: usize) {
        let Some(Some(connection)) = self.connections.get_mut(index) else { return };
        if connection.pending.is_empty() || connection.playing.is_some() {
            return;
        }
        let mut pending = std::mem::take(&mut connection.pending);
        let used = self.serve_from(index, &pending);
        pending.drain(..used);
        if let Some(Some(connection)) = self.connections.get_mut(index) {
            connection.pending = pending;
        }
    }

    /// Serves the requests at the front of `bytes` until one plays on or is incomplete; returns the bytes used.
    fn serve_from(&mut self, index: usize, bytes: &[u8]) -> usize {
        let mut used = 0;
        while used < bytes.len() {
            let Some(Some(connection)) = self.connections.get_mut(index) else { break };
            if connection.playing.is_some() {
                break;
            }
            match parse_request(&bytes[used..]) {
                Ok(Parsed::Whole { request, consumed_bytes }) => {
                    connection.continue_sent = false;
                    let serial = connection.serial;
                    self.start(index, serial, &request);
                    used += consumed_bytes;
                }
                Ok(Parsed::Partial { waits_for_continue }) => {
                    if waits_for_continue && !connection.continue_sent {
                        connection.continue_sent = true;
                        let _ = connection.socket.write(b"HTTP/1.1 100 Continue\r\n\r\n");
                    }
                    break;
                }
                Err(_) => {
                    let _ = connection.socket.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                    self.drop_connection(index);
                    break;
                }
            }
        }
        used
    }

    fn start(&mut self, index: usize, serial: u64, request: &Request<'_>) {
        let (script, log_index) = if request.path() == "/_log" {
            (self.answer_log(request.method), None)
        } else {
            let script = self.handler.answer(request);
            let log_index = self.log.as_ref().map(|log| log.arrived(serial, request, script.status));
            (script, log_index)
        };
        if let Some(Some(connection)) = self.connections.get_mut(index) {
            connection.playing = Some(Playing::new(script, request.keep_alive, log_index));
            self.play(index);
        }
    }

    fn play(&mut self, index: usize) {
        let Some(Some(connection)) = self.connections.get_mut(index) else { return };
        let Some(playing) = connection.playing.as_mut() else { return };
        match playing.play(&mut connection.socket) {
            Played::Waits => {}
            Played::Until(due) => self.timers.add(due, (index, connection.serial)),
            Played::Ended => self.finish(index),
            Played::Over => {
                self.finish(index);
                self.drop_connection(index);
            }
            Played::PeerLeft => self.peer_left(index),
        }
    }

    fn finish(&mut self, index: usize) {
        let Some(Some(connection)) = self.connections.get_mut(index) else { return };
        let Some(playing) = connection.playing.take() else { return };
        if let (Some(log), Some(log_index)) = (&self.log, playing.log_index) {
            log.finished(log_index, playing.events_sent);
        }
    }

    fn peer_left(&mut self, index: usize) {
        let Some(Some(connection)) = self.connections.get_mut(index) else { return };
        if let (Some(log), Some(playing)) = (&self.log, connection.playing.take())
            && let Some(log_index) = playing.log_index
        {
            log.closed_early(log_index, playing.events_sent);
        }
        self.drop_connection(index);
    }

    fn drop_connection(&mut self, index: usize) {
        // Closing the socket takes it out of epoll.
        if self.connections.get_mut(index).and_then(Option::take).is_some() {
            self.free.push_back(index);
        }
    }

    fn answer_log(&self, method: &str) -> Rc<Script> {
        let body = match (&self.log, method) {
            (Some(log), "DELETE") => {
                log.clear();
                "[]".to_owned()
            }
            (Some(log), _) => log.json(),
            (None, _) => r#"{"error":"started without --log"}"#.to_owned(),
        };
        let status = if self.log.is_some() { "200 OK" } else { "404 Not Found" };
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        Rc::new(ScriptBuilder::new(200).send(head.as_bytes()).send(body.as_bytes()).build())
    }
}
