//! The read that is always under way on a downstream connection, or on an upstream one that speaks unasked.
//!
//! One read serves three ends: it waits for the next request on an idle connection, gathers a request that is not whole yet,
//! and, while an exchange runs, tells that the client has left — so watching costs no operation of its own. What a
//! pipelining client sends meanwhile is kept, up to `AHEAD_BYTES_MAX`; beyond that it waits in the socket.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::race::Gone;

/// Most bytes that are taken from a client while its exchange runs.
const AHEAD_BYTES_MAX: usize = 64 * 1024;

type Read = (io::Result<usize>, Vec<u8>);

/// `make` begins a read into a buffer; `read` is the pinned place of its future.
pub(crate) struct Ahead<'a, F, M> {
    make: M,
    read: Pin<&'a mut F>,
    state: State,
    /// What a pipelining client sent while its exchange ran.
    kept: Vec<u8>,
}

enum State {
    Pending,
    Ready(Read),
    /// Nothing under way: the buffer was handed out.
    Idle,
}

impl<'a, F, M> Ahead<'a, F, M>
where
    F: Future<Output = Read>,
    M: Fn(Vec<u8>) -> F,
{
    /// `read` is already under way.
    pub(crate) fn new(make: M, read: Pin<&'a mut F>) -> Self {
        Ahead { make, read, state: State::Pending, kept: Vec::new() }
    }

    /// Begins a read into `buffer` unless one is under way.
    pub(crate) fn arm(&mut self, buffer: impl FnOnce() -> Vec<u8>) {
        if let State::Idle = self.state {
            self.begin(buffer());
        }
    }

    fn begin(&mut self, buffer: Vec<u8>) {
        self.read.set((self.make)(buffer));
        self.state = State::Pending;
    }

    /// Appends the next bytes to `carry`; gives their count (0 = the client ended its side) and the spare buffer, if any.
    pub(crate) async fn more(&mut self, carry: &mut Vec<u8>) -> (io::Result<usize>, Option<Vec<u8>>) {
        if !self.kept.is_empty() {
            let kept = std::mem::take(&mut self.kept);
            carry.extend_from_slice(&kept);
            return (Ok(kept.len()), None);
        }
        if let State::Idle = self.state {
            self.begin(std::mem::take(carry));
        }
        let (result, mut buffer) = std::future::poll_fn(|context| self.poll_read(context)).await;
        if carry.capacity() == 0 {
            std::mem::swap(carry, &mut buffer);
            return (result, None);
        }
        if result.is_ok() {
            carry.extend_from_slice(&buffer);
        }
        (result, Some(buffer))
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Read> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Ready(read) => Poll::Ready(read),
            _ => match self.read.as_mut().poll(context) {
                Poll::Ready(read) => Poll::Ready(read),
                Poll::Pending => {
                    self.state = State::Pending;
                    Poll::Pending
                }
            },
        }
    }
}

impl<F, M> Gone for Ahead<'_, F, M>
where
    F: Future<Output = Read>,
    M: Fn(Vec<u8>) -> F,
{
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match &self.state {
                State::Ready((Ok(0) | Err(_), _)) => return Poll::Ready(()),
                State::Ready(_) | State::Idle => return Poll::Pending,
                State::Pending => {}
            }
            let Poll::Ready((result, mut buffer)) = self.read.as_mut().poll(context) else { return Poll::Pending };
            match result {
                Ok(count) if count > 0 && self.kept.len() + count < AHEAD_BYTES_MAX => {
                    self.kept.extend_from_slice(&buffer);
                    buffer.clear();
                    self.begin(buffer);
                }
                result => self.state = State::Ready((result, buffer)),
            }
        }
    }

    fn poll_more(&mut self, context: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<usize> {
        if !self.kept.is_empty() {
            into.append(&mut self.kept);
            return Poll::Ready(into.len());
        }
        self.arm(Vec::new);
        match self.poll_read(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready((Ok(count), mut buffer)) if count > 0 => {
                into.extend_from_slice(&buffer);
                buffer.clear();
                self.begin(buffer);
                Poll::Ready(count)
            }
            Poll::Ready(ended) => {
                self.state = State::Ready(ended);
                Poll::Ready(0)
            }
        }
    }
}
