//! A connected socket, TCP or Unix.
//!
//! Estimate per request and side on the ring: one poll entry (`readable`, kept armed between calls), one `recv` call or
//! ring entry, one `sendmsg`. No allocation but one box per connection that was ever waited for with `readable`.
//!
//! On the ring the descriptor is in blocking mode (a non-blocking one makes the ring answer EAGAIN instead of waiting);
//! direct calls say MSG_DONTWAIT. On epoll it is non-blocking, because monoio calls `recv` without flags there.

use std::cell::{Cell, RefCell, UnsafeCell};
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use monoio::buf::IoBufMut;
use monoio::io::AsyncReadRent;
use monoio::net::TcpStream;
use socket2::{Domain, SockAddr, SockRef, Type};

use super::{Kind, spin};
use crate::rt::{Address, Io};

/// Most pieces of one `sendmsg` (IOV_MAX of Linux).
const PIECES_MAX: usize = 1024;

/// A connected socket on this thread's driver.
pub struct Socket {
    core: Rc<Core>,
    /// Waits for readability across `readable` calls: one poll entry serves the watch for a leaving client during an
    /// exchange and the wait for the next request after it.
    watch: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>>,
    /// The next `read` will probably find bytes: a direct call is cheaper than a trip through the ring.
    likely: Cell<bool>,
    kind: Kind,
    peer: Option<SocketAddr>,
}

pub(super) struct Core {
    stream: UnsafeCell<TcpStream>,
    state: Cell<Watch>,
}

/// Where the readability watch stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    Idle,
    Armed,
    /// Armed, but a read came in between: when it fires it may speak of bytes already taken.
    Stale,
    Ready,
}

impl Core {
    /// Hands a descriptor (any kind that can be polled) to this thread's driver.
    pub(super) fn adopt(fd: OwnedFd) -> io::Result<Core> {
        // SAFETY: `fd` is owned and open; the std type is only the vessel in which monoio takes it.
        let vessel = unsafe { std::net::TcpStream::from_raw_fd(fd.into_raw_fd()) };
        Ok(Core { stream: UnsafeCell::new(TcpStream::from_std(vessel)?), state: Cell::new(Watch::Idle) })
    }

    pub(super) fn fd(&self) -> RawFd {
        self.stream().as_raw_fd()
    }

    /// Waits until the descriptor is readable.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.stream().readable(false).await
    }

    async fn writable(&self) -> io::Result<()> {
        self.stream().writable(false).await
    }

    fn stream(&self) -> &TcpStream {
        // SAFETY: the only `&mut` is made in `ring_read`, for the length of a call that changes nothing in the stream.
        unsafe { &*self.stream.get() }
    }

    async fn ring_read(&self, buf: Spare) -> (io::Result<usize>, Spare) {
        // SAFETY: `read` takes `&mut self` for its trait's sake; it clones the descriptor's handle and submits. monoio
        // vouches for a read beside other uses of the same stream (`unsafe impl Split for TcpStream`).
        let stream = unsafe { &mut *self.stream.get() };
        stream.read(buf).await
    }

    async fn watch(self: Rc<Core>) {
        loop {
            poll_fn(|_| if matches!(self.state.get(), Watch::Armed | Watch::Stale) { Poll::Ready(()) } else { Poll::Pending }).await;
            // An error of the wait is the next read's to report.
            let _ = self.readable().await;
            self.state.set(if self.state.get() == Watch::Stale { Watch::Armed } else { Watch::Ready });
        }
    }

    /// Readiness seen before a read says nothing after it; a new poll looks at the socket afresh.
    fn read_happened(&self) {
        self.state.set(match self.state.get() {
            Watch::Armed | Watch::Stale => Watch::Stale,
            Watch::Idle | Watch::Ready => Watch::Idle,
        });
    }
}

impl AsFd for Core {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as the stream that owns it, which this borrow outlives not.
        unsafe { BorrowedFd::borrow_raw(self.fd()) }
    }
}

impl Socket {
    /// Takes a connected socket, in the mode that `kind` wants.
    pub(super) fn new(kind: Kind, fd: OwnedFd, peer: Option<SocketAddr>) -> io::Result<Socket> {
        let core = Rc::new(Core::adopt(fd)?);
        Ok(Socket { core, watch: RefCell::new(None), likely: Cell::new(true), kind, peer })
    }

    /// Takes a connected socket that another thread accepted.
    pub fn adopt(rt: &super::Monoio, fd: OwnedFd, peer: Option<SocketAddr>) -> io::Result<Socket> {
        Socket::new(rt.kind(), fd, peer)
    }

    fn read_happened(&self) {
        self.core.read_happened();
        spin::bytes_came();
    }

    fn recv(&self, buf: &mut Vec<u8>) -> io::Result<usize> {
        let spare = buf.spare_capacity_mut();
        // SAFETY: pointer and length describe the vector's spare capacity.
        let got = unsafe { libc::recv(self.core.fd(), spare.as_mut_ptr().cast(), spare.len(), libc::MSG_DONTWAIT) };
        if got < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel wrote `got` bytes behind the vector's length.
        unsafe { buf.set_len(buf.len() + got as usize) };
        Ok(got as usize)
    }
}

