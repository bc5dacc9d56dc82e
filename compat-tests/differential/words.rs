//! The four-letter words section: both servers are brought into the same state, then every word is
//! asked of both and the shapes of the answers are compared.

use std::time::{Duration, Instant};

use crate::args::Args;
use crate::conn::{Conn, Got};
use crate::generate::epilogue;
use crate::make::{add_watch, children, create, exists, get};
use crate::pair::{Launchers, Pair};
use crate::profiles::Profile;
use crate::program::{Hello, Step};
use crate::runner::{Ledger, run};
use crate::servers::Server;
use crate::shape::{self, Shape};
use crate::world::LONG_TIMEOUT_MS;

/// How a word is asked and how its answer is read.
struct Question {
    name: &'static str,
    /// Pieces written one after another.
    pieces: &'static [&'static [u8]],
    half_close: bool,
    shape: fn(&str) -> Shape,
}

const fn word(
    name: &'static str,
    piece: &'static [&'static [u8]],
    shape: fn(&str) -> Shape,
) -> Question {
    Question {
        name,
        pieces: piece,
        half_close: false,
        shape,
    }
}

/// In the order they are asked: the words that reset something come last.
const QUESTIONS: [Question; 34] = [
    word("ruok", &[b"ruok"], shape::exact),
    word("ruok newline", &[b"ruok\n"], shape::exact),
    word("ruok crlf", &[b"ruok\r\n"], shape::exact),
    word("ruok and more", &[b"ruok and more"], shape::exact),
    word("ruok in pieces", &[b"r", b"u", b"o", b"k"], shape::exact),
    Question {
        name: "ruok, half closed",
        pieces: &[b"ruok"],
        half_close: true,
        shape: shape::exact,
    },
    Question {
        name: "stat, half closed",
        pieces: &[b"stat"],
        half_close: true,
        shape: shape::stat,
    },
    word("isro", &[b"isro"], shape::exact),
    word("gtmk", &[b"gtmk"], shape::exact),
    word("stmk", &[b"stmk\0\0\0\0\0\0\x01\x32"], shape::exact),
    word("gtmk again", &[b"gtmk"], shape::exact),
    word("conf", &[b"conf"], shape::conf),
    word("srvr", &[b"srvr"], shape::stat),
    word("stat", &[b"stat"], shape::stat),
    word("cons", &[b"cons"], shape::cons),
    word("dump", &[b"dump"], shape::dump),
    word("envi", &[b"envi"], shape::keys),
    word("dirs", &[b"dirs"], shape::digits),
    word("wchs", &[b"wchs"], shape::exact),
    word("wchc", &[b"wchc"], shape::watches),
    word("wchp", &[b"wchp"], shape::watches),
    word("hash", &[b"hash"], shape::keys),
    word("mntr", &[b"mntr"], shape::mntr),
    word("telnet close", &[b"\xff\xf4\xff\xfd"], shape::exact),
    word("unknown", &[b"zzzz"], shape::exact),
    word("upper case", &[b"RUOK"], shape::exact),
    word("lead", &[b"lead"], shape::exact),
    word("reqs", &[b"reqs"], shape::exact),
    word("kill", &[b"kill"], shape::exact),
    word("http", &[b"GET / HTTP/1.1\r\n\r\n"], shape::exact),
    word("crst", &[b"crst"], shape::exact),
    word("srst", &[b"srst"], shape::exact),
    word("srvr after srst", &[b"srvr"], shape::stat),
    word("ruok at the end", &[b"ruok"], shape::exact),
];

/// Counters move on their own: both are asked again and again, and a difference counts only when
/// it stays for this long.
const SETTLE: Duration = Duration::from_secs(3);

/// Compares the words under a profile that allows all of them and one that allows none.
pub fn section(args: &Args, launchers: &Launchers, ledger: &mut Ledger) -> Result<(), String> {
    for name in ["main", "defaults"] {
        if args.profile.as_deref().is_some_and(|p| p != name) {
            continue;
        }
        let profile = Profile::named(name)?;
        let pair = Pair::start(launchers, profile)?;
        let before = ledger.differences;
        if let Some(found) = setting(&pair) {
            ledger.differences += 1;
            println!("DIFFERENCE before the words: {}", found);
            continue;
        }
        for question in &QUESTIONS {
            compare(&pair.servers, question, profile, ledger);
        }
        let found = ledger.differences - before;
        println!(
            "words, profile {name}: {} words, {found} differences",
            QUESTIONS.len()
        );
    }
    Ok(())
}

/// Sessions, ephemerals and watches for the words to show.
fn setting(pair: &Pair) -> Option<String> {
    let hello = || Hello::new(LONG_TIMEOUT_MS);
    let connect = |slot| Step::Connect {
        slot,
        hello: hello(),
        take_over: false,
        then: Vec::new(),
    };
    let send = |slot, op| Step::Send {
        slot,
        batch: vec![op],
        chunk: None,
    };
    let mut steps: Vec<Step> = (0..3).map(connect).collect();
    steps.push(send(0, create("/words", 0)));
    for n in 0..130 {
        steps.push(send(
            n % 3,
            create(&format!("/words/n{n}"), i32::from(n < 4)),
        ));
    }
    steps.push(send(0, get("/words", true)));
    steps.push(send(0, get("/words/n1", true)));
    steps.push(send(0, exists("/absent", true)));
    steps.push(send(1, get("/words", true)));
    steps.push(send(1, children("/words", true)));
    steps.push(send(1, add_watch("/words", 0)));
    steps.push(send(2, add_watch("/words", 1)));
    let found = steps.iter().find_map(|step| {
        let (left, right) = pair.step(step);
        (left != right).then(|| step.to_string())
    });
    if found.is_some() {
        run(pair, &epilogue(), &mut Ledger::default());
    }
    found
}

fn compare(servers: &[Server; 2], question: &Question, profile: &Profile, ledger: &mut Ledger) {
    let deadline = Instant::now() + SETTLE;
    loop {
        let [left, right] = [0, 1].map(|n| ask(&servers[n], question));
        let shapes = [&left, &right].map(|text| (question.shape)(text));
        let differences = shape::differences(&shapes[0], &shapes[1], &mut ledger.tally);
        if differences.is_empty() {
            if question.name == "envi" && left != right {
                ledger.tally.count("JVM");
            }
            return;
        }
        if Instant::now() >= deadline {
            ledger.differences += 1;
            println!("DIFFERENCE profile {} word {}", profile.name, question.name);
            for line in differences {
                println!("    {line}");
            }
            return;
        }
    }
}

/// The answer, with a note when the connection did not end as it should.
fn ask(server: &Server, question: &Question) -> String {
    let Ok(mut conn) = Conn::open(server.addr) else {
        return "no connection".to_owned();
    };
    for piece in question.pieces {
        conn.send(piece);
    }
    if question.half_close {
        conn.half_close();
    }
    let (answer, end) = conn.read_to_end(Duration::from_secs(5));
    let text = String::from_utf8_lossy(&answer).into_owned();
    match end {
        Got::Closed => text,
        _ => format!("{text}\n(not closed)"),
    }
}
