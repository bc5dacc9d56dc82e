//! First inputs that are records: encoded by our own code, and taken from the golden logs.

use zabra::base::Acl;
use zabra::jute::{Jute, Output};
use zabra::proto::OpCode;
use zabra::proto::request::*;
use zabra::proto::txn::{
    CheckVersionTxn, CloseSessionTxn, CreateContainerTxn, CreateSessionTxn, CreateTtlTxn,
    CreateTxn, DeleteTxn, Entry, ErrorTxn, MultiTxn, SetAclTxn, SetDataTxn, SubTxn, Txn, TxnDigest,
    TxnHeader, some,
};

use crate::seed_files::{entries, from_archives};

/// First inputs of a target.
pub type Seeds = Vec<Vec<u8>>;

/// One encoded record of each kind, in the order of the target's table.
fn bodies() -> Seeds {
    let acl = || {
        Some(vec![AclWire {
            perms: 31,
            id: IdWire {
                scheme: some("world"),
                id: some("anyone"),
            },
        }])
    };
    let paths = || Some(vec![some("/a"), some("/a/b")]);
    let data = Some(&b"data"[..]);
    let path = || some("/a");
    vec![
        ConnectRequest {
            timeout: 30_000,
            password: Some(&[0; 16]),
            ..Default::default()
        }
        .to_bytes(),
        RequestHeader { xid: 1, op: 4 }.to_bytes(),
        CreateRequest {
            path: path(),
            data,
            acl: acl(),
            flags: 0,
        }
        .to_bytes(),
        CreateTtlRequest {
            path: path(),
            data,
            acl: acl(),
            flags: 5,
            ttl: 1000,
        }
        .to_bytes(),
        DeleteRequest {
            path: path(),
            version: -1,
        }
        .to_bytes(),
        ReadRequest {
            path: path(),
            watch: true,
        }
        .to_bytes(),
        PathRequest { path: path() }.to_bytes(),
        SetDataRequest {
            path: path(),
            data,
            version: -1,
        }
        .to_bytes(),
        SetAclRequest {
            path: path(),
            acl: acl(),
            version: -1,
        }
        .to_bytes(),
        CheckVersionRequest {
            path: path(),
            version: 0,
        }
        .to_bytes(),
        ReconfigRequest {
            joining: some("server.1=a:1:2"),
            config_id: -1,
            ..Default::default()
        }
        .to_bytes(),
        WatchesRequest {
            path: path(),
            kind: 3,
        }
        .to_bytes(),
        AddWatchRequest {
            path: path(),
            mode: 1,
        }
        .to_bytes(),
        AuthPacket {
            kind: 0,
            scheme: some("digest"),
            auth: Some(b"u:p"),
        }
        .to_bytes(),
        SetWatches {
            relative_zxid: 1,
            data: paths(),
            exist: paths(),
            child: paths(),
        }
        .to_bytes(),
        SetWatches2 {
            relative_zxid: 1,
            data: paths(),
            exist: paths(),
            child: paths(),
            persistent: paths(),
            recursive: paths(),
        }
        .to_bytes(),
        MultiHeader {
            op: 1,
            done: false,
            err: -1,
        }
        .to_bytes(),
    ]
}

pub fn records() -> Seeds {
    let tagged = |(n, body): (usize, Vec<u8>)| [vec![n as u8], body].concat();
    bodies().into_iter().enumerate().map(tagged).collect()
}

/// Our own entries of every type, and those of the golden logs.
pub fn txns() -> Seeds {
    let acl = || Some(Acl::open());
    let (path, data) = (|| some("/a"), Some(&b"data"[..]));
    let create = || CreateTxn {
        path: path(),
        data,
        acl: acl(),
        ephemeral: false,
        parent_cversion: 1,
    };
    let part = Txn::Create(create());
    let mut part_bytes = Vec::new();
    part.encode(&mut part_bytes);
    let sub = |op| SubTxn {
        op,
        data: Some(&part_bytes),
    };
    let all = [
        (1, Txn::Create(create())),
        (
            1,
            Txn::Create(CreateTxn {
                ephemeral: true,
                ..create()
            }),
        ),
        (
            19,
            Txn::CreateContainer(CreateContainerTxn {
                path: path(),
                data,
                acl: acl(),
                parent_cversion: 1,
            }),
        ),
        (
            21,
            Txn::CreateTtl(CreateTtlTxn {
                path: path(),
                data,
                acl: acl(),
                parent_cversion: 1,
                ttl: 5,
            }),
        ),
        (
            1,
            Txn::Create(CreateTxn {
                path: some("/zookeeper/quota/zookeeper_limits"),
                data: Some(b"count=1,bytes=2"),
                ..create()
            }),
        ),
        (
            2,
            Txn::Delete(DeleteTxn {
                path: some("/zookeeper/quota"),
            }),
        ),
        (
            5,
            Txn::SetData(SetDataTxn {
                path: some("/"),
                data,
                version: 1,
            }),
        ),
        (
            7,
            Txn::SetAcl(SetAclTxn {
                path: some("/"),
                acl: Some(Acl::read_only()),
                version: 1,
            }),
        ),
        (
            13,
            Txn::Check(CheckVersionTxn {
                path: path(),
                version: 1,
            }),
        ),
        (
            14,
            Txn::Multi(MultiTxn {
                txns: Some(vec![sub(1), sub(1)]),
            }),
        ),
        (-10, Txn::CreateSession(CreateSessionTxn { timeout: 4000 })),
        (
            -11,
            Txn::CloseSession(Some(CloseSessionTxn {
                paths: Some(vec![path()]),
            })),
        ),
        (-11, Txn::CloseSession(None)),
        (-1, Txn::Error(ErrorTxn { err: -101 })),
    ];
    let mut seeds: Seeds = Vec::new();
    for (op, txn) in all {
        let header = TxnHeader {
            client_id: 7,
            cxid: 1,
            zxid: 2,
            time: 3,
            op,
        };
        let digest = Some(TxnDigest {
            version: 2,
            digest: 1,
        });
        let mut bytes = Vec::new();
        Entry {
            header,
            txn,
            digest,
        }
        .encode(&mut bytes);
        seeds.push(bytes);
    }
    for (_, log) in from_archives("log.", 9000) {
        seeds.extend(entries(log).into_iter().filter(|e| e.len() < 400).take(40));
    }
    seeds.sort();
    seeds.dedup();
    seeds
}

