//! Where things lie, and how other programs are run.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use anyhow::{Context, Result};

/// A program of ours failed and has said why: its exit code becomes ours.
#[derive(Debug)]
pub(crate) struct Exit(pub(crate) u8);

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}", self.0)
    }
}

impl std::error::Error for Exit {}

/// The workspace. Asked of cargo at run time, because a build folder may serve several clones.
pub(crate) fn root() -> Result<PathBuf> {
    let package = env::var_os("CARGO_MANIFEST_DIR").context("run me as `cargo xtask`")?;
    let root = Path::new(&package).parent().context("the package lies in a workspace")?;
    Ok(root.to_owned())
}

/// The build folder: the one that this program was built in.
pub(crate) fn target() -> Result<PathBuf> {
    let program = env::current_exe()?;
    let target = program.parent().and_then(Path::parent).context("run me as `cargo xtask`")?;
    Ok(target.to_owned())
}

/// The cargo that runs us, on the packages of this workspace.
pub(crate) fn cargo<S: AsRef<str>>(arguments: &[S]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments.iter().map(AsRef::as_ref));
    // What the cargo that runs us says of xtask's own package: build scripts look at these names, and
    // would build again what was built without xtask, and the other way round.
    let of_xtask = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"];
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| of_xtask.iter().any(|one| name.starts_with(one))) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end; its failure is an [`Exit`].
pub(crate) fn run(mut command: Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("{} cannot be run", command.get_program().display()))?;
    if status.success() { Ok(()) } else { Err(Exit(code(status)).into()) }
}

/// The exit code that stands for a failure; a process that a signal ended has none of its own.
pub(crate) fn code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Says what is done now.
pub(crate) fn step(what: &str) {
    eprintln!("== {what}");
}
