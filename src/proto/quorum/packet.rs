//! TABLE: packets between leader and learner, and their common form (Apache: `QuorumPacket`).

use std::sync::Arc;

use super::Progress;
use crate::base::text::java_utf8;
use crate::base::{Id, Zxid};
use crate::jute::{DecodeError, Jute as _, Output};

/// Who sends a packet. The master is the leader, or a follower that feeds observers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Learner to master.
    ToMaster,
    /// Master to learner.
    ToLearner,
    /// Either way.
    Both,
}

macro_rules! packets {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $apache:literal, $direction:ident;)*) => {
        /// What a packet says (Apache: the constants of class `Leader`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i32)]
        pub enum PacketType {
            $($(#[$doc])* $name = $number),*
        }

        impl PacketType {
            /// Every packet of the table.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The packet with this number. Others are logged and passed over after the handshake.
            pub fn from_i32(number: i32) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }

            /// Apache's name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $apache),* }
            }

            /// Who sends it.
            pub fn direction(self) -> Direction {
                match self { $(Self::$name => Direction::$direction),* }
            }
        }
    };
}

packets! {
    /// A client's write or sync for the leader; see [`super::LearnerRequest`].
    Request = 1, "REQUEST", ToMaster;
    /// A transaction to log; data = header, record, digest.
    Proposal = 2, "PROPOSAL", ToLearner;
    /// Logged up to here; counter 0 answers NEWLEADER and UPTODATE.
    Ack = 3, "ACK", ToMaster;
    /// Apply the proposal with this zxid.
    Commit = 4, "COMMIT", ToLearner;
    /// Alive; the learner's answer carries the sessions that were.
    Ping = 5, "PING", Both;
    /// Is this session alive, and mine now?
    Revalidate = 6, "REVALIDATE", Both;
    /// The answer to a client's sync, in request order.
    Sync = 7, "SYNC", ToLearner;
    /// A committed transaction, for observers.
    Inform = 8, "INFORM", ToLearner;
    /// COMMIT of a reconfiguration; data = the designated leader.
    CommitAndActivate = 9, "COMMITANDACTIVATE", ToLearner;
    /// The history is complete; data = the leader's last seen configuration.
    NewLeader = 10, "NEWLEADER", ToLearner;
    /// First packet of a participant; see [`super::LearnerInfo`].
    FollowerInfo = 11, "FOLLOWERINFO", ToMaster;
    /// A quorum has the history: serve clients.
    UpToDate = 12, "UPTODATE", ToLearner;
    /// What is missing follows.
    Diff = 13, "DIFF", ToLearner;
    /// Cut the history behind this zxid.
    Trunc = 14, "TRUNC", ToLearner;
    /// A snapshot follows in the stream.
    Snap = 15, "SNAP", ToLearner;
    /// First packet of an observer; see [`super::LearnerInfo`].
    ObserverInfo = 16, "OBSERVERINFO", ToMaster;
    /// The new epoch; data = the protocol version.
    LeaderInfo = 17, "LEADERINFO", ToLearner;
    /// The epoch is promised; data = the learner's current epoch.
    AckEpoch = 18, "ACKEPOCH", ToMaster;
    /// INFORM of a reconfiguration; data = the designated leader and the transaction.
    InformAndActivate = 19, "INFORMANDACTIVATE", ToLearner;
    /// Not of Apache, to servers that said they know it: the reign is over with everything before
    /// this; data = the server that leads next. Also the last packet of the link.
    Handover = 23041, "HANDOVER", ToLearner;
    /// Not of Apache: the learner that HANDOVER names has everything, and takes learners.
    HandoverReady = 23042, "HANDOVERREADY", ToMaster;
    /// Not of Apache: where sessions' clients are, for the learner that is to lead; see
    /// [`super::payload::Owners`]. Without data it is the answer, which asks for more.
    HandoverOwners = 23043, "HANDOVEROWNERS", Both;
}

