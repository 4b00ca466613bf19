//! One client: blocking, one connection, kept alive until it leaves or the gateway closes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::plan::{Exchange, Leave};
use crate::http::{Chunked, Framing, parse_response_head};

/// The gateway answers everything within this, or something is wrong with it.
const PATIENCE: Duration = Duration::from_secs(60);
const BUFFER_BYTES: usize = 16 * 1024;

/// What a client saw of one exchange.
#[derive(Debug, Default)]
pub(super) struct Saw {
    /// It left by its own will.
    pub(super) left: bool,
    /// 0 where it left before the head.
    pub(super) status: u16,
    pub(super) body_bytes: usize,
    /// The answer ended as its framing said.
    pub(super) whole: bool,
}

pub(super) struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Client {
        Client { address, stream: None, buffer: vec![0; BUFFER_BYTES] }
    }

    /// Sends one request and reads its answer, or leaves on the way.
    pub(super) fn carry(&mut self, exchange: &Exchange, key: &str) -> io::Result<Saw> {
        let request = format!(
            "POST {} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\nx-request-id: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{}",
            exchange.door.path(),
            exchange.id,
            exchange.body.len(),
            exchange.body
        );
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        if stream.write_all(request.as_bytes()).is_err() {
            // Closed between two requests: nothing of this one was taken.
            stream = self.connect()?;
            stream.write_all(request.as_bytes())?;
        }
        match exchange.leave {
            Leave::Waiting { pause_us } => {
                std::thread::sleep(Duration::from_micros(pause_us));
                leave(&stream);
                Ok(Saw { left: true, ..Saw::default() })
            }
            Leave::After { bytes } => self.read(stream, bytes),
            Leave::Never => self.read(stream, usize::MAX),
        }
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// Reads the answer, or its first `bytes_max` bytes.
    fn read(&mut self, mut stream: TcpStream, bytes_max: usize) -> io::Result<Saw> {
        let mut answer = Vec::new();
        let mut saw = Saw::default();
        let head = loop {
            if let Some(head) = parse_response_head(&answer).map_err(|_| io::Error::other("the answer's head is malformed"))? {
                break head;
            }
            if answer.len() >= bytes_max {
                leave(&stream);
                saw.left = true;
                return Ok(saw);
            }
            let room = (bytes_max - answer.len()).min(BUFFER_BYTES);
            match stream.read(&mut self.buffer[..room])? {
                0 => return Ok(saw),
                count => answer.extend_from_slice(&self.buffer[..count]),
            }
        };
        saw.status = head.status;
        let mut body = Body::new(head.framing);
        let mut piece = answer.split_off(head.head_bytes);
        let mut read_bytes = head.head_bytes + piece.len();
        loop {
            body.feed(&piece)?;
            saw.body_bytes += piece.len();
            if body.is_done() {
                saw.whole = true;
                self.stream = head.keep_alive.then_some(stream);
                return Ok(saw);
            }
            if read_bytes >= bytes_max {
                leave(&stream);
                saw.left = true;
                return Ok(saw);
            }
            let room = (bytes_max - read_bytes).min(BUFFER_BYTES);
            match stream.read(&mut self.buffer[..room]) {
                Ok(0) => return Ok(saw),
                Ok(count) => {
                    read_bytes += count;
                    piece.clear();
                    piece.extend_from_slice(&self.buffer[..count]);
                }
                // The gateway breaks what it cannot end well.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(saw),
                Err(error) => return Err(error),
            }
        }
    }
}

fn leave(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Both);
}

enum Body {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

impl Body {
    fn new(framing: Framing) -> Body {
        match framing {
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked(Chunked::default()),
            Framing::UntilClose => Body::UntilClose,
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Body::Length(left) => *left = left.saturating_sub(bytes.len() as u64),
            Body::Chunked(chunked) => {
                chunked.feed(bytes, |_| {}).map_err(|_| io::Error::other("the answer's chunks are malformed"))?;
            }
            Body::UntilClose => {}
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        match self {
            Body::Length(left) => *left == 0,
            Body::Chunked(chunked) => chunked.is_done(),
            Body::UntilClose => false,
        }
    }
}