impl Io for Socket {
    async fn read(&self, mut buf: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        let room = buf.capacity() - buf.len();
        if room == 0 {
            return (Err(io::ErrorKind::InvalidInput.into()), buf);
        }
        if self.kind == Kind::Uring && (self.likely.get() || self.core.state.get() == Watch::Ready) {
            match self.recv(&mut buf) {
                Ok(got) => {
                    self.read_happened();
                    self.likely.set(got == room);
                    return (Ok(got), buf);
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return (Err(error), buf),
            }
        }
        let (result, Spare(buf)) = self.core.ring_read(Spare(buf)).await;
        self.read_happened();
        self.likely.set(matches!(result, Ok(got) if got == room));
        (result, buf)
    }

    fn readable(&self) -> impl Future<Output = io::Result<()>> {
        poll_fn(|context| {
            let state = &self.core.state;
            match state.get() {
                Watch::Ready => return Poll::Ready(Ok(())),
                Watch::Idle => state.set(Watch::Armed),
                Watch::Armed | Watch::Stale => {}
            }
            let mut watch = self.watch.borrow_mut();
            let watch = watch.get_or_insert_with(|| Box::pin(self.core.clone().watch()));
            let _ = watch.as_mut().poll(context);
            if state.get() == Watch::Ready { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
    }

    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        // SAFETY: all-zero is a valid msghdr.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        // `IoSlice` has the layout of `iovec` (std's promise on Unix); sendmsg only reads it.
        message.msg_iov = pieces.as_ptr().cast::<libc::iovec>().cast_mut();
        message.msg_iovlen = pieces.len().min(PIECES_MAX) as _;
        loop {
            // SAFETY: `message` and the pieces it points to live through the call.
            let sent = unsafe { libc::sendmsg(self.core.fd(), &message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
            if sent >= 0 {
                return Ok(sent as usize);
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    fn writable(&self) -> impl Future<Output = io::Result<()>> {
        self.core.writable()
    }

    fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        // SAFETY: pointer and length describe `into`.
        let got = unsafe { libc::recv(self.core.fd(), into.as_mut_ptr().cast(), into.len(), flags) };
        if got < 0 { Err(io::Error::last_os_error()) } else { Ok(got as usize) }
    }

    fn shutdown(&self) {
        // SAFETY: a call on an open descriptor; a socket that is already down is no matter.
        unsafe { libc::shutdown(self.core.fd(), libc::SHUT_WR) };
    }

    fn reset(&self) {
        // With a linger of zero, closing (when the stream is dropped) sends RST.
        let _ = SockRef::from(&*self.core).set_linger(Some(std::time::Duration::ZERO));
    }

    fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }
}

/// A vector's spare capacity as the ring's read buffer.
struct Spare(Vec<u8>);

// SAFETY: pointer and total describe the spare capacity, which stays in place while the vector is owned here; `set_init`
// raises the length by what the kernel wrote.
unsafe impl IoBufMut for Spare {
    fn write_ptr(&mut self) -> *mut u8 {
        self.0.spare_capacity_mut().as_mut_ptr().cast()
    }

    fn bytes_total(&mut self) -> usize {
        self.0.capacity() - self.0.len()
    }

    unsafe fn set_init(&mut self, pos: usize) {
        let len = self.0.len() + pos;
        // SAFETY: the caller vouches that `pos` bytes behind the old length are written.
        unsafe { self.0.set_len(len) };
    }
}

/// Connects without blocking the thread. The caller bounds the wait; dropping the future closes the socket.
pub(super) async fn connect(kind: Kind, to: &Address) -> io::Result<Socket> {
    let (address, peer) = match to {
        Address::Ip(ip) => (SockAddr::from(*ip), Some(*ip)),
        Address::Unix(path) => (SockAddr::unix(&**path)?, None),
    };
    let domain = match to {
        Address::Ip(SocketAddr::V4(_)) => Domain::IPV4,
        Address::Ip(SocketAddr::V6(_)) => Domain::IPV6,
        Address::Unix(_) => Domain::UNIX,
    };
    let socket = socket2::Socket::new(domain, Type::STREAM.nonblocking().cloexec(), None)?;
    if peer.is_some() {
        socket.set_tcp_nodelay(true)?;
    }
    let fd_socket = match socket.connect(&address) {
        Ok(()) => Socket::new(kind, socket.into(), peer)?,
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {
            let waiting = Socket::new(kind, socket.into(), peer)?;
            waiting.core.writable().await?;
            if let Some(error) = SockRef::from(&*waiting.core).take_error()? {
                return Err(error);
            }
            waiting
        }
        Err(error) => return Err(error),
    };
    if kind == Kind::Uring {
        SockRef::from(&*fd_socket.core).set_nonblocking(false)?;
    }
    // Nothing can be there before we have spoken.
    fd_socket.likely.set(false);
    Ok(fd_socket)
}
