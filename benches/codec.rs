//! What decoding and encoding cost: requests, answers, transactions.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use zabra::base::{Acl, Stat};
use zabra::jute::{Jute, Output as _};
use zabra::proto::op::OpCode;
use zabra::proto::request::{
    AclResponse, AclWire, CreateRequest, DataResponse, IdWire, ReadRequest, RequestHeader,
    SetDataRequest, reply_header,
};

const PATH: &str = "/zabra-bench/p00042/n0000123456";

fn request(op: OpCode, put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    RequestHeader {
        xid: 7,
        op: op as i32,
    }
    .encode(&mut out);
    put(&mut out);
    out
}

fn create() -> CreateRequest<'static> {
    let anyone = IdWire {
        scheme: Some("world".into()),
        id: Some("anyone".into()),
    };
    CreateRequest {
        path: Some(PATH.into()),
        data: Some(&[b'x'; 100]),
        acl: Some(vec![AclWire {
            perms: 31,
            id: anyone,
        }]),
        flags: 0,
    }
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    let get = request(OpCode::GetData, |out| {
        ReadRequest {
            path: Some(PATH.into()),
            watch: false,
        }
        .encode(out);
    });
    let set = request(OpCode::SetData, |out| {
        let data = Some(&[b'x'; 1024][..]);
        SetDataRequest {
            path: Some(PATH.into()),
            data,
            version: -1,
        }
        .encode(out);
    });
    let create = request(OpCode::Create, |out| create().encode(out));
    group.throughput(Throughput::Elements(1));
    group.bench_function("get", |b| {
        b.iter(|| <(RequestHeader, ReadRequest<'_>)>::of(black_box(&get)));
    });
    group.bench_function("set 1 KB", |b| {
        b.iter(|| <(RequestHeader, SetDataRequest<'_>)>::of(black_box(&set)));
    });
    group.bench_function("create 100 B", |b| {
        b.iter(|| <(RequestHeader, CreateRequest<'_>)>::of(black_box(&create)));
    });
    group.finish();
}

/// A header and the record behind it.
trait Pair<'a>: Sized {
    fn of(bytes: &'a [u8]) -> Self;
}

impl<'a, R: Jute<'a>> Pair<'a> for (RequestHeader, R) {
    fn of(bytes: &'a [u8]) -> Self {
        let mut input = zabra::jute::Input::new(bytes);
        let head = RequestHeader::decode(&mut input).expect("a request");
        (head, R::decode(&mut input).expect("a request"))
    }
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    let data = DataResponse {
        data: Some(&[b'x'; 100]),
        stat: Stat::default(),
    };
    let acl = AclResponse {
        acl: Some(Acl::open()),
        stat: Stat::default(),
    };
    let mut out = Vec::with_capacity(4096);
    group.bench_function("get reply 100 B", |b| {
        b.iter(|| {
            out.clear();
            reply_header(&mut out, 7, 9, 0);
            black_box(&data).encode(&mut out);
            black_box(out.len())
        });
    });
    group.bench_function("getACL reply", |b| {
        b.iter(|| {
            out.clear();
            reply_header(&mut out, 7, 9, 0);
            black_box(&acl).encode(&mut out);
            black_box(out.len())
        });
    });
    let names: Vec<String> = (0..1000).map(|n| format!("n{n:010}")).collect();
    group.throughput(Throughput::Elements(1000));
    group.bench_function("1,000 names", |b| {
        b.iter(|| {
            out.clear();
            out.count(names.len());
            for name in black_box(&names) {
                out.string(Some(name));
            }
            black_box(out.len())
        });
    });
    group.finish();
}

criterion_group!(codec, decode, encode);
criterion_main!(codec);
