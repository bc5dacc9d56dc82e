//! Snapshots as they travel to learners, made of what real servers wrote.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use zabra::base::{Acl, StatPersisted, Zxid};
use zabra::pipeline::{SnapStreamReader, SnapStreamWriter, SnapshotJob};
use zabra::store::{SnapDecoder, SnapProgress, SnapshotReader};
use zabra::tree::{DataTree, TreeOptions};

use super::golden::Golden;
use super::model::Model;

const LIMIT: usize = 1 << 21;
const HEADER: usize = 16;
const SEAL: usize = 13;
const OPTIONS: TreeOptions = TreeOptions { digest: true };

/// An uncompressed snapshot file, and the same as Apache would send it.
fn file_and_stream(set: &str) -> (Vec<u8>, Vec<u8>) {
    let golden = Golden::unpack(set);
    let dir = golden.path("data/version-2");
    let (_, name) = super::snapshots(&dir).pop().unwrap();
    let file = fs::read(dir.join(name)).unwrap();
    let info = SnapshotReader::new(&file[..], LIMIT)
        .read(&mut Model::default())
        .unwrap();
    let digest = if info.digest.is_some() { 33 } else { 0 };
    let last = if info.last_zxid.is_some() { 21 } else { 0 };
    let mut stream = file[HEADER..file.len() - SEAL - digest - last].to_vec();
    stream.extend(b"\0\0\0\x0aBenWasHere");
    (file, stream)
}

type Nodes = BTreeMap<String, (Option<Vec<u8>>, Vec<Acl>, StatPersisted)>;

fn nodes(tree: &DataTree) -> Nodes {
    let start = tree.walk_start();
    let lists: BTreeMap<_, _> = start.acls.iter().cloned().collect();
    let mut all = BTreeMap::new();
    let walked: Result<(), ()> = tree.walk(&start, |n| {
        let acl = lists.get(&n.acl).map_or_else(Acl::open, |l| l.to_vec());
        let data = n.data.as_deref().map(<[u8]>::to_vec);
        all.insert(n.path.text().to_owned(), (data, acl, n.stat));
        Ok(())
    });
    walked.unwrap();
    all
}

/// Reads a stream in pieces of `size`, with the beginning of another packet behind it.
fn read(stream: &[u8], size: usize) -> (DataTree, BTreeMap<i64, i32>) {
    let mut bytes = stream.to_vec();
    bytes.extend([0, 0, 0, 10]);
    let mut reader = SnapStreamReader::new(OPTIONS, LIMIT);
    let mut given = 0;
    for piece in bytes.chunks(size) {
        match reader.push(piece).unwrap() {
            SnapProgress::More => given += piece.len(),
            SnapProgress::Done(used) => {
                assert_eq!(given + used, stream.len(), "pieces of {size}");
                return reader.finish(Zxid(i64::MAX)).unwrap();
            }
        }
    }
    panic!("the stream has no end");
}

#[test]
fn a_stream_is_the_file_without_its_seals() {
    for set in ["std-395-plain", "std-359", "std-380", "quorum1-395"] {
        let (file, stream) = file_and_stream(set);
        let mut from_file = Model::default();
        let info = SnapshotReader::new(&file[..], LIMIT)
            .read(&mut from_file)
            .unwrap();
        let mut decoder = SnapDecoder::new(Model::default(), LIMIT);
        let end = decoder.push(&stream).unwrap();
        assert_eq!(end, SnapProgress::Done(stream.len()), "{set}");
        let (from_stream, streamed) = decoder.finish().unwrap();
        assert_eq!(from_stream.view(), from_file.view(), "{set}");
        assert_eq!(from_stream.sessions, from_file.sessions, "{set}");
        assert_eq!((streamed.nodes, streamed.acls), (info.nodes, info.acls));
    }
}

#[test]
fn trees_travel_in_pieces_of_any_size() {
    for set in ["std-395-plain", "quorum1-395"] {
        let (_, stream) = file_and_stream(set);
        let (tree, sessions) = read(&stream, stream.len() + 4);
        let tree = Arc::new(tree);
        let job = SnapshotJob::new(tree.clone(), &sessions);
        let mut writer = SnapStreamWriter::new(tree.clone(), job);
        let mut sent = Vec::new();
        while writer.next_chunk(&mut sent) {}
        for size in [1, 7, 4096, sent.len()] {
            let (again, s) = read(&sent, size);
            assert_eq!(s, sessions, "{set}");
            assert_eq!(nodes(&again), nodes(&tree), "{set}");
            assert_eq!(again.digest().digest, tree.digest().digest, "{set}");
        }
    }
}

#[test]
fn no_cut_stream_is_a_tree_and_no_bent_one_a_panic() {
    let (_, stream) = file_and_stream("quorum1-395");
    for cut in (0..stream.len()).step_by(stream.len() / 40) {
        let mut reader = SnapStreamReader::new(OPTIONS, LIMIT);
        assert_eq!(reader.push(&stream[..cut]).unwrap(), SnapProgress::More);
        assert!(reader.finish(Zxid(1)).is_none(), "cut at {cut}");
    }
    let ends = stream.len() - 14..stream.len();
    for at in (0..stream.len()).step_by(stream.len() / 40).chain(ends) {
        let mut bent = stream.clone();
        bent[at] ^= 0x81;
        let mut reader = SnapStreamReader::new(OPTIONS, LIMIT);
        let done = matches!(reader.push(&bent), Ok(SnapProgress::Done(_)));
        assert!(
            !done || at < stream.len() - 14,
            "the signature is bent at {at}"
        );
    }
    let mut none = vec![0; 8];
    none.extend(b"\0\0\0\x01/\0\0\0\x0aBenWasHere");
    let mut reader = SnapStreamReader::new(OPTIONS, LIMIT);
    assert!(reader.push(&none).is_err(), "a tree has a root");
}
