//! Session passwords (Apache: `ZooKeeperServer.generatePasswd`).

use crate::base::SessionId;
use crate::base::limits::PASSWORD_LEN;

/// Seed of Apache's generator; it protects nothing, but every server derives the same bytes from it,
/// so that sessions move freely between servers.
const SECRET: i64 = 0xB341_5C00;
const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const MASK: u64 = (1 << 48) - 1;

/// The password of a session: sixteen bytes from `java.util.Random` seeded with the id.
pub fn password_of(session: SessionId) -> [u8; PASSWORD_LEN] {
    let mut state = ((session.0 ^ SECRET) as u64 ^ MULTIPLIER) & MASK;
    let mut out = [0; PASSWORD_LEN];
    for four in out.chunks_exact_mut(4) {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        four.copy_from_slice(&((state >> 16) as u32).to_le_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(b: &[u8]) -> String {
        b.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn golden_passwords() {
        assert_eq!(
            hex(&password_of(SessionId(1))),
            "054cc74a37327db215e702e20c73f005"
        );
        let s = SessionId(0x1000_abcd_ef01_2345);
        assert_eq!(hex(&password_of(s)), "f7957c6bf47902042961099bf0189b16");
    }
}
