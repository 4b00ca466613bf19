//! Is a JSON value whole? Told by its brackets alone, piece by piece, with nothing held.
//!
//! For answers too long to hold whose only framing is the end of the connection. One pass over the bytes.

/// The brackets that stand open.
#[derive(Debug, Default)]
pub(crate) struct Nesting {
    depth: u64,
    has_begun: bool,
    in_string: bool,
    is_escaped: bool,
}

impl Nesting {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match (self.in_string, byte) {
                (true, _) if self.is_escaped => self.is_escaped = false,
                (true, b'\\') => self.is_escaped = true,
                (_, b'"') => self.in_string = !self.in_string,
                (false, b'{' | b'[') => (self.depth, self.has_begun) = (self.depth + 1, true),
                (false, b'}' | b']') => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// An object or array began and ended.
    pub(crate) fn is_whole(&self) -> bool {
        self.has_begun && self.depth == 0 && !self.in_string
    }
}

#[cfg(test)]
mod tests {
    use super::Nesting;

    #[test]
    fn a_value_is_whole_at_its_last_bracket_and_not_before() {
        let json = br#" {"a":[1,{"b":"}\"]\\"}],"c":"{"} "#;
        let end = json.len() - 1;
        for cut in 0..=json.len() {
            let mut nesting = Nesting::default();
            json[..cut].chunks(3).for_each(|piece| nesting.feed(piece));
            assert_eq!(nesting.is_whole(), cut >= end, "{cut}");
        }
    }
}
