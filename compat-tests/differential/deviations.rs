//! Where the two servers differ on purpose, and why. Every use of the table is counted and printed.

use std::collections::BTreeMap;

/// How this tester treats a deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Programs run into it; the difference is accepted and counted.
    Tolerated,
    /// Programs keep away from it; `alone` checks the answer we want, against us only.
    CheckedAlone,
    /// No program can reach it in a reasonable time.
    OutOfReach,
}

/// One difference on purpose.
pub struct Deviation {
    pub id: &'static str,
    pub apache: &'static str,
    pub ours: &'static str,
    pub how: How,
}

/// The whole list. A difference that is not covered here is a bug in one of the two servers, or in
/// this tester.
pub const TABLE: [Deviation; 15] = [
    Deviation {
        id: "DEV-1",
        apache: "writes a non-BMP character of an ACL id as two surrogates (CESU-8)",
        ours: "writes plain UTF-8, as the bytes came in",
        how: How::Tolerated,
    },
    Deviation {
        id: "DEV-2",
        apache: "closes the old connection of a session before it checks the new one's password",
        ours: "checks the password first: a stranger cannot cut a client off",
        how: How::CheckedAlone,
    },
    Deviation {
        id: "DEV-3",
        apache: "accepts createSession on an open connection and sends a second ConnectResponse",
        ours: "an opcode no client sends is unknown: -6, then close",
        how: How::CheckedAlone,
    },
    Deviation {
        id: "DEV-4",
        apache: "deleteContainer from any client deletes any childless node, without an ACL check",
        ours: "not a client's request: -6, then close",
        how: How::CheckedAlone,
    },
    Deviation {
        id: "DEV-5",
        apache: "createTTL with a mode that is not a TTL mode and a negative ttl ends the server",
        ours: "-8",
        how: How::CheckedAlone,
    },
    Deviation {
        id: "DEV-6",
        apache: "quota nodes in odd places or with odd data end the server, on each restart again",
        ours: "ordinary nodes; the bookkeeping cannot fail",
        how: How::CheckedAlone,
    },
    Deviation {
        id: "DEV-7",
        apache: "may log a write it could not decode, under a zxid already used",
        ours: "-5 and nothing logged",
        how: How::CheckedAlone,
    },
    Deviation {
        id: "DEV-8",
        apache: "sequence numbers stick at i32::MAX",
        ours: "the same rule up to there",
        how: How::OutOfReach,
    },
    Deviation {
        id: "DEV-9",
        apache: "a delete right behind a closeSession may fail with -111 over a child already gone",
        ours: "counts the children that are left",
        how: How::CheckedAlone,
    },
    Deviation {
        id: "DEV-10",
        apache: "the reply to an unknown opcode may overtake replies still in the pipeline",
        ours: "in order",
        how: How::CheckedAlone,
    },
    Deviation {
        id: "DEV-11",
        apache: "a container made with an ephemeral flag goes with a closeSession pipelined behind",
        ours: "a container is not an ephemeral, whatever the timing",
        how: How::CheckedAlone,
    },
    Deviation {
        id: "DEV-12",
        apache: "a write pipelined behind a setACL of its parent may still meet the old ACL",
        ours: "each write sees all writes before it",
        how: How::CheckedAlone,
    },
    Deviation {
        id: "AUTH-ORDER",
        apache: "an `auth` ACL entry becomes the client's identities in hash order",
        ours: "in the order they were added",
        how: How::Tolerated,
    },
    Deviation {
        id: "MNTR-3.10",
        apache: "3.9 has no op_count_* and ttl_node_* keys",
        ours: "prints those of 3.10 too",
        how: How::Tolerated,
    },
    Deviation {
        id: "JVM",
        apache: "describes its Java virtual machine in envi",
        ours: "has none: the same keys, values of our own",
        how: How::Tolerated,
    },
];

/// How often each deviation was met.
#[derive(Default)]
pub struct Tally(BTreeMap<&'static str, usize>);

impl Tally {
    /// Counts one use. The id must be in the table.
    pub fn count(&mut self, id: &str) {
        let entry = TABLE
            .iter()
            .find(|d| d.id == id)
            .expect("the id is in the table");
        *self.0.entry(entry.id).or_default() += 1;
    }

    /// The table with its counts.
    pub fn print(&self) {
        println!("deviations on purpose:");
        for d in &TABLE {
            let times = self.0.get(d.id).copied().unwrap_or(0);
            println!(
                "  {:10} {:12} x{times:<5} apache: {}",
                d.id,
                format!("{:?}", d.how),
                d.apache
            );
            println!("  {:31} ours: {}", "", d.ours);
        }
    }
}
