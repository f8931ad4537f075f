//! [`Tool`]: runs a program that installs packages: with the network and windsock's own settings for registries,
//! bounded in time and output. It runs no code of the packages: they come built, without install scripts.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
};

/// Longest installation: large packages on a slow line.
const TIMEOUT: Duration = Duration::from_secs(600);
/// How much of what a program says is kept.
const SAID_BYTES: u64 = 256 * 1024;
/// How much of it an error shows: the last lines say why.
const SHOWN_LINES: usize = 12;
/// Settings of registries, proxies and certificates that the programs understand.
const PASSED_ON: [&str; 12] = [
    "PATH",
    "HOME",
    "UV_",
    "PIP_",
    "NPM_CONFIG_",
    "npm_config_",
    "BUN_CONFIG_",
    "DENO_",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
];
/// Also these, in either case.
const PROXIES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];

/// Unless windsock's own environment says otherwise: certificates of the machine count, a package.json in a folder
/// above does not.
const DEFAULTS: [(&str, &str); 4] = [
    ("UV_NATIVE_TLS", "true"),
    ("UV_SYSTEM_CERTS", "true"),
    ("DENO_TLS_CA_STORE", "mozilla,system"),
    ("DENO_NO_PACKAGE_JSON", "1"),
];

/// Where a program may put what it installs, and what it may keep for the next time.
pub(super) struct Tool {
    /// The folder that becomes the set.
    pub(super) place: PathBuf,
    /// Downloads, kept between builds.
    pub(super) downloads: PathBuf,
}

impl Tool {
    pub(super) fn new(cache: &Path, place: &Path) -> Self {
        Self {
            place: place.to_owned(),
            downloads: cache.join("downloads"),
        }
    }

    /// Runs `program` in the place; answers its standard output.
    ///
    /// # Errors
    /// It did not end well: the essence of what it said.
    pub(super) async fn run(
        &self,
        program: &Path,
        args: Vec<OsString>,
        env: &[(&str, &Path)],
    ) -> Result<String, String> {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .envs(DEFAULTS)
            .envs(std::env::vars_os().filter(|(name, _)| is_passed_on(&name.to_string_lossy())))
            .env("LANG", "C.UTF-8")
            .env("NO_COLOR", "1")
            .envs(env.iter().copied())
            .current_dir(&self.place)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .map_err(|error| format!("{name} cannot be started: {error}"))?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let all = async {
            let (out, err) = tokio::join!(listen(out), listen(err));
            child.wait().await.map(|status| (status, out, err))
        };
        let (status, out, err) = tokio::time::timeout(TIMEOUT, all)
            .await
            .map_err(|_| format!("{name} did not end within {} s", TIMEOUT.as_secs()))?
            .map_err(|error| format!("{name}: {error}"))?;
        if status.success() {
            return Ok(out);
        }
        let said = if err.trim().is_empty() { out } else { err };
        Err(essence(&said, &self.place))
    }
}

async fn listen(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut pipe) = pipe else {
        return String::new();
    };
    let mut said = Vec::new();
    // What cannot be read any more was not said.
    let _ = (&mut pipe).take(SAID_BYTES).read_to_end(&mut said).await;
    // The rest is read and dropped, so that the program does not wait for ever.
    let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&said).into_owned()
}

fn is_passed_on(name: &str) -> bool {
    let listed =
        |wanted: &str| name == wanted || (wanted.ends_with('_') && name.starts_with(wanted));
    PASSED_ON.iter().any(|wanted| listed(wanted))
        || PROXIES.iter().any(|proxy| name.eq_ignore_ascii_case(proxy))
}

/// The last lines that say something, without the build's folder and without credentials of a registry.
fn essence(said: &str, place: &Path) -> String {
    let place = place.to_string_lossy();
    let noise = |line: &&str| {
        let line = line.trim();
        !line.is_empty()
            && ![
                "bun install v",
                "Resolving",
                "Download ",
                "[notice]",
                "WARNING:",
                "warn:",
            ]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let lines: Vec<&str> = said.lines().filter(noise).collect();
    let from = lines.len().saturating_sub(SHOWN_LINES);
    let text = lines[from..].join("\n").replace(place.as_ref(), "");
    let text = without_credentials(&text);
    if text.is_empty() {
        "the installation failed and said nothing".to_owned()
    } else {
        text
    }
}

/// `https://user:password@host` without what stands before the `@`.
fn without_credentials(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '`'))
            .unwrap_or(after.len());
        let host = after[..end].rfind('@').map_or(0, |place| place + 1);
        rest = &after[host..];
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_neither_credentials_nor_the_build_folder() {
        let said = "bun install v1\n\nerror: GET https://me:s3cret@npm.example/x - 404\n at /c/.b-1/package.json";
        let text = essence(said, Path::new("/c/.b-1"));
        assert_eq!(
            text,
            "error: GET https://npm.example/x - 404\n at /package.json"
        );
        assert!(essence("\n", Path::new("/x")).contains("said nothing"));
    }

    #[test]
    fn only_settings_of_registries_are_passed_on() {
        for name in [
            "PATH",
            "UV_INDEX_URL",
            "https_proxy",
            "HTTPS_PROXY",
            "SSL_CERT_FILE",
        ] {
            assert!(is_passed_on(name), "{name}");
        }
        for name in [
            "SUPERADMIN_SECRET",
            "DATABASE_URL",
            "PATHS",
            "WINDSOCK_SECRET_KEY",
        ] {
            assert!(!is_passed_on(name), "{name}");
        }
    }
}
