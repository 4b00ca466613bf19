//! TLS over another stream, rustls driven directly.
//!
//! Estimate per record: one copy of the ciphertext into rustls, one of the plaintext out. The ciphertext buffer lives
//! while a read waits and is gone while the connection idles (`readable` holds none).

use std::cell::RefCell;
use std::io::{self, BufRead, IoSlice, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

use crate::rt::{Io, Rt};
use crate::wheel::{Wheel, within};

/// Room for one record of the greatest size (RFC 8446 §5.2) and its head.
const CIPHER_BYTES: usize = 17 * 1024;
/// Most plaintext sealed by one `try_write`; its ciphertext is all that a stream ever holds back.
const SEAL_BYTES_MAX: usize = 64 * 1024;
/// Rounds of a handshake: far above what an honest peer needs.
const HANDSHAKE_READS_MAX: usize = 64;

/// TLS over a stream.
pub struct TlsStream<S: Io> {
    inner: S,
    session: RefCell<Session>,
}

struct Session {
    tls: Connection,
    /// Plaintext that the last `try_write` sealed but could not send whole. It counts as written once it is out, so that
    /// a caller who was told of bytes may close at once.
    owed: usize,
}

/// Takes a client's handshake.
///
/// # Errors
/// `TimedOut` at the deadline, `InvalidData` where the handshake fails.
pub async fn accept<R: Rt>(
    wheel: &Wheel<R>,
    inner: R::Stream,
    config: Arc<ServerConfig>,
    deadline_ns: u64,
) -> io::Result<Box<TlsStream<R::Stream>>> {
    let tls = ServerConnection::new(config).map_err(invalid)?;
    handshake(wheel, inner, tls.into(), deadline_ns).await
}

/// Makes a handshake with a server.
///
/// # Errors
/// `TimedOut` at the deadline, `InvalidInput` for a host that is no name, `InvalidData` where the handshake fails.
pub async fn connect<R: Rt>(
    wheel: &Wheel<R>,
    inner: R::Stream,
    config: Arc<ClientConfig>,
    host: &str,
    deadline_ns: u64,
) -> io::Result<Box<TlsStream<R::Stream>>> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let tls = ClientConnection::new(config, name).map_err(invalid)?;
    handshake(wheel, inner, tls.into(), deadline_ns).await
}

