//! The house rules that neither the compiler nor clippy holds.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::cargo::{Exit, root};

/// A file beyond this many lines is two.
const LONGEST: usize = 700;

/// One rule broken in one place.
#[derive(Debug, PartialEq, Eq)]
struct Breach {
    line: usize,
    what: String,
}

/// `cargo xtask tidy`.
pub(crate) fn tidy(_: &[String]) -> Result<()> {
    let root = root()?.canonicalize()?;
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    let mut count = 0;
    for file in &files {
        let extension = file.extension().and_then(|extension| extension.to_str());
        let Some(extension @ ("rs" | "md" | "sql")) = extension else { continue };
        let text = fs::read_to_string(file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        let shown = file.strip_prefix(&root)?;
        let mut breaches = blanks(&text);
        match extension {
            "rs" => breaches.extend(rust(&text)),
            "md" if shown == Path::new("README.md") || shown.starts_with("docs") => {
                breaches.extend(dead_links(&text, file, &root));
            }
            _ => {}
        }
        for Breach { line, what } in &breaches {
            eprintln!("{}:{line}: {what}", shown.display());
        }
        count += breaches.len();
    }
    println!("tidy: files={} breaches={count}", files.len());
    if count == 0 { Ok(()) } else { Err(Exit(1).into()) }
}

/// All files that are ours: not what is hidden or built.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") || name == "target" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(())
}

fn blanks(text: &str) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut say = |what: &str| breaches.push(Breach { line: index + 1, what: what.to_owned() });
        if line.contains('\t') {
            say("a tab");
        }
        if line.ends_with([' ', '\t']) {
            say("a blank at the end of the line");
        }
    }
    breaches
}

fn rust(text: &str) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut say = |line, what: String| breaches.push(Breach { line, what });
    if !text.starts_with("//!") {
        say(1, "does not begin with `//!`: which question does this file answer?".to_owned());
    }
    let lines = text.lines().count();
    if lines > LONGEST {
        say(lines, format!("{lines} lines; past {LONGEST}, a file is two"));
    }
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("#[ignore") {
            say(index + 1, "an ignored test".to_owned());
        }
    }
    breaches
}

/// The relative links of a page that lead nowhere, or out of the repository.
fn dead_links(text: &str, file: &Path, root: &Path) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (line, link) in links(text) {
        let path = link.split(['#', '?']).next().unwrap_or_default();
        if path.is_empty() || link.contains("://") || link.starts_with("mailto:") {
            continue;
        }
        let path = path.replace("%20", " ");
        let full = match path.strip_prefix('/') {
            Some(path) => root.join(path),
            None => file.parent().unwrap_or(root).join(path),
        };
        if !full.canonicalize().is_ok_and(|full| full.starts_with(root)) {
            breaches.push(Breach { line, what: format!("a link to {link}, which is not there") });
        }
    }
    breaches
}

/// The targets of `[text](target)` and `[name]: target` outside code, with their lines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        // A footnote is none.
        let named = line.starts_with('[') && !line.starts_with("[^");
        if let (true, Some((_, target))) = (named, line.split_once("]: ")) {
            links.push((index + 1, first_word(target)));
        }
        // Every second piece between backticks is code.
        for piece in line.split('`').step_by(2) {
            for after in piece.split("](").skip(1) {
                let target = after.split(')').next().unwrap_or_default();
                links.push((index + 1, first_word(target)));
            }
        }
        // The text of a link may be code: `](` then begins a piece of its own, found above.
    }
    links
}

/// A target without its title.
fn first_word(target: &str) -> &str {
    target.split_whitespace().next().unwrap_or_default().trim_matches(['<', '>'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_code() {
        let text = "See [a](a.md#part) and [`b`](b.md \"title\"), ![c](c.png).\n\
                    `[no](no.md)`\n```\n[no](no.md)\n```\n[d]: d.md\n[^1]: a note";
        assert_eq!(links(text), [(1, "a.md#part"), (1, "b.md"), (1, "c.png"), (6, "d.md")]);
    }

    #[test]
    fn breaches_have_lines() {
        let lines = |breaches: Vec<Breach>| -> Vec<usize> {
            breaches.into_iter().map(|breach| breach.line).collect()
        };
        assert_eq!(lines(blanks("fine\n\ttab\nblank \n")), [2, 3]);
        assert_eq!(lines(rust("//! Fine.\n#[test]\n  #[ignore]\nfn t() {}\n")), [3]);
        assert_eq!(lines(rust("fn undocumented() {}\n")), [1]);
        assert_eq!(lines(rust(&"//!\n".repeat(701))), [701]);
    }
}
