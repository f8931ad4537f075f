//! The `windsock` command: flags, log, exit code. Everything else is in the library.

use std::process::ExitCode;

use clap::{Parser, error::ErrorKind};
use windsock::config::{Args, Config};

/// A bad start: nothing was changed (contract section 2).
const BAD_START: u8 = 2;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            ) =>
        {
            // Help that cannot be printed helps nobody.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => return bad_start(&one_line(&error)),
    };
    env_logger::Builder::from_env(
        env_logger::Env::default().default_filter_or("warn,windsock=info"),
    )
    .format_timestamp_millis()
    // Below that they log headers, and with them tokens.
    .filter_module("awc", log::LevelFilter::Info)
    .filter_module("actix_http", log::LevelFilter::Info)
    .init();
    let config = match Config::new(&args) {
        Ok(config) => config,
        Err(error) => return bad_start(&error.0),
    };
    match windsock::run(config, args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => bad_start(&error.to_string()),
    }
}

/// One line, also where a database says more.
fn bad_start(text: &str) -> ExitCode {
    let words: Vec<&str> = text.split_whitespace().collect();
    eprintln!("windsock: {}", words.join(" "));
    ExitCode::from(BAD_START)
}

/// clap's error without its usage lines: what is wrong, in one line.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or("bad flags");
    let line = line.strip_prefix("error: ").unwrap_or(line);
    format!("{line}; see windsock --help")
}
