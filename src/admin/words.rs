//! The table of four-letter words, who may use them, and what they answer.
//!
//! The first four bytes of a connection, read as a big-endian number, are looked up here; anything
//! else is a frame length. Apache: `FourLetterCommands`, `CommandExecutor`.

use super::replies;
use super::view::ServerView;

/// The reply of most words when nothing is served (58 bytes).
pub const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";
/// `hash` leaves the newline off.
const NOT_SERVING_BARE: &str = "This ZooKeeper instance is not currently serving requests";

/// One word.
pub struct Word {
    /// Its four bytes as a big-endian number.
    pub code: i32,
    /// Its name, as in the whitelist and the log.
    pub name: &'static str,
    /// What it answers while nothing is served; `None`: the same as always.
    pub not_serving: Option<&'static str>,
    /// The answer.
    reply: fn(&dyn ServerView, Argument, &mut String),
}

/// The eight bytes that follow `stmk`.
pub type Argument = Option<i64>;

const fn code(bytes: [u8; 4]) -> i32 {
    i32::from_be_bytes(bytes)
}

macro_rules! words {
    ($($name:literal $bytes:expr, $not_serving:expr, $reply:expr;)*) => {
        /// All words.
        pub static TABLE: &[Word] = &[$(Word {
            code: code($bytes),
            name: $name,
            not_serving: $not_serving,
            reply: $reply,
        },)*];
    };
}

words! {
    "conf" *b"conf", Some(NOT_SERVING), |view, _, out| replies::conf(view, out);
    "cons" *b"cons", Some(NOT_SERVING), |view, _, out| replies::cons(view, out);
    "crst" *b"crst", Some(NOT_SERVING), |view, _, out| replies::crst(view, out);
    "dirs" *b"dirs", Some(NOT_SERVING), |view, _, out| replies::dirs(view, out);
    "dump" *b"dump", Some(NOT_SERVING), |view, _, out| replies::dump(view, out);
    "envi" *b"envi", None, |view, _, out| replies::envi(view, out);
    "gtmk" *b"gtmk", None, |view, _, out| replies::gtmk(view, out);
    "hash" *b"hash", Some(NOT_SERVING_BARE), |view, _, out| replies::hash(view, out);
    "isro" *b"isro", Some("null"), |view, _, out| replies::isro(view, out);
    "mntr" *b"mntr", Some(NOT_SERVING), |view, _, out| replies::mntr(view, out);
    "ruok" *b"ruok", None, |_, _, out| out.push_str("imok");
    "srst" *b"srst", Some(NOT_SERVING), |view, _, out| replies::srst(view, out);
    "srvr" *b"srvr", Some(NOT_SERVING), |view, _, out| replies::srvr(view, out);
    "stat" *b"stat", Some(NOT_SERVING), |view, _, out| replies::stat(view, out);
    "stmk" *b"stmk", None, replies::stmk;
    "wchc" *b"wchc", Some(NOT_SERVING), |view, _, out| replies::wchc(view, out);
    "wchp" *b"wchp", Some(NOT_SERVING), |view, _, out| replies::wchp(view, out);
    "wchs" *b"wchs", Some(NOT_SERVING), |view, _, out| replies::wchs(view, out);
    // What a telnet client sends on interrupt (IAC IP, IAC DM): known so that it can be refused,
    // but there is nothing to answer.
    "telnet close" [0xff, 0xf4, 0xff, 0xfd], None, |_, _, _| {};
}

/// The word that these four bytes are, if any.
#[must_use]
pub fn find(code: i32) -> Option<&'static Word> {
    TABLE.iter().find(|word| word.code == code)
}

impl Word {
    /// Whether eight more bytes belong to it, a big-endian number: `stmk`.
    #[must_use]
    pub fn takes_argument(&self) -> bool {
        self.code == code(*b"stmk")
    }
}

/// The words that may be used. Apache: `FourLetterCommands.isEnabled`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whitelist {
    all: bool,
    names: Vec<String>,
}

