//! Golden data directories: unpacked, and what they must load to.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde_json::Value;
use tempfile::TempDir;
use zabra::base::{Acl, Id, Perms, Stat};

/// A node as a client sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View {
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) stat: Stat,
    pub(crate) acl: Vec<Acl>,
}

/// A tree as a client sees it.
pub(crate) type Tree = BTreeMap<String, View>;

/// An unpacked archive.
pub(crate) struct Golden {
    dir: TempDir,
    name: String,
}

impl Golden {
    /// Unpacks `golden/disk/<name>.tar.gz`.
    pub(crate) fn unpack(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let archive = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("compat-tests/golden/disk")
            .join(format!("{name}.tar.gz"));
        let mut bytes = Vec::new();
        GzDecoder::new(File::open(archive).unwrap())
            .read_to_end(&mut bytes)
            .unwrap();
        untar(&bytes, dir.path());
        Self {
            dir,
            name: name.to_owned(),
        }
    }

    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.dir.path().join(&self.name).join(inside)
    }

    pub(crate) fn json(&self, inside: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(inside)).unwrap()).unwrap()
    }

    /// The `nodes` of a JSON file.
    pub(crate) fn tree(&self, inside: &str) -> Tree {
        let json = self.json(inside);
        let nodes = json["nodes"].as_object().unwrap();
        nodes.iter().map(|(p, n)| (p.clone(), view(n))).collect()
    }

    /// A copy of `data` (and of `datalog`, if there is one) that a test may change.
    pub(crate) fn copy(&self, data: &str) -> Copy {
        let dir = tempfile::tempdir().unwrap();
        copy_all(&self.path(data), &dir.path().join("data"));
        let log = self.path("datalog");
        let split = log.is_dir();
        if split {
            copy_all(&log, &dir.path().join("datalog"));
        }
        Copy { dir, split }
    }
}

/// A data directory of a test's own.
pub(crate) struct Copy {
    dir: TempDir,
    split: bool,
}

impl Copy {
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn log(&self) -> PathBuf {
        match self.split {
            true => self.dir.path().join("datalog"),
            false => self.data(),
        }
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_all(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

fn view(node: &Value) -> View {
    let stat = &node["stat"];
    let long = |name: &str| stat[name].as_i64().unwrap();
    let int = |name: &str| i32::try_from(long(name)).unwrap();
    View {
        data: node["data"].as_str().map(|d| STANDARD.decode(d).unwrap()),
        stat: Stat {
            czxid: long("czxid"),
            mzxid: long("mzxid"),
            ctime: long("ctime"),
            mtime: long("mtime"),
            version: int("version"),
            cversion: int("cversion"),
            aversion: int("aversion"),
            ephemeral_owner: long("ephemeralOwner"),
            data_length: int("dataLength"),
            num_children: int("numChildren"),
            pzxid: long("pzxid"),
        },
        acl: acl(&node["acl"]),
    }
}

fn acl(list: &Value) -> Vec<Acl> {
    let one = |entry: &Value| Acl {
        perms: Perms(entry[0].as_i64().unwrap() as i32),
        id: Id::new(entry[1].as_str().unwrap(), entry[2].as_str().unwrap()),
    };
    list.as_array().unwrap().iter().map(one).collect()
}

/// Unpacks plain files and directories of a ustar archive; other headers are skipped.
fn untar(mut bytes: &[u8], to: &Path) {
    while let Some((header, rest)) = bytes.split_at_checked(512) {
        let text = |range: std::ops::Range<usize>| {
            let field = &header[range];
            let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
            std::str::from_utf8(&field[..end]).unwrap()
        };
        let (name, size, prefix) = (text(0..100), text(124..136), text(345..500));
        if name.is_empty() {
            break;
        }
        let size = usize::from_str_radix(size.trim(), 8).unwrap();
        let path = to.join(prefix).join(name);
        match header[156] {
            b'5' => fs::create_dir_all(path).unwrap(),
            b'0' | 0 => {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, &rest[..size]).unwrap();
            }
            _ => {}
        }
        bytes = &rest[size.next_multiple_of(512)..];
    }
}
