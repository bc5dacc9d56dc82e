//! The lines of `envi`, which are also logged at the start. Apache: `Environment.list`.

use std::{env, fs};

use super::process;

/// What stands for a value that only a JVM has.
const NOT_AVAILABLE: &str = "<NA>";

/// Key and value of each line, in Apache's order. `version` is the whole version string: Kazoo's
/// `server_version()` reads the digits at its start.
#[must_use]
pub fn collect(version: &str) -> Vec<(&'static str, String)> {
    let stats = process::read(version);
    let na = || NOT_AVAILABLE.to_owned();
    let max = stats.memory_max_bytes;
    let free = max.saturating_sub(stats.memory_used_bytes);
    vec![
        ("zookeeper.version", version.to_owned()),
        ("host.name", kernel("hostname")),
        ("java.version", na()),
        ("java.vendor", na()),
        ("java.home", na()),
        ("java.class.path", na()),
        ("java.library.path", na()),
        ("java.io.tmpdir", na()),
        ("java.compiler", na()),
        ("os.name", "Linux".to_owned()),
        ("os.arch", arch().to_owned()),
        ("os.version", kernel("osrelease")),
        ("user.name", user_name()),
        ("user.home", variable("HOME")),
        (
            "user.dir",
            env::current_dir().map_or_else(|_| na(), |dir| dir.display().to_string()),
        ),
        ("os.memory.free", megabytes(free)),
        ("os.memory.max", megabytes(max)),
        ("os.memory.total", megabytes(max)),
    ]
}

/// Java's names of architectures.
fn arch() -> &'static str {
    match env::consts::ARCH {
        "x86_64" => "amd64",
        other => other,
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{}MB", bytes >> 20)
}

fn kernel(name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    or_na(text.trim())
}

fn variable(name: &str) -> String {
    or_na(&env::var(name).unwrap_or_default())
}

fn or_na(text: &str) -> String {
    if text.is_empty() {
        NOT_AVAILABLE.to_owned()
    } else {
        text.to_owned()
    }
}

/// The operating system's user, also the user of server-side audit lines.
#[must_use]
pub fn user_name() -> String {
    let uid = rustix::process::getuid().as_raw();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    user_of(&passwd, uid).unwrap_or_else(|| variable("USER"))
}

/// `name:password:uid:...`
fn user_of(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let line_uid: u32 = fields.nth(1)?.parse().ok()?;
        (line_uid == uid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_looked_up_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nzk:x:1000:1000::/:/bin/sh\n";
        assert_eq!(user_of(passwd, 1_000).as_deref(), Some("zk"));
        assert_eq!(user_of(passwd, 7), None);
    }

    #[test]
    fn no_value_is_empty_or_has_a_line_break() {
        for (key, value) in collect("3.9.5-x, built on 2026-01-01 00:00 UTC") {
            assert!(!value.is_empty() && !value.contains('\n'), "{key}");
        }
        assert_eq!(megabytes(256 << 20), "256MB");
    }
}
