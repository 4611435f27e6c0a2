//! The requirements of the repository, each with the tests that cite it.

use anyhow::{Context, ensure};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A requirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Requirement {
    /// `KCP-12`.
    pub(crate) id: String,
    /// The rule.
    pub(crate) text: String,
    /// Tests that cite it: file and function, or the file alone.
    pub(crate) tests: Vec<String>,
}

/// Reads `engine/requirements` below `root`, and searches the tests of all crates there.
///
/// # Errors
/// The folder has no requirements, or a file cannot be read.
pub(crate) fn requirements(root: &Path) -> anyhow::Result<Vec<Requirement>> {
    let mut all = Vec::new();
    for file in files(&root.join("engine/requirements"), "md")? {
        all.extend(defined(&text(&file)?));
    }
    ensure!(!all.is_empty(), "{}: no requirements", root.display());
    let mut cited: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for folder in ["engine", "sim", "interop", "bins", "reports"] {
        for file in files(&root.join(folder), "rs")? {
            let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
            for (id, test) in citations(&text(&file)?, name.contains("/tests/")) {
                let place = test.map_or_else(|| name.clone(), |test| format!("{name}::{test}"));
                let tests = cited.entry(id).or_default();
                if !tests.contains(&place) {
                    tests.push(place);
                }
            }
        }
    }
    for one in &mut all {
        one.tests = cited.remove(&one.id).unwrap_or_default();
    }
    Ok(all)
}

fn text(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// Files of that extension below a folder, sorted; build output is left out.
fn files(folder: &Path, extension: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(files(&path, extension)?);
        } else if path.extension().is_some_and(|own| own == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Lines such as `- KCP-1: text`.
fn defined(text: &str) -> impl Iterator<Item = Requirement> {
    text.lines().filter_map(|line| {
        let (id, text) = line.strip_prefix("- ")?.split_once(": ")?;
        let is_id = ids(id).first().is_some_and(|found| found == id);
        is_id.then(|| Requirement { id: id.to_owned(), text: text.to_owned(), tests: Vec::new() })
    })
}

/// The ids that tests cite, with the function that cites them: the next one after a comment outside functions, the
/// enclosing one otherwise. `all` is set for files that contain nothing but tests.
fn citations(text: &str, all: bool) -> Vec<(String, Option<String>)> {
    let (mut found, mut waiting, mut current, mut in_tests) = (Vec::new(), Vec::new(), None, all);
    for line in text.lines() {
        in_tests |= line.contains("#[cfg(test)]");
        if !in_tests {
            continue;
        }
        let trimmed = line.trim_start();
        if let Some(name) = function(trimmed) {
            current = Some(name.to_owned());
            found.extend(waiting.drain(..).map(|id| (id, current.clone())));
        }
        let outer = trimmed.starts_with("///") || trimmed.starts_with("#[");
        for id in ids(trimmed) {
            match trimmed.starts_with("//!") {
                true => found.push((id, None)),
                false if outer => waiting.push(id),
                false => found.push((id, current.clone())),
            }
        }
    }
    found.extend(waiting.into_iter().map(|id| (id, None)));
    found
}

fn function(line: &str) -> Option<&str> {
    let rest = ["fn ", "pub fn ", "pub(crate) fn ", "pub(super) fn "]
        .iter()
        .find_map(|start| line.strip_prefix(start))?;
    rest.split(['(', '<']).next()
}

/// Words such as `KCP-12`: capital letters, a hyphen, a number.
fn ids(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let is_id = |word: &&str| {
        let Some((prefix, number)) = word.split_once('-') else { return false };
        let all = |text: &str, is: fn(&u8) -> bool| !text.is_empty() && text.bytes().all(|byte| is(&byte));
        all(prefix, u8::is_ascii_uppercase) && all(number, u8::is_ascii_digit)
    };
    words.filter(is_id).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_citation_belongs_to_the_function_that_it_describes() {
        // The ids are made at run time, so that they are not taken for citations of this file.
        let id = |number: u8| format!("{}-{number}", "KCP");
        let text =
            format!("//! {}\n/// {}\n#[test]\nfn one() {{\n    // {}, {}.\n}}\n", id(1), id(2), id(3), id(4));
        let of = |number, test: Option<&str>| (id(number), test.map(str::to_owned));
        assert_eq!(
            citations(&text, true),
            [of(1, None), of(2, Some("one")), of(3, Some("one")), of(4, Some("one"))]
        );
        assert!(citations(&text, false).is_empty());
        let defined: Vec<_> = defined(&format!("# T\n- {}: A rule (source).\n- x: y\n", id(5))).collect();
        assert_eq!((defined.len(), defined[0].id.as_str()), (1, id(5).as_str()));
    }
}