/// The place of an operation in the table, as the target reads it.
fn index(op: OpCode) -> u8 {
    OpCode::ALL
        .iter()
        .position(|o| *o == op)
        .unwrap_or_default() as u8
}

fn request(op: OpCode, slow: bool, body: &[u8]) -> Vec<u8> {
    let mut out = vec![index(op), u8::from(slow)];
    out.extend_from_slice(&(body.len() as u16).to_be_bytes());
    out.extend_from_slice(body);
    out
}

pub fn requests() -> Seeds {
    use OpCode::*;
    let b = bodies();
    let mut multi = Vec::new();
    for (op, body) in [(1, &b[2]), (13, &b[9]), (5, &b[7]), (2, &b[4])] {
        MultiHeader {
            op,
            done: false,
            err: -1,
        }
        .encode(&mut multi);
        multi.extend_from_slice(body);
    }
    MultiHeader::END.encode(&mut multi);
    let mut reads = Vec::new();
    for op in [4, 8] {
        MultiHeader {
            op,
            done: false,
            err: -1,
        }
        .encode(&mut reads);
        reads.string(Some("/a"));
        reads.bool(false);
    }
    MultiHeader::END.encode(&mut reads);
    let create = request(Create, false, &b[2]);
    let all = [
        (CreateTtl, &b[3]),
        (Delete, &b[4]),
        (Exists, &b[5]),
        (GetData, &b[5]),
        (GetChildren, &b[5]),
        (GetChildren2, &b[5]),
        (GetAcl, &b[6]),
        (Sync, &b[6]),
        (GetEphemerals, &b[6]),
        (GetAllChildrenNumber, &b[6]),
        (SetData, &b[7]),
        (SetAcl, &b[8]),
        (Reconfig, &b[10]),
        (CheckWatches, &b[11]),
        (RemoveWatches, &b[11]),
        (AddWatch, &b[12]),
        (Auth, &b[13]),
        (SetWatches, &b[14]),
        (SetWatches2, &b[15]),
        (Multi, &multi),
        (MultiRead, &reads),
        (Create2, &b[2]),
        (CreateContainer, &b[2]),
        (Ping, &vec![]),
        (WhoAmI, &vec![]),
        (CloseSession, &vec![]),
        (Sasl, &vec![0, 0, 0, 1, 7]),
        (Check, &b[9]),
    ];
    let one = |(op, body): &(OpCode, &Vec<u8>)| [&create[..], &request(*op, false, body)].concat();
    let mut seeds: Seeds = all.iter().map(one).collect();
    let slow = all.iter().flat_map(|(op, body)| request(*op, true, body));
    seeds.push(create.iter().copied().chain(slow).collect());
    seeds
}

pub fn first_bytes() -> Seeds {
    let b = bodies();
    let framed = |body: &[u8]| [&(body.len() as u32).to_be_bytes()[..], body].concat();
    let hello = [&b[0][..], &[0]].concat();
    let ping = RequestHeader { xid: -2, op: 11 }.to_bytes();
    let mut seeds = vec![
        [&[0], &framed(&hello)[..], &framed(&ping)].concat(),
        [&[1], &framed(&b[0])[..], &framed(&ping)].concat(),
    ];
    for (op, body) in [(1, &b[2]), (4, &b[5]), (14, &b[9]), (-11, &vec![])] {
        let frame = [RequestHeader { xid: 1, op }.to_bytes(), body.clone()].concat();
        seeds.push([&[0], &framed(&hello)[..], &framed(&frame), &framed(&ping)].concat());
    }
    for word in zabra::admin::words::TABLE {
        seeds.push([&[2], &word.code.to_be_bytes()[..], &[0; 8]].concat());
    }
    seeds
}
