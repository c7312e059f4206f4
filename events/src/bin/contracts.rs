//! Writes the JSON Schemas of all event types into the folder given; `cargo xtask contracts`
//! runs it.

use std::{error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let folder: PathBuf = std::env::args_os().nth(1).ok_or("usage: contracts FOLDER")?.into();
    fs::create_dir_all(&folder)?;
    for kind in events::TYPES {
        let mut text = serde_json::to_string_pretty(&(kind.schema)())?;
        text.push('\n');
        fs::write(folder.join(format!("{}.v{}.json", kind.name, kind.version)), text)?;
    }
    Ok(())
}
