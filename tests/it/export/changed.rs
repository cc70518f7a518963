//! Each way to change an export by hand is found and named.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::test_runner::TestRunner;
use session_ledger::export::check;

use super::{Remote, draw, export_to, files, fill, history};
use crate::support::app::App;
use crate::support::python;

type Files = BTreeMap<String, Vec<u8>>;

/// A change of an export, and where it must be found: the file, and the lines that may be named.
struct Change {
    files: Files,
    what: String,
    file: String,
    lines: Option<std::ops::RangeInclusive<u64>>,
}

fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines.map(<[u8]>::to_vec).collect()
}

/// A change of one file: what it is, the new lines, and the lines that may be named.
type OfLines = (String, Vec<Vec<u8>>, std::ops::RangeInclusive<u64>);

/// Flips a bit of any file.
fn flip(runner: &mut TestRunner, original: &Files) -> Change {
    let mut files = original.clone();
    let names: Vec<&String> = original.keys().collect();
    let name = names[draw(runner, 0..names.len())];
    let bytes = files.get_mut(name).unwrap();
    let (at, bit) = (draw(runner, 0..bytes.len()), draw(runner, 0_u32..8));
    let line = split(&bytes[..=at]).len() as u64;
    bytes[at] ^= 1_u8 << bit;
    Change {
        files,
        what: format!("bit {bit} of byte {at}"),
        file: name.clone(),
        lines: name.starts_with("events").then_some(line..=line),
    }
}

/// Drops, adds or swaps lines, or drops the end of the file.
fn of_lines(runner: &mut TestRunner, mut lines: Vec<Vec<u8>>, kind: u8) -> OfLines {
    let (at, to) = (draw(runner, 0..lines.len()), draw(runner, 0..lines.len()));
    let line = at as u64 + 1;
    match kind {
        1 => {
            lines.remove(at);
            // The line that has come to this place, or the one before the end.
            let before = (line - 1).max(1);
            (format!("line {line} dropped"), lines, before..=line)
        }
        2 => {
            lines.insert(to, lines[at].clone());
            // If the line was added right before itself, the second of both is named.
            let place = to as u64 + 1;
            let what = format!("line {line} added at {place}");
            (what, lines, place..=place + 1)
        }
        3 => {
            let to = (at + 1) % lines.len();
            lines.swap(at, to);
            let first = at.min(to) as u64 + 1;
            (format!("lines {at} and {to} swapped"), lines, first..=first)
        }
        _ => {
            let bytes = lines.concat();
            let cut = draw(runner, 0..bytes.len());
            let count = lines.len() as u64;
            (format!("cut at {cut}"), split(&bytes[..cut]), 1..=count)
        }
    }
}

/// Draws a change of one of eight kinds.
fn change(runner: &mut TestRunner, original: &Files, kind: u8) -> Change {
    let mut files = original.clone();
    let names = original.keys().filter(|name| name.starts_with("events"));
    let names: Vec<&String> = names.collect();
    let one = draw(runner, 0..names.len());
    let name = names[one].clone();
    let (what, file, lines) = match kind {
        0 => return flip(runner, original),
        1..=4 => {
            let (what, lines, named) = of_lines(runner, split(&original[&name]), kind);
            files.insert(name.clone(), lines.concat());
            (what, name, Some(named))
        }
        5 => {
            let other = (one + draw(runner, 1..names.len())) % names.len();
            let other = names[other].clone();
            files.insert(name.clone(), original[&other].clone());
            files.insert(other.clone(), original[&name].clone());
            ("two files swapped".to_owned(), name.min(other), Some(1..=1))
        }
        6 => {
            files.remove(&name);
            ("a file dropped".to_owned(), name, None)
        }
        _ => {
            let added = "events-00000000000000000001.ndjson".to_owned();
            files.insert(added.clone(), original[&name].clone());
            ("a file added".to_owned(), added, None)
        }
    };
    Change {
        files,
        what,
        file,
        lines,
    }
}

fn write(dir: &Path, files: &Files) {
    fs::create_dir(dir).unwrap();
    for (name, bytes) in files {
        fs::write(dir.join(name), bytes).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_export_is_found_and_named() {
    let app = App::start().await;
    let mut runner = TestRunner::deterministic();
    let steps = draw(&mut runner, history(150));
    fill(&app, &steps).await;
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("e");
    let remote = Remote::new(app.client("acme"));
    export_to(&dir, &remote, &remote.end_at("now").await)
        .await
        .unwrap();
    app.stop().await;
    let original = files(&dir);
    assert!(4 < original.len());
    for number in 0..1_200_u32 {
        let kind = u8::try_from(number % 16).unwrap().saturating_sub(8);
        let Change {
            files,
            what,
            file,
            lines,
        } = change(&mut runner, &original, kind);
        if files == original {
            continue;
        }
        let dir = place.path().join(number.to_string());
        write(&dir, &files);
        let found = check(&dir, |_, _| {}).unwrap();
        let Err(difference) = found else {
            panic!("{what} of {file} is not found");
        };
        assert_eq!(difference.file, file, "{what}: {difference}");
        // Each process takes a while, so few do.
        if number % 41 == 0 {
            let said = python::fails(super::program(), &[dir.to_str().unwrap()]).await;
            let begins = format!("DIFFERENCE: {file}");
            assert!(said.starts_with(&begins), "{what} of {file}: {said}");
        }
        match (difference.line, lines) {
            (Some(line), Some(lines)) => {
                assert!(lines.contains(&line), "{what} in {lines:?}: {difference}");
                let is_placed = difference.position.is_some() || difference.after.is_some();
                assert!(is_placed, "{what}: {difference}");
            }
            // An empty file has no line.
            (None, Some(_)) => assert!(files[&file].is_empty(), "{what}: {difference}"),
            (line, None) => assert_eq!(line, None, "{what}: {difference}"),
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}
