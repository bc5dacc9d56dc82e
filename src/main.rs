//! The `zabra` program: arguments in, exit code out.

use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;
use std::process::ExitCode;

use zabra::config::args::HELP;
use zabra::config::{Config, Invocation, Level, ReadFile, ServerArgs};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Files and names as the system has them.
struct System;

impl ReadFile for System {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn resolve(&self, host: &str) -> std::io::Result<IpAddr> {
        let none = || std::io::Error::new(std::io::ErrorKind::NotFound, "no address");
        (host, 0)
            .to_socket_addrs()?
            .next()
            .map(|a| a.ip())
            .ok_or_else(none)
    }
}

fn main() -> ExitCode {
    // Huge pages would treble the memory of an idle server, and gain nothing that could be measured
    // with a million znodes. A kernel without the switch is as good.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let argv: Vec<String> = std::env::args().skip(1).collect();
    let code = match Invocation::parse(&argv) {
        Ok(Invocation::Version) => {
            println!(
                "zabra {} (ZooKeeper {})",
                env!("CARGO_PKG_VERSION"),
                zabra::runtime::VERSION
            );
            0
        }
        Ok(Invocation::Help) => {
            println!("{HELP}");
            0
        }
        Ok(Invocation::Server(args)) => {
            let code = server(&args);
            zabra::telemetry::log::flush();
            code
        }
        Ok(Invocation::Other(name, rest)) => other(&name, rest),
        Err(e) => {
            eprintln!("{e}");
            e.exit_code() as i32
        }
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn server(args: &ServerArgs) -> i32 {
    let env = |name: &str| std::env::var(name).ok();
    if let Err(e) = zabra::telemetry::log::init(env) {
        eprintln!("cannot set up the log: {e}");
    }
    match Config::load(args, &env, &System) {
        Ok(config) => {
            for m in &config.messages {
                match m.level {
                    Level::Info => {
                        tracing::info!(target: "o.a.z.s.q.QuorumPeerConfig", "{}", m.text)
                    }
                    Level::Warn => {
                        tracing::warn!(target: "o.a.z.s.q.QuorumPeerConfig", "{}", m.text)
                    }
                    Level::Error => {
                        tracing::error!(target: "o.a.z.s.q.QuorumPeerConfig", "{}", m.text)
                    }
                }
            }
            zabra::runtime::run(config) as i32
        }
        Err(e) => {
            tracing::error!(target: "o.a.z.s.q.QuorumPeerMain", "Invalid config, exiting abnormally: {e}");
            eprintln!("Invalid config, exiting abnormally\n{e}");
            e.exit_code() as i32
        }
    }
}

fn other(name: &str, rest: Vec<String>) -> i32 {
    match name {
        "bench" => zabra::bench::run(rest),
        "handover" => handover(&rest),
        _ => {
            eprintln!("unknown command {name}\n{HELP}");
            2
        }
    }
}

/// Leadership goes from the running server over this data to another one.
fn handover(words: &[String]) -> i32 {
    let (to, place) = match words {
        [place] => (None, place),
        [option, sid, place] | [place, option, sid] if option == "--to" => {
            let Ok(sid) = sid.parse() else {
                eprintln!("{sid} is no server id");
                return 2;
            };
            (Some(sid), place)
        }
        _ => {
            eprintln!("{HELP}");
            return 2;
        }
    };
    let said = if Path::new(place).is_dir() {
        zabra::runtime::handover(Path::new(place), to)
    } else {
        let args = ServerArgs {
            words: vec![place.clone()],
            ..ServerArgs::default()
        };
        match Config::load(&args, &|_| None, &System) {
            Ok(config) => zabra::runtime::handover(&config.storage.data_dir, to),
            Err(e) => Err(e.to_string()),
        }
    };
    match said {
        Ok(text) => {
            println!("{text}");
            0
        }
        Err(text) => {
            eprintln!("{text}");
            1
        }
    }
}