async fn handshake<R: Rt>(
    wheel: &Wheel<R>,
    inner: R::Stream,
    mut tls: Connection,
    deadline_ns: u64,
) -> io::Result<Box<TlsStream<R::Stream>>> {
    tls.set_buffer_limit(Some(SEAL_BYTES_MAX));
    let stream = Box::new(TlsStream { inner, session: RefCell::new(Session { tls, owed: 0 }) });
    match within(wheel, deadline_ns, stream.shake()).await {
        Ok(result) => result.map(|()| stream),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

impl<S: Io> TlsStream<S> {
    async fn shake(&self) -> io::Result<()> {
        for _ in 0..HANDSHAKE_READS_MAX {
            self.flush().await?;
            if !self.session.borrow().tls.is_handshaking() {
                return Ok(());
            }
            let (result, cipher) = self.inner.read(Vec::with_capacity(CIPHER_BYTES)).await;
            if result? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Err(error) = self.feed(&cipher) {
                // The alert that says why.
                let _ = self.try_flush();
                return Err(error);
            }
        }
        Err(invalid("the handshake does not end"))
    }

    async fn flush(&self) -> io::Result<()> {
        loop {
            match self.try_flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.inner.writable().await?,
                done => return done,
            }
        }
    }

    fn try_flush(&self) -> io::Result<()> {
        let mut session = self.session.borrow_mut();
        while session.tls.wants_write() {
            session.tls.write_tls(&mut Sink(&self.inner))?;
        }
        Ok(())
    }

    /// Gives ciphertext to rustls; an empty slice is the end.
    fn feed(&self, mut cipher: &[u8]) -> io::Result<()> {
        let mut session = self.session.borrow_mut();
        loop {
            session.tls.read_tls(&mut cipher)?;
            session.tls.process_new_packets().map_err(invalid)?;
            if cipher.is_empty() {
                return Ok(());
            }
        }
    }

    /// Moves plaintext that is there into the buffer's room; `WouldBlock` where none is.
    fn take(&self, buf: &mut Vec<u8>) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        let mut reader = session.tls.reader();
        let mut taken = 0;
        loop {
            let room = buf.capacity() - buf.len();
            if room == 0 {
                return Ok(taken);
            }
            let count = match reader.fill_buf() {
                Ok(chunk) => {
                    let count = chunk.len().min(room);
                    buf.extend_from_slice(&chunk[..count]);
                    count
                }
                Err(_) if taken > 0 => 0,
                Err(error) => return Err(error),
            };
            if count == 0 {
                return Ok(taken);
            }
            reader.consume(count);
            taken += count;
        }
    }

    fn holds_plaintext(&self) -> bool {
        !matches!(self.session.borrow_mut().tls.reader().fill_buf(), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl<S: Io> Io for TlsStream<S> {
    async fn read(&self, mut buf: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        if buf.capacity() == buf.len() {
            return (Err(io::ErrorKind::InvalidInput.into()), buf);
        }
        let mut cipher = Vec::new();
        loop {
            match self.take(&mut buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return (done, buf),
            }
            cipher.clear();
            cipher.reserve(CIPHER_BYTES);
            let result;
            (result, cipher) = self.inner.read(cipher).await;
            if let Err(error) = result.and_then(|_| self.feed(&cipher)) {
                return (Err(error), buf);
            }
            // Answers to key updates and the like; what does not go now goes with the next write.
            let _ = self.try_flush();
        }
    }

    async fn readable(&self) -> io::Result<()> {
        // A record cut in two, or a session ticket, shows as readable although `read` will wait for more.
        if self.holds_plaintext() { Ok(()) } else { self.inner.readable().await }
    }

    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_flush()?;
        let owed = std::mem::take(&mut self.session.borrow_mut().owed);
        if owed > 0 {
            return Ok(owed);
        }
        let sealed = self.session.borrow_mut().tls.writer().write_vectored(pieces)?;
        match self.try_flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.session.borrow_mut().owed = sealed;
                Err(error)
            }
            done => done.map(|()| sealed),
        }
    }

    async fn writable(&self) -> io::Result<()> {
        if self.session.borrow().tls.wants_write() { self.flush().await } else { self.inner.writable().await }
    }

    fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        let mut reader = session.tls.reader();
        let chunk = reader.fill_buf()?;
        let count = chunk.len().min(into.len());
        into[..count].copy_from_slice(&chunk[..count]);
        Ok(count)
    }

    fn has_ended(&self) -> bool {
        if self.holds_plaintext() {
            let mut byte = [0];
            return !matches!(self.peek(&mut byte), Ok(1));
        }
        // The end of a TLS connection comes as an alert: content type 21, or sealed as a record of two bytes, a type and
        // a tag (RFC 8446 §6 and §5.2; the tag has 16 bytes in every suite that we offer).
        let mut head = [0; 5];
        match self.inner.peek(&mut head) {
            Ok(0) => true,
            Ok(5) => head[0] == 21 || (head[0] == 23 && head[3..] == [0, 19]),
            Ok(_) => false,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    fn is_idle_and_open(&self) -> bool {
        !self.holds_plaintext() && self.inner.is_idle_and_open()
    }

    fn shutdown(&self) {
        self.session.borrow_mut().tls.send_close_notify();
        let _ = self.try_flush();
        self.inner.shutdown();
    }

    fn reset(&self) {
        self.inner.reset();
    }

    fn peer(&self) -> Option<SocketAddr> {
        self.inner.peer()
    }
}

/// Ciphertext on its way out.
struct Sink<'a, S: Io>(&'a S);

impl<S: Io> Write for Sink<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
