//! The ordering promises, held by the real tree under real threads.
//!
//! One writer applies transactions; several connections read, watch and merge as `conn` does (rule
//! R3). Each connection's stream of what its client would see is then checked:
//!
//! * tags never go back;
//! * P2: an event stands before any answer that shows the change it tells of;
//! * P3: a one-shot watch fires exactly once, at the first change behind the answer that set it;
//! * a multi is seen whole or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zabra::base::{Acl, ConnId, Perms, Zxid};
use zabra::proto::OpCode;
use zabra::proto::txn::{CreateTxn, Entry, MultiTxn, SetDataTxn, SubTxn, Txn, TxnHeader, some};
use zabra::tree::apply::apply;
use zabra::tree::query::{Access, ReadKind, ReadResult};
use zabra::tree::{AclList, DataTree, Inbox, Item, TreeOptions};

/// Nodes that single changes go to, and the two that a multi changes together.
const PATHS: [&str; 3] = ["/a", "/b", "/c"];
const PAIR: [&str; 2] = ["/x", "/y"];

struct Everybody;

impl Access for Everybody {
    fn allows(&self, _: &AclList, _: Perms) -> bool {
        true
    }
}

/// What a client sees, in order.
#[derive(Debug)]
enum Seen {
    Event(Zxid),
    /// The zxid of the data (mzxid), the tag, and whether a watch was left.
    Answer(Zxid, Zxid, bool),
}

fn entry<'a>(zxid: i64, op: OpCode, txn: Txn<'a>) -> Entry<'a> {
    let header = TxnHeader {
        zxid,
        time: zxid,
        op: op as i32,
        ..TxnHeader::default()
    };
    Entry {
        header,
        txn,
        digest: None,
    }
}

fn set<'a>(p: &'a str, version: i32) -> SetDataTxn<'a> {
    SetDataTxn {
        path: some(p),
        data: Some(b"data"),
        version,
    }
}

fn prepared() -> DataTree {
    let tree = DataTree::fresh(TreeOptions::default());
    for (n, p) in PATHS.iter().chain(&PAIR).enumerate() {
        let create = CreateTxn {
            path: some(p),
            data: Some(b""),
            acl: Some(Acl::open()),
            ephemeral: false,
            parent_cversion: n as i32 + 1,
        };
        apply(
            &tree,
            &entry(n as i64 + 1, OpCode::Create, Txn::Create(create)),
            false,
            &mut vec![],
        );
    }
    tree
}

/// Applies `count` transactions: sets of one node, and every third a multi that sets both of a pair.
fn write(tree: &DataTree, count: i64, seed: u64) {
    let mut random = seed | 1;
    let first = tree.applied().0 + 1;
    for zxid in first..first + count {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        if zxid % 3 == 0 {
            let parts: Vec<Vec<u8>> = PAIR
                .iter()
                .map(|p| {
                    let mut out = Vec::new();
                    Txn::SetData(set(p, zxid as i32)).encode(&mut out);
                    out
                })
                .collect();
            let op = OpCode::SetData as i32;
            let txns = parts.iter().map(|p| SubTxn { op, data: Some(p) }).collect();
            let multi = Txn::Multi(MultiTxn { txns: Some(txns) });
            apply(tree, &entry(zxid, OpCode::Multi, multi), false, &mut vec![]);
        } else {
            let p = PATHS[(random % PATHS.len() as u64) as usize];
            let txn = Txn::SetData(set(p, zxid as i32));
            apply(tree, &entry(zxid, OpCode::SetData, txn), false, &mut vec![]);
        }
    }
}

/// Rule R3.
fn merge(inbox: &Inbox, upto: Zxid, seen: &mut Vec<Seen>) {
    while let Some(item) = inbox.pop(upto) {
        if let Item::Event(zxid, _) = item {
            seen.push(Seen::Event(zxid));
        }
    }
}

/// Reads one path over and over, leaving a watch whenever it has none; the multi's pair in between.
fn read(tree: &DataTree, id: u64, path: usize, done: &AtomicBool) -> Vec<Seen> {
    let inbox = Inbox::new(ConnId(id), vec![], Arc::new(|_, _| true));
    let mut seen = Vec::new();
    let mut armed = false;
    loop {
        let last = done.load(Ordering::Acquire);
        merge(&inbox, Zxid(i64::MAX), &mut seen);
        armed &= !matches!(seen.last(), Some(Seen::Event(_)));
        let watch = (!armed).then_some(&inbox);
        let (found, tag) = tree.get_data(PATHS[path], &Everybody, watch);
        let (_, stat) = found.expect("the node is there");
        let before = seen.len();
        merge(&inbox, tag, &mut seen);
        armed = watch.is_some() || (armed && seen.len() == before);
        seen.push(Seen::Answer(Zxid(stat.mzxid), tag, watch.is_some()));
        both_or_none(tree);
        if last {
            merge(&inbox, Zxid(i64::MAX), &mut seen);
            return seen;
        }
    }
}

fn both_or_none(tree: &DataTree) {
    let asked = PAIR.map(|p| (ReadKind::Data, p));
    let (results, _) = tree.multi_read(&asked, &Everybody);
    let versions: Vec<i32> = results
        .into_iter()
        .map(|r| match r {
            Ok(ReadResult::Data(_, stat)) => stat.version,
            other => panic!("data was asked for, not {other:?}"),
        })
        .collect();
    assert_eq!(versions[0], versions[1], "a multi seen half");
}

fn check(seen: &[Seen]) -> usize {
    let mut tag_before = Zxid::ZERO;
    // The watch that is out: the data it was set on.
    let mut watched: Option<Zxid> = None;
    let mut fired = 0;
    for s in seen {
        match s {
            Seen::Event(zxid) => {
                let data = watched.take().expect("an event without a watch");
                assert!(
                    *zxid > data,
                    "P3: an event for {zxid}, which the answer already showed"
                );
                fired += 1;
            }
            Seen::Answer(data, tag, watch) => {
                assert!(*tag >= tag_before, "tags went back");
                assert!(data <= tag, "an answer newer than its tag");
                tag_before = *tag;
                if let Some(old) = watched {
                    assert_eq!(*data, old, "P2: new data before the event that tells of it");
                }
                if *watch {
                    watched = Some(*data);
                }
            }
        }
    }
    fired
}

#[test]
fn promises_hold_under_parallel_load() {
    let mut fired = 0;
    for seed in 1..=20 {
        let tree = prepared();
        let done = AtomicBool::new(false);
        std::thread::scope(|s| {
            let readers: Vec<_> = (0..PATHS.len() as u64)
                .map(|n| {
                    let (tree, done) = (&tree, &done);
                    s.spawn(move || read(tree, n + 1, n as usize, done))
                })
                .collect();
            write(&tree, 3000, seed);
            done.store(true, Ordering::Release);
            for reader in readers {
                fired += check(&reader.join().expect("a reader"));
            }
        });
    }
    assert!(fired > 100, "the threads never met: {fired} events");
}

#[test]
fn a_merge_that_overtakes_is_noticed() {
    // The answer shows zxid 9 while the event for 9 still waits.
    let seen = [
        Seen::Answer(Zxid(5), Zxid(6), true),
        Seen::Answer(Zxid(9), Zxid(9), false),
        Seen::Event(Zxid(9)),
    ];
    assert!(std::panic::catch_unwind(|| check(&seen)).is_err());
    let early = [Seen::Answer(Zxid(5), Zxid(6), true), Seen::Event(Zxid(5))];
    assert!(std::panic::catch_unwind(|| check(&early)).is_err());
}
