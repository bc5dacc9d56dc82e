//! The layers of ARCHITECTURE.md, as a test over the source: who may import whom, and what the pure
//! layers must not touch.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders of `src` and their layer; a folder may use those of lower layers, and what `SIDEWAYS` says.
const LAYERS: &[(&str, u8)] = &[
    ("base", 0),
    ("jute", 1),
    ("proto", 1),
    ("config", 1),
    ("telemetry", 1),
    ("tree", 2),
    ("session", 2),
    ("zab", 2),
    ("store", 2),
    ("pipeline", 3),
    ("quorum", 3),
    ("conn", 4),
    ("peer", 4),
    ("admin", 4),
    ("bench", 5),
    ("runtime", 5),
];

/// Uses inside one layer, each with its reason.
const SIDEWAYS: &[(&str, &str)] = &[
    ("proto", "jute"),      // records are declared with the codec
    ("quorum", "pipeline"), // a role runs the server
];

/// Uses upwards, each with its reason.
const UPWARDS: &[(&str, &str)] = &[("base/stat.rs", "jute"), ("jute/record.rs", "base")];

/// What code below L4 must not say; `store/os` may touch files.
const IMPURE: &[&str] = &[
    "tokio::",
    "std::net::Tcp",
    "std::fs",
    "std::time::Instant",
    "std::time::SystemTime",
    "async fn",
    "collections::HashMap",
    "collections::HashSet",
];

/// Files below L4 that may, each with its reason.
const IMPURE_ALLOWED: &[(&str, &str)] = &[
    ("store/os/", "the real files"),
    ("telemetry/log", "writes the log"),
    ("telemetry/zone", "reads the time zone"),
    ("telemetry/prometheus", "tests compare with captures"),
    ("config/load_tests", "a test's own files"),
];

/// Files that may hold unsafe code.
const UNSAFE: &[&str] = &["base/thin.rs", "store/os/mmap.rs"];

fn source() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let name = |p: &PathBuf| {
        p.strip_prefix(&root)
            .unwrap()
            .to_string_lossy()
            .into_owned()
    };
    files
        .iter()
        .map(|p| (name(p), shipped(&fs::read_to_string(p).unwrap())))
        .collect()
}

fn collect(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// The code without comments and without the tests at its end.
fn shipped(text: &str) -> String {
    let code = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    code.lines()
        .filter(|l| !l.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn layer(folder: &str) -> Option<u8> {
    LAYERS
        .iter()
        .find(|(name, _)| *name == folder)
        .map(|(_, layer)| *layer)
}

fn folder(file: &str) -> &str {
    file.split('/').next().unwrap_or_default()
}

/// The folders that `code` names as `crate::folder`.
fn used(code: &str) -> Vec<&str> {
    let ends = |c: char| !(c.is_alphanumeric() || c == '_');
    let names = code.split("crate::").skip(1);
    names
        .filter_map(|rest| rest.split(ends).next())
        .filter(|n| layer(n).is_some())
        .collect()
}

#[test]
fn every_folder_has_a_layer() {
    for (file, _) in source() {
        let known = layer(folder(&file)).is_some();
        assert!(
            known || file == "lib.rs" || file == "main.rs",
            "{file} belongs to no layer"
        );
    }
}

#[test]
fn imports_point_downward() {
    let mut wrong = Vec::new();
    for (file, code) in source() {
        let Some(mine) = layer(folder(&file)) else {
            continue;
        };
        for other in used(&code) {
            let fine = other == folder(&file)
                || layer(other).is_some_and(|theirs| theirs < mine)
                || SIDEWAYS.contains(&(folder(&file), other))
                || UPWARDS.contains(&(file.as_str(), other));
            if !fine {
                wrong.push(format!("{file} uses {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_decides_is_pure() {
    let mut wrong = Vec::new();
    for (file, code) in source() {
        if layer(folder(&file)).is_none_or(|l| l > 3)
            || IMPURE_ALLOWED
                .iter()
                .any(|(prefix, _)| file.starts_with(prefix))
        {
            continue;
        }
        for word in IMPURE.iter().filter(|w| code.contains(**w)) {
            wrong.push(format!("{file}: {word}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_stays_where_it_is() {
    for (file, code) in source() {
        let has = code.contains("unsafe {") || code.contains("unsafe impl");
        assert!(
            !has || UNSAFE.contains(&file.as_str()),
            "{file} has unsafe code"
        );
    }
}

/// A metric that nobody feeds is a panel that lies: each is recorded, or COMPAT.md says why not.
#[test]
fn each_metric_is_recorded_or_said_not_to_be() {
    use zabra::telemetry::metrics::{Kind, TABLE, UNFED};
    let code: Vec<String> = source()
        .into_iter()
        .filter(|(file, _)| !file.starts_with("telemetry/"))
        .map(|(_, code)| code.split_whitespace().collect())
        .collect();
    let recorded = |name: &str| {
        let field = format!("METRICS.{name}");
        let whole = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        code.iter()
            .any(|text| text.split(&field).skip(1).any(whole))
    };
    let unfed = |name| UNFED.iter().any(|(_, names)| names.contains(&name));
    let counted = TABLE
        .iter()
        .filter(|def| !matches!(def.kind, Kind::Gauge | Kind::GaugeSet));
    let wrong: Vec<_> = counted
        .filter(|def| recorded(def.name) == unfed(def.name))
        .map(|def| def.name)
        .collect();
    assert!(
        wrong.is_empty(),
        "recorded and unfed, or neither: {wrong:?}"
    );
}
