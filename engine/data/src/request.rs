//! One request as it stands in a connection's buffer: its head by spans, its body whole.

use std::ops::Range;

use ringway_adapters::door::{self, Door};
use ringway_adapters::fault::{Fault, Kind};

use crate::http1::head::{Framing, RequestHead};
use crate::upload::{Left, Upload};

/// A request, whole but for an upload.
pub(crate) struct Request<'a> {
    pub(crate) head: &'a RequestHead,
    /// The head's bytes.
    pub(crate) bytes: &'a [u8],
    pub(crate) body: &'a [u8],
    /// What follows `body`, where that is only the beginning.
    pub(crate) upload: Option<&'a Upload>,
}

impl<'a> Request<'a> {
    pub(crate) fn path(&self) -> &'a str {
        text(&self.bytes[self.head.path.clone()])
    }

    pub(crate) fn query(&self) -> Option<&'a str> {
        self.head.query.clone().map(|span| text(&self.bytes[span]))
    }

    /// What its path is the door of.
    pub(crate) fn door(&self) -> Option<Door<'a>> {
        door::find(self.path(), &|name| self.field(name).is_some())
    }

    /// The first field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<&'a str> {
        self.head.fields.get(self.bytes, name).map(text)
    }
}

/// Head bytes as text; what is not UTF-8 reads as empty and so matches nothing.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or("")
}

/// How far a request's body has come.
pub(crate) struct Gathering {
    /// Where the body begins in the buffer.
    start: usize,
    /// Where the decoded body ends so far.
    end: usize,
    /// Where undecoded bytes begin (chunked bodies only).
    raw: usize,
    framing: Progress,
    bytes_max: usize,
}

enum Progress {
    Length(usize),
    Chunked(crate::http1::chunked::ChunkedDecoder),
}

impl Gathering {
    /// # Errors
    /// `RequestTooLarge` where the announced length is over `bytes_max`, before any of it is read.
    pub(crate) fn new(head: &RequestHead, bytes_max: usize) -> Result<Gathering, Fault> {
        let framing = match head.framing {
            Framing::None | Framing::UntilClose => Progress::Length(0),
            Framing::Length(length) => match usize::try_from(length) {
                Ok(length) if length <= bytes_max => Progress::Length(length),
                _ => return Err(too_large(length, bytes_max)),
            },
            Framing::Chunked => Progress::Chunked(Default::default()),
        };
        Ok(Gathering { start: head.len, end: head.len, raw: head.len, framing, bytes_max })
    }

    /// Takes in what the buffer holds. `Some((body, next))` once the body is whole: its span and where the next request begins.
    ///
    /// # Errors
    /// `InvalidRequest` for a bad chunk, `RequestTooLarge` past the bound.
    pub(crate) fn advance(&mut self, buffer: &mut Vec<u8>) -> Result<Option<(Range<usize>, usize)>, Fault> {
        let decoder = match &mut self.framing {
            Progress::Length(length) => {
                let end = self.start + *length;
                return Ok((buffer.len() >= end).then_some((self.start..end, end)));
            }
            Progress::Chunked(decoder) => decoder,
        };
        loop {
            use crate::http1::chunked::Step;
            match decoder.step(buffer, self.raw).map_err(|refusal| Fault::new(Kind::InvalidRequest, refusal.reason))? {
                Step::Data(span) => {
                    if self.end - self.start + span.len() > self.bytes_max {
                        return Err(too_large((self.end - self.start + span.len()) as u64, self.bytes_max));
                    }
                    self.raw = span.end;
                    let len = span.len();
                    buffer.copy_within(span, self.end);
                    self.end += len;
                }
                Step::More => {
                    // All input is decoded: what stands behind the body is used-up framing.
                    buffer.truncate(self.end);
                    self.raw = self.end;
                    return Ok(None);
                }
                Step::End(next) => return Ok(Some((self.start..self.end, next))),
            }
        }
    }

    /// What of the body is in the buffer so far.
    pub(crate) fn gathered<'b>(&self, buffer: &'b [u8]) -> &'b [u8] {
        match self.framing {
            Progress::Length(_) => &buffer[self.start..],
            Progress::Chunked(_) => &buffer[self.start..self.end],
        }
    }

    /// The rest of the body, and the span of what is gathered: nothing else stands in the buffer behind the head.
    ///
    /// # Errors
    /// As `Upload::new`.
    pub(crate) fn into_upload(self, buffer: &[u8]) -> Result<(Range<usize>, Upload), Fault> {
        let span = self.start..self.start + self.gathered(buffer).len();
        let left = match self.framing {
            Progress::Length(length) => Left::Length((length - span.len()) as u64),
            Progress::Chunked(decoder) => Left::Chunked(decoder),
        };
        let upload = Upload::new(left, span.len())?;
        Ok((span, upload))
    }

    /// Bytes that the buffer still has to hold, where that is known.
    pub(crate) fn missing(&self, buffer_len: usize) -> usize {
        match self.framing {
            Progress::Length(length) => (self.start + length).saturating_sub(buffer_len),
            Progress::Chunked(_) => 0,
        }
    }
}

fn too_large(length: u64, bytes_max: usize) -> Fault {
    Fault::new(
        Kind::RequestTooLarge,
        format!("the body has {length} bytes or more, the limit is {bytes_max}; send less or raise body_bytes_max"),
    )
}
