//! What a Zabra server can do beyond Apache's protocol, told behind the data of FOLLOWERINFO,
//! OBSERVERINFO and LEADERINFO. Apache reads a fixed number of bytes there, and passes over what
//! follows (`LearnerHandler.run`, `Learner.registerWithLeader`).

use crate::jute::{Input, Output as _};

/// Marks our bytes.
const MAGIC: i32 = i32::from_be_bytes(*b"ZABR");

/// Bytes of LearnerInfo, behind which a learner tells.
pub const BEHIND_LEARNER_INFO: usize = 20;

/// Bytes of the protocol version in LEADERINFO, behind which a leader tells.
pub const BEHIND_LEADER_INFO: usize = 4;

/// A set of abilities; none for a server that is not ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u32);

impl Capabilities {
    /// Takes over from a leader, or follows another one, without an election (HANDOVER,
    /// HANDOVEROWNERS). Builds that said 1 knew the former only.
    pub const HANDOVER: Self = Self(2);

    /// What this version can do.
    pub const OURS: Self = Self::HANDOVER;

    /// True when everything of `wanted` is in it.
    pub fn has(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// What stands in `data` behind its first `fixed` bytes. Whatever is not ours says nothing.
    pub fn read(data: Option<&[u8]>, fixed: usize) -> Self {
        let behind = data.and_then(|d| d.get(fixed..)).unwrap_or_default();
        let mut input = Input::new(behind);
        match (input.int(), input.int()) {
            (Ok(MAGIC), Ok(bits)) => Self(bits as u32),
            _ => Self::default(),
        }
    }

    /// Puts it behind what is there.
    pub fn append(self, out: &mut Vec<u8>) {
        out.int(MAGIC);
        out.int(self.0 as i32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ServerId;
    use crate::proto::quorum::LearnerInfo;

    #[test]
    fn told_behind_what_apache_reads() {
        let info = LearnerInfo::new(ServerId(5), 0x77);
        let mut bytes = info.encode();
        assert_eq!(bytes.len(), BEHIND_LEARNER_INFO);
        let none = Capabilities::read(Some(&bytes), BEHIND_LEARNER_INFO);
        assert!(!none.has(Capabilities::HANDOVER));
        Capabilities::OURS.append(&mut bytes);
        assert_eq!(LearnerInfo::decode(Some(&bytes)), info);
        let told = Capabilities::read(Some(&bytes), BEHIND_LEARNER_INFO);
        assert_eq!(told, Capabilities::OURS);
        assert!(told.has(Capabilities::HANDOVER));
    }

    #[test]
    fn strange_bytes_say_nothing() {
        let mut bytes = vec![0; 20];
        for cut in 20..28 {
            bytes.truncate(20);
            Capabilities::OURS.append(&mut bytes);
            bytes.truncate(cut);
            let told = Capabilities::read(Some(&bytes), 20);
            assert_eq!(told, Capabilities::default(), "{cut}");
        }
        let told = Capabilities::read(Some(b"\0\x01\0\0ZABX\0\0\0\x01"), 4);
        assert_eq!(told, Capabilities::default());
        assert_eq!(Capabilities::read(None, 4), Capabilities::default());
    }
}
