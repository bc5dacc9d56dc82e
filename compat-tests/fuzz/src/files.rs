//! Configuration, and the small files that lie about.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use zabra::config::{Config, ReadFile, ServerArgs};
use zabra::store::{FileName, epochs};
use zabra::telemetry::zone::Zone;

use crate::bound::bounded;

/// Files whose content is the fuzzer's.
struct Given<'a>(Vec<&'a [u8]>);

impl Given<'_> {
    fn part(&self, n: usize) -> Option<Vec<u8>> {
        self.0.get(n).map(|b| b.to_vec())
    }
}

impl ReadFile for Given<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let n = match path.to_str() {
            Some("/x/zoo.cfg") => 0,
            Some(p) if p.ends_with("/myid") => 2,
            Some(p) if p.ends_with(".next") => 3,
            _ => 1,
        };
        self.part(n).ok_or(io::ErrorKind::NotFound.into())
    }
    fn resolve(&self, host: &str) -> io::Result<IpAddr> {
        match host {
            "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// zoo.cfg, the dynamic file, `myid`, the next dynamic file and `SERVER_JVMFLAGS`, with a zero byte
/// between them.
pub fn zoo_cfg(data: &[u8]) {
    bounded(data, 256 * 1024, |data| {
        let given = Given(data.split(|b| *b == 0).collect());
        let args = ServerArgs {
            defines: vec![],
            words: vec!["/x/zoo.cfg".to_owned()],
        };
        let flags = given
            .part(4)
            .map(|b| String::from_utf8_lossy(&b).into_owned());
        let env = |name: &str| flags.clone().filter(|_| name == "SERVER_JVMFLAGS");
        match Config::load(&args, &env, &given) {
            Ok(config) => drop(config.warnings().count()),
            Err(e) => drop((e.exception_lines(), e.exit_code())),
        }
    });
}

/// File names, epoch files, time zones; the first byte chooses.
pub fn small(data: &[u8]) {
    let Some((which, bytes)) = data.split_first() else {
        return;
    };
    bounded(bytes, 64 * 1024, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        match which % 4 {
            0 => drop(FileName::of(&text)),
            1 => drop(epochs::parse(bytes)),
            2 => show(&Zone::find(Some(&text), |_| None)),
            _ => show(&Zone::find(Some(":x"), |_| Some(bytes.to_vec()))),
        }
    });
}

fn show(zone: &Zone) {
    for ms in [0, 1_700_000_000_000, 4_102_444_800_000, i64::MAX, i64::MIN] {
        let _ = (zone.iso8601(ms), zone.java_date(ms));
    }
}
