//! The Python of the analytics example: an environment with its packages, in the user's cache.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use servers::{Kafka, NotInstalled};

use crate::{
    cargo::{self, root},
    install::apt,
};

/// By which tests are told of it.
pub(crate) const VARIABLE: &str = "ANALYTICS_PYTHON";

const PYTHON: NotInstalled = NotInstalled {
    what: "Python 3 with venv",
    remedy: "`apt-get install python3-venv` (Debian, Ubuntu)",
};

/// The interpreter of the environment, which is made where it is missing: beside its place, and
/// moved there whole, so that of two runs at once neither sees a part of the other's.
pub(crate) fn python() -> Result<PathBuf> {
    let requirements = root()?.join("docs/examples/analytics/requirements.txt");
    let mut hasher = DefaultHasher::new();
    fs::read_to_string(&requirements)?.hash(&mut hasher);
    let folder = Kafka::cache().with_file_name(format!("analytics-{:016x}", hasher.finish()));
    let python = folder.join("bin/python");
    if python.exists() {
        return Ok(python);
    }
    if !has_venv() {
        apt(&[(PYTHON, "python3-venv")])?;
        ensure!(has_venv(), "{PYTHON}");
    }
    let partial = folder.with_extension(format!("new-{}", std::process::id()));
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    eprintln!("installing the Python packages of the analytics example into {}", folder.display());
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(&partial);
    let mut fill = Command::new(partial.join("bin/python"));
    fill.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    fill.arg(&requirements);
    for mut command in [make, fill] {
        command.stdin(Stdio::null()).stdout(io::stderr());
        if let Err(error) = cargo::run(command) {
            fs::remove_dir_all(&partial).ok();
            return Err(error.context("the Python packages could not be installed"));
        }
    }
    match fs::rename(&partial, &folder) {
        // Another was faster.
        Err(_) if folder.is_dir() => fs::remove_dir_all(&partial)?,
        moved => moved.with_context(|| format!("{} cannot be made", folder.display()))?,
    }
    Ok(python)
}

fn has_venv() -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", "import venv, ensurepip"]).stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}
