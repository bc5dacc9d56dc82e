//! The order of loading: flags, source, zoo.cfg, checks, members, system properties.

use super::args::{ServerArgs, Word, classify};
use super::ensemble::Ensemble;
use super::error::ConfigError;
use super::membership::{self, Membership};
use super::settings::*;
use super::static_file::StaticFile;
use super::value::parse_int;
use super::{Config, Environment, Level, Message, Mode, ReadFile, Source};
use super::{keys, system, system_auth};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

const CLIENT_PORT: u16 = 2181;
const DEFAULT_TICK_MS: i32 = 2000;

pub(super) fn load(
    args: &ServerArgs,
    env: Environment<'_>,
    files: &dyn ReadFile,
) -> Result<Config, ConfigError> {
    let mut messages = Vec::new();
    let defines = defines(args, env, &mut messages);
    match args.words.as_slice() {
        [] => from_defaults(defines, env, messages),
        [path] => {
            from_file(path, defines, env, files, messages).map_err(|error| error.in_file(path))
        }
        [port, dir, rest @ ..] if rest.len() <= 2 => {
            from_arguments(port, dir, rest, defines, env, messages)
        }
        words => {
            let list = words.join(", ");
            Err(ConfigError::arguments(format!(
                "Invalid number of arguments:[{list}]"
            )))
        }
    }
}

/// Everything that differs between the three sources, before the system properties are read.
pub(super) struct Basis {
    pub source: Source,
    pub initial_text: String,
    pub properties: BTreeMap<String, String>,
    pub file: StaticFile,
    pub client: Option<ListenAddr>,
    pub secure_client: Option<ListenAddr>,
    pub data_dir: PathBuf,
    pub data_log_dir: PathBuf,
    pub tick_time_ms: i32,
    pub max_client_cnxns: i32,
    pub membership: Membership,
}

fn from_defaults(
    defines: BTreeMap<String, String>,
    env: Environment<'_>,
    messages: Vec<Message>,
) -> Result<Config, ConfigError> {
    let mut properties = defines;
    // Differs: Apache does not start without arguments. Only the client port is opened, on loopback.
    properties
        .entry("zookeeper.admin.enableServer".into())
        .or_insert_with(|| "false".into());
    let basis = Basis {
        source: Source::Defaults,
        initial_text: String::new(),
        properties,
        file: StaticFile::default(),
        client: Some(ListenAddr::numeric(
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            CLIENT_PORT,
        )),
        secure_client: None,
        data_dir: PathBuf::from("./data"),
        data_log_dir: PathBuf::from("./data"),
        tick_time_ms: DEFAULT_TICK_MS,
        max_client_cnxns: 60,
        membership: Membership::standalone(),
    };
    finish(basis, env, messages)
}

/// Class ServerConfig: `<port> <dataDir> [tick [connections]]`. Unset, the connection cap is 0 here.
fn from_arguments(
    port: &str,
    dir: &str,
    rest: &[String],
    properties: BTreeMap<String, String>,
    env: Environment<'_>,
    messages: Vec<Message>,
) -> Result<Config, ConfigError> {
    let number = |text: &str| {
        parse_int(text).map_err(|error| ConfigError::arguments(error.cause().to_string()))
    };
    let port = number(port)?;
    let port = u16::try_from(port)
        .map_err(|_| ConfigError::arguments(format!("port out of range:{port}")))?;
    let tick_time_ms = rest.first().map_or(Ok(3000), |text| number(text))?;
    let max_client_cnxns = rest.get(1).map_or(Ok(0), |text| number(text))?;
    if tick_time_ms <= 0 {
        // Differs: Apache divides by zero a moment later.
        return Err(ConfigError::arguments("tickTime is not set"));
    }
    let basis = Basis {
        source: Source::Arguments,
        initial_text: String::new(),
        properties,
        file: StaticFile::default(),
        client: Some(any_address(port)),
        secure_client: None,
        data_dir: PathBuf::from(dir),
        data_log_dir: PathBuf::from(dir),
        tick_time_ms,
        max_client_cnxns,
        membership: Membership::standalone(),
    };
    finish(basis, env, messages)
}

