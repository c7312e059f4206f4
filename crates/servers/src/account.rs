//! As whom a server runs: the current user, or for root an unprivileged one.

use std::{
    os::unix::{fs::chown, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// The operating-system account that a server runs as.
#[derive(Debug, Clone)]
pub struct Account {
    /// User and group to become; `None` when we are unprivileged already.
    step_down: Option<(u32, u32)>,
    name: String,
}

impl Account {
    /// The current user, or for root `postgres` (else `nobody`).
    pub fn unprivileged() -> Result<Self> {
        if id(&["-u"])? != 0 {
            return Ok(Self { step_down: None, name: "the current user".to_owned() });
        }
        for name in ["postgres", "nobody"] {
            if let (Ok(user), Ok(group)) = (id(&["-u", name]), id(&["-g", name])) {
                return Ok(Self { step_down: Some((user, group)), name: name.to_owned() });
            }
        }
        bail!("Postgres does not run as root, and there is no user postgres or nobody to run it as")
    }

    /// The name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that runs as this account, with its input and output going nowhere.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        if let Some((user, group)) = self.step_down {
            command.uid(user).gid(group);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
        command
    }

    /// Makes the account the owner of a file or folder.
    pub fn own(&self, path: &Path) -> Result<()> {
        if let Some((user, group)) = self.step_down {
            chown(path, Some(user), Some(group))
                .with_context(|| format!("{} cannot be given to {}", path.display(), self.name))?;
        }
        Ok(())
    }

    /// Whether the account can enter the folder: a home of mode 0700 above it is in its way.
    pub fn can_enter(&self, folder: &Path) -> bool {
        let entered = self.command("/bin/sh").args(["-c", "cd \"$1\"", "sh"]).arg(folder).status();
        entered.is_ok_and(|status| status.success())
    }
}

fn id(arguments: &[&str]) -> Result<u32> {
    let output = Command::new("id").args(arguments).stderr(Stdio::null()).output()?;
    let text = String::from_utf8(output.stdout)?;
    text.trim().parse().with_context(|| format!("id {} says nothing useful", arguments.join(" ")))
}