/// Most identities one packet may carry. Differs: Apache knows no limit but memory.
pub const AUTH_IDS_MAX: usize = 4096;

/// Type, zxid and the length of the data.
const HEAD_LEN: usize = 16;

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumPacket {
    /// See [`PacketType`]; others are let through here.
    pub kind: i32,
    /// Depends on the type.
    pub zxid: Zxid,
    /// Depends on the type; null and empty differ.
    pub data: Option<Arc<[u8]>>,
    /// The client's identities in a REQUEST.
    pub auth: Option<Vec<Id>>,
}

impl QuorumPacket {
    /// A packet with neither data nor identities.
    pub fn new(kind: PacketType, zxid: Zxid) -> Self {
        Self {
            kind: kind as i32,
            zxid,
            data: None,
            auth: None,
        }
    }

    /// The packet with this data.
    pub fn with_data(self, data: impl Into<Arc<[u8]>>) -> Self {
        Self {
            data: Some(data.into()),
            ..self
        }
    }

    /// The packet with these identities.
    pub fn with_auth(self, auth: Vec<Id>) -> Self {
        Self {
            auth: Some(auth),
            ..self
        }
    }

    /// What it says; `None` for an unknown type.
    pub fn packet_type(&self) -> Option<PacketType> {
        PacketType::from_i32(self.kind)
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.int(self.kind);
        out.long(self.zxid.0);
        out.buffer(self.data.as_deref());
        self.auth.encode(out);
    }

    /// Decodes the packet at the start of a stream. Its data, and its identities together, may be
    /// up to `limit` bytes long (`jute.maxbuffer` plus extra size). Copies nothing before all of it
    /// is there.
    ///
    /// # Errors
    /// [`DecodeError::Length`] outside the limits, [`DecodeError::Null`] for half an identity.
    pub fn decode(bytes: &[u8], limit: usize) -> Result<Progress<Self>, DecodeError> {
        let mut scan = Scan {
            bytes,
            at: 0,
            limit,
        };
        match scan.packet() {
            Ok(packet) => Ok(Progress::Done(packet, scan.at)),
            Err(Stop::Need(n)) => Ok(Progress::Need(n)),
            Err(Stop::Wrong(why)) => Err(why),
        }
    }
}

/// Why a scan goes no further.
pub(super) enum Stop {
    /// This many bytes are needed at least.
    Need(usize),
    /// It is no record.
    Wrong(DecodeError),
}

/// A position in bytes of which more may come.
pub(super) struct Scan<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    /// Longest string or buffer, bytes.
    pub(super) limit: usize,
}

impl<'a> Scan<'a> {
    fn packet(&mut self) -> Result<QuorumPacket, Stop> {
        self.expect(HEAD_LEN)?;
        let kind = self.int()?;
        let zxid = Zxid(self.long()?);
        let data = self.buffer(4)?;
        let auth = self.ids()?;
        Ok(QuorumPacket {
            kind,
            zxid,
            data: data.map(Arc::from),
            auth,
        })
    }

