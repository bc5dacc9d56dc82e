//! COMPAT.md is generated from the tables the server itself uses. This test fails when the file is
//! not what they say; `ZABRA_BLESS=1 cargo test --test compat_md` writes it anew.

#[path = "compat_md/absent.rs"]
mod absent;
#[allow(dead_code)]
#[path = "differential/deviations.rs"]
mod deviations;
#[path = "compat_md/differences.rs"]
mod differences;

use std::fmt::Write as _;

use zabra::admin::words;
use zabra::config::keys::{self, Verdict};
use zabra::proto::op::Class;
use zabra::proto::{Code, OpCode};
use zabra::telemetry::metrics;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/COMPAT.md");

const INTRO: &str = "\
# Compatibility

Zabra follows **Apache ZooKeeper 3.9.5**; clients from 3.4 to 3.10 are served. What a client, an
operator's tool or another server reading the same directory can see is meant to be the same; a
difference that is not listed here is a bug. This file is generated from the tables in the source
(`ZABRA_BLESS=1 cargo test --test compat_md`).

How it is checked: the suites of other people's clients, stock clients driven by our own programs, and
a differential tester that sends the same seeded programs to Apache 3.9.5 and to Zabra and compares
every byte, all in `compat-tests/`.

## Not there yet

| what | what happens now |
| --- | --- |
| ensembles (election, replication, observers, reconfig) | a configuration with more than one server is refused at start |
| AdminServer (HTTP commands) | accepted, one WARN at start, no listener |
| TLS (`secureClientPort`, port unification) | refused at start: serving plaintext instead would be worse |
| SASL logins (DIGEST-MD5, GSSAPI) | a SASL request is answered as by an Apache server without a login context |
| audit log | accepted, one WARN at start |
";

fn render() -> String {
    let mut out = String::from(INTRO);
    differences(&mut out);
    operations(&mut out);
    codes(&mut out);
    four_letter_words(&mut out);
    configuration(&mut out);
    metric_names(&mut out);
    absent_names(&mut out);
    out
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn differences(out: &mut String) {
    out.push_str("\n## Differences on purpose\n\n| | Apache | Zabra |\n| --- | --- | --- |\n");
    for d in &deviations::TABLE {
        let _ = writeln!(out, "| {} | {} | {} |", d.id, cell(d.apache), cell(d.ours));
    }
    for (area, apache, ours) in differences::TABLE {
        let _ = writeln!(out, "| {area} | {} | {} |", cell(apache), cell(ours));
    }
}

fn operations(out: &mut String) {
    out.push_str("\n## Operations\n\n| code | name | |\n| --- | --- | --- |\n");
    for op in OpCode::ALL {
        let how = match op.class() {
            Class::Read => "read, answered from the local tree",
            Class::Write => "write, takes a zxid",
            Class::Connection => "concerns the connection",
            Class::Internal => "not accepted from a client at top level: -6, then close",
        };
        let _ = writeln!(out, "| {} | {} | {how} |", *op as i32, op.name());
    }
}

fn codes(out: &mut String) {
    out.push_str("\n## Error codes\n\n| code | name |\n| --- | --- |\n");
    for code in Code::ALL {
        let _ = writeln!(out, "| {} | {} |", *code as i32, code.name());
    }
}

fn four_letter_words(out: &mut String) {
    out.push_str("\n## Four-letter words\n\n");
    let names: Vec<String> = words::TABLE
        .iter()
        .map(|w| format!("`{}`", w.name))
        .collect();
    let _ = writeln!(
        out,
        "{}: all as in 3.9.5, with the same whitelist.",
        names.join(", ")
    );
}

fn configuration(out: &mut String) {
    out.push_str(
        "\n## Configuration\n\n| zoo.cfg | property | default | |\n| --- | --- | --- | --- |\n",
    );
    for row in keys::rows() {
        let verdict = match row.verdict {
            Verdict::Honoured => "honoured".to_owned(),
            Verdict::Ensemble => "parsed; for ensembles".to_owned(),
            Verdict::Planned => format!("not yet: {}", row.reason),
            Verdict::Silent => format!("accepted, no effect: {}", row.reason),
            Verdict::Warned => format!("accepted with a WARN: {}", row.reason),
            Verdict::Refused => format!("refused: {}", row.reason),
        };
        let default = [row.default, row.unit].join(" ");
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            cell(row.cfg),
            cell(row.property),
            cell(default.trim()),
            cell(&verdict)
        );
    }
}

fn metric_names(out: &mut String) {
    out.push_str(
        "\n## Metrics\n\n3.9's names and types, in `mntr` (with `zk_`) and at `/metrics`.\n\n",
    );
    out.push_str("| name | kind | |\n| --- | --- | --- |\n");
    for m in metrics::TABLE {
        let _ = writeln!(out, "| {} | {:?} | {} |", m.name, m.kind, cell(m.help));
    }
    out.push_str("\nThese stay at zero:\n\n| names | why |\n| --- | --- |\n");
    for (why, names) in metrics::UNFED {
        let _ = writeln!(out, "| {} | {why} |", names.join(", "));
    }
}

fn absent_names(out: &mut String) {
    out.push_str("\n## Names of 3.9.5 that are not in these tables\n\n");
    out.push_str("| | name | why |\n| --- | --- | --- |\n");
    for (list, name, why) in absent::TABLE {
        let _ = writeln!(out, "| {list} | {name} | {} |", cell(why));
    }
}

#[test]
fn compat_md_says_what_the_tables_say() {
    let wanted = render();
    if std::env::var_os("ZABRA_BLESS").is_some() {
        std::fs::write(FILE, &wanted).expect("COMPAT.md can be written");
    }
    let found = std::fs::read_to_string(FILE).expect("COMPAT.md is there");
    assert!(
        found == wanted,
        "COMPAT.md is stale: ZABRA_BLESS=1 cargo test --test compat_md"
    );
}
