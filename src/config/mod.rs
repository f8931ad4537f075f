//! Every setting once: its flag, its environment variable, its default, its check (contract section 2).
//!
//! `main` parses [`Args`]; everything else reads the checked [`Config`]. No I/O here.

mod limits;
mod serving;
mod settings;

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};

use ipnet::IpNet;

pub use self::{limits::Limits, serving::TlsFiles, settings::Settings};
use crate::types::Invalid;

/// Most jobs of one server that run at the same time; each worker is a thread with its own engines.
const MAX_WORKERS: usize = 256;

/// `windsock`: WebSocket triggers that run a script or a flow whenever a message arrives.
#[derive(Debug, Parser)]
#[command(name = "windsock", version, about, disable_help_subcommand = true)]
pub struct Args {
    /// What to do; nothing = `serve`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings, the same for every command.
    #[command(flatten)]
    pub settings: Settings,
}

/// What the process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Listens, serves the API and the page, runs jobs (the default)
    Serve,
    /// Serves a throw-away database with a built-in feed, sample scripts and triggers that already run
    Demo,
    /// Prints a link that logs a browser in (single use, 15 minutes)
    LoginLink,
}

/// What a process takes part in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessMode {
    /// Listens, serves and runs jobs.
    Standalone,
    /// Listens and serves.
    Server,
    /// Runs jobs.
    Worker,
}

impl ProcessMode {
    fn given(settings: &Settings, database: &DatabaseUrl) -> Result<Self, Invalid> {
        let mode = match settings.mode.as_deref().unwrap_or("standalone") {
            "standalone" => Self::Standalone,
            "server" => Self::Server,
            "worker" => Self::Worker,
            other => {
                return Err(Invalid(format!(
                    "--mode (MODE) must be standalone, server or worker, not '{other}'"
                )));
            }
        };
        if mode != Self::Standalone && matches!(database, DatabaseUrl::Sqlite(_)) {
            return Err(Invalid(
                "--mode server and worker need PostgreSQL: set --database-url (DATABASE_URL) to postgres://…, \
                 or use --mode standalone"
                    .to_owned(),
            ));
        }
        Ok(mode)
    }
}

/// Where the data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL connection URL, as libpq reads it.
    Postgres(String),
}

impl DatabaseUrl {
    /// Reads `sqlite://FILE`, `postgres://…` or `postgresql://…`.
    ///
    /// # Errors
    /// Another scheme, or no file.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        match text.strip_prefix("sqlite://") {
            Some(file) if !file.is_empty() => Ok(Self::Sqlite(PathBuf::from(file))),
            _ => Err(Invalid(
                "--database-url (DATABASE_URL) must be sqlite://FILE or postgres://USER:PASSWORD@HOST/DATABASE"
                    .to_owned(),
            )),
        }
    }
}

/// The proxy settings of the environment, as given.
#[derive(Debug, Clone, Default)]
pub struct ProxyEnvironment {
    /// For `ws://`.
    pub http: Option<String>,
    /// For `wss://`.
    pub https: Option<String>,
    /// For what has no other.
    pub all: Option<String>,
    /// What goes without.
    pub none_for: Option<String>,
}

/// How long ended jobs are kept. What has not ended is never deleted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Retention {
    /// Deleted once they ended so long ago.
    pub age: Option<Duration>,
    /// So many are kept, the newest.
    pub count: Option<u32>,
}

/// How long ended jobs are kept unless a flag says otherwise, in seconds: 30 days, as Windmill does.
const RETENTION_SECS: u64 = 30 * 24 * 3_600;

impl Retention {
    fn given(settings: &Settings) -> Self {
        let secs = settings.job_retention_secs.unwrap_or(RETENTION_SECS);
        Self {
            age: (secs > 0).then(|| Duration::from_secs(secs)),
            count: settings.job_retention_count.filter(|count| *count > 0),
        }
    }
}

/// How long a trigger may fail before an alert is raised, in seconds.
const ALERT_AFTER_SECS: u64 = 300;

