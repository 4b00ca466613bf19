//! Accepting connections and spreading them over the shards.
//!
//! Each shard has its own listener per address, and the kernel spreads by hash. Where that is unfair, a fresh connection
//! goes to the least loaded shard through a bounded queue and a wake-up: one locked add per connection, none per request.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam::queue::ArrayQueue;
use ringway_policy::counters::ShardCounters;
use rustls::ServerConfig;

use crate::contain::contain;
use crate::proxy_protocol::{self, Step};
use crate::race::{Either, race};
use crate::rt::kernel::{Bound, Monoio, Socket, Wake};
use crate::rt::{Io, Rt};
use crate::shard::Shard;
use crate::tls::{self, Stream};
use crate::wheel::within;
use crate::{conn, count};

/// Connections taken from one listener before other tasks run.
const ACCEPTS_MAX: usize = 64;
/// Fresh connections under way from one shard to another; beyond it they stay where they were accepted.
pub(crate) const HAND_OFF_MAX: usize = 1024;
/// How long a listener rests when the process has no descriptor left.
const REST: Duration = Duration::from_millis(100);
/// Rounds of finding the least loaded shard while others do the same.
const PLACE_ROUNDS_MAX: usize = 8;

/// Who connected.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The client's address: the socket's, or what a trusted proxy's PROXY header says. `None` on a Unix socket.
    pub address: Option<SocketAddr>,
    /// The socket's own peer stands in the trusted networks: its X-Forwarded-For may be believed.
    pub trusted: bool,
}

/// What all shards know of each other's load, and how to reach each other.
pub(crate) struct Crew {
    pub counters: Vec<Arc<ShardCounters>>,
    pub arrivals: Vec<ArrayQueue<Arrival>>,
    pub wakes: Vec<Wake>,
    pub connections_max: u64,
    pub tls: Option<Arc<ArcSwap<ServerConfig>>>,
    pub proxy_protocol: ProxyProtocol,
}

/// Does a PROXY header come first on connections from trusted networks?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyProtocol {
    Off,
    Expected,
}

/// An accepted connection that nobody serves yet. Its place is already counted at the shard that it goes to.
pub(crate) struct Arrival {
    fd: OwnedFd,
    peer: Option<SocketAddr>,
}

/// Accepts until the drain begins, then takes what the kernel has queued and closes.
pub(crate) async fn listen(shard: Rc<Shard<Monoio>>, crew: Arc<Crew>, bound: Bound) {
    loop {
        match race(shard.drained(), bound.readable()).await {
            Either::Left(()) => {
                accept(&shard, &crew, &bound);
                return;
            }
            Either::Right(Ok(())) if accept(&shard, &crew, &bound) == Room::Left => {}
            Either::Right(_) => shard.wheel.sleep(REST).await,
        }
    }
}

/// Whether the process has descriptors left.
#[derive(PartialEq, Eq)]
enum Room {
    Left,
    None,
}

fn accept(shard: &Rc<Shard<Monoio>>, crew: &Arc<Crew>, bound: &Bound) -> Room {
    for _ in 0..ACCEPTS_MAX {
        match bound.accept() {
            Ok((fd, peer)) => place(shard, crew, Arrival { fd, peer }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Room::Left,
            Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)) => {
                tracing::warn!(%error, "no room for a new connection; raise the open files limit or lower --max-connections");
                return Room::None;
            }
            // The client gave up while it waited, and the like.
            Err(error) => tracing::debug!(%error, "a connection was lost before it was accepted"),
        }
    }
    Room::Left
}

/// Serves a fresh connection here or sends it to the least loaded shard.
fn place(shard: &Rc<Shard<Monoio>>, crew: &Arc<Crew>, arrival: Arrival) {
    count::add(&shard.counters.accepted, 1);
    let here = usize::from(shard.index);
    let Some(target) = reserve(crew, here) else {
        count::add(&shard.counters.refused_connections, 1);
        return refuse(shard, crew, arrival);
    };
    if target == here {
        return serve(shard, crew, arrival);
    }
    match crew.arrivals[target].push(arrival) {
        Ok(()) => crew.wakes[target].wake(),
        Err(arrival) => {
            crew.counters[target].connections.fetch_sub(1, Ordering::Relaxed);
            shard.counters.connections.fetch_add(1, Ordering::Relaxed);
            serve(shard, crew, arrival);
        }
    }
}

