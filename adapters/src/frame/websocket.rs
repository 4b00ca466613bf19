//! WebSocket frames (RFC 6455 §5) that go by untouched: where they end, and the texts of messages that are read on their way.
//!
//! Estimate per frame: its head is looked at once; of a text that lies whole in one read nothing is copied; payloads that are not read are
//! stepped over. Holds at most `MESSAGE_BYTES_MAX` of an unfinished text.

use crate::fault::{Fault, Kind};

/// Longest frame that is passed on, bytes. OpenAI takes 15 MiB of audio in one event (platform.openai.com/docs/api-reference/realtime-client-events,
/// read 2026-11-20), which base64 makes a third longer.
pub const FRAME_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Longest text message that is read; a longer one goes by unread. Of what is read nothing comes near it.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Longest payload of a control frame (RFC 6455 §5.5).
const CONTROL_BYTES_MAX: usize = 125;
/// Two bytes, a length of eight, a mask of four.
const HEAD_BYTES_MAX: usize = 14;
/// A buffer that grew beyond this for one message is given back after it, bytes.
const KEPT_BYTES_MAX: usize = 16 * 1024;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Status codes of RFC 6455 §7.4.1.
pub const GOING_AWAY: u16 = 1001;
pub const PROTOCOL_ERROR: u16 = 1002;
pub const POLICY_VIOLATION: u16 = 1008;
pub const INTERNAL_ERROR: u16 = 1011;

/// Who sends the frames: a client masks them, a server does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// What is told of the frames that go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed<'a> {
    /// A whole message of a server, of text or of bytes, that was short enough to read.
    Message(&'a [u8]),
    /// The sender closes.
    Close,
}

/// Follows one side's frames.
#[derive(Debug)]
pub struct Frames {
    side: Side,
    head: [u8; HEAD_BYTES_MAX],
    /// Bytes of the head that came; 0 between two frames.
    head_len: usize,
    /// The frame whose payload goes by.
    frame: Option<Frame>,
    /// A message began whose last frame has not come.
    in_message: bool,
    message: Vec<u8>,
    /// The message is longer than what is read.
    is_skipped: bool,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: u8,
    is_last: bool,
    left: u64,
}

impl Frames {
    pub fn new(side: Side) -> Frames {
        Frames { side, head: [0; HEAD_BYTES_MAX], head_len: 0, frame: None, in_message: false, message: Vec::new(), is_skipped: false }
    }

    /// Nothing of a frame is half sent, so that another one may follow; a message may still be.
    pub fn at_boundary(&self) -> bool {
        self.head_len == 0 && self.frame.is_none()
    }

    /// A message of text or bytes may begin.
    pub fn may_begin(&self) -> bool {
        self.at_boundary() && !self.in_message
    }

    /// Takes the next bytes, cut anywhere, and tells what they complete. Only a server's messages are read.
    ///
    /// # Errors
    /// `Kind::MalformedResponse` for what is no frame of this side; nothing may be fed afterwards.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Passed<'_>)) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let frame = match self.frame {
                Some(frame) => frame,
                None => {
                    self.head[self.head_len] = bytes[0];
                    self.head_len += 1;
                    bytes = &bytes[1..];
                    match self.begun()? {
                        Some(frame) => frame,
                        None => continue,
                    }
                }
            };
            let (payload, rest) = bytes.split_at(bytes.len().min(usize::try_from(frame.left).unwrap_or(usize::MAX)));
            bytes = rest;
            let left = frame.left - payload.len() as u64;
            self.frame = Some(Frame { left, ..frame });
            self.payload(frame, payload, left == 0, &mut each);
            if left == 0 {
                (self.frame, self.head_len) = (None, 0);
            }
        }
        Ok(())
    }

    /// The frame whose head is whole.
    fn begun(&mut self) -> Result<Option<Frame>, Fault> {
        let head = &self.head[..self.head_len];
        let [first, second, ..] = *head else { return Ok(None) };
        let is_masked = second & 0x80 != 0;
        let (length_len, mask_len) = (
            match second & 0x7f {
                126 => 2,
                127 => 8,
                _ => 0,
            },
            if is_masked { 4 } else { 0 },
        );
        let (opcode, is_last) = (first & 0x0f, first & 0x80 != 0);
        let is_control = opcode >= CLOSE;
        let wrong = match opcode {
            // No extension was agreed on that would give these bits a meaning.
            _ if first & 0x70 != 0 => Some("reserved bits"),
            _ if is_masked != (self.side == Side::Client) => Some("a wrong mask"),
            CONTINUATION if !self.in_message => Some("the rest of a message that never began"),
            TEXT | BINARY if self.in_message => Some("a message inside another one"),
            CLOSE | PING | PONG if !is_last || usize::from(second & 0x7f) > CONTROL_BYTES_MAX => Some("a control frame that is none"),
            CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG => None,
            _ => Some("a frame of an unknown kind"),
        };
        if let Some(what) = wrong {
            return Err(malformed(what));
        }
        if self.head_len < 2 + length_len + mask_len {
            return Ok(None);
        }
        let left = match length_len {
            0 => u64::from(second & 0x7f),
            _ => head[2..2 + length_len].iter().fold(0u64, |length, byte| length << 8 | u64::from(*byte)),
        };
        if left > FRAME_BYTES_MAX {
            return Err(malformed("a frame that is too long"));
        }
        if !is_control {
            self.in_message = !is_last;
        }
        Ok(Some(Frame { opcode, is_last, left }))
    }

    fn payload(&mut self, frame: Frame, payload: &[u8], is_end: bool, each: &mut impl FnMut(Passed<'_>)) {
        if frame.opcode >= CLOSE || self.side == Side::Client {
            if frame.opcode == CLOSE && is_end {
                each(Passed::Close);
            }
            return;
        }
        let ends_message = is_end && frame.is_last;
        if ends_message && self.message.is_empty() && !self.is_skipped {
            return each(Passed::Message(payload));
        }
        if self.message.len() + payload.len() > MESSAGE_BYTES_MAX {
            self.is_skipped = true;
            self.message = Vec::new();
        }
        if !self.is_skipped {
            self.message.extend_from_slice(payload);
        }
        if ends_message {
            if !std::mem::take(&mut self.is_skipped) {
                each(Passed::Message(&self.message));
            }
            self.message.clear();
            self.message.shrink_to(KEPT_BYTES_MAX);
        }
    }
}

