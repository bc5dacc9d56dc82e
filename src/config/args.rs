//! The command line.

use super::error::ConfigError;

/// What `zabra` was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Run a server.
    Server(ServerArgs),
    /// `--version`.
    Version,
    /// `--help`.
    Help,
    /// Another subcommand with all that follows it.
    Other(String, Vec<String>),
}

/// Arguments of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerArgs {
    /// `-Dname=value`, in order.
    pub defines: Vec<(String, String)>,
    /// Everything else: nothing, a zoo.cfg, or `<port> <dataDir> [tick [connections]]`.
    pub words: Vec<String>,
}

/// Subcommands besides `server`; `main` runs them.
pub const SUBCOMMANDS: &[&str] = &["bench", "handover"];

/// Text of `--help`.
pub const HELP: &str = "\
Usage: zabra [server] [-Dname=value ...] [zoo.cfg]
       zabra [server] [-Dname=value ...] <port> <dataDir> [tickTime [maxClientCnxns]]
       zabra handover [--to SID] <zoo.cfg or dataDir of the leader>
       zabra bench [options]
       zabra --version | --help

Without a zoo.cfg the server listens on 127.0.0.1:2181 and keeps its data in ./data.
Words and -D options may stand in any order. -D sets a system property; SERVER_JVMFLAGS and
JVMFLAGS are read for -D options as well, and other JVM options in them are ignored.
";

impl Invocation {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// An option that is not known.
    pub fn parse(argv: &[String]) -> Result<Invocation, ConfigError> {
        let mut args = ServerArgs::default();
        let mut server_named = false;
        let mut rest = argv.iter();
        while let Some(word) = rest.next() {
            match classify(word) {
                Word::Define(name, value) => args.defines.push((name, value)),
                Word::Jvm => {}
                Word::Version => return Ok(Invocation::Version),
                Word::Help => return Ok(Invocation::Help),
                Word::UnknownOption => {
                    return Err(ConfigError::arguments(format!(
                        "Unrecognized option: {word}"
                    )));
                }
                Word::Plain if word == "server" && args.words.is_empty() && !server_named => {
                    server_named = true;
                }
                Word::Plain
                    if SUBCOMMANDS.contains(&word.as_str())
                        && args.words.is_empty()
                        && !server_named =>
                {
                    return Ok(Invocation::Other(word.clone(), rest.cloned().collect()));
                }
                Word::Plain => args.words.push(word.clone()),
            }
        }
        Ok(Invocation::Server(args))
    }
}

pub(super) enum Word {
    Define(String, String),
    Jvm,
    Version,
    Help,
    UnknownOption,
    Plain,
}

pub(super) fn classify(word: &str) -> Word {
    if let Some(define) = word.strip_prefix("-D").filter(|define| !define.is_empty()) {
        let (name, value) = define.split_once('=').unwrap_or((define, ""));
        return Word::Define(name.to_string(), value.to_string());
    }
    const IGNORED: &[&str] = &[
        "-X",
        "-ea",
        "-da",
        "-esa",
        "-dsa",
        "-enableassertions",
        "-disableassertions",
        "-server",
        "-client",
        "-verbose",
        "-javaagent:",
        "-agentlib:",
        "-agentpath:",
        "--add-opens",
        "--add-exports",
        "--add-modules",
        "--add-reads",
        "--enable-native-access",
        "-d32",
        "-d64",
    ];
    match word {
        "--version" | "-version" | "-V" => Word::Version,
        "--help" | "-help" | "-h" | "-?" => Word::Help,
        "-" | "--" => Word::Plain,
        _ if IGNORED.iter().any(|prefix| word.starts_with(prefix)) => Word::Jvm,
        _ if word.starts_with('-') => Word::UnknownOption,
        _ => Word::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(line: &str) -> Result<Invocation, ConfigError> {
        let argv: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        Invocation::parse(&argv)
    }

    fn server(line: &str) -> (Vec<(String, String)>, Vec<String>) {
        match parse(line) {
            Ok(Invocation::Server(args)) => (args.defines, args.words),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|word| word.to_string()).collect()
    }

    #[test]
    fn words_in_any_order() {
        let define = vec![("a".to_string(), "b=c".to_string())];
        for line in [
            "server -Da=b=c zoo.cfg",
            "-Da=b=c server zoo.cfg",
            "server zoo.cfg -Da=b=c",
            "-Da=b=c zoo.cfg",
            "zoo.cfg -Da=b=c",
            "-Xmx1g -XX:+UseG1GC zoo.cfg -Da=b=c",
        ] {
            assert_eq!(
                server(line),
                (define.clone(), words(&["zoo.cfg"])),
                "{line}"
            );
        }
        assert_eq!(server(""), (vec![], vec![]));
        assert_eq!(server("server"), (vec![], vec![]));
        assert_eq!(
            server("2181 data 2000 9").1,
            words(&["2181", "data", "2000", "9"])
        );
        assert_eq!(
            server("server server").1,
            words(&["server"]),
            "a file called server"
        );
        assert_eq!(server("-Dx").0, [("x".to_string(), String::new())]);
    }

    #[test]
    fn other_invocations() {
        assert_eq!(parse("--version").unwrap(), Invocation::Version);
        assert_eq!(parse("server --help").unwrap(), Invocation::Help);
        assert_eq!(
            parse("bench --get -Dx").unwrap(),
            Invocation::Other("bench".into(), words(&["--get", "-Dx"]))
        );
        let error = parse("server --nope").unwrap_err();
        assert_eq!(error.cause(), "Unrecognized option: --nope");
        assert_eq!(error.exit_code().code(), 2);
    }

    proptest! {
        #[test]
        fn no_words_panic(argv in proptest::collection::vec(".{0,12}", 0..6)) {
            let _ = Invocation::parse(&argv);
        }
    }
}
