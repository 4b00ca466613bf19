//! In-memory connections with a socket's manners: bounded room, half close, reset, short and late moves.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::Sim;
use crate::rt::{Io, Rt};

/// Bytes that one direction holds, as a socket's buffers would.
const ROOM_BYTES: usize = 64 * 1024;

/// One end of an in-memory connection.
pub struct SimStream {
    sim: Sim,
    incoming: Rc<RefCell<Pipe>>,
    outgoing: Rc<RefCell<Pipe>>,
    peer: Option<SocketAddr>,
}

#[derive(Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    end: End,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    /// No more bytes will come; those that are there may still be read.
    Ended,
    Reset,
}

impl Pipe {
    fn end(&mut self, how: End) {
        if self.end != End::Reset {
            self.end = how;
        }
        if how == End::Reset {
            self.bytes.clear();
        }
        self.wake();
    }

    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    fn is_readable(&self) -> bool {
        !self.bytes.is_empty() || self.end != End::Open
    }
}

/// A connected pair without addresses.
pub fn pair(sim: &Sim) -> (SimStream, SimStream) {
    pair_between(sim, None, None)
}

pub(super) fn pair_between(sim: &Sim, left: Option<SocketAddr>, right: Option<SocketAddr>) -> (SimStream, SimStream) {
    let (up, down) = (Rc::<RefCell<Pipe>>::default(), Rc::<RefCell<Pipe>>::default());
    (
        SimStream { sim: sim.clone(), incoming: down.clone(), outgoing: up.clone(), peer: left },
        SimStream { sim: sim.clone(), incoming: up, outgoing: down, peer: right },
    )
}

pub(super) async fn maybe_late(sim: &Sim) {
    let faults = sim.core.faults.get();
    if sim.core.strikes(faults.delay_in) {
        let late_ns = sim.core.draw() % (faults.delay_max.as_nanos() as u64).max(1);
        sim.sleep(Duration::from_nanos(late_ns)).await;
    }
}

impl SimStream {
    fn reset_both(&self) {
        self.incoming.borrow_mut().end(End::Reset);
        self.outgoing.borrow_mut().end(End::Reset);
    }

    /// How much of `len` moves this time.
    fn cut(&self, odds: u64, len: usize) -> usize {
        if len > 1 && self.sim.core.strikes(odds) { 1 + (self.sim.core.draw() % (len as u64 - 1)) as usize } else { len }
    }
}

impl Io for SimStream {
    async fn read(&self, mut buf: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        let room = buf.capacity() - buf.len();
        if room == 0 {
            return (Err(io::ErrorKind::InvalidInput.into()), buf);
        }
        let _ = self.readable().await;
        maybe_late(&self.sim).await;
        let faults = self.sim.core.faults.get();
        if self.sim.core.strikes(faults.reset_in) {
            self.reset_both();
        }
        let mut pipe = self.incoming.borrow_mut();
        if pipe.end == End::Reset {
            return (Err(io::ErrorKind::ConnectionReset.into()), buf);
        }
        let got = match room.min(pipe.bytes.len()) {
            0 => 0,
            len => self.cut(faults.short_read_in, len),
        };
        buf.extend(pipe.bytes.drain(..got));
        if let Some(writer) = pipe.writer.take() {
            writer.wake();
        }
        (Ok(got), buf)
    }

    fn readable(&self) -> impl Future<Output = io::Result<()>> {
        poll_fn(|context| {
            let mut pipe = self.incoming.borrow_mut();
            if pipe.is_readable() {
                return Poll::Ready(Ok(()));
            }
            pipe.reader = Some(context.waker().clone());
            Poll::Pending
        })
    }

    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let faults = self.sim.core.faults.get();
        if self.sim.core.strikes(faults.reset_in) {
            self.reset_both();
        }
        let mut pipe = self.outgoing.borrow_mut();
        match pipe.end {
            End::Reset => return Err(io::ErrorKind::ConnectionReset.into()),
            End::Ended => return Err(io::ErrorKind::BrokenPipe.into()),
            End::Open => {}
        }
        let len = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        let room = ROOM_BYTES.saturating_sub(pipe.bytes.len());
        if room == 0 && len > 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let take = self.cut(faults.short_write_in, len.min(room));
        let mut left = take;
        for piece in pieces {
            let part = left.min(piece.len());
            pipe.bytes.extend(&piece[..part]);
            left -= part;
        }
        if let Some(reader) = pipe.reader.take() {
            reader.wake();
        }
        Ok(take)
    }

    fn writable(&self) -> impl Future<Output = io::Result<()>> {
        poll_fn(|context| {
            let mut pipe = self.outgoing.borrow_mut();
            if pipe.bytes.len() < ROOM_BYTES || pipe.end != End::Open {
                return Poll::Ready(Ok(()));
            }
            pipe.writer = Some(context.waker().clone());
            Poll::Pending
        })
    }

    fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        let pipe = self.incoming.borrow();
        match pipe.end {
            End::Reset => return Err(io::ErrorKind::ConnectionReset.into()),
            End::Open if pipe.bytes.is_empty() => return Err(io::ErrorKind::WouldBlock.into()),
            End::Open | End::Ended => {}
        }
        let count = into.len().min(pipe.bytes.len());
        for (place, byte) in into.iter_mut().zip(&pipe.bytes) {
            *place = *byte;
        }
        Ok(count)
    }

    fn is_idle_and_open(&self) -> bool {
        !self.incoming.borrow().is_readable() && self.outgoing.borrow().end == End::Open
    }

    fn shutdown(&self) {
        self.outgoing.borrow_mut().end(End::Ended);
    }

    fn reset(&self) {
        self.reset_both();
    }

    fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.outgoing.borrow_mut().end(End::Ended);
        // As in TCP: closing with unread bytes, or being sent more afterwards, resets.
        let how = if self.incoming.borrow().bytes.is_empty() { End::Ended } else { End::Reset };
        self.incoming.borrow_mut().end(how);
    }
}
