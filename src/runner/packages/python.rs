//! Packages of scripts in `python3`: installed into a folder that is put on the path of the interpreter.
//!
//! With `uv` where the machine has it, else with `pip`: the interpreter's own, or that of a virtual environment
//! made for it. Only packages that come built (wheels) are taken: building one would run its code as windsock.

use std::{ffi::OsString, path::PathBuf};

use super::{Wanted, tool::Tool};

/// Installs what stands behind the interpreter's version in [`Wanted::what`].
pub(super) async fn install(wanted: &Wanted, tool: &Tool) -> Result<(), String> {
    let requirements = wanted.what.iter().skip(1).map(OsString::from);
    let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    let place = tool.place.join("packages");
    if let Some(uv) = uv() {
        let mut args = words(&["pip", "install", "--quiet", "--no-progress", "--no-config"]);
        args.extend(words(&["--link-mode", "copy", "--only-binary", ":all:"]));
        args.extend(words(&["--compile-bytecode", "--python"]));
        args.push(wanted.program.clone().into());
        args.extend(["--target".into(), place.into(), "--".into()]);
        args.extend(requirements);
        let downloads = tool.downloads.join("uv");
        let env = [("UV_CACHE_DIR", downloads.as_path())];
        return tool.run(&uv, args, &env).await.map(|_| ());
    }
    let pip = words(&["-I", "-m", "pip"]);
    let mut version = pip.clone();
    version.push("--version".into());
    let python = if tool.run(&wanted.program, version, &[]).await.is_ok() {
        wanted.program.clone()
    } else {
        let mut venv = words(&["-I", "-m", "venv"]);
        venv.push(tool.place.join("pip").into());
        tool.run(&wanted.program, venv, &[])
            .await
            .map_err(|error| {
                format!("this machine has neither uv nor pip: install uv (pip install uv). {error}")
            })?;
        tool.place.join("pip/bin/python")
    };
    let mut args = pip;
    args.extend(words(&[
        "install",
        "--quiet",
        "--no-input",
        "--only-binary",
        ":all:",
    ]));
    args.extend(words(&[
        "--disable-pip-version-check",
        "--no-warn-script-location",
    ]));
    args.extend(["--target".into(), place.into(), "--".into()]);
    args.extend(requirements);
    let downloads = tool.downloads.join("pip");
    let env = [("PIP_CACHE_DIR", downloads.as_path())];
    tool.run(&python, args, &env).await.map(|_| ())
}

fn uv() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join("uv"))
        .find(|file| file.is_file())
}