fn from_file(
    path: &str,
    defines: BTreeMap<String, String>,
    env: Environment<'_>,
    files: &dyn ReadFile,
    mut messages: Vec<Message>,
) -> Result<Config, ConfigError> {
    info(&mut messages, format!("Reading configuration from: {path}"));
    warn_relative(&mut messages, path);
    let bytes = files
        .read(path.as_ref())
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => ConfigError::illegal(format!("{path} file is missing")),
            _ => ConfigError::wrapped("java.io.IOException", format!("{path} ({error})")),
        })?;
    let initial_text = String::from_utf8_lossy(&bytes).into_owned();
    let mut file = StaticFile::parse(&bytes, &mut messages)?;
    let mut properties = defines;
    file.add_properties(&mut properties, &mut messages);
    file.check_quorum_auth()?;
    check_retain_count(&mut file, &mut messages);

    let data_dir = file.text("dataDir").map(str::to_string);
    let data_dir = data_dir.ok_or_else(|| ConfigError::illegal("dataDir is not set"))?;
    warn_relative(&mut messages, &data_dir);
    let data_log_dir = match file.text("dataLogDir") {
        Some(dir) => {
            warn_relative(&mut messages, dir);
            PathBuf::from(dir)
        }
        None => PathBuf::from(&data_dir),
    };
    let client = listener(
        &file,
        "clientPort",
        "clientPortAddress",
        files,
        &mut messages,
    )?;
    let secure_client = listener(
        &file,
        "secureClientPort",
        "secureClientPortAddress",
        files,
        &mut messages,
    )?;
    if secure_client.is_some() {
        // Class QuorumPeerConfig, `configureSSLAuth`.
        properties
            .entry("zookeeper.authProvider.x509".into())
            .or_insert_with(|| {
                "org.apache.zookeeper.server.auth.X509AuthenticationProvider".into()
            });
    }
    let tick_time_ms = check_ticks(&file)?;
    // Differs: 3.9.5 looks only at -Dzookeeper.multiAddress.enabled when it parses server lines.
    let multi_address = file.bool_or_property("multiAddress.enabled", &properties);
    let mut basis = Basis {
        source: Source::File(PathBuf::from(path)),
        initial_text,
        properties,
        client,
        secure_client,
        data_dir: PathBuf::from(data_dir),
        data_log_dir,
        tick_time_ms,
        max_client_cnxns: file.int("maxClientCnxns"),
        membership: Membership::standalone(),
        file,
    };
    system::metrics(&basis.file)?;
    basis.membership = membership::load(path, &mut basis, multi_address, files, &mut messages)?;
    if basis.membership.mode == Mode::Standalone {
        let text = "Either no config or no quorum defined in config, running in standalone mode";
        warn(&mut messages, text.into());
    }
    finish(basis, env, messages)
}

fn finish(
    basis: Basis,
    env: Environment<'_>,
    mut messages: Vec<Message>,
) -> Result<Config, ConfigError> {
    judge(&basis, &mut messages)?;
    let Basis {
        membership, file, ..
    } = &basis;
    let tick = basis.tick_time_ms;
    let or_ticks = |key, ticks: i32| match file.int(key) {
        -1 => tick.wrapping_mul(ticks),
        given => given,
    };
    let mut reader = system::Reader::new(&basis.properties, &mut messages);
    let mut config = Config {
        listeners: system::listeners(&mut reader, &basis),
        sessions: Sessions {
            tick_time_ms: tick,
            min_timeout_ms: or_ticks("minSessionTimeout", 2),
            max_timeout_ms: or_ticks("maxSessionTimeout", 20),
            local_enabled: file.bool("localSessionsEnabled"),
            local_upgrading_enabled: file.bool("localSessionsUpgradingEnabled"),
        },
        limits: system::limits(&mut reader, basis.max_client_cnxns),
        connection_throttle: system::connection_throttle(&mut reader),
        request_throttle: system::request_throttle(&mut reader),
        features: system::features(&mut reader, file),
        storage: system::storage(&mut reader, &basis),
        auth: system_auth::auth(&mut reader)?,
        admin: system::admin(&mut reader),
        metrics: system::metrics(file)?,
        words: system::words(&reader),
        audit: Audit {
            enabled: reader.flag("zookeeper.audit.enable"),
        },
        logging: system::logging(&reader, env),
        quorum: system::quorum(&mut reader, file, membership),
        mode: membership.mode,
        server_id: membership.server_id,
        ensemble: Ensemble::empty(),
        last_seen_ensemble: None,
        source: basis.source.clone(),
        initial_text: String::new(),
        system_properties: BTreeMap::new(),
        messages: Vec::new(),
    };
    config.ensemble = basis.membership.ensemble;
    config.last_seen_ensemble = basis.membership.last_seen;
    config.initial_text = basis.initial_text;
    config.system_properties = basis.properties;
    config.messages = messages;
    Ok(config)
}

