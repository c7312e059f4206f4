//! Environments of Python with the packages that some checks need, in the user's cache.

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

/// Packages that belong together.
pub(crate) struct Packages {
    /// For what.
    name: &'static str,
    /// The file that lists them.
    requirements: &'static str,
    /// By which programs are told of the interpreter that has them.
    pub(crate) variable: &'static str,
}

/// Of the analytics example.
pub(crate) const ANALYTICS: Packages = Packages {
    name: "analytics",
    requirements: "docs/examples/analytics/requirements.txt",
    variable: "ANALYTICS_PYTHON",
};

/// Of the client that is made from the OpenAPI document.
pub(crate) const CLIENT: Packages = Packages {
    name: "client",
    requirements: "tests/client/requirements.txt",
    variable: "CLIENT_PYTHON",
};

/// Of what sends the interface anything that the document allows, and much that it does not.
pub(crate) const FUZZ: Packages = Packages {
    name: "fuzz-api",
    requirements: "benches/fuzz/requirements.txt",
    variable: "FUZZ_PYTHON",
};

const PYTHON: NotInstalled = NotInstalled {
    what: "Python 3 with venv",
    remedy: "`apt-get install python3-venv` (Debian, Ubuntu)",
};

/// The interpreter of an environment with these packages, which is made where it is missing: beside
/// its place, and moved there whole, so that of two runs at once neither sees a part of the other's.
pub(crate) fn python(packages: &Packages) -> Result<PathBuf> {
    let Packages { name, requirements, .. } = packages;
    let requirements = root()?.join(requirements);
    let mut hasher = DefaultHasher::new();
    fs::read_to_string(&requirements)?.hash(&mut hasher);
    let folder = Kafka::cache().with_file_name(format!("{name}-{:016x}", hasher.finish()));
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
    eprintln!("installing the Python packages of {name} into {}", folder.display());
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
