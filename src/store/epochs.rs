//! `acceptedEpoch` and `currentEpoch`: what a quorum member has promised
//! (Apache: `QuorumPeer.loadDataBase`, `readLongFromFile`, `writeLongToFile`).

use crate::base::{Epoch, Zxid};

use super::dir::Dir;
use super::error::StoreError;

/// The epoch this member has promised not to go below.
pub const ACCEPTED: &str = "acceptedEpoch";
/// The epoch whose leader this member has followed.
pub const CURRENT: &str = "currentEpoch";

/// Both files, in the snapshot side's `version-2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epochs {
    /// `acceptedEpoch`.
    pub accepted: Epoch,
    /// `currentEpoch`.
    pub current: Epoch,
}

/// Reads a number file as Apache does: the first line only, which must be a number and nothing else.
///
/// # Errors
/// What the line holds instead.
pub fn parse(bytes: &[u8]) -> Result<Epoch, String> {
    let line = bytes.split(|b| matches!(b, b'\n' | b'\r')).next();
    let text = std::str::from_utf8(line.unwrap_or_default()).unwrap_or("\u{fffd}");
    text.parse()
        .map(Epoch)
        .map_err(|_| format!("For input string: \"{text}\""))
}

/// Reads one file; `None` when it does not exist.
///
/// # Errors
/// [`StoreError::Io`], or [`StoreError::Epoch`] when it holds no number.
pub fn read(dir: &dyn Dir, name: &str) -> Result<Option<Epoch>, StoreError> {
    let path = dir.path().join(name);
    let bytes = dir
        .read_small(name)
        .map_err(|e| StoreError::io("read", &path, e))?;
    bytes
        .map(|b| parse(&b).map_err(|why| StoreError::Epoch(format!("{}: {why}", path.display()))))
        .transpose()
}

/// Writes one file, durably.
///
/// # Errors
/// [`StoreError::Io`], [`StoreError::NoSpace`].
pub fn write(dir: &dyn Dir, name: &str, epoch: Epoch) -> Result<(), StoreError> {
    dir.write_atomic(name, epoch.0.to_string().as_bytes())
        .map_err(|e| StoreError::io("write", &dir.path().join(name), e))
}

/// Brings both files in line with the database of a quorum member: missing ones are created with
/// the epoch of its last zxid, and a `currentEpoch` that is behind is caught up if its half-done
/// update is there.
///
/// Differs: Apache only knows the half-done update. When `adopt` is set, an epoch between the two
/// files is adopted too; it was accepted, and the data proves that it began.
///
/// # Errors
/// [`StoreError::Epoch`] with Apache's words when the files contradict the database or each other.
pub fn load(dir: &dyn Dir, last: Zxid, adopt: bool) -> Result<Epochs, StoreError> {
    let of_data = last.epoch();
    let stored = read(dir, ACCEPTED)?;
    let current = match read(dir, CURRENT)? {
        None => {
            write(dir, CURRENT, of_data)?;
            of_data
        }
        Some(current) if of_data <= current => current,
        Some(current) => {
            let half_done = read(dir, &format!("{CURRENT}.tmp"))?;
            let accepted = stored.filter(|a| adopt && of_data <= *a).map(|_| of_data);
            let Some(next) = half_done.or(accepted) else {
                return Err(StoreError::Epoch(format!(
                    "The current epoch, {}, is older than the last zxid, {}",
                    current.0, last.0
                )));
            };
            write(dir, CURRENT, next)?;
            next
        }
    };
    let accepted = match stored {
        Some(accepted) => accepted,
        None => {
            write(dir, ACCEPTED, of_data)?;
            of_data
        }
    };
    if accepted < current {
        return Err(StoreError::Epoch(format!(
            "The accepted epoch, {} is less than the current epoch, {}",
            accepted.0, current.0
        )));
    }
    Ok(Epochs { accepted, current })
}

#[cfg(test)]
mod tests {
    use super::super::mem::MemDir;
    use super::*;

    fn both(dir: &MemDir) -> (Option<Epoch>, Option<Epoch>) {
        (read(dir, ACCEPTED).unwrap(), read(dir, CURRENT).unwrap())
    }

    #[test]
    fn the_first_line_counts_and_blanks_do_not_pass() {
        for (bytes, want) in [
            (&b"9"[..], Some(9)),
            (b"9\n", Some(9)),
            (b"9\r\n7", Some(9)),
            (b" 9", None),
            (b"9 ", None),
            (b"", None),
            (b"\n9", None),
            (b"0x9", None),
        ] {
            assert_eq!(parse(bytes).ok(), want.map(Epoch), "{bytes:?}");
        }
    }

    #[test]
    fn missing_files_are_created_with_the_epoch_of_the_data() {
        let dir = MemDir::default();
        load(&dir, Zxid(0x3_0000_0007), false).unwrap();
        assert_eq!(both(&dir), (Some(Epoch(3)), Some(Epoch(3))));
    }

    #[test]
    fn files_may_be_ahead_of_the_data() {
        let dir = MemDir::default();
        write(&dir, ACCEPTED, Epoch(9)).unwrap();
        write(&dir, CURRENT, Epoch(8)).unwrap();
        let got = load(&dir, Zxid(0x3_0000_0007), false).unwrap();
        assert_eq!((got.accepted, got.current), (Epoch(9), Epoch(8)));
    }

    #[test]
    fn zookeeper_2307_4269_an_old_current_epoch_needs_its_half_done_update() {
        let dir = MemDir::default();
        let last = Zxid(0x3_0000_0007);
        write(&dir, ACCEPTED, Epoch(3)).unwrap();
        write(&dir, CURRENT, Epoch(2)).unwrap();
        let e = load(&dir, last, false).unwrap_err().to_string();
        assert!(e.contains("The current epoch, 2, is older"), "{e}");
        write(&dir, "currentEpoch.tmp", Epoch(3)).unwrap();
        assert_eq!(load(&dir, last, false).unwrap().current, Epoch(3));
        assert_eq!(both(&dir).1, Some(Epoch(3)));
    }

    #[test]
    fn an_accepted_epoch_can_be_adopted_on_request() {
        let dir = MemDir::default();
        write(&dir, ACCEPTED, Epoch(3)).unwrap();
        write(&dir, CURRENT, Epoch(2)).unwrap();
        let got = load(&dir, Zxid(0x3_0000_0007), true).unwrap();
        assert_eq!(got.current, Epoch(3));
        assert!(load(&dir, Zxid(0x4_0000_0007), true).is_err());
    }

    #[test]
    fn accepted_below_current_is_refused() {
        let dir = MemDir::default();
        write(&dir, ACCEPTED, Epoch(1)).unwrap();
        write(&dir, CURRENT, Epoch(2)).unwrap();
        assert!(load(&dir, Zxid(1), false).is_err());
    }
}
