//! The rest of a request's body that is still with the client while its beginning is on its way to the provider.
//!
//! A file of any size costs one read buffer here: what was read goes out before more is read. Once bytes of it went out, the request
//! cannot be sent a second time.

use std::cell::Cell;
use std::ops::Range;

use ringway_adapters::door::Door;
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::multipart::FormReader;
use ringway_adapters::operation::Operation;

use crate::http1::chunked::{ChunkedDecoder, Step};
use crate::race::Gone;
use crate::rt::Rt;
use crate::shard::Shard;
use crate::wheel::within;

/// Bytes of a body that are gathered before the request goes on its way. A shorter body is gathered whole, so that it can be sent again.
pub(crate) const BEGINNING_BYTES: usize = 64 * 1024;

/// The largest body that is passed on, bytes. OpenAI takes files of 512 MB (platform.openai.com/docs/api-reference/files, read 2026-11-20).
const BODY_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Whether a body's beginning is enough to go on with.
pub(crate) enum Beginning {
    /// Enough is what `BEGINNING_BYTES` hold.
    Any,
    /// The model must be in it.
    Form(FormReader),
}

impl Beginning {
    /// `None` where the body must be whole.
    pub(crate) fn of(door: &Door<'_>, content_type: Option<&str>) -> Option<Beginning> {
        let form = content_type.and_then(FormReader::of_content_type);
        match (door.operation, form) {
            // What it refers to stands anywhere in it.
            (Operation::Passthrough, _) if !door.references().is_empty() => None,
            (Operation::Passthrough | Operation::Files, _) => Some(Beginning::Any),
            // The path names the model.
            (Operation::Image | Operation::Transcribe, Some(_)) if door.model().is_some() => Some(Beginning::Any),
            (Operation::Image | Operation::Transcribe, Some(form)) => Some(Beginning::Form(form)),
            _ => None,
        }
    }

    pub(crate) fn is_enough(&mut self, body: &[u8]) -> bool {
        match self {
            _ if body.len() < BEGINNING_BYTES => false,
            Beginning::Any => true,
            Beginning::Form(form) => {
                form.read(body);
                form.form().model.is_some()
            }
        }
    }
}

/// What is left of a body.
pub(crate) enum Left {
    Length(u64),
    Chunked(ChunkedDecoder),
}

/// The rest of a body. Shared by the attempts of one exchange; only one of them may take bytes.
pub(crate) struct Upload {
    rest: Cell<Option<Box<Rest>>>,
    /// Its bytes, where the client announced them.
    pub(crate) len: Option<u64>,
    begun: Cell<bool>,
    bytes_max: Cell<u64>,
}

impl Upload {
    /// `read_bytes` of the body are gathered already.
    ///
    /// # Errors
    /// `RequestTooLarge` where more is announced than is passed on.
    pub(crate) fn new(left: Left, read_bytes: usize) -> Result<Upload, Fault> {
        let len = if let Left::Length(len) = left { Some(len) } else { None };
        let bytes = read_bytes as u64;
        if len.is_some_and(|len| bytes.saturating_add(len) > BODY_BYTES_MAX) {
            return Err(too_large(BODY_BYTES_MAX));
        }
        let rest = Rest { left, buffer: Vec::new(), at: 0, bytes, bytes_max: BODY_BYTES_MAX };
        Ok(Upload { rest: Cell::new(Some(Box::new(rest))), len, begun: Cell::new(false), bytes_max: Cell::new(BODY_BYTES_MAX) })
    }

    /// No more than `bytes_max` of the whole body is passed on.
    pub(crate) fn limit(&self, bytes_max: u64) {
        self.bytes_max.set(bytes_max.min(BODY_BYTES_MAX));
    }

    /// Some of it went out: no other attempt can be made.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.get()
    }

    /// The client sent all of it.
    pub(crate) fn is_ended(&self) -> bool {
        let rest = self.rest.take();
        let ended = rest.as_ref().is_some_and(|rest| matches!(rest.left, Left::Length(0)));
        self.rest.set(rest);
        ended
    }

    /// To take bytes, until it is put back.
    pub(crate) fn take(&self) -> Option<Box<Rest>> {
        self.begun.set(true);
        let mut rest = self.rest.take()?;
        rest.bytes_max = self.bytes_max.get();
        Some(rest)
    }

    pub(crate) fn put_back(&self, rest: Box<Rest>) {
        self.rest.set(Some(rest));
    }

    /// What the client sent behind the body; `None` where the body was not read to its end.
    pub(crate) fn into_leftover(self) -> Option<Vec<u8>> {
        let mut rest = self.rest.into_inner()?;
        matches!(rest.left, Left::Length(0)).then(|| {
            rest.buffer.drain(..rest.at);
            rest.buffer
        })
    }
}

/// Bytes from the client, decoded.
pub(crate) struct Rest {
    left: Left,
    pub(crate) buffer: Vec<u8>,
    at: usize,
    bytes: u64,
    bytes_max: u64,
}