/// `-D` of the environment and the command line, later ones win; a word on the JVM options among them.
fn defines(
    args: &ServerArgs,
    env: Environment<'_>,
    messages: &mut Vec<Message>,
) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut no_jmx = env("JMXPORT").is_some_and(|port| !port.is_empty());
    for variable in ["SERVER_JVMFLAGS", "JVMFLAGS"] {
        // As the shell hands it on: split at blanks, quotes are part of the words.
        for word in env(variable).unwrap_or_default().split_ascii_whitespace() {
            no_jmx |= word.starts_with("-javaagent");
            if let Word::Define(name, value) = classify(word) {
                found.insert(name, value);
            }
        }
    }
    if no_jmx {
        let text = "JMX and Java agents do not exist here; use the Prometheus metrics provider, mntr \
                    or the AdminServer's monitor command";
        warn(messages, text.into());
    }
    found.extend(args.defines.iter().cloned());
    for name in found.keys() {
        let known = name.strip_prefix("zookeeper.").and_then(keys::by_cfg);
        if known.is_some_and(|row| row.parser && row.property.is_empty() && !row.cfg.contains('*'))
        {
            warn(
                messages,
                format!(
                    "-D{name} has no effect, as in Apache ZooKeeper: the key \
                                    belongs in zoo.cfg"
                ),
            );
        } else if name.starts_with("zookeeper.") && keys::by_property(name).is_none() {
            warn(messages, unknown(name, None));
        }
    }
    found
}

/// Text for a key that is in no row of the table.
pub(super) fn unknown(name: &str, line: Option<usize>) -> String {
    let bare = name.strip_prefix("zookeeper.").unwrap_or(name);
    let place = line.map_or_else(String::new, |line| format!(" in line {line}"));
    let hint =
        keys::suggestion(bare).map_or_else(String::new, |known| format!(" Did you mean {known}?"));
    format!("Unknown configuration key {name}{place}: nothing reads it.{hint}")
}

/// Applies the verdicts of the table to everything that was set.
fn judge(basis: &Basis, messages: &mut Vec<Message>) -> Result<(), ConfigError> {
    let mut planned: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let parsed = basis
        .file
        .given()
        .filter_map(|(key, value)| Some((key, value, keys::by_cfg(key)?)));
    let system = basis.properties.iter().filter_map(|(name, value)| {
        Some((name.as_str(), value.as_str(), keys::by_property(name)?))
    });
    for (name, value, row) in parsed.chain(system) {
        if row.is_harmless(value) {
            continue;
        }
        match row.verdict {
            keys::Verdict::Refused => {
                let cause = format!("{name} is not supported: {}", row.reason);
                return Err(ConfigError::direct(cause).at_key(name, 0));
            }
            keys::Verdict::Warned => warn(messages, format!("{name}: {}", row.reason)),
            keys::Verdict::Planned => planned.entry(row.reason).or_default().push(name),
            keys::Verdict::Honoured | keys::Verdict::Ensemble | keys::Verdict::Silent => {}
        }
    }
    for (reason, names) in planned {
        warn(
            messages,
            format!("Accepted without effect: {} ({reason})", names.join(", ")),
        );
    }
    if basis.membership.mode == Mode::Distributed {
        // Ignoring these would leave links between peers open that were meant to be closed.
        for key in ["sslQuorum", "quorum.auth.enableSasl"] {
            if basis.file.bool(key) {
                let cause = format!("{key} is not supported: it is not part of this version yet");
                return Err(ConfigError::direct(cause).at_key(key, 0));
            }
        }
    }
    Ok(())
}

