//! The set of a node's children.

use hashbrown::HashTable;

use crate::base::Thin;
use crate::base::hash::{PathState, hash_bytes};
use crate::jute::Output as _;

/// Above this many children the set is split, so that growing it never moves more than a part.
const SPLIT_AT: usize = 8192;
const PARTS: usize = 256;

/// Handles of the children's paths: the very blocks the children's own nodes hold, so a child costs
/// its parent eight bytes. A name is the part of the path behind the last slash.
#[derive(Debug)]
pub(crate) enum Children {
    Whole(HashTable<Thin>),
    Split {
        parts: Box<[HashTable<Thin>]>,
        len: usize,
    },
}

impl Default for Children {
    fn default() -> Self {
        Self::Whole(HashTable::new())
    }
}

/// The part a hash belongs to: neither the table's tag bits nor its position bits.
fn part_of(hash: u64) -> usize {
    (hash >> 36) as usize % PARTS
}

impl Children {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Whole(t) => t.len(),
            Self::Split { len, .. } => *len,
        }
    }

    /// Makes room for `more` children at once.
    pub(crate) fn reserve(&mut self, more: usize, state: &PathState) {
        if let Self::Whole(t) = self {
            // A larger set is split anyway.
            let wanted = more.min((SPLIT_AT + 1).saturating_sub(t.len()));
            t.reserve(wanted, |p| hash_bytes(state, p));
        }
    }

    /// Adds a child that is not there yet; `hash` is the hash of its path.
    pub(crate) fn insert(&mut self, hash: u64, path: Thin, state: &PathState) {
        match self {
            Self::Whole(t) => {
                t.insert_unique(hash, path, |p| hash_bytes(state, p));
                if t.len() > SPLIT_AT {
                    self.split(state);
                }
            }
            Self::Split { parts, len } => {
                parts[part_of(hash)].insert_unique(hash, path, |p| hash_bytes(state, p));
                *len += 1;
            }
        }
    }

    /// Removes a child; false when it was not there.
    pub(crate) fn remove(&mut self, hash: u64, path: &[u8]) -> bool {
        let (table, len) = match self {
            Self::Whole(t) => (t, None),
            Self::Split { parts, len } => (&mut parts[part_of(hash)], Some(len)),
        };
        let Ok(found) = table.find_entry(hash, |p| p.bytes() == path) else {
            return false;
        };
        found.remove();
        if let Some(len) = len {
            *len -= 1;
        }
        true
    }

    /// Every child's path, in no order.
    pub(crate) fn iter(&self) -> Box<dyn Iterator<Item = &Thin> + '_> {
        match self {
            Self::Whole(t) => Box::new(t.iter()),
            Self::Split { parts, .. } => Box::new(parts.iter().flat_map(HashTable::iter)),
        }
    }

    /// Appends the names as a jute vector of strings, in no order. `skip` bytes of each path stand
    /// before the name.
    pub(crate) fn write_names(&self, skip: usize, out: &mut Vec<u8>) {
        out.count(self.len());
        match self {
            Self::Whole(t) => write_names(t, skip, out),
            Self::Split { parts, .. } => parts.iter().for_each(|t| write_names(t, skip, out)),
        }
    }

    /// How many parts [`Children::part`] offers.
    pub(crate) fn parts(&self) -> usize {
        match self {
            Self::Whole(_) => 1,
            Self::Split { parts, .. } => parts.len(),
        }
    }

    /// Part `n` of `of`, so that a walk over very many children need not hold a lock throughout.
    /// A child never moves between parts; a set that was whole when the walk asked for its parts is
    /// given whole also if it has split since.
    pub(crate) fn part(&self, n: usize, of: usize) -> Box<dyn Iterator<Item = &Thin> + '_> {
        match self {
            _ if of == 1 => self.iter(),
            Self::Whole(t) if n == 0 => Box::new(t.iter()),
            Self::Whole(_) => Box::new(std::iter::empty()),
            Self::Split { parts, .. } => {
                Box::new(parts.get(n).into_iter().flat_map(HashTable::iter))
            }
        }
    }

    fn split(&mut self, state: &PathState) {
        let Self::Whole(whole) = self else { return };
        let mut parts: Box<[_]> = (0..PARTS).map(|_| HashTable::new()).collect();
        let len = whole.len();
        for path in whole.drain() {
            let hash = hash_bytes(state, &path);
            parts[part_of(hash)].insert_unique(hash, path, |p| hash_bytes(state, p));
        }
        *self = Self::Split { parts, len };
    }
}

/// How far ahead names are fetched. The paths lie all over the memory, and a walk without it waits
/// for one after the other.
const AHEAD: usize = 16;

fn write_names(table: &HashTable<Thin>, skip: usize, out: &mut Vec<u8>) {
    // Names of siblings are mostly of one length.
    if let Some(p) = table.iter().next() {
        out.reserve(table.len() * (p.len().saturating_sub(skip) + size_of::<i32>()));
    }
    let mut ahead = table.iter();
    ahead.by_ref().take(AHEAD).for_each(Thin::prefetch);
    for p in table {
        if let Some(later) = ahead.next() {
            later.prefetch();
        }
        out.buffer(Some(p.get(skip..).unwrap_or_default()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_past_the_split_and_back() {
        let state = PathState::default();
        let mut c = Children::default();
        let n = SPLIT_AT * 2;
        let path = |i: usize| Thin::new(format!("/q/{i}").as_bytes());
        for i in 0..n {
            c.insert(hash_bytes(&state, &path(i)), path(i), &state);
        }
        assert_eq!((c.len(), c.iter().count()), (n, n));
        let mut record = Vec::new();
        c.write_names("/q/".len(), &mut record);
        let mut input = crate::jute::Input::trusted(&record);
        assert_eq!(input.int(), Ok(n as i32));
        let mut names: Vec<usize> = (0..n)
            .map(|_| input.string().unwrap().unwrap().parse().unwrap())
            .collect();
        names.sort_unstable();
        assert!(names.into_iter().eq(0..n) && input.rest().is_empty());
        for i in 0..n {
            assert!(c.remove(hash_bytes(&state, &path(i)), &path(i)));
        }
        assert!(!c.remove(1, b"/q/0"));
        assert_eq!((c.len(), c.iter().count()), (0, 0));
    }
}
