//! Incremental decoder of the chunked transfer coding (RFC 9112 §7.1).

use super::Malformed;

/// Decodes chunked bytes cut anywhere. Holds no data: slices of the input go straight to the caller.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    state: State,
    left: u64,
    digit_count: u8,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Extension,
    Data,
    DataEnd,
    Trailer {
        line_len: u32,
    },
    Done,
}

/// A chunk size has at most this many hex digits.
const SIZE_DIGITS_MAX: u8 = 15;

impl Chunked {
    /// Eats as much of `input` as belongs to this body and returns how much that was; `on_data` gets the payload.
    pub(crate) fn feed(&mut self, input: &[u8], mut on_data: impl FnMut(&[u8])) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            if self.state == State::Data {
                let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len() - at);
                on_data(&input[at..at + take]);
                at += take;
                self.left -= take as u64;
                if self.left == 0 {
                    self.state = State::DataEnd;
                }
                continue;
            }
            self.byte(input[at])?;
            at += 1;
        }
        Ok(at)
    }

    /// The last chunk and the trailer have been seen.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    fn byte(&mut self, byte: u8) -> Result<(), Malformed> {
        match (self.state, byte) {
            (State::Size, b';' | b' ' | b'\t' | b'\r') => self.state = State::Extension,
            (State::Size | State::Extension, b'\n') => return self.size_line_ended(),
            (State::Size, digit) => {
                let digit = (digit as char).to_digit(16).ok_or(Malformed)?;
                self.digit_count += 1;
                if self.digit_count > SIZE_DIGITS_MAX {
                    return Err(Malformed);
                }
                self.left = self.left * 16 + u64::from(digit);
            }
            (State::Extension, _) | (State::DataEnd, b'\r') | (State::Trailer { .. }, b'\r') => {}
            (State::DataEnd, b'\n') => self.state = State::Size,
            (State::DataEnd, _) => return Err(Malformed),
            (State::Trailer { line_len: 0 }, b'\n') => self.state = State::Done,
            (State::Trailer { .. }, b'\n') => self.state = State::Trailer { line_len: 0 },
            (State::Trailer { line_len }, _) => self.state = State::Trailer { line_len: line_len.saturating_add(1) },
            (State::Data | State::Done, _) => {}
        }
        Ok(())
    }

    fn size_line_ended(&mut self) -> Result<(), Malformed> {
        if self.digit_count == 0 {
            return Err(Malformed);
        }
        self.digit_count = 0;
        self.state = if self.left == 0 { State::Trailer { line_len: 0 } } else { State::Data };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"5\r\nhello\r\n1;x=y\r\n \r\n6\r\nworld!\r\n0\r\nx-sum: 1\r\n\r\nNEXT";

    #[test]
    fn a_body_cut_at_every_byte_decodes_the_same() {
        for cut in 0..BODY.len() {
            let mut decoder = Chunked::default();
            let mut out = Vec::new();
            let mut used = decoder.feed(&BODY[..cut], |data| out.extend_from_slice(data)).unwrap();
            used += decoder.feed(&BODY[used..], |data| out.extend_from_slice(data)).unwrap();
            assert_eq!(out, b"hello world!", "cut at {cut}");
            assert!(decoder.is_done());
            assert_eq!(&BODY[used..], b"NEXT");
        }
    }

    #[test]
    fn bad_sizes_and_missing_line_ends_are_malformed() {
        for bad in [&b"zz\r\n"[..], b"\r\n", b"1\r\nab", b"fffffffffffffffff\r\n"] {
            assert_eq!(Chunked::default().feed(bad, |_| ()), Err(Malformed), "{bad:?}");
        }
    }
}
