//! Whatever bytes come: decoders return, in memory of the order of what came.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use proptest::prelude::*;
use zabra::jute::{Input, Jute};
use zabra::proto::quorum::{LearnerInfo, LearnerRequest, QuorumAuthPacket, QuorumPacket, payload};
use zabra::proto::request::*;
use zabra::proto::txn::{
    CreateTtlTxn, CreateTxn, Entry, MultiTxn, SetAclTxn, SubTxn, Txn, TxnHeader, some,
};
use zabra::store::SnapDecoder;
use zabra::store::snapshot::Ignore;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

/// Counts what the current thread asks for.
struct Counting;

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATED.try_with(|n| n.set(n.get() + layout.size()));
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that decoding may take for each byte of input: vectors grow by doubling, and a null string is
/// four bytes there and a few words here.
const FACTOR: usize = 64;

fn within_bounds(bytes: &[u8], decode: impl Fn(&[u8])) {
    ALLOCATED.with(|n| n.set(0));
    decode(bytes);
    let used = ALLOCATED.with(Cell::get);
    assert!(
        used <= FACTOR * (bytes.len() + 64),
        "{used} bytes for {} of input",
        bytes.len()
    );
}

fn all_records(bytes: &[u8]) {
    macro_rules! each {
        ($($record:ty),* $(,)?) => {$(
            within_bounds(bytes, |b| {
                let _ = <$record>::from_bytes(b);
            });
        )*};
    }
    each!(
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
    within_bounds(bytes, |b| {
        let _ = Entry::from_bytes(b);
    });
    within_bounds(bytes, |b| {
        let _ = QuorumPacket::decode(b, 1 << 21);
        let _ = QuorumAuthPacket::decode(b, 1 << 21);
        let _ = LearnerInfo::decode(Some(b));
        let _ = LearnerRequest::decode(Some(b));
        let _ = payload::decode_touches(Some(b));
        let _ = payload::decode_activate(Some(b));
    });
    within_bounds(bytes, |b| {
        let mut snapshot = SnapDecoder::new(Ignore, 1 << 21);
        let _ = snapshot.push(b);
    });
    for op in -11..120 {
        within_bounds(bytes, |b| {
            let _ = Txn::decode(op, &mut Input::new(b));
        });
    }
}

/// Whole entries of several kinds, to be cut and bent.
fn samples() -> Vec<Vec<u8>> {
    let header = |op| TxnHeader {
        client_id: 1,
        cxid: 2,
        zxid: 3,
        time: 4,
        op,
    };
    let acl = || Some(zabra::base::Acl::read_only());
    let create = CreateTxn {
        path: some("/a/b"),
        data: Some(b"xyz"),
        acl: acl(),
        ..CreateTxn::default()
    };
    let sub = Txn::Create(create.clone());
    let mut part = Vec::new();
    sub.encode(&mut part);
    let txns = vec![
        SubTxn {
            op: 1,
            data: Some(&part)
        };
        3
    ];
    let all = [
        (1, Txn::Create(create)),
        (
            21,
            Txn::CreateTtl(CreateTtlTxn {
                path: some("/t"),
                acl: acl(),
                ttl: 5,
                ..CreateTtlTxn::default()
            }),
        ),
        (
            7,
            Txn::SetAcl(SetAclTxn {
                path: some("/a"),
                acl: acl(),
                version: 1,
            }),
        ),
        (14, Txn::Multi(MultiTxn { txns: Some(txns) })),
    ];
    let bytes = |(op, txn)| {
        let mut out = Vec::new();
        Entry {
            header: header(op),
            txn,
            digest: None,
        }
        .encode(&mut out);
        out
    };
    all.into_iter().map(bytes).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        all_records(&bytes);
    }

    #[test]
    fn bent_entries(which in 0_usize..4, at in 0_usize..200, value in any::<u8>(), cut in 0_usize..200) {
        let mut bytes = samples().swap_remove(which);
        let at = at % bytes.len();
        bytes[at] = value;
        bytes.truncate(bytes.len().saturating_sub(cut % 40));
        within_bounds(&bytes, |b| {
            let _ = Entry::from_bytes(b);
        });
    }

    #[test]
    fn what_is_encoded_is_decoded(path in ".{0,40}", data in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..60)), flags in any::<i32>()) {
        let r = CreateRequest { path: Some(path.into()), data: data.as_deref(), acl: None, flags };
        let bytes = r.to_bytes();
        prop_assert_eq!(CreateRequest::from_bytes(&bytes), Ok(r.clone()));
    }
}
