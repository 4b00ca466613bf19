//! One accepted connection: what it has received and not yet used, and the script it plays.

use std::io::{self, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use socket2::SockRef;

use super::script::{Script, Step};

pub(super) struct Connection {
    pub(super) socket: TcpStream,
    /// Unique in the process; the log names it, and timers check it before they fire.
    pub(super) serial: u64,
    /// Bytes of an unfinished or pipelined request. Empty on the plain path.
    pub(super) pending: Vec<u8>,
    pub(super) playing: Option<Playing>,
    pub(super) continue_sent: bool,
}

/// A script in progress.
pub(super) struct Playing {
    script: Rc<Script>,
    step_index: usize,
    sent_bytes: usize,
    due: Instant,
    keep_alive: bool,
    pub(super) events_sent: u32,
    pub(super) log_index: Option<u64>,
}

/// Why `play` returned.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Played {
    /// The socket is full or the script hangs; an event of the socket goes on.
    Waits,
    /// Go on at this time.
    Until(Instant),
    /// The script ended and the connection may serve the next request.
    Ended,
    /// The script ended and so does the connection.
    Over,
    /// The peer is gone.
    PeerLeft,
}

impl Playing {
    pub(super) fn new(script: Rc<Script>, keep_alive: bool, log_index: Option<u64>) -> Self {
        Self { script, step_index: 0, sent_bytes: 0, due: Instant::now(), keep_alive, events_sent: 0, log_index }
    }

    /// Plays until something must be waited for.
    pub(super) fn play(&mut self, socket: &mut TcpStream) -> Played {
        while let Some(step) = self.script.steps.get(self.step_index) {
            match step {
                Step::Send { range, event_count } => {
                    let start = range.start + self.sent_bytes;
                    match socket.write(&self.script.bytes[start..range.end]) {
                        Ok(count) if start + count < range.end => {
                            self.sent_bytes += count;
                            continue;
                        }
                        Ok(_) => self.events_sent += event_count,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Played::Waits,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        Err(_) => return Played::PeerLeft,
                    }
                }
                Step::Pause(pause) => {
                    self.due += *pause;
                    self.next_step();
                    if self.due > Instant::now() {
                        return Played::Until(self.due);
                    }
                    continue;
                }
                Step::Close => return Played::Over,
                Step::Reset => {
                    // A linger of zero makes the close an RST. A socket that is already gone needs none.
                    let _ = SockRef::from(&*socket).set_linger(Some(Duration::ZERO));
                    return Played::Over;
                }
                Step::Hang => return Played::Waits,
            }
            self.next_step();
        }
        if self.keep_alive { Played::Ended } else { Played::Over }
    }

    /// A pause is running: bytes or a writable socket must not cut it short.
    pub(super) fn pauses(&self, now: Instant) -> bool {
        self.due > now
    }

    fn next_step(&mut self) {
        self.step_index += 1;
        self.sent_bytes = 0;
    }
}
