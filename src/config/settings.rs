//! [`Settings`]: the flags and the environment variables beside them, as given and not yet checked.

use std::{net::IpAddr, path::PathBuf};

use clap::Args as ClapArgs;

/// The flags and their environment variables, as given.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Settings {
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long, env = "SERVER_BIND_ADDR", global = true)]
    pub bind: Option<IpAddr>,
    /// Port to listen on; 0 takes a free one [default: 8000]
    #[arg(long, env = "PORT", global = true)]
    pub port: Option<u16>,
    /// sqlite://FILE or postgres://… [default: sqlite://windsock.db]
    #[arg(long, env = "DATABASE_URL", global = true, hide_env_values = true)]
    pub database_url: Option<String>,
    /// standalone, server or worker; the last two need PostgreSQL [default: standalone]
    #[arg(long, env = "MODE", global = true)]
    pub mode: Option<String>,
    /// Jobs that run at once; 0 = jobs queue [default: the number of cores]
    #[arg(long, env = "NUM_WORKERS", global = true)]
    pub num_workers: Option<usize>,
    /// Address under which people reach the page
    #[arg(long, env = "BASE_URL", global = true)]
    pub base_url: Option<String>,
    /// Address under which jobs reach the API [default: BASE_URL, else the listening address]
    #[arg(long, env = "BASE_INTERNAL_URL", global = true)]
    pub base_internal_url: Option<String>,
    /// PEM file with the certificate of https, read again when it changes; needs --tls-key [default: no TLS]
    #[arg(long, env = "TLS_CERT", global = true)]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the private key of --tls-cert
    #[arg(long, env = "TLS_KEY", global = true)]
    pub tls_key: Option<PathBuf>,
    /// Addresses and CIDRs of reverse proxies whose X-Forwarded-For is believed [default: none]
    #[arg(long, env = "TRUSTED_PROXIES", global = true)]
    pub trusted_proxies: Option<String>,
    /// Where packages of scripts are kept [default: the user's cache folder; /var/cache/windsock for root]
    #[arg(long, env = "WINDSOCK_CACHE_DIR", global = true)]
    pub cache_dir: Option<PathBuf>,
    /// Ended jobs are deleted after so many seconds, with their logs; 0 = never [default: 2592000, 30 days]
    #[arg(long, env = "JOB_RETENTION_SECS", global = true)]
    pub job_retention_secs: Option<u64>,
    /// Only so many ended jobs are kept, the newest; 0 = no bound [default: 0]
    #[arg(long, env = "JOB_RETENTION_COUNT", global = true)]
    pub job_retention_count: Option<u32>,
    /// A trigger that has not listened for so many seconds raises an alert; 0 = never [default: 300]
    #[arg(long, env = "ALERT_AFTER_SECS", global = true)]
    pub alert_after_secs: Option<u64>,
    /// A token that acts as user admin in every workspace
    #[arg(long, env = "SUPERADMIN_SECRET", global = true, hide_env_values = true)]
    pub superadmin_secret: Option<String>,
    /// Seals secret variables in the database: 32 characters or more, the same for all processes of one database
    /// [default: a key file beside a SQLite database; PostgreSQL has none]
    #[arg(
        long,
        env = "WINDSOCK_SECRET_KEY",
        global = true,
        hide_env_values = true
    )]
    pub secret_key: Option<String>,
    /// true, or a comma list of hosts and CIDRs that triggers may connect to although they are private
    #[arg(long, env = "ALLOW_PRIVATE_WEBSOCKET_URLS", global = true)]
    pub allow_private_websocket_urls: Option<String>,
    /// Proxy for ws:// connections
    #[arg(long, env = "HTTP_PROXY", global = true, hide_env_values = true)]
    pub http_proxy: Option<String>,
    /// Proxy for wss:// connections
    #[arg(long, env = "HTTPS_PROXY", global = true, hide_env_values = true)]
    pub https_proxy: Option<String>,
    /// Proxy for what has no other
    #[arg(long, env = "ALL_PROXY", global = true, hide_env_values = true)]
    pub all_proxy: Option<String>,
    /// Hosts, domains and CIDRs that are reached without a proxy
    #[arg(long, env = "NO_PROXY", global = true)]
    pub no_proxy: Option<String>,
}