/// The checked settings of one process.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on.
    pub bind: IpAddr,
    /// Port to listen on; 0 = any free one.
    pub port: u16,
    /// Where the data is.
    pub database: DatabaseUrl,
    /// What this process takes part in.
    pub mode: ProcessMode,
    /// Jobs that run at once.
    pub num_workers: usize,
    /// Address under which people reach the page, without a slash at its end.
    pub base_url: Option<String>,
    /// Address under which jobs reach the API, without a slash at its end.
    pub base_internal_url: Option<String>,
    /// The certificate it serves with; none = plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Proxies that are believed when they say who asks.
    pub trusted_proxies: Vec<IpNet>,
    /// Where packages of scripts are kept; none = the user's cache folder.
    pub cache_dir: Option<PathBuf>,
    /// The token of the super admin.
    pub superadmin_secret: Option<String>,
    /// Text that the key of secrets is made of.
    pub secret_key: Option<String>,
    /// The allow-list of private addresses, as given.
    pub allow_private: Option<String>,
    /// The proxies, as given.
    pub proxies: ProxyEnvironment,
    /// Sample data and a feed of its own.
    pub demo: bool,
    /// Sends every message back where a result would be sent, and makes no job of it: for conformance suites, which
    /// talk to an echo. No flag sets it.
    pub echo: bool,
    /// How long ended jobs are kept.
    pub retention: Retention,
    /// How long a trigger may fail before an alert is raised.
    pub alert_after: Option<Duration>,
    /// Bounds and waits.
    pub limits: Limits,
}

impl Config {
    /// Checks the settings of `args`; every error names the flag and what to do.
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub fn new(args: &Args) -> Result<Self, Invalid> {
        let given = &args.settings;
        let database = DatabaseUrl::parse(
            given
                .database_url
                .as_deref()
                .unwrap_or("sqlite://windsock.db"),
        )?;
        let mode = ProcessMode::given(given, &database)?;
        let base_url = origin("--base-url (BASE_URL)", given.base_url.as_deref())?;
        let base_internal_url = origin(
            "--base-internal-url (BASE_INTERNAL_URL)",
            given.base_internal_url.as_deref(),
        )?;
        if mode == ProcessMode::Worker && base_url.is_none() && base_internal_url.is_none() {
            return Err(Invalid(
                "a worker must know where its jobs reach the API: set --base-internal-url (BASE_INTERNAL_URL)"
                    .to_owned(),
            ));
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let num_workers = given.num_workers.unwrap_or(cores);
        if num_workers > MAX_WORKERS {
            return Err(Invalid(format!(
                "--num-workers (NUM_WORKERS) must be at most {MAX_WORKERS}, not {num_workers}"
            )));
        }
        Ok(Self {
            bind: given.bind.unwrap_or(IpAddr::from([127, 0, 0, 1])),
            port: given.port.unwrap_or(8000),
            database,
            mode,
            num_workers: if mode == ProcessMode::Server {
                0
            } else {
                num_workers
            },
            base_url,
            base_internal_url,
            tls: TlsFiles::given(given)?,
            trusted_proxies: serving::networks(
                "--trusted-proxies (TRUSTED_PROXIES)",
                given.trusted_proxies.as_deref(),
            )?,
            cache_dir: absolute("--cache-dir (WINDSOCK_CACHE_DIR)", given.cache_dir.as_ref())?,
            superadmin_secret: non_empty(given.superadmin_secret.as_ref()),
            secret_key: non_empty(given.secret_key.as_ref()),
            allow_private: non_empty(given.allow_private_websocket_urls.as_ref()),
            proxies: ProxyEnvironment {
                http: non_empty(given.http_proxy.as_ref()),
                https: non_empty(given.https_proxy.as_ref()),
                all: non_empty(given.all_proxy.as_ref()),
                none_for: non_empty(given.no_proxy.as_ref()),
            },
            demo: args.command == Some(Command::Demo),
            echo: false,
            retention: Retention::given(given),
            alert_after: alert_after(given),
            limits: Limits::default(),
        })
    }

    /// Settings for a test: a SQLite file, any free port, no workers, private addresses allowed.
    #[must_use]
    pub fn for_test(database: DatabaseUrl) -> Self {
        Self {
            bind: IpAddr::from([127, 0, 0, 1]),
            port: 0,
            database,
            mode: ProcessMode::Standalone,
            num_workers: 0,
            base_url: None,
            base_internal_url: None,
            tls: None,
            trusted_proxies: Vec::new(),
            cache_dir: None,
            superadmin_secret: Some("test".to_owned()),
            secret_key: None,
            allow_private: Some("true".to_owned()),
            proxies: ProxyEnvironment::default(),
            demo: false,
            echo: false,
            retention: Retention::default(),
            alert_after: None,
            limits: Limits::default(),
        }
    }
}

/// 0 = never.
fn alert_after(given: &Settings) -> Option<Duration> {
    let secs = given.alert_after_secs.unwrap_or(ALERT_AFTER_SECS);
    (secs > 0).then(|| Duration::from_secs(secs))
}

fn non_empty(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty()).cloned()
}