impl Whitelist {
    /// Reads `4lw.commands.whitelist`: names between commas, `*` for all. `srvr` is always in,
    /// `isro` if this server may serve in read-only mode (`readonlymode.enabled` is exactly `true`).
    #[must_use]
    pub fn parse(setting: Option<&str>, read_only_mode: bool) -> Self {
        let names = setting
            .unwrap_or("")
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        let all = names.iter().any(|name| name == "*");
        names.push("srvr".to_owned());
        if read_only_mode {
            names.push("isro".to_owned());
        }
        Self { all, names }
    }

    /// Whether `word` may be used.
    #[must_use]
    pub fn allows(&self, word: &Word) -> bool {
        self.all || self.names.iter().any(|name| name == word.name)
    }
}

/// The reply to a word, to be written as it is; then the connection is closed. An empty one means to
/// close without a word (`stmk` without its number, the telnet interrupt).
#[must_use]
pub fn execute(
    word: &Word,
    argument: Argument,
    whitelist: &Whitelist,
    view: &dyn ServerView,
) -> String {
    if !whitelist.allows(word) {
        return format!(
            "{} is not executed because it is not in the whitelist.\n",
            word.name
        );
    }
    if let Some(text) = word.not_serving
        && !view.is_serving()
    {
        return text.to_owned();
    }
    let mut out = String::new();
    (word.reply)(view, argument, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::admin::fake::FakeServer;

    fn all() -> Whitelist {
        Whitelist::parse(Some("*"), false)
    }

    fn ask(server: &FakeServer, name: &str) -> String {
        let word = TABLE.iter().find(|word| word.name == name).expect("a word");
        execute(word, None, &all(), server)
    }

    /// Each probe is a connection, a packet received and a packet sent.
    fn one_probe_later(mut server: FakeServer, port: u16) -> FakeServer {
        server.stats.received += 1;
        server.stats.sent += 1;
        let probe = server.connections.last_mut().expect("the probe");
        probe.remote.set_port(port);
        server
    }

    macro_rules! golden {
        ($role:literal, $word:literal) => {
            include_str!(concat!(
                "../../compat-tests/golden/ops/3.9.4-",
                $role,
                "-",
                $word,
                ".txt"
            ))
        };
    }

    #[test]
    fn codes_are_the_bytes() {
        assert_eq!(find(0x7275_6f6b).map(|word| word.name), Some("ruok"));
        assert_eq!(find(-720_899).map(|word| word.name), Some("telnet close"));
        for unknown in ["lead", "orst", "obsr", "sysp", "rqpi", "reqs", "kill"] {
            let bytes = unknown.as_bytes().try_into().expect("four bytes");
            assert!(find(i32::from_be_bytes(bytes)).is_none(), "{unknown}");
        }
        for word in TABLE {
            assert_eq!(find(word.code).map(|w| w.name), Some(word.name));
            assert_eq!(word.takes_argument(), word.name == "stmk");
        }
        assert_eq!(TABLE.len(), 19);
    }

    #[test]
    fn replies_of_a_standalone_server_are_apaches() {
        let server = FakeServer::standalone();
        assert_eq!(ask(&server, "srvr"), golden!("standalone", "srvr"));
        assert_eq!(
            ask(&one_probe_later(server, 39_364), "stat"),
            golden!("standalone", "stat")
        );
        let server = FakeServer::standalone();
        assert_eq!(ask(&server, "cons"), golden!("standalone", "cons"));
        assert_eq!(ask(&server, "conf"), golden!("standalone", "conf"));
        assert_eq!(ask(&server, "dump"), golden!("standalone", "dump"));
        assert_eq!(ask(&server, "wchs"), golden!("standalone", "wchs"));
        assert_eq!(ask(&server, "wchc"), golden!("standalone", "wchc"));
        assert_eq!(ask(&server, "wchp"), golden!("standalone", "wchp"));
        assert_eq!(ask(&server, "dirs"), golden!("standalone", "dirs"));
        assert_eq!(ask(&server, "hash"), golden!("standalone", "hash"));
        assert_eq!(ask(&server, "ruok"), "imok");
        assert_eq!(ask(&server, "isro"), "rw");
        assert_eq!(ask(&server, "gtmk"), "306");
    }

    #[test]
    fn replies_of_an_ensemble_are_apaches() {
        let leader = FakeServer::leader();
        assert_eq!(ask(&leader, "srvr"), golden!("leader", "srvr"));
        assert_eq!(ask(&leader, "conf"), golden!("leader", "conf"));
        let observer = FakeServer::observer();
        assert_eq!(ask(&observer, "conf"), golden!("observer", "conf"));
        assert_eq!(ask(&observer, "dump"), golden!("observer", "dump"));
        let read_only = FakeServer::read_only();
        assert_eq!(ask(&read_only, "srvr"), golden!("readonly", "srvr"));
        let later = one_probe_later(FakeServer::read_only(), 51_122);
        assert_eq!(ask(&later, "stat"), golden!("readonly", "stat"));
        assert_eq!(ask(&read_only, "conf"), golden!("readonly", "conf"));
        assert_eq!(ask(&read_only, "dump"), golden!("readonly", "dump"));
        assert_eq!(ask(&read_only, "cons"), golden!("readonly", "cons"));
        assert_eq!(ask(&read_only, "wchc"), "\n");
        assert_eq!(ask(&read_only, "wchp"), "\n");
        assert_eq!(ask(&read_only, "isro"), "ro");
    }

    #[test]
    fn envi_has_the_keys_of_apache() {
        let keys = |text: &str| -> Vec<String> {
            text.lines()
                .map(|line| line.split('=').next().unwrap_or("").to_owned())
                .collect()
        };
        let ours = ask(&FakeServer::standalone(), "envi");
        assert_eq!(keys(&ours), keys(golden!("standalone", "envi")));
        let line = ours.lines().nth(1).expect("a version line");
        let version = line
            .strip_prefix("zookeeper.version=")
            .expect("zookeeper.version");
        assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{line}");
    }

    #[test]
    fn nothing_served() {
        let mut server = FakeServer::standalone();
        server.serving = false;
        for word in TABLE {
            let want = match word.name {
                "isro" => "null".to_owned(),
                "hash" => NOT_SERVING.trim_end().to_owned(),
                "ruok" => "imok".to_owned(),
                "gtmk" => "306".to_owned(),
                "envi" | "stmk" | "telnet close" => continue,
                _ => NOT_SERVING.to_owned(),
            };
            assert_eq!(ask(&server, word.name), want, "{}", word.name);
        }
        assert_eq!(NOT_SERVING.len(), 58);
        assert!(ask(&server, "envi").starts_with("Environment:\n"));
    }

    #[test]
    fn the_whitelist() {
        let server = FakeServer::standalone();
        let allowed = |whitelist: &Whitelist| -> Vec<&str> {
            TABLE
                .iter()
                .filter(|word| whitelist.allows(word))
                .map(|word| word.name)
                .collect()
        };
        assert_eq!(allowed(&Whitelist::parse(None, false)), ["srvr"]);
        assert_eq!(allowed(&Whitelist::parse(Some(""), true)), ["isro", "srvr"]);
        let some = Whitelist::parse(Some(" stat, ruok,,RUOK ,isro "), false);
        assert_eq!(allowed(&some), ["isro", "ruok", "srvr", "stat"]);
        assert_eq!(
            allowed(&Whitelist::parse(Some("stat, *"), false)).len(),
            TABLE.len()
        );

        let mntr = find(code(*b"mntr")).expect("a word");
        let refused = execute(mntr, None, &some, &server);
        assert_eq!(
            refused,
            "mntr is not executed because it is not in the whitelist.\n"
        );
        assert_eq!(refused.len(), 57);
    }

    #[test]
    fn the_trace_mask_is_kept() {
        let server = FakeServer::standalone();
        let stmk = find(code(*b"stmk")).expect("a word");
        assert_eq!(execute(stmk, Some(250), &all(), &server), "250");
        assert_eq!(ask(&server, "gtmk"), "250");
        assert_eq!(execute(stmk, None, &all(), &server), "");
        assert_eq!(ask(&server, "gtmk"), "250");
    }

    #[test]
    fn resets() {
        let server = FakeServer::standalone();
        assert_eq!(ask(&server, "crst"), "Connection stats reset.\n");
        assert_eq!(ask(&server, "srst"), "Server stats reset.\n");
        assert_eq!(server.connection_resets.load(Ordering::Relaxed), 1);
        assert_eq!(server.server_resets.load(Ordering::Relaxed), 1);
        assert_eq!(ask(&server, "telnet close"), "");
    }
}
