//! The tree digest (Apache: `DigestCalculator`, `AdHash`): the wrapping sum of node digests.

use crate::base::StatPersisted;
use crate::jute::Jute;

/// CRC-32 over a node's stored path (`""` for the root) and its data, if not null. Nodes keep it, so
/// that a change of statistics need not read the data again.
pub fn content_crc(path: &str, data: Option<&[u8]>) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(path.as_bytes());
    if let Some(d) = data {
        crc.update(d);
    }
    crc.finalize()
}

/// Digest of one node: CRC-32 over path, data and the 60 bytes of its statistics, from the CRC of the
/// first two. Nodes below `/zookeeper/` do not count.
pub fn node_digest(path: &str, content_crc: u32, stat: &StatPersisted) -> u64 {
    if path.starts_with("/zookeeper/") {
        return 0;
    }
    let mut crc = crc32fast::Hasher::new_with_initial(content_crc);
    crc.update(&stat_bytes(stat));
    u64::from(crc.finalize())
}

/// The order the digest wants differs from the stored one: pzxid comes third, owner last.
fn stat_bytes(s: &StatPersisted) -> [u8; 60] {
    let mut out = [0; 60];
    let longs = [s.czxid, s.mzxid, s.pzxid, s.ctime, s.mtime];
    for (to, v) in out.chunks_exact_mut(8).zip(longs) {
        to.copy_from_slice(&v.to_be_bytes());
    }
    for (to, v) in out[40..52]
        .chunks_exact_mut(4)
        .zip([s.version, s.cversion, s.aversion])
    {
        to.copy_from_slice(&v.to_be_bytes());
    }
    s.ephemeral_owner.encode(&mut SliceOut(&mut out[52..]));
    out
}

struct SliceOut<'a>(&'a mut [u8]);

impl crate::jute::Output for SliceOut<'_> {
    fn raw(&mut self, bytes: &[u8]) {
        self.0.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_tree_has_apaches_digest() {
        let zero = StatPersisted::default();
        let digest = |p| node_digest(p, content_crc(p, Some(b"")), &zero);
        let sum = digest("") + digest("/zookeeper") + digest("/zookeeper/quota");
        assert_eq!(sum, 1_371_985_504);
    }
}
