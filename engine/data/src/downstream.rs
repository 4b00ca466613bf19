//! The client's side of one exchange: writing to it, and noticing that it has left.

use std::io::{self, IoSlice};

use smallvec::SmallVec;

use crate::audited::Outgoing;
use crate::http1::write;
use crate::incoming::SPANS_INLINE;
use crate::race::{Gone, unless_gone};
use crate::rt::{Io, Rt};
use crate::shard::Shard;
use crate::tls::Stream;
use crate::wheel::within;

/// Why nothing more can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteEnd {
    /// The client ended or broke the connection.
    Gone,
    /// The client took no byte for `write_stall`.
    Stalled,
}

/// The client's side of one exchange.
pub(crate) struct Downstream<'a, R: Rt> {
    pub(crate) shard: &'a Shard<R>,
    pub(crate) stream: &'a Stream<R>,
    pub(crate) gone: &'a mut dyn Gone,
    /// HTTP/1.0 clients know no chunks: the body ends with the connection.
    pub(crate) minor_version: u8,
    /// The request was HEAD: the answer has no body.
    pub(crate) head_only: bool,
    /// The connection may serve another request afterwards.
    pub(crate) keep_alive: bool,
    /// The answer's first byte went out.
    pub(crate) committed: bool,
    pub(crate) written_bytes: u64,
    /// Hashes the body that goes out, where the audit log holds the exchange.
    pub(crate) outgoing: Option<Box<Outgoing>>,
}

impl<R: Rt> Downstream<'_, R> {
    /// Writes all pieces, waiting where the socket is full. At most `PIECES_MAX` pieces, which are used up.
    pub(crate) async fn write(&mut self, mut left: &mut [IoSlice<'_>]) -> Result<(), WriteEnd> {
        self.committed = true;
        // Skips empty pieces in front, so that an all-empty write ends at once.
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match self.stream.try_write(left) {
                Ok(count) => {
                    self.written_bytes += count as u64;
                    IoSlice::advance_slices(&mut left, count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Box::pin(self.room()).await?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(WriteEnd::Gone),
            }
        }
        Ok(())
    }

    async fn room(&mut self) -> Result<(), WriteEnd> {
        let deadline_ns = self.shard.rt.now_ns() + self.shard.tuning.write_stall.as_nanos() as u64;
        let stream = self.stream;
        let writable = unless_gone(self.gone, stream.writable());
        match within(&self.shard.wheel, deadline_ns, writable).await {
            Err(_) => Err(WriteEnd::Stalled),
            Ok(Some(Ok(()))) => Ok(()),
            Ok(_) => Err(WriteEnd::Gone),
        }
    }

    /// Tells a client that waits for it to send the body (RFC 9110 §15.2.1).
    pub(crate) async fn go_on(&mut self) -> Result<(), WriteEnd> {
        self.write(&mut [IoSlice::new(b"HTTP/1.1 100 Continue\r\n\r\n")]).await
    }

    /// Writes a whole answer. `head` holds the status line and fields, without framing and without the blank line.
    pub(crate) async fn answer(&mut self, head: &mut Vec<u8>, body: &[u8]) -> Result<(), WriteEnd> {
        write::field(head, "content-length", itoa::Buffer::new().format(body.len()).as_bytes());
        self.end_head(head);
        let body = if self.head_only { &[][..] } else { body };
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.update(body);
        }
        self.write(&mut [IoSlice::new(head), IoSlice::new(body)]).await
    }

    /// Ends the head of a streamed answer: its framing field, `connection`, the blank line.
    pub(crate) fn begin_stream(&mut self, head: &mut Vec<u8>) {
        if self.minor_version == 0 {
            self.keep_alive = false;
        } else {
            head.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        self.end_head(head);
    }

    fn end_head(&self, head: &mut Vec<u8>) {
        match (self.keep_alive, self.minor_version) {
            (false, _) => head.extend_from_slice(b"connection: close\r\n"),
            (true, 0) => head.extend_from_slice(b"connection: keep-alive\r\n"),
            (true, _) => {}
        }
        head.extend_from_slice(b"\r\n");
    }

    /// One chunk that holds `spans` of `bytes`, behind `head` (the answer's head, or empty); with `Last::Yes` the body's end too.
    pub(crate) async fn chunk(&mut self, head: &[u8], pieces: &[&[u8]], last: Last) -> Result<(), WriteEnd> {
        let mut size = [0u8; 20];
        let len: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut list: SmallVec<[IoSlice<'_>; PIECES_INLINE]> = SmallVec::new();
        list.push(IoSlice::new(head));
        let chunked = self.minor_version > 0;
        if len > 0 && !self.head_only {
            if let Some(outgoing) = &mut self.outgoing {
                pieces.iter().for_each(|piece| outgoing.update(piece));
            }
            if chunked {
                list.push(IoSlice::new(chunk_size(&mut size, len)));
            }
            list.extend(pieces.iter().map(|piece| IoSlice::new(piece)));
        }
        let end: &[u8] = match (chunked && !self.head_only, len > 0, last) {
            (true, true, Last::Yes) => b"\r\n0\r\n\r\n",
            (true, true, Last::No) => b"\r\n",
            (true, false, Last::Yes) => b"0\r\n\r\n",
            _ => b"",
        };
        list.push(IoSlice::new(end));
        self.write(&mut list).await
    }
}

/// Is this the body's last chunk?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    Yes,
    No,
}

/// Of a chunk: the head, its size, what one read gives, its end.
const PIECES_INLINE: usize = SPANS_INLINE + 3;

/// `len` in hex and a line end, without the allocation of a formatter.
fn chunk_size(out: &mut [u8; 20], len: usize) -> &[u8] {
    let mut at = out.len() - 2;
    out[at] = b'\r';
    out[at + 1] = b'\n';
    let mut left = len;
    loop {
        at -= 1;
        out[at] = b"0123456789abcdef"[left & 15];
        left >>= 4;
        if left == 0 {
            return &out[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::chunk_size;

    #[test]
    fn chunk_sizes_are_plain_hex() {
        for (len, text) in [(1, "1\r\n"), (16, "10\r\n"), (0xabcdef, "abcdef\r\n"), (usize::MAX, "ffffffffffffffff\r\n")] {
            assert_eq!(chunk_size(&mut [0; 20], len), text.as_bytes());
        }
    }
}
