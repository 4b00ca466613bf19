//! Who made what: ids that answers gave, with the provider and the virtual key that they are of.
//!
//! A process-wide table of fixed size, written and read without waiting. An id that it does not know (of another process, from before
//! its start, or crowded out) is looked for at every provider that may have it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Ids that are remembered, a process: 1 MiB, taken when the first one comes.
const IDS_MAX: usize = 1 << 16;
/// Places where one id may stand.
const PLACES: usize = 4;

/// Of what an id is: the names as hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    provider: u32,
    key: u32,
}

impl Owner {
    pub(crate) fn new(provider: &str, key: &str) -> Owner {
        Owner { provider: hash(provider) as u32, key: hash(key) as u32 }
    }

    /// Of whichever key: nobody knows which one made it.
    pub(crate) fn of_provider(provider: &str) -> Owner {
        Owner { provider: hash(provider) as u32, key: 0 }
    }

    pub(crate) fn is_of_provider(self, provider: &str) -> bool {
        self.provider == hash(provider) as u32
    }

    pub(crate) fn is_of_key(self, key: &str) -> bool {
        self.key == hash(key) as u32
    }

    /// Of a key that is known and is not this one.
    pub(crate) fn is_of_another(self, key: &str) -> bool {
        self.key != 0 && !self.is_of_key(key)
    }

    fn word(self) -> u64 {
        u64::from(self.provider) << 32 | u64::from(self.key)
    }
}

/// An id and its owner: the first word is the id's hash xored with the second, so that two halves of different writes fit no id.
#[derive(Default)]
struct Slot {
    mark: AtomicU64,
    owner: AtomicU64,
}

fn slots() -> &'static [Slot] {
    static SLOTS: OnceLock<Box<[Slot]>> = OnceLock::new();
    SLOTS.get_or_init(|| (0..IDS_MAX).map(|_| Slot::default()).collect())
}

fn places(hash: u64) -> impl Iterator<Item = &'static Slot> {
    let first = (hash >> 32) as usize;
    (0..PLACES).map(move |place| &slots()[(first + place) % IDS_MAX])
}

/// Remembers an id. What is known to be of a key stays that key's: nobody gets it by naming it. Where all of its places are taken, one that another id has is given up.
pub(crate) fn remember(id: &str, owner: Owner) {
    if find(id).is_some_and(|known| known.key != 0 && known.key != owner.key) {
        return;
    }
    let hash = hash(id);
    let word = owner.word();
    let is_free = |slot: &&Slot| {
        let (mark, owner) = (slot.mark.load(Ordering::Acquire), slot.owner.load(Ordering::Acquire));
        (mark == 0 && owner == 0) || mark ^ owner == hash
    };
    let crowded_out = (hash as usize) % PLACES;
    if let Some(slot) = places(hash).find(is_free).or_else(|| places(hash).nth(crowded_out)) {
        slot.owner.store(word, Ordering::Release);
        slot.mark.store(hash ^ word, Ordering::Release);
    }
}

/// Remembers the first id in `pieces`, the begin of an answer, that begins with `start`.
pub(crate) fn note(pieces: &[&[u8]], start: &str, owner: Owner) {
    let quoted = |piece: &[u8]| {
        let mut starts = memchr::memmem::find_iter(piece, start).filter(|at| *at > 0 && piece[at - 1] == b'"');
        let at = starts.next()?;
        let len = memchr::memchr(b'"', &piece[at..])?;
        std::str::from_utf8(&piece[at..at + len]).ok().map(str::to_owned)
    };
    if let Some(id) = pieces.iter().find_map(|piece| quoted(piece)) {
        remember(&id, owner);
    }
}

/// Whose an id is, where that is remembered.
pub(crate) fn find(id: &str) -> Option<Owner> {
    let hash = hash(id);
    let owner = places(hash).find_map(|slot| {
        let (mark, owner) = (slot.mark.load(Ordering::Acquire), slot.owner.load(Ordering::Acquire));
        (mark ^ owner == hash).then_some(owner)
    })?;
    Some(Owner { provider: (owner >> 32) as u32, key: owner as u32 })
}

/// FNV-1a with Murmur3's finish; never 0.
fn hash(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (hash ^ (hash >> 33)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_with_the_key_that_made_it() {
        assert_eq!(find("owners-test-1"), None);
        remember("owners-test-1", Owner::of_provider("a"));
        let owner = find("owners-test-1").unwrap();
        assert!(owner.is_of_provider("a") && !owner.is_of_key("k") && !owner.is_of_another("k"));
        remember("owners-test-1", Owner::new("b", "k"));
        for other in [Owner::new("c", "k2"), Owner::of_provider("c")] {
            remember("owners-test-1", other);
            let owner = find("owners-test-1").unwrap();
            assert!(owner.is_of_provider("b") && owner.is_of_key("k") && owner.is_of_another("k2") && !owner.is_of_another("k"));
        }
    }

    #[test]
    fn the_first_id_of_an_answer_is_noted() {
        let owner = Owner::new("p", "k");
        note(&[b"data: {\"object\":\"resp_\", \"x\":1", b"{\"id\": \"owners-note-7\",\"a\":\"owners-note-8\"}"], "owners-note-", owner);
        assert_eq!((find("owners-note-7"), find("owners-note-8")), (Some(owner), None));
    }

    #[test]
    fn the_table_holds_what_it_has_room_for() {
        (0..10_000).for_each(|n| remember(&format!("owners-many-{n}"), Owner::new("p", &n.to_string())));
        let known = (0..10_000).filter(|n| find(&format!("owners-many-{n}")).is_some_and(|owner| owner.is_of_key(&n.to_string())));
        assert!(known.count() > 9_900);
    }
}