fn absolute(flag: &str, folder: Option<&PathBuf>) -> Result<Option<PathBuf>, Invalid> {
    match folder {
        Some(folder) if folder.is_relative() => Err(Invalid(format!(
            "{flag} must be an absolute path, not '{}'",
            folder.display()
        ))),
        folder => Ok(folder.cloned()),
    }
}

/// An `http(s)://` address without a slash at its end.
fn origin(flag: &str, text: Option<&str>) -> Result<Option<String>, Invalid> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            Ok(Some(text.trim_end_matches('/').to_owned()))
        }
        _ => Err(Invalid(format!(
            "{flag} must be an address like https://windsock.example.com, not '{text}'"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(flags: &[&str]) -> Result<Config, String> {
        let args = Args::try_parse_from(std::iter::once(&"windsock").chain(flags))
            .map_err(|error| error.to_string())?;
        Config::new(&args).map_err(|error| error.0)
    }

    #[test]
    fn bad_settings_name_the_flag() {
        for (flags, flag) in [
            (&["--database-url", "mysql://x"][..], "--database-url"),
            (&["--database-url", "sqlite://"], "--database-url"),
            (&["--mode", "cluster"], "--mode"),
            (&["--mode", "server"], "PostgreSQL"),
            (
                &["--mode", "worker", "--database-url", "postgres://h/d"],
                "--base-internal-url",
            ),
            (&["--num-workers", "1000"], "--num-workers"),
            (&["--base-url", "windsock.example.com"], "--base-url"),
            (&["--port", "99999"], "--port"),
            (&["--cache-dir", "cache"], "--cache-dir"),
            (&["--bind", "localhost"], "--bind"),
            (&["--tls-cert", "cert.pem"], "--tls-key"),
            (&["--tls-key", "key.pem"], "--tls-cert"),
            (&["--trusted-proxies", "10.0.0.0/8,proxy"], "'proxy'"),
        ] {
            let error = config(flags).unwrap_err();
            assert!(error.contains(flag), "{flags:?}: {error}");
        }
    }

    #[test]
    fn links_and_cookies_follow_the_base_url_before_the_own_certificate() {
        let tls = ["--tls-cert", "c", "--tls-key", "k"];
        for (base, with_tls, secure) in [
            (None, false, false),
            (None, true, true),
            (Some("https://w.example"), false, true),
            (Some("http://w.example"), true, false),
        ] {
            let base: Vec<&str> = base
                .into_iter()
                .flat_map(|url| ["--base-url", url])
                .collect();
            let flags = [&base[..], if with_tls { &tls } else { &[] }].concat();
            assert_eq!(config(&flags).unwrap().is_secure(), secure, "{flags:?}");
        }
    }

    #[test]
    fn trusted_proxies_are_addresses_and_networks() {
        let trusted = config(&["--trusted-proxies", "10.0.0.0/8, ::1,192.168.1.7"]).unwrap();
        for (address, expected) in [
            ("10.2.3.4", true),
            ("::1", true),
            ("192.168.1.7", true),
            ("192.168.1.8", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(
                trusted.trusts(address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
        assert!(!config(&[]).unwrap().trusts(IpAddr::from([127, 0, 0, 1])));
    }

    #[test]
    fn settings_may_stand_before_or_behind_the_command() {
        assert_eq!(config(&["--port", "9", "demo"]).unwrap().port, 9);
        let behind = config(&["demo", "--port", "9", "--num-workers", "0"]).unwrap();
        assert_eq!((behind.port, behind.num_workers, behind.demo), (9, 0, true));
    }
}
