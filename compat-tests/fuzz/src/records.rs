//! Jute records: requests, and transactions as logs and peers bring them.

use zabra::jute::{Input, Jute};
use zabra::proto::request::*;
use zabra::proto::txn::{Entry, TxnDigest};
use zabra::tree::apply::apply;
use zabra::tree::{DataTree, TreeOptions};

use crate::bound::bounded;

/// Decodes, and what was decoded must be encoded to something that decodes to the same.
macro_rules! each {
    ($which:expr, $bytes:expr, $($record:ty),* $(,)?) => {{
        let all: &[fn(&[u8])] = &[$(|b| {
            if let Ok(record) = bounded(b, 4096, |_| <$record>::from_bytes(b)) {
                let again = record.to_bytes();
                assert_eq!(<$record>::from_bytes(&again).as_ref(), Ok(&record));
            }
        }),*];
        all[usize::from($which) % all.len()]($bytes);
    }};
}

/// The first byte chooses the record.
pub fn record(data: &[u8]) {
    let Some((which, bytes)) = data.split_first() else {
        return;
    };
    each!(
        *which,
        bytes,
        ConnectRequest<'_>,
        RequestHeader,
        CreateRequest<'_>,
        CreateTtlRequest<'_>,
        DeleteRequest<'_>,
        ReadRequest<'_>,
        PathRequest<'_>,
        SetDataRequest<'_>,
        SetAclRequest<'_>,
        CheckVersionRequest<'_>,
        ReconfigRequest<'_>,
        WatchesRequest<'_>,
        AddWatchRequest<'_>,
        AuthPacket<'_>,
        SetWatches<'_>,
        SetWatches2<'_>,
        MultiHeader,
    );
}

/// A log entry: decoded, encoded again, and applied twice, as a replay over a snapshot may.
pub fn txn(data: &[u8]) {
    let Ok(entry) = bounded(data, 4096, |_| Entry::from_bytes(data)) else {
        return;
    };
    // A closeSession can only be told from its digest when there is a proper one behind it.
    let sealed = Entry {
        digest: Some(TxnDigest {
            version: 2,
            digest: 0,
        }),
        ..entry.clone()
    };
    let mut again = Vec::new();
    sealed.encode(&mut again);
    let back = Entry::decode(&mut Input::trusted(&again)).expect("what was encoded decodes");
    assert_eq!(back.txn, entry.txn);
    let tree = DataTree::fresh(TreeOptions::default());
    bounded(data, 64 * 1024, |_| {
        apply(&tree, &entry, false, &mut Vec::new());
        apply(&tree, &entry, false, &mut Vec::new());
    });
}
