//! Listening sockets. Accepting is a readiness wait and `accept4`: close-on-exec from birth, nothing to cancel.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::path::Path;

use socket2::{Domain, Protocol, SockAddr, SockRef, Type};

use super::socket::Core;
use super::{Kind, check};

/// Connections that the kernel holds for us; net.core.somaxconn cuts it.
const BACKLOG: i32 = 4096;

/// A TCP listener that shares its port with the other shards'.
///
/// # Errors
/// What bind(2) and listen(2) say.
pub fn bind_tcp(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A Unix listener. A socket file that nobody listens on any more is replaced.
///
/// # Errors
/// What bind(2) and listen(2) say; `AddrInUse` where somebody answers on it.
pub fn bind_unix(path: &Path) -> io::Result<OwnedFd> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    let address = SockAddr::unix(path)?;
    if let Err(error) = socket.bind(&address) {
        let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        let dead = || std::os::unix::net::UnixStream::connect(path).err().is_some_and(refused);
        if error.kind() != io::ErrorKind::AddrInUse || !dead() {
            return Err(error);
        }
        std::fs::remove_file(path)?;
        socket.bind(&address)?;
    }
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A listening socket on this thread's driver.
pub struct Bound {
    core: Core,
    kind: Kind,
}

impl Bound {
    /// Takes a listening socket, TCP or Unix.
    ///
    /// # Errors
    /// Where the driver refuses it.
    pub fn new(rt: &super::Monoio, fd: OwnedFd) -> io::Result<Bound> {
        // An inherited one may be blocking: `accept4` must never wait.
        SockRef::from(&fd.as_fd()).set_nonblocking(true)?;
        Ok(Bound { core: Core::adopt(fd)?, kind: rt.kind() })
    }

    /// Waits until a connection is there. May be dropped at any time.
    ///
    /// # Errors
    /// Where the driver refuses the wait.
    pub async fn readable(&self) -> io::Result<()> {
        self.core.readable().await
    }

    /// Takes one connection, with TCP_NODELAY where it is TCP.
    ///
    /// # Errors
    /// `WouldBlock` where none waits; EMFILE and its kin where the process has no room.
    pub fn accept(&self) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
        // SAFETY: all-zero is a valid sockaddr_storage.
        let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
        let mut len = size_of_val(&storage) as libc::socklen_t;
        let mode = if self.kind == Kind::Uring { 0 } else { libc::SOCK_NONBLOCK };
        // SAFETY: the pointers describe `storage` and its length.
        let fd = check(unsafe { libc::accept4(self.core.fd(), (&raw mut storage).cast(), &mut len, libc::SOCK_CLOEXEC | mode) })?;
        // SAFETY: `fd` is fresh and ours.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let peer = peer(&storage, len);
        if peer.is_some() {
            SockRef::from(&fd).set_tcp_nodelay(true)?;
        }
        Ok((fd, peer))
    }

    /// What it is bound to; `None` for a Unix socket.
    pub fn local(&self) -> Option<SocketAddr> {
        local_address(&self.core)
    }
}

/// What a listening descriptor is bound to; `None` for a Unix socket.
pub fn local_address(fd: impl AsFd) -> Option<SocketAddr> {
    SockRef::from(&fd).local_addr().ok().and_then(|address| address.as_socket())
}

fn peer(storage: &libc::sockaddr_storage, len: libc::socklen_t) -> Option<SocketAddr> {
    // SAFETY: the kernel filled `len` bytes; the two storage types have one layout.
    let address = unsafe { SockAddr::new(mem::transmute::<libc::sockaddr_storage, socket2::SockAddrStorage>(*storage), len) };
    address.as_socket()
}
