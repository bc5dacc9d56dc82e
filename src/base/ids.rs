//! Identifiers that must not be mistaken for one another.

use std::fmt;

/// A transaction id: epoch in the high 32 bits, counter in the low 32 (Apache: `ZxidUtils`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zxid(pub i64);

impl Zxid {
    /// Before every transaction.
    pub const ZERO: Self = Self(0);

    /// Builds a zxid from its two halves.
    pub fn of(epoch: Epoch, counter: u32) -> Self {
        Self((i64::from(epoch.0) << 32) | i64::from(counter))
    }

    /// The signed high half (Apache shifts arithmetically).
    pub fn epoch(self) -> Epoch {
        Epoch((self.0 >> 32) as i32)
    }

    /// The low half.
    pub fn counter(self) -> u32 {
        self.0 as u32
    }

    /// The zxid that follows inside the same epoch; `None` when the counter is used up.
    pub fn next(self) -> Option<Self> {
        (self.counter() != u32::MAX).then(|| Self(self.0.wrapping_add(1)))
    }
}

impl fmt::Display for Zxid {
    /// Lower-case hexadecimal with `0x`, as Apache prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}

/// The number of a leader's reign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub i32);

/// A client session's id; 0 never names a live session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub i64);

impl SessionId {
    /// The server itself: reaper transactions carry it.
    pub const NONE: Self = Self(0);
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}

/// A server's `myid`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub i64);

/// A client connection of this process; never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zxid_halves_round_trip() {
        let z = Zxid::of(Epoch(3), 9);
        assert_eq!((z.epoch(), z.counter()), (Epoch(3), 9));
        assert_eq!(z.to_string(), "0x300000009");
        assert_eq!(z.next(), Some(Zxid::of(Epoch(3), 10)));
        assert_eq!(Zxid::of(Epoch(3), u32::MAX).next(), None);
    }

    #[test]
    fn epoch_is_signed() {
        assert_eq!(Zxid(-1).epoch(), Epoch(-1));
    }
}
