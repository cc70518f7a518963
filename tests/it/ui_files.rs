//! The sources of the dashboard keep its promises: nothing external, no markup from texts, nothing unused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const FOLDER: &str = "ui";
/// The pages with the API's document are not part of the dashboard.
const OTHERS: &str = "docs/";
const FILE_LINES_MAX: usize = 300;

/// How a script could turn a text into markup or code, or store the key.
const DANGEROUS: [&str; 16] = [
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "setHTML",
    "srcdoc",
    "document.write",
    "DOMParser",
    "createContextualFragment",
    "eval(",
    "Function(",
    "import(",
    "javascript:",
    "setTimeout(\"",
    "document.cookie",
    "sessionStorage",
    "indexedDB",
];

/// The only address of another host: the name of a namespace, which nothing fetches.
const NAMESPACE: &str = "http://www.w3.org/2000/svg";

/// Every file of the dashboard: its path below `ui/`, and its text.
pub(crate) fn all() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![Path::new(FOLDER).to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(FOLDER).unwrap().to_str().unwrap();
            if !name.starts_with(OTHERS) {
                files.insert(name.to_owned(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    assert!(files.contains_key("index.html"));
    files
}

/// Whether a file has this extension.
fn is_a(file: &str, extension: &str) -> bool {
    Path::new(file)
        .extension()
        .is_some_and(|it| it == extension)
}

/// Texts in double quotes that follow one of these words.
fn quoted_after<'t>(text: &'t str, words: &[&str]) -> Vec<&'t str> {
    let mut found = Vec::new();
    for word in words {
        for (at, _) in text.match_indices(&format!("{word}\"")) {
            let quoted = &text[at + word.len() + 1..];
            found.push(quoted.split_once('"').unwrap().0);
        }
    }
    found
}

/// The path that a reference in a file names.
fn resolved(file: &str, reference: &str) -> String {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in reference.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The files that a file refers to.
fn references(file: &str, text: &str) -> BTreeSet<String> {
    let words: &[&str] = if is_a(file, "js") {
        &["from ", "import "]
    } else {
        &["src=", "href="]
    };
    let found = quoted_after(text, words).into_iter();
    let found = found.filter(|reference| !reference.starts_with('#'));
    found.map(|reference| resolved(file, reference)).collect()
}

#[test]
fn every_file_is_reachable_from_the_page_and_every_reference_is_a_file() {
    let files = all();
    let mut reached = BTreeSet::from(["index.html".to_owned()]);
    let mut queue = vec!["index.html".to_owned()];
    while let Some(file) = queue.pop() {
        let text = files.get(&file).unwrap_or_else(|| panic!("no file {file}"));
        if is_a(&file, "svg") {
            continue;
        }
        for next in references(&file, text) {
            if reached.insert(next.clone()) {
                queue.push(next);
            }
        }
    }
    let known: BTreeSet<String> = files.into_keys().collect();
    assert_eq!(reached, known);
}

/// A browser that finds the modules one import after the other waits once for each step.
#[test]
fn the_page_names_every_module_so_that_all_are_fetched_at_once() {
    let files = all();
    let named = references("index.html", &files["index.html"]);
    for module in files.keys().filter(|file| is_a(file, "js")) {
        assert!(named.contains(module), "{module} has no modulepreload");
    }
}

#[test]
fn no_file_names_another_host() {
    for (file, text) in all() {
        let text = text.replace(NAMESPACE, "");
        for address in [
            "http:", "https:", "ws://", "wss://", "\"//", "'//", "(//", "@import",
        ] {
            assert!(!text.contains(address), "{file} has {address}");
        }
        assert!(!is_a(&file, "css") || !text.contains("url("), "{file}");
    }
}

#[test]
fn no_text_can_become_markup_or_code_and_the_key_is_not_stored() {
    for (file, text) in all() {
        for word in DANGEROUS {
            assert!(!text.contains(word), "{file} has {word}");
        }
    }
    let page = &all()["index.html"];
    // The policy forbids both, and the page would not work.
    assert!(!page.contains("<style") && !page.contains("style="));
    let mut words = page.split_whitespace();
    assert!(!words.any(|word| word.starts_with("on") && word.contains('=')));
    assert!(!page.contains("<script>"));
    // Preferences alone are stored.
    let stores = all()
        .into_iter()
        .filter(|(_, text)| text.contains("localStorage"));
    let stores: Vec<String> = stores.map(|(file, _)| file).collect();
    assert_eq!(stores, ["lib/prefs.js"]);
}

#[test]
fn files_have_a_summary_and_stay_short() {
    for (file, text) in all() {
        if is_a(&file, "svg") {
            continue;
        }
        let first = text
            .lines()
            .find(|line| *line != "<!doctype html>")
            .unwrap();
        let begins = ["// ", "/* ", "<!-- "];
        assert!(
            begins.iter().any(|begin| first.starts_with(begin)),
            "{file}: {first}"
        );
        let lines = text.lines().count();
        assert!(lines <= FILE_LINES_MAX, "{file} has {lines} lines");
        assert!(text.is_ascii(), "{file} is not ASCII");
        assert!(text.ends_with('\n'), "{file} does not end with a line end");
    }
}

#[test]
fn the_advice_covers_every_reason() {
    let advice = &all()["lib/advice.js"];
    let reasons = session_ledger::domain::Reason::ALL.iter();
    for reason in reasons.map(|reason| reason.code()).chain(["parked"]) {
        assert!(advice.contains(&format!("\n  {reason}: \"")), "{reason}");
    }
}