    /// The identities: first looked over, and taken only when the last of them is there.
    fn ids(&mut self) -> Result<Option<Vec<Id>>, Stop> {
        let announced = self.int()?;
        if announced == -1 {
            return Ok(None);
        }
        let start = self.at;
        let count = match usize::try_from(announced) {
            Ok(n) if n <= AUTH_IDS_MAX => n,
            _ => return Err(Stop::Wrong(DecodeError::Length(announced))),
        };
        for done in 0..count {
            let left = count.saturating_sub(done);
            self.half(left.saturating_mul(8))?;
            self.half(left.saturating_mul(8).saturating_sub(4))?;
            let used = self.at.saturating_sub(start);
            if used > self.limit.saturating_add(8 * AUTH_IDS_MAX) {
                let used = i32::try_from(used).unwrap_or(i32::MAX);
                return Err(Stop::Wrong(DecodeError::Length(used)));
            }
        }
        self.at = start;
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            let mut text = || Ok(java_utf8(self.buffer(0)?.unwrap_or_default()).into_owned());
            ids.push(Id {
                scheme: text()?,
                id: text()?,
            });
        }
        Ok(Some(ids))
    }

    /// Passes over half an identity. It and all that follow it take at least `rest` bytes: two
    /// lengths for each identity.
    fn half(&mut self, rest: usize) -> Result<(), Stop> {
        let least = self.at.saturating_add(rest);
        match self.buffer(0) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Stop::Wrong(DecodeError::Null)),
            Err(Stop::Need(n)) => Err(Stop::Need(n.max(least))),
            Err(wrong) => Err(wrong),
        }
    }

    /// A buffer, when at least `behind` bytes must follow it.
    pub(super) fn buffer(&mut self, behind: usize) -> Result<Option<&'a [u8]>, Stop> {
        let announced = self.int()?;
        if announced == -1 {
            self.expect(behind)?;
            return Ok(None);
        }
        match usize::try_from(announced) {
            Ok(n) if n <= self.limit => {
                self.expect(n.saturating_add(behind))?;
                self.take(n).map(Some)
            }
            _ => Err(Stop::Wrong(DecodeError::Length(announced))),
        }
    }

    /// Four bytes.
    pub(super) fn int(&mut self) -> Result<i32, Stop> {
        let bytes = self.take(4)?.first_chunk().copied();
        bytes.map_or(Err(Stop::Wrong(DecodeError::Short)), |b| {
            Ok(i32::from_be_bytes(b))
        })
    }

    /// Eight bytes.
    pub(super) fn long(&mut self) -> Result<i64, Stop> {
        let bytes = self.take(8)?.first_chunk().copied();
        bytes.map_or(Err(Stop::Wrong(DecodeError::Short)), |b| {
            Ok(i64::from_be_bytes(b))
        })
    }

    /// Has `n` more bytes, or says how many it takes in all.
    pub(super) fn expect(&self, n: usize) -> Result<(), Stop> {
        let end = self.at.saturating_add(n);
        match self.bytes.len() < end {
            true => Err(Stop::Need(end)),
            false => Ok(()),
        }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Stop> {
        let end = self.at.saturating_add(n);
        let bytes = self.bytes.get(self.at..end).ok_or(Stop::Need(end))?;
        self.at = end;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{LearnerInfo, PROTOCOL_VERSION, payload};
    use super::*;
    use crate::base::ServerId;

    const LIMIT: usize = 1 << 21;

    fn hex(packet: &QuorumPacket) -> String {
        let mut out = Vec::new();
        packet.encode(&mut out);
        assert_eq!(
            QuorumPacket::decode(&out, LIMIT),
            Ok(Progress::Done(packet.clone(), out.len()))
        );
        out.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn numbers_lead_back_to_their_packets() {
        for (i, &p) in PacketType::ALL.iter().take(19).enumerate() {
            assert_eq!(p as i32, i as i32 + 1);
            assert_eq!(PacketType::from_i32(p as i32), Some(p));
        }
        assert_eq!(PacketType::from_i32(0), None);
        assert_eq!(PacketType::from_i32(20), None);
        assert_eq!(
            (
                PacketType::InformAndActivate.name(),
                PacketType::Ping.direction()
            ),
            ("INFORMANDACTIVATE", Direction::Both)
        );
    }

    #[test]
    fn bytes_as_apache_sends_them() {
        let packet = |kind, zxid| QuorumPacket::new(kind, Zxid(zxid));
        let info = LearnerInfo::new(ServerId(1), 0);
        assert_eq!(
            hex(&packet(PacketType::FollowerInfo, 0x3_0000_0000).with_data(info.encode())),
            "0000000b0000000300000000000000140000000000000001000100000000000000000000ffffffff"
        );
        assert_eq!(
            hex(&packet(PacketType::LeaderInfo, 0x4_0000_0000)
                .with_data(payload::encode_int(PROTOCOL_VERSION))),
            "0000001100000004000000000000000400010000ffffffff"
        );
        assert_eq!(
            hex(&packet(PacketType::AckEpoch, 0x3_0000_0009).with_data(payload::encode_int(3))),
            "0000001200000003000000090000000400000003ffffffff"
        );
        assert_eq!(
            hex(&packet(PacketType::Ping, 0x4_0000_0002)),
            "000000050000000400000002ffffffffffffffff"
        );
        assert_eq!(
            hex(&packet(PacketType::Ping, 0x4_0000_0002).with_data(Vec::new())),
            "00000005000000040000000200000000ffffffff"
        );
        assert_eq!(
            hex(&packet(PacketType::UpToDate, -1)),
            "0000000cffffffffffffffffffffffffffffffff"
        );
    }

    fn sample() -> (QuorumPacket, Vec<u8>) {
        let packet = QuorumPacket::new(PacketType::Request, Zxid(-1))
            .with_data(vec![7; 50])
            .with_auth(vec![Id::new("ip", "127.0.0.1"), Id::new("digest", "a:b")]);
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        (packet, bytes)
    }

    #[test]
    fn every_cut_says_how_much_it_needs() {
        let (packet, mut bytes) = sample();
        let whole = bytes.len();
        for cut in 0..whole {
            match QuorumPacket::decode(&bytes[..cut], LIMIT) {
                Ok(Progress::Need(n)) => assert!(n > cut && n <= whole, "{n} at {cut}"),
                other => panic!("{other:?} at {cut}"),
            }
        }
        bytes.extend([1, 2, 3]);
        assert_eq!(
            QuorumPacket::decode(&bytes, LIMIT),
            Ok(Progress::Done(packet, whole))
        );
    }

    #[test]
    fn a_large_packet_is_looked_at_a_few_times() {
        let ids = (0..AUTH_IDS_MAX).map(|n| Id::new("ip", n.to_string()));
        let packet = QuorumPacket::new(PacketType::Request, Zxid(-1))
            .with_data(vec![1; 1_000_000])
            .with_auth(ids.collect());
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        let (mut have, mut looks) = (0, 0);
        loop {
            looks += 1;
            match QuorumPacket::decode(&bytes[..have], LIMIT).unwrap() {
                Progress::Need(n) => have = n,
                Progress::Done(got, used) => break assert_eq!((got, used), (packet, bytes.len())),
            }
        }
        assert!(looks < 40, "{looks}");
    }

    #[test]
    fn limits_hold_before_the_bytes_are_there() {
        let mut head = vec![0; 12];
        head.int(1001);
        let decode = |b: &[u8]| QuorumPacket::decode(b, 1000);
        assert_eq!(decode(&head), Err(DecodeError::Length(1001)));
        head.truncate(12);
        head.int(-2);
        assert_eq!(decode(&head), Err(DecodeError::Length(-2)));
        head.truncate(12);
        head.int(-1);
        head.int(AUTH_IDS_MAX as i32 + 1);
        assert_eq!(
            decode(&head),
            Err(DecodeError::Length(AUTH_IDS_MAX as i32 + 1))
        );
        head.truncate(16);
        head.int(1);
        head.int(-1);
        head.int(-1);
        assert_eq!(decode(&head), Err(DecodeError::Null));
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(Progress::Need(n)) = QuorumPacket::decode(&bytes, 1000) {
                prop_assert!(n > bytes.len());
            }
        }

        #[test]
        fn both_ways(
            kind in any::<i32>(),
            zxid in any::<i64>(),
            data in prop::option::of(prop::collection::vec(any::<u8>(), 0..50)),
            auth in prop::option::of(prop::collection::vec((".{0,9}", ".{0,9}"), 0..5)),
        ) {
            let packet = QuorumPacket {
                kind,
                zxid: Zxid(zxid),
                data: data.map(Arc::from),
                auth: auth.map(|a| a.into_iter().map(|(s, i)| Id::new(s, i)).collect()),
            };
            hex(&packet);
        }
    }
}
