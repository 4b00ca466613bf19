//! The seam between the data plane and its runtime: sockets, time, tasks. Nothing else names monoio.
//!
//! Three backends: `uring` and `epoll` (`kernel`, on monoio), `sim` (in-memory pipes, a virtual clock, a seeded scheduler).
//! Reads own their buffer, because the kernel writes into it while the task sleeps. Writes borrow: they are one
//! `sendmsg` on a non-blocking socket, tried at once, and a wait for `writable` only where the socket is full — so
//! spans of a request body go out without a copy and without an owner.

pub mod kernel;
pub mod sim;

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

/// A runtime: one instance per shard, cheap to clone.
pub trait Rt: Clone + 'static {
    type Stream: Io;

    /// Nanoseconds of a monotonic clock.
    fn now_ns(&self) -> u64;
    /// Milliseconds since the Unix epoch.
    fn unix_ms(&self) -> u64;
    /// Uniform 64 bits.
    fn random(&self) -> u64;
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;
    fn spawn(&self, task: impl Future<Output = ()> + 'static);
    fn connect(&self, to: &Address) -> impl Future<Output = io::Result<Self::Stream>>;
}

/// Where a stream leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    Ip(SocketAddr),
    Unix(std::sync::Arc<str>),
}

/// A byte stream. At most one `read` (or `readable`) may be under way; `try_write` may be called while it is.
pub trait Io: 'static {
    /// Appends what arrives to `buf`'s spare capacity (which must not be empty). 0 = the peer ended its side.
    /// Dropping the future loses `buf` and whatever arrived: only for a stream that is given up.
    fn read(&self, buf: Vec<u8>) -> impl Future<Output = (io::Result<usize>, Vec<u8>)>;
    /// Completes when `read` would not wait, without holding a buffer. May be dropped at any time.
    fn readable(&self) -> impl Future<Output = io::Result<()>>;
    /// Writes what the socket takes now.
    ///
    /// # Errors
    /// `WouldBlock` where it takes nothing. The next call must then begin with the same bytes: TLS may already have
    /// sealed them, and counts them as written once they are out.
    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Completes when `try_write` would take something. May be dropped at any time.
    fn writable(&self) -> impl Future<Output = io::Result<()>>;
    /// Copies the next bytes without taking them and without waiting. 0 = the peer ended its side.
    ///
    /// # Errors
    /// `WouldBlock` where nothing is there.
    fn peek(&self, into: &mut [u8]) -> io::Result<usize>;
    /// A look at a readable stream: `true` where nothing but the end (or a reset) is there to read.
    fn has_ended(&self) -> bool {
        match self.peek(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }
    /// A look at an idle stream: open and silent is `true`; ended, broken or with unexpected bytes is `false`.
    fn is_idle_and_open(&self) -> bool {
        matches!(self.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
    /// Ends our side; what was written is still delivered.
    fn shutdown(&self);
    /// Closes with a reset where the socket has it: the peer must not take the answer for a whole one.
    fn reset(&self);
    fn peer(&self) -> Option<SocketAddr>;
}

/// The output function of SplitMix64: a counter in, 64 well-mixed bits out.
fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}