/// Appends a server's text frame.
pub fn write_text(text: &[u8], out: &mut Vec<u8>) {
    write_head(TEXT, text.len(), out);
    out.extend_from_slice(text);
}

/// Appends a server's close frame; a reason that is too long is cut.
pub fn write_close(code: u16, reason: &str, out: &mut Vec<u8>) {
    let reason = &reason[..reason.floor_char_boundary(CONTROL_BYTES_MAX - 2)];
    write_head(CLOSE, 2 + reason.len(), out);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// Appends a client's close frame under this `mask`.
pub fn write_masked_close(code: u16, mask: [u8; 4], out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x80 | CLOSE, 0x80 | 2]);
    out.extend_from_slice(&mask);
    out.extend(code.to_be_bytes().iter().zip(mask).map(|(byte, mask)| byte ^ mask));
}

fn write_head(opcode: u8, len: usize, out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match len {
        0..=125 => out.push(len as u8),
        126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

fn malformed(what: &str) -> Fault {
    Fault::new(Kind::MalformedResponse, format!("the other side of a session sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(side: Side, chunks: &[&[u8]]) -> Result<(Vec<String>, bool), Kind> {
        let mut frames = Frames::new(side);
        let mut all = Vec::new();
        for chunk in chunks {
            let each = |passed: Passed<'_>| match passed {
                Passed::Message(text) => all.push(String::from_utf8_lossy(text).into_owned()),
                Passed::Close => all.push("close".to_owned()),
            };
            frames.feed(chunk, each).map_err(|fault| fault.kind)?;
        }
        Ok((all, frames.may_begin()))
    }

    /// A short text, one of more than 125 bytes, a message of three frames with a ping inside it, an empty one, a close.
    fn stream() -> (Vec<u8>, Vec<String>) {
        let long = "é".repeat(200);
        let mut out = Vec::new();
        write_text(b"{\"type\":\"a\"}", &mut out);
        write_text(long.as_bytes(), &mut out);
        out.extend_from_slice(b"\x01\x02ab\x89\x01p\x00\x01c\x80\x02de");
        write_text(b"", &mut out);
        write_close(1000, "bye", &mut out);
        (out, vec!["{\"type\":\"a\"}".into(), long, "abcde".into(), String::new(), "close".into()])
    }

    #[test]
    fn messages_are_the_same_cut_at_every_byte() {
        let (bytes, expected) = stream();
        for cut in 0..=bytes.len() {
            assert_eq!(passed(Side::Server, &[&bytes[..cut], &bytes[cut..]]), Ok((expected.clone(), true)), "{cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(passed(Side::Server, &single), Ok((expected, true)));
    }

    #[test]
    fn a_boundary_is_where_a_frame_may_follow() {
        let mut frames = Frames::new(Side::Server);
        for (bytes, at_boundary, may_begin) in [
            (&b"\x01"[..], false, false),
            (b"\x02a", false, false),
            (b"b", true, false),
            (b"\x89\x00", true, false),
            (b"\x80\x00", true, true),
        ] {
            frames.feed(bytes, |_| {}).unwrap();
            assert_eq!((frames.at_boundary(), frames.may_begin()), (at_boundary, may_begin), "{bytes:?}");
        }
    }

    #[test]
    fn a_clients_frames_are_masked_and_not_read() {
        let mut close = Vec::new();
        write_masked_close(1000, [1, 2, 3, 4], &mut close);
        let text = [&b"\x81\x83\x01\x02\x03\x04abc"[..], &close].concat();
        let single: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(passed(Side::Client, &single), Ok((vec!["close".to_owned()], true)));
        assert_eq!(close[6..], [0x03 ^ 1, 0xe8 ^ 2]);
    }

    #[test]
    fn what_is_no_frame_is_malformed() {
        for (side, bytes) in [
            (Side::Server, &b"\xc1\x00"[..]),
            (Side::Server, b"\x81\x80"),
            (Side::Client, b"\x81\x00"),
            (Side::Server, b"\x80\x00"),
            (Side::Server, b"\x01\x00\x81\x00"),
            (Side::Server, b"\x09\x00"),
            (Side::Server, b"\x88\x7e"),
            (Side::Server, b"\x83\x00"),
            (Side::Server, b"\x82\x7f\x00\x00\x00\x00\x7f\x00\x00\x00"),
            (Side::Server, b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"),
        ] {
            assert_eq!(passed(side, &[bytes]), Err(Kind::MalformedResponse), "{bytes:?}");
        }
    }

    #[test]
    fn a_message_that_is_too_long_goes_by_unread() {
        let mut bytes = Vec::new();
        write_text(&vec![b'x'; MESSAGE_BYTES_MAX + 1], &mut bytes);
        write_text(b"next", &mut bytes);
        let chunks: Vec<&[u8]> = bytes.chunks(100_000).collect();
        assert_eq!(passed(Side::Server, &chunks), Ok((vec!["next".to_owned()], true)));
    }
}
