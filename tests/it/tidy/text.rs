//! Reads source files as text.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the indexes of `path` in `code`, except in the tail of a longer name.
pub(super) fn places_of<'a>(code: &'a str, path: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(path)
        .map(|(at, _)| at)
        .filter(|at| !code[..*at].ends_with(is_name))
}

pub(super) fn is_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

pub(super) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Returns the text without line comments, but with all its lines. `://` counts as a URL in a string.
pub(super) fn without_comments(text: &str) -> String {
    let cut = |line: &str| {
        let comment = line
            .match_indices("//")
            .find(|(at, _)| !line[..*at].ends_with(':'));
        comment.map_or(line, |(at, _)| &line[..at]).to_owned()
    };
    text.lines().map(cut).collect::<Vec<_>>().join("\n")
}

/// Returns every `.rs` file of a place, in path order: a directory, or a file with or without its
/// extension. Returns none if there is no such place.
pub(super) fn sources(place: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut pending = vec![place.to_path_buf(), place.with_extension("rs")];
    while let Some(path) = pending.pop() {
        if path.is_file() && path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        } else if let Ok(entries) = fs::read_dir(&path) {
            pending.extend(entries.map(|entry| entry.expect("a directory is readable").path()));
        }
    }
    files.sort();
    files.dedup();
    files
}

/// Returns the cells of the rows of a Markdown table whose first cell is a name in backticks. `marker`
/// stands before each row.
pub(super) fn table_rows<'a>(text: &'a str, marker: &str) -> Vec<Vec<&'a str>> {
    let rows = text.lines().filter_map(|line| line.strip_prefix(marker));
    rows.filter(|row| row.starts_with("| `"))
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// Returns the texts in backticks.
pub(super) fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}
