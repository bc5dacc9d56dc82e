//! The level, from the variables that images and scripts of Apache ZooKeeper set.

/// Our own variable, with the filter syntax of tracing: `info,zabra::zab=debug`.
const OWN: &str = "ZABRA_LOG";

/// Apache's: `ZOO_LOG4J_PROP` of `zkEnv.sh` is `INFO,CONSOLE`; the others are those of images.
const APACHE: [&str; 3] = ["ZOO_LOG4J_PROP", "ROOT_LOG_LEVEL", "ZOO_LOG_LEVEL"];

/// The filter that the environment asks for: the first of `ZABRA_LOG` (any filter),
/// `ZOO_LOG4J_PROP`, `ROOT_LOG_LEVEL` and `ZOO_LOG_LEVEL` (a level first, the rest is not looked at)
/// that says something; `info` otherwise.
pub fn filter_text(env: impl Fn(&str) -> Option<String>) -> String {
    if let Some(own) = env(OWN).filter(|text| !text.trim().is_empty()) {
        return own.trim().to_owned();
    }
    let level = APACHE.iter().find_map(|name| level_of(&env(name)?));
    level.unwrap_or("info").to_owned()
}

/// The level that a log4j property begins with.
fn level_of(property: &str) -> Option<&'static str> {
    let first = property.split(',').next()?.trim().to_ascii_uppercase();
    match first.as_str() {
        "OFF" => Some("off"),
        "FATAL" | "ERROR" => Some("error"),
        "WARN" | "WARNING" => Some("warn"),
        "INFO" => Some("info"),
        "DEBUG" => Some("debug"),
        "TRACE" | "ALL" => Some("trace"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(vars: &[(&str, &str)]) -> String {
        filter_text(|name| {
            vars.iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_first_that_says_something() {
        assert_eq!(with(&[]), "info");
        assert_eq!(
            with(&[("ZOO_LOG4J_PROP", "WARN,CONSOLE,ROLLINGFILE")]),
            "warn"
        );
        assert_eq!(
            with(&[("ZOO_LOG4J_PROP", "x"), ("ZOO_LOG_LEVEL", "DEBUG")]),
            "debug"
        );
        assert_eq!(
            with(&[("ROOT_LOG_LEVEL", "all"), ("ZOO_LOG_LEVEL", "DEBUG")]),
            "trace"
        );
        assert_eq!(
            with(&[("ZABRA_LOG", " "), ("ZOO_LOG_LEVEL", "FATAL")]),
            "error"
        );
        let own = ("ZABRA_LOG", "info,zabra::zab=debug");
        assert_eq!(
            with(&[("ZOO_LOG4J_PROP", "WARN,CONSOLE"), own]),
            "info,zabra::zab=debug"
        );
    }
}
