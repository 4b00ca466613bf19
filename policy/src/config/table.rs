//! A mapping from names to entries, in the order of the file; a copy with one entry changed shares all the others.

use std::sync::Arc;

use ahash::AHashMap;

use super::At;

/// Entries that are copied together where one of them changes.
const PIECE: usize = 256;

/// A mapping from names to entries, in the order of the file. A clone costs a reference count for each `PIECE` of entries.
#[derive(Clone, Debug)]
pub struct Table<T> {
    /// None is empty.
    pieces: Vec<Arc<Vec<(At<String>, T)>>>,
    len: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table { pieces: Vec::new(), len: 0 }
    }
}

impl<T: PartialEq> PartialEq for Table<T> {
    fn eq(&self, other: &Table<T>) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<T> FromIterator<(At<String>, T)> for Table<T> {
    fn from_iter<I: IntoIterator<Item = (At<String>, T)>>(entries: I) -> Table<T> {
        let mut entries = entries.into_iter().peekable();
        let mut table = Table::default();
        while entries.peek().is_some() {
            // By hand: `collect` would keep the room of its guess.
            let mut piece = Vec::with_capacity(entries.size_hint().0.clamp(1, PIECE));
            piece.extend(entries.by_ref().take(PIECE));
            table.len += piece.len();
            table.pieces.push(Arc::new(piece));
        }
        table
    }
}

impl<T> Table<T> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn get(&self, name: &str) -> Option<&T> {
        self.entry(name).map(|(_, entry)| entry)
    }

    /// An entry with the place of its name.
    pub fn entry(&self, name: &str) -> Option<(&At<String>, &T)> {
        self.iter().find(|(key, _)| key.value == name)
    }

    /// The entry at a place in the order of all.
    pub fn at(&self, index: usize) -> Option<(&At<String>, &T)> {
        let mut rest = index;
        for piece in &self.pieces {
            match piece.get(rest) {
                Some((name, entry)) => return Some((name, entry)),
                None => rest -= piece.len(),
            }
        }
        None
    }

    pub fn iter(&self) -> impl Iterator<Item = (&At<String>, &T)> + Clone {
        self.pieces.iter().flat_map(|piece| piece.iter()).map(|(name, entry)| (name, entry))
    }

    /// Its entries by name: for many questions.
    pub fn by_name(&self) -> AHashMap<&str, &T> {
        let mut by_name = AHashMap::with_capacity(self.len);
        by_name.extend(self.iter().map(|(name, entry)| (name.value.as_str(), entry)));
        by_name
    }

    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.iter().map(|(name, _)| name.value.as_str())
    }
}

impl<T: Clone> Table<T> {
    /// Adds an entry behind the others. The name is not there yet.
    pub fn push(&mut self, name: At<String>, entry: T) {
        self.len += 1;
        match self.pieces.last_mut() {
            Some(piece) if piece.len() < PIECE => Arc::make_mut(piece).push((name, entry)),
            _ => self.pieces.push(Arc::new(vec![(name, entry)])),
        }
    }

    /// Puts an entry in the place of the one of its name; else before the first one that is to stand behind it, else behind all.
    pub fn put(&mut self, name: At<String>, entry: T, is_behind: impl Fn(&At<String>) -> bool) {
        if let Some((piece, index)) = self.place(|key| key.value == name.value) {
            Arc::make_mut(&mut self.pieces[piece])[index] = (name, entry);
            return;
        }
        let Some((piece, index)) = self.place(is_behind) else { return self.push(name, entry) };
        let entries = Arc::make_mut(&mut self.pieces[piece]);
        entries.insert(index, (name, entry));
        self.len += 1;
        if entries.len() > 2 * PIECE {
            let behind = entries.split_off(PIECE);
            self.pieces.insert(piece + 1, Arc::new(behind));
        }
    }

    /// Takes an entry out.
    pub fn remove(&mut self, name: &str) -> Option<(At<String>, T)> {
        let (piece, index) = self.place(|key| key.value == name)?;
        let entries = Arc::make_mut(&mut self.pieces[piece]);
        let entry = entries.remove(index);
        if entries.is_empty() {
            self.pieces.remove(piece);
        }
        self.len -= 1;
        Some(entry)
    }

    /// Every entry, to be changed: copies those that others share.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&At<String>, &mut T)> {
        self.pieces.iter_mut().flat_map(|piece| Arc::make_mut(piece).iter_mut()).map(|(name, entry)| (&*name, entry))
    }

    fn place(&self, is_it: impl Fn(&At<String>) -> bool) -> Option<(usize, usize)> {
        let within = |piece: &Arc<Vec<(At<String>, T)>>| piece.iter().position(|(key, _)| is_it(key));
        self.pieces.iter().enumerate().find_map(|(index, piece)| Some((index, within(piece)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(table: &Table<u32>) -> Vec<String> {
        table.names().map(str::to_owned).collect()
    }

    #[test]
    fn entries_come_and_go_and_the_others_keep_their_order() {
        let all: Vec<String> = (0..1_000).map(|n| format!("n{n}")).collect();
        let mut table: Table<u32> = all.iter().enumerate().map(|(n, name)| (At::nowhere(name.clone()), n as u32)).collect();
        let before = table.clone();
        assert_eq!((table.len(), names(&table)), (1_000, all.clone()));
        assert_eq!((table.at(257).map(|(_, entry)| *entry), table.at(1_000)), (Some(257), None));
        assert_eq!(table.remove("n300").map(|(_, entry)| entry), Some(300));
        assert!(table.remove("n300").is_none());
        table.put(At::nowhere("n5".to_owned()), 50, |_| false);
        table.put(At::nowhere("new".to_owned()), 7, |_| false);
        assert_eq!((table.len(), table.get("n5"), table.get("new"), table.get("n300")), (1_000, Some(&50), Some(&7), None));
        assert_eq!(names(&table).last().map(String::as_str), Some("new"));
        assert_eq!((names(&before), before.get("n5")), (all, Some(&5)), "the copy is as it was");
        for n in 0..2_000 {
            table.put(At::nowhere(format!("m{n}")), n, |name| name.value == "n700");
        }
        assert_eq!((table.len(), names(&table)[698].as_str(), names(&table)[2_698].as_str()), (3_000, "n699", "m1999"));
        for name in names(&table) {
            table.remove(&name);
        }
        assert!(table.is_empty() && table.iter().next().is_none());
    }
}
