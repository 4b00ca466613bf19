//! The admin socket: TCP, with or without TLS, or Unix; a bounded number of connections, none of them silent for long.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

/// Most admin connections at a time; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 128;
/// A connection that sends nothing for so long is closed.
const SILENCE_MAX: Duration = Duration::from_secs(75);
/// Pause after an `accept` that failed for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The bound admin socket.
pub struct Listener {
    socket: Socket,
    /// The certificate of now, where TCP speaks TLS.
    tls: Option<Arc<ArcSwap<ServerConfig>>>,
    permits: Arc<Semaphore>,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Who is on the other end.
#[derive(Clone, Copy, Debug)]
pub enum Peer {
    Tcp(SocketAddr),
    Unix,
}

impl Peer {
    pub(crate) fn is_loopback(self) -> bool {
        match self {
            Peer::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Peer::Unix => true,
        }
    }
}

impl Listener {
    /// Binds `address`: `IP:PORT` or `unix:/path`. A socket file that nobody listens on is replaced.
    ///
    /// # Errors
    /// The operating system's; `InvalidInput` for an address of neither form.
    pub async fn bind(address: &str) -> io::Result<Listener> {
        let socket = match address.strip_prefix("unix:") {
            Some(path) => {
                if UnixStream::connect(path).await.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
                    std::fs::remove_file(path)?;
                }
                Socket::Unix(UnixListener::bind(path)?)
            }
            None => {
                let address: SocketAddr = address.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
                Socket::Tcp(TcpListener::bind(address).await?)
            }
        };
        Ok(Listener { socket, tls: None, permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)) })
    }

    /// It speaks TLS, with the certificate that stands there when a connection comes. A Unix socket speaks none.
    pub fn with_tls(self, tls: Option<Arc<ArcSwap<ServerConfig>>>) -> Listener {
        Listener { tls, ..self }
    }

    /// Where it listens, the port that the kernel chose included; `None` for a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = Peer;

    async fn accept(&mut self) -> (Connection, Peer) {
        // The semaphore is never closed, so that `ok` is always `Some`.
        let permit = self.permits.clone().acquire_owned().await.ok();
        loop {
            let accepted = match &self.socket {
                Socket::Tcp(listener) => listener.accept().await.map(|(stream, peer)| {
                    let _ = stream.set_nodelay(true);
                    (Stream::of(stream, self.tls.as_deref()), Peer::Tcp(peer))
                }),
                Socket::Unix(listener) => listener.accept().await.map(|(stream, _)| (Stream::Unix(stream), Peer::Unix)),
            };
            match accepted {
                Ok((stream, peer)) => return (Connection { stream, silence: Box::pin(sleep(SILENCE_MAX)), _permit: permit }, peer),
                Err(error) => {
                    tracing::debug!(%error, "admin accept");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().map(Peer::Tcp),
            Socket::Unix(_) => Ok(Peer::Unix),
        }
    }
}

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Peer {
        *stream.remote_addr()
    }
}

/// An admin connection: its stream, its place among the connections, its deadline.
pub struct Connection {
    stream: Stream,
    silence: Pin<Box<Sleep>>,
    _permit: Option<OwnedSemaphorePermit>,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// The handshake is the first thing that a read or write does, so that a slow peer holds up nobody else.
    Handshake(Box<Accept<TcpStream>>),
    Tls(Box<TlsStream<TcpStream>>),
    Failed,
}

impl Stream {
    fn of(stream: TcpStream, tls: Option<&ArcSwap<ServerConfig>>) -> Stream {
        match tls {
            Some(tls) => Stream::Handshake(Box::new(TlsAcceptor::from(tls.load_full()).accept(stream))),
            None => Stream::Tcp(stream),
        }
    }

    /// Goes on with the handshake, if it is not over.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Stream::Handshake(accept) = self else { return Poll::Ready(Ok(())) };
        match std::task::ready!(Pin::new(accept).poll(context)) {
            Ok(stream) => {
                *self = Stream::Tls(Box::new(stream));
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                *self = Stream::Failed;
                Poll::Ready(Err(error))
            }
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_ready(context))?;
        match self {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Handshake(_) | Stream::Failed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = self.stream.poll_read(context, buffer);
        if read.is_ready() {
            self.silence.as_mut().reset(Instant::now() + SILENCE_MAX);
            return read;
        }
        match self.silence.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.stream.poll_ready(context))?;
        let written = match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Handshake(_) | Stream::Failed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        };
        // Whoever takes what is written is there: a tail has nothing to say for hours.
        if matches!(written, Poll::Ready(Ok(_))) {
            self.silence.as_mut().reset(Instant::now() + SILENCE_MAX);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
            Stream::Handshake(_) | Stream::Failed => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Handshake(_) | Stream::Failed => Poll::Ready(Ok(())),
        }
    }
}
