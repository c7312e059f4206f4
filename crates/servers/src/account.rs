//! As whom a server runs: the current user, or for root an unprivileged one.

use std::{
    fs, io,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

/// The operating-system account that a server runs as.
#[derive(Debug, Clone)]
pub struct Account {
    /// User and group to become; `None` when we are unprivileged already.
    step_down: Option<(u32, u32)>,
    name: String,
}

impl Account {
    /// The current user, be it root.
    pub fn current() -> Self {
        Self { step_down: None, name: "the current user".to_owned() }
    }

    /// The current user, or for root `postgres` (else `nobody`).
    pub fn unprivileged() -> Result<Self> {
        if Self::user()? != 0 {
            return Ok(Self::current());
        }
        for name in ["postgres", "nobody"] {
            if let (Ok(user), Ok(group)) = (id(&["-u", name]), id(&["-g", name])) {
                return Ok(Self { step_down: Some((user, group)), name: name.to_owned() });
            }
        }
        bail!("servers do not run as root, and there is no user postgres or nobody to run them as")
    }

    /// The number of the current user.
    pub fn user() -> Result<u32> {
        id(&["-u"])
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

    /// Whether the folder, itself and no link to it, belongs to the account.
    pub fn owns(&self, folder: &Path) -> Result<bool> {
        let found = fs::symlink_metadata(folder)?;
        let user = match self.step_down {
            Some((user, _)) => user,
            None => Self::user()?,
        };
        Ok(found.is_dir() && found.uid() == user)
    }

    /// Makes a folder that the account can enter, and gives its absolute path.
    pub(crate) fn enter(&self, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        let folder = folder.canonicalize()?;
        ensure!(
            self.can_enter(&folder),
            "{} cannot be entered by {}, as whom the server runs: choose a folder outside private \
             homes",
            folder.display(),
            self.name,
        );
        Ok(folder)
    }

    /// Makes a folder that the account alone can enter.
    pub(crate) fn make_private(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        self.own(folder)
    }

    /// Whether this process of the account works in the folder: a dead one works nowhere, and one
    /// that came by its number elsewhere.
    pub(crate) fn works_in(&self, process: u32, folder: &Path) -> bool {
        let link = format!("/proc/{process}/cwd");
        match fs::read_link(&link) {
            // In a container, root may not look at the processes of others; they may themselves.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let mut ask = self.command("readlink");
                ask.arg("-n").arg(&link).stdout(Stdio::piped());
                ask.output().is_ok_and(|output| output.stdout == folder.as_os_str().as_bytes())
            }
            found => found.is_ok_and(|found| found == folder),
        }
    }
}

fn id(arguments: &[&str]) -> Result<u32> {
    let output = Command::new("id").args(arguments).stderr(Stdio::null()).output()?;
    let text = String::from_utf8(output.stdout)?;
    text.trim().parse().with_context(|| format!("id {} says nothing useful", arguments.join(" ")))
}
