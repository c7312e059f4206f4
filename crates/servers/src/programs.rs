//! Where the servers' programs are, and what to say where they are not.

use std::{
    env, fmt,
    path::{Path, PathBuf},
};

/// A server's program is not on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotInstalled {
    /// What is missing.
    pub what: &'static str,
    /// How it is had.
    pub remedy: &'static str,
}

impl fmt::Display for NotInstalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not installed: {}", self.what, self.remedy)
    }
}

impl std::error::Error for NotInstalled {}

/// The folder of the PATH that holds all these programs.
pub(crate) fn folder_on_path(programs: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).find(|folder| holds(folder, programs))
}

fn holds(folder: &Path, programs: &[&str]) -> bool {
    programs.iter().all(|program| folder.join(program).is_file())
}