/// Counts a connection at the least loaded shard, at this one where it is among the least loaded. `None`: all are full.
fn reserve(crew: &Crew, here: usize) -> Option<usize> {
    let load = |index: usize| crew.counters[index].connections.load(Ordering::Relaxed);
    for _ in 0..PLACE_ROUNDS_MAX {
        let mut target = here;
        let mut least = load(here);
        for index in 0..crew.counters.len() {
            let other = load(index);
            if other < least {
                (target, least) = (index, other);
            }
        }
        if least >= crew.connections_max {
            return None;
        }
        // The count that was compared is the count that is raised: two shards cannot both take the same place.
        let raise = crew.counters[target].connections.compare_exchange(least, least + 1, Ordering::Relaxed, Ordering::Relaxed);
        if raise.is_ok() {
            return Some(target);
        }
    }
    crew.counters[here].connections.fetch_add(1, Ordering::Relaxed);
    Some(here)
}

/// The gateway's own bound: 503, as far as it goes without waiting.
fn refuse(shard: &Rc<Shard<Monoio>>, crew: &Crew, arrival: Arrival) {
    if let (None, Ok(stream)) = (&crew.tls, Socket::adopt(&shard.rt, arrival.fd, arrival.peer)) {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let _ = stream.try_write(&[io::IoSlice::new(answer)]);
        stream.shutdown();
    }
}

/// Serves what other shards sent here.
pub(crate) fn receive(shard: &Rc<Shard<Monoio>>, crew: &Arc<Crew>) {
    while let Some(arrival) = crew.arrivals[usize::from(shard.index)].pop() {
        serve(shard, crew, arrival);
    }
}

fn serve(shard: &Rc<Shard<Monoio>>, crew: &Arc<Crew>, arrival: Arrival) {
    let counted = Counted(shard.counters.clone());
    shard.arrived();
    let (shard_there, crew) = (shard.clone(), crew.clone());
    shard.rt.spawn(async move {
        let _counted = counted;
        contain(greet_and_serve(shard_there, crew, arrival)).await;
    });
}

/// Lowers the shard's count when the connection's task is gone, however it went.
struct Counted(Arc<ShardCounters>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn greet_and_serve(shard: Rc<Shard<Monoio>>, crew: Arc<Crew>, arrival: Arrival) {
    let trusted = match arrival.peer {
        Some(address) => shard.trusted.contains(address.ip()),
        // Whoever reaches a Unix socket is local; it is believed where anyone is.
        None => !shard.trusted.is_empty(),
    };
    let peer = Peer { address: arrival.peer, trusted };
    let Ok(stream) = Socket::adopt(&shard.rt, arrival.fd, arrival.peer) else { return };
    let wants_header = crew.proxy_protocol == ProxyProtocol::Expected && trusted;
    if crew.tls.is_none() && !wants_header {
        return conn::serve(shard, Stream::Plain(stream), peer).await;
    }
    // Boxed: an idle connection's task should not hold room for a handshake.
    let greeted = Box::pin(greet(&shard, &crew, stream, peer, wants_header)).await;
    match greeted {
        Ok((stream, peer)) => conn::serve(shard, stream, peer).await,
        Err(error) => tracing::debug!(%error, "a connection ended before its first request"),
    }
}

async fn greet<R: Rt>(
    shard: &Shard<R>,
    crew: &Crew,
    stream: R::Stream,
    mut peer: Peer,
    wants_header: bool,
) -> io::Result<(Stream<R>, Peer)> {
    let deadline_ns = shard.wheel.after(shard.tuning.head_timeout);
    if wants_header {
        let source = within(&shard.wheel, deadline_ns, proxy_header(&stream)).await;
        let source = source.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        peer.address = source.or(peer.address);
        peer.trusted = peer.address.is_none_or(|address| shard.trusted.contains(address.ip()));
    }
    match &crew.tls {
        Some(config) => {
            let sealed = tls::accept(&shard.wheel, stream, config.load_full(), deadline_ns).await?;
            Ok((Stream::Tls(sealed), peer))
        }
        None => Ok((Stream::Plain(stream), peer)),
    }
}

/// Reads a PROXY header and not a byte more.
async fn proxy_header(stream: &impl Io) -> io::Result<Option<SocketAddr>> {
    let mut header = Vec::new();
    loop {
        let most = match proxy_protocol::step(&header) {
            Step::Done(source) => return Ok(source),
            Step::Malformed => return Err(io::Error::new(io::ErrorKind::InvalidData, "no PROXY header")),
            Step::More(count) => count,
            Step::Line(most) => {
                stream.readable().await?;
                let mut ahead = [0; 128];
                let count = stream.peek(&mut ahead[..most.min(128)])?;
                ahead[..count].iter().position(|byte| *byte == b'\n').map_or(count.max(1), |at| at + 1)
            }
        };
        let (result, piece) = stream.read(Vec::with_capacity(most)).await;
        if result? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        header.extend_from_slice(&piece);
    }
}

#[cfg(test)]
mod tests;
