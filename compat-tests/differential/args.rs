//! Command line.

/// What the user asked for.
#[derive(Debug, Clone)]
pub struct Args {
    pub seeds: u64,
    pub first_seed: u64,
    pub steps: usize,
    /// Run only this program, on fresh servers, and say more.
    pub replay: Option<u64>,
    /// Indices of the steps to keep in a replay.
    pub keep: Option<Vec<usize>>,
    pub profile: Option<String>,
    pub without: Vec<String>,
    /// Attempts at making a difference smaller; 0 leaves it as found.
    pub shrink: usize,
    /// Give up after this many differences.
    pub max_differences: usize,
    /// Scenarios under every profile.
    pub full: bool,
    /// Go on behind differences and show one of each kind.
    pub survey: bool,
    /// Compare Apache with Apache: every difference is then a fault of this tester.
    pub oracle: bool,
    /// Print every step of a replay with its outcome.
    pub verbose: bool,
    pub sections: Vec<String>,
}

pub const HELP: &str = "\
Compares Zabra with Apache ZooKeeper, reply by reply.

  --seeds N          programs under the main profile; others get their share (default 10)
  --first-seed N     seed of the first program (default 1)
  --steps N          random steps of each program (default 300)
  --profile NAME     only this profile: main, defaults, open, enforce, reaper
  --only SECTION     selftest, scripted, random, words, counters, alone; may be repeated
  --without A,B      kinds of requests or steps to leave out
  --shrink N         attempts at shrinking a difference (default 40)
  --max N            stop after N differences (default 10)
  --full             scenarios under every profile, not just main and reaper
  --survey           go on behind differences, show one of each kind
  --oracle           run Apache against Apache
  --seed N --replay  run one program on fresh servers; with --keep 1,4-7 only those steps
  --verbose          print the steps of a replay

Environment: ZABRA_BIN, ZABRA_APACHE name the two programs.
";

impl Args {
    /// Parses the arguments; unknown ones are errors. `None` asks for help.
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut args = Self {
            seeds: 10,
            first_seed: 1,
            steps: 300,
            replay: None,
            keep: None,
            profile: None,
            without: Vec::new(),
            shrink: 40,
            max_differences: 10,
            full: false,
            survey: false,
            oracle: false,
            verbose: false,
            sections: Vec::new(),
        };
        let mut seed = None;
        let mut replay = false;
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--help" | "-h" => return Ok(None),
                "--seeds" => args.seeds = number(&value()?)?,
                "--first-seed" => args.first_seed = number(&value()?)?,
                "--steps" => args.steps = number(&value()?)?,
                "--seed" => seed = Some(number(&value()?)?),
                "--replay" => replay = true,
                "--keep" => args.keep = Some(ranges(&value()?)?),
                "--profile" => args.profile = Some(value()?),
                "--without" => args.without.extend(value()?.split(',').map(str::to_owned)),
                "--only" => args.sections.push(value()?),
                "--shrink" => args.shrink = number(&value()?)?,
                "--max" => args.max_differences = number(&value()?)?,
                "--full" => args.full = true,
                "--survey" => args.survey = true,
                "--oracle" => args.oracle = true,
                "--verbose" => args.verbose = true,
                // Cargo passes these to every test program.
                "--nocapture" | "--quiet" | "-q" => {}
                other => return Err(format!("unknown argument {other}\n\n{HELP}")),
            }
        }
        match (seed, replay) {
            (Some(seed), true) => args.replay = Some(seed),
            (Some(seed), false) => (args.first_seed, args.seeds) = (seed, 1),
            (None, true) => return Err("--replay needs --seed".to_owned()),
            (None, false) => {}
        }
        Ok(Some(args))
    }

    /// Whether everything runs that makes up a complete run.
    pub fn complete(&self) -> bool {
        self.sections.is_empty() && self.profile.is_none() && self.without.is_empty()
    }

    /// Whether a section was asked for; all are when none is named.
    pub fn wants(&self, section: &str) -> bool {
        self.sections.is_empty() || self.sections.iter().any(|s| s == section)
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}

/// `1,4-7` as 1 4 5 6 7.
fn ranges(text: &str) -> Result<Vec<usize>, String> {
    let mut out = Vec::new();
    for part in text.split(',') {
        match part.split_once('-') {
            Some((from, to)) => out.extend(number(from)?..=number::<usize>(to)?),
            None => out.push(number(part)?),
        }
    }
    Ok(out)
}

/// The reverse of `ranges`.
pub fn show_ranges(numbers: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for n in numbers {
        match parts.last_mut() {
            Some((_, to)) if *to + 1 == *n => *to = *n,
            _ => parts.push((*n, *n)),
        }
    }
    let show = |(from, to): &(usize, usize)| {
        if from == to {
            from.to_string()
        } else {
            format!("{from}-{to}")
        }
    };
    parts.iter().map(show).collect::<Vec<_>>().join(",")
}

/// Checks of this file, run by `selftest`.
pub fn check() {
    let list = vec![1, 4, 5, 6, 9];
    assert_eq!(show_ranges(&list), "1,4-6,9");
    assert_eq!(ranges("1,4-6,9"), Ok(list));
    assert!(ranges("1,x").is_err());
    assert!(Args::parse(["--nonsense".to_owned()].into_iter()).is_err());
}