fn check_retain_count(file: &mut StaticFile, messages: &mut Vec<Message>) {
    let count = file.int("autopurge.snapRetainCount");
    if count < 3 {
        warn(
            messages,
            format!("Invalid autopurge.snapRetainCount: {count}. Defaulting to 3"),
        );
        file.set("autopurge.snapRetainCount", "3");
    }
}

fn check_ticks(file: &StaticFile) -> Result<i32, ConfigError> {
    let tick = file.int("tickTime");
    if tick == 0 {
        return Err(file.at("tickTime", ConfigError::illegal("tickTime is not set")));
    }
    let bound = |key, ticks| match file.int(key) {
        -1 => tick.wrapping_mul(ticks),
        given => given,
    };
    if bound("minSessionTimeout", 2) > bound("maxSessionTimeout", 20) {
        let cause = "minSessionTimeout must not be larger than maxSessionTimeout";
        return Err(file.at("minSessionTimeout", ConfigError::illegal(cause)));
    }
    if tick < 0 {
        // Differs: with both bounds set, Apache starts with a negative tick.
        return Err(file.at(
            "tickTime",
            ConfigError::illegal("tickTime must not be negative"),
        ));
    }
    Ok(tick)
}

fn listener(
    file: &StaticFile,
    port_key: &str,
    address_key: &str,
    files: &dyn ReadFile,
    messages: &mut Vec<Message>,
) -> Result<Option<ListenAddr>, ConfigError> {
    let address = file.text(address_key);
    // A port of 0 is set: the system picks one (as in 3.9.5).
    if file.text(port_key).is_none() {
        info(messages, format!("{port_key} is not set"));
        return match address {
            Some(_) => {
                let cause = format!("{address_key} is set but {port_key} is not set");
                Err(file.at(address_key, ConfigError::illegal(cause)))
            }
            None => Ok(None),
        };
    }
    let number = file.int(port_key);
    let port = u16::try_from(number).map_err(|_| {
        file.at(
            port_key,
            ConfigError::illegal(format!("port out of range:{number}")),
        )
    })?;
    let found = match address {
        Some(host) => resolve(host, port, files).map_err(|error| file.at(address_key, error))?,
        None => any_address(port),
    };
    info(messages, format!("{address_key} is {}", found.formatted()));
    Ok(Some(found))
}

/// `new InetSocketAddress(port)`: Java gives the wildcard its address as a host name.
fn any_address(port: u16) -> ListenAddr {
    ListenAddr {
        host: Some("0.0.0.0".into()),
        ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        port,
    }
}

/// `InetAddress.getByName`: literals, the empty name (loopback), or a look-up.
pub(super) fn resolve(
    host: &str,
    port: u16,
    files: &dyn ReadFile,
) -> Result<ListenAddr, ConfigError> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    if let Ok(ip) = bare.parse::<Ipv6Addr>() {
        return Ok(ListenAddr::numeric(IpAddr::V6(ip).to_canonical(), port));
    }
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return Ok(ListenAddr::numeric(IpAddr::V4(ip), port));
    }
    if host.is_empty() {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        return Ok(ListenAddr {
            host: Some("localhost".into()),
            ip,
            port,
        });
    }
    let ip = files.resolve(host).map_err(|error| {
        let reason = error.to_string();
        let reason = reason
            .rsplit("failed to lookup address information: ")
            .next()
            .unwrap_or("");
        ConfigError::wrapped("java.net.UnknownHostException", format!("{host}: {reason}"))
    })?;
    Ok(ListenAddr {
        host: Some(host.to_string()),
        ip,
        port,
    })
}

/// Class VerifyingFileFactory, `warnForRelativePath`.
fn warn_relative(messages: &mut Vec<Message>, path: &str) {
    if !path.starts_with('/') && !path.starts_with("./") {
        warn(
            messages,
            format!("{path} is relative. Prepend ./ to indicate that you're sure!"),
        );
    }
}

pub(super) fn info(messages: &mut Vec<Message>, text: String) {
    messages.push(Message {
        level: Level::Info,
        text,
    });
}

pub(super) fn warn(messages: &mut Vec<Message>, text: String) {
    messages.push(Message {
        level: Level::Warn,
        text,
    });
}