/// What the buffer holds.
pub(crate) enum Piece {
    Data(Range<usize>),
    More,
    End,
}

impl Rest {
    /// The next body bytes in `buffer`.
    ///
    /// # Errors
    /// `InvalidRequest` for a bad chunk, `RequestTooLarge` past the bound.
    pub(crate) fn next(&mut self) -> Result<Piece, Fault> {
        let piece = match &mut self.left {
            Left::Length(0) => Piece::End,
            Left::Length(_) if self.at == self.buffer.len() => Piece::More,
            Left::Length(left) => {
                let end = self.at + (*left).min((self.buffer.len() - self.at) as u64) as usize;
                let span = std::mem::replace(&mut self.at, end)..end;
                *left -= span.len() as u64;
                Piece::Data(span)
            }
            Left::Chunked(decoder) => {
                match decoder.step(&self.buffer, self.at).map_err(|refusal| Fault::new(Kind::InvalidRequest, refusal.reason))? {
                    Step::Data(span) => {
                        self.at = span.end;
                        Piece::Data(span)
                    }
                    Step::More => {
                        self.at = self.buffer.len();
                        Piece::More
                    }
                    Step::End(at) => {
                        self.at = at;
                        self.left = Left::Length(0);
                        Piece::End
                    }
                }
            }
        };
        if let Piece::Data(span) = &piece {
            self.bytes += span.len() as u64;
            if self.bytes > self.bytes_max {
                return Err(too_large(self.bytes_max));
            }
        }
        Ok(piece)
    }

    /// Reads more in place of what was used up. `None` where the client is gone.
    ///
    /// # Errors
    /// `RequestTimeout` where it is silent for `body_idle`, or is not through at `total_ns`: a client that sends a byte now and then
    /// must not hold a connection for ever.
    pub(crate) async fn read<R: Rt>(&mut self, shard: &Shard<R>, gone: &mut dyn Gone, total_ns: u64) -> Result<Option<()>, Fault> {
        self.buffer.clear();
        self.at = 0;
        let buffer = &mut self.buffer;
        let more = std::future::poll_fn(move |context| gone.poll_more(context, buffer));
        let now_ns = shard.rt.now_ns();
        if now_ns >= total_ns {
            return Err(too_late());
        }
        let deadline_ns = (now_ns + shard.tuning.body_idle.as_nanos() as u64).min(total_ns);
        match within(&shard.wheel, deadline_ns, more).await {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(())),
            Err(_) => Err(too_late()),
        }
    }
}

fn too_late() -> Fault {
    Fault::new(Kind::RequestTimeout, "the request did not arrive whole in time; send it without pauses")
}

fn too_large(bytes_max: u64) -> Fault {
    Fault::new(Kind::RequestTooLarge, format!("the body has more than the {bytes_max} bytes that are passed on; send less"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(left: Left, bytes: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
        let upload = Upload::new(left, 0).expect("it is small");
        let mut rest = upload.take().expect("nobody has it");
        let mut body = Vec::new();
        let mut bytes = bytes.iter();
        loop {
            match rest.next().expect("well-formed") {
                Piece::Data(span) => body.extend_from_slice(&rest.buffer[span]),
                Piece::End => break,
                Piece::More => {
                    let Some(byte) = bytes.next() else { break };
                    rest.buffer.push(*byte);
                }
            }
        }
        rest.buffer.extend(bytes);
        upload.put_back(rest);
        assert!(upload.has_begun());
        (body, upload.into_leftover())
    }

    #[test]
    fn what_follows_the_body_is_left() {
        assert_eq!(decoded(Left::Length(3), b"abcGET"), (b"abc".to_vec(), Some(b"GET".to_vec())));
        assert_eq!(
            decoded(Left::Chunked(Default::default()), b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\nGET"),
            (b"abc".to_vec(), Some(b"GET".to_vec()))
        );
        assert_eq!(decoded(Left::Length(4), b"abc"), (b"abc".to_vec(), None));
    }

    #[test]
    fn an_upload_has_a_bound() {
        let announced = Upload::new(Left::Length(BODY_BYTES_MAX), 1);
        assert_eq!(announced.err().map(|fault| fault.kind), Some(Kind::RequestTooLarge));
        let mut rest = Rest { left: Left::Length(9), buffer: b"x".to_vec(), at: 0, bytes: BODY_BYTES_MAX, bytes_max: BODY_BYTES_MAX };
        assert_eq!(rest.next().err().map(|fault| fault.kind), Some(Kind::RequestTooLarge));
        let upload = Upload::new(Left::Chunked(Default::default()), 10).expect("it is small");
        upload.limit(12);
        let mut rest = upload.take().expect("nobody has it");
        rest.buffer.extend_from_slice(b"2\r\nab\r\n1\r\nc\r\n");
        assert!(matches!(rest.next(), Ok(Piece::Data(_))));
        assert_eq!(rest.next().err().map(|fault| fault.kind), Some(Kind::RequestTooLarge), "also where no length was announced");
    }
}
