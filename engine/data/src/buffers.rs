//! Read buffers of a shard: rented while bytes are under way, given back when a connection falls idle.

use std::cell::{Cell, RefCell};

/// A free list. Neither locks nor shrinks below what it keeps; bounded by `spare_max`.
pub struct Buffers {
    spare: RefCell<Vec<Vec<u8>>>,
    /// Fewest spare buffers since the last `shrink`: so many were not needed.
    unused: Cell<usize>,
    spare_max: usize,
    buffer_bytes: usize,
}

impl Buffers {
    pub fn new(spare_max: usize, buffer_bytes: usize) -> Buffers {
        Buffers { spare: RefCell::default(), unused: Cell::new(0), spare_max, buffer_bytes }
    }

    /// An empty buffer with room for `Tuning::read_buffer_bytes`.
    pub fn rent(&self) -> Vec<u8> {
        let mut spare = self.spare.borrow_mut();
        let buf = spare.pop();
        self.unused.set(self.unused.get().min(spare.len()));
        buf.unwrap_or_else(|| Vec::with_capacity(self.buffer_bytes))
    }

    /// Takes a buffer back. One that grew beyond the usual size, or that finds the list full, is freed.
    pub fn give(&self, mut buf: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < self.spare_max && buf.capacity() >= self.buffer_bytes && buf.capacity() <= self.buffer_bytes * 2 {
            buf.clear();
            spare.push(buf);
        }
    }

    /// Frees the spare buffers that nobody needed since the last call.
    pub fn shrink(&self) {
        let mut spare = self.spare.borrow_mut();
        let keep = spare.len() - self.unused.get().min(spare.len());
        spare.truncate(keep);
        spare.shrink_to_fit();
        self.unused.set(spare.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_and_a_grown_one_does_not() {
        let buffers = Buffers::new(1, 64);
        let mut buf = buffers.rent();
        buf.extend_from_slice(b"secret");
        let place = buf.as_ptr();
        buffers.give(buf);
        let again = buffers.rent();
        assert!(again.is_empty() && again.as_ptr() == place);
        buffers.give(Vec::with_capacity(1024));
        assert!(buffers.rent().capacity() < 1024);
    }

    #[test]
    fn the_list_is_bounded() {
        let buffers = Buffers::new(2, 64);
        for _ in 0..5 {
            buffers.give(Vec::with_capacity(64));
        }
        assert_eq!(buffers.spare.borrow().len(), 2);
    }

    #[test]
    fn what_a_round_did_not_need_is_freed() {
        let buffers = Buffers::new(8, 64);
        for _ in 0..4 {
            buffers.give(Vec::with_capacity(64));
        }
        buffers.shrink();
        let (one, two) = (buffers.rent(), buffers.rent());
        buffers.give(one);
        buffers.give(two);
        buffers.shrink();
        assert_eq!(buffers.spare.borrow().len(), 2);
        buffers.shrink();
        assert!(buffers.spare.borrow().is_empty());
    }
}
