//! A connection's byte stream: plain or TLS.

mod config;
mod stream;

use std::io::{self, IoSlice};
use std::net::SocketAddr;

use crate::rt::{Io, Rt};

pub use config::{Identity, client_config, server_config};
pub use stream::{TlsStream, accept, connect};

/// A byte stream of either kind.
pub enum Stream<R: Rt> {
    Plain(R::Stream),
    Tls(Box<TlsStream<R::Stream>>),
}

impl<R: Rt> Io for Stream<R> {
    async fn read(&self, buf: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        match self {
            Stream::Plain(stream) => stream.read(buf).await,
            // Boxed, so that a plain connection's future does not hold room for it; TLS costs more than a box.
            Stream::Tls(stream) => Box::pin(stream.read(buf)).await,
        }
    }

    async fn readable(&self) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.readable().await,
            Stream::Tls(stream) => stream.readable().await,
        }
    }

    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.try_write(pieces),
            Stream::Tls(stream) => stream.try_write(pieces),
        }
    }

    async fn writable(&self) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.writable().await,
            Stream::Tls(stream) => stream.writable().await,
        }
    }

    fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.peek(into),
            Stream::Tls(stream) => stream.peek(into),
        }
    }

    fn has_ended(&self) -> bool {
        match self {
            Stream::Plain(stream) => stream.has_ended(),
            Stream::Tls(stream) => stream.has_ended(),
        }
    }

    fn is_idle_and_open(&self) -> bool {
        match self {
            Stream::Plain(stream) => stream.is_idle_and_open(),
            Stream::Tls(stream) => stream.is_idle_and_open(),
        }
    }

    fn shutdown(&self) {
        match self {
            Stream::Plain(stream) => stream.shutdown(),
            Stream::Tls(stream) => stream.shutdown(),
        }
    }

    fn reset(&self) {
        match self {
            Stream::Plain(stream) => stream.reset(),
            Stream::Tls(stream) => stream.reset(),
        }
    }

    fn peer(&self) -> Option<SocketAddr> {
        match self {
            Stream::Plain(stream) => stream.peer(),
            Stream::Tls(stream) => stream.peer(),
        }
    }
}

#[cfg(test)]
mod tests;
