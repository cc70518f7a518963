//! Rules about the sources that the compiler does not check.
//!
//! `LAYERS` and `HOMES` are the architecture. ARCHITECTURE.md explains them, and these tests enforce
//! them. Each rule is a function on text, and is itself tested on text that breaks it.

use std::fs;
use std::path::{Path, PathBuf};

/// The most lines of a file. A longer file does more than one thing.
const FILE_LINES_MAX: usize = 600;

/// Each top-level module and the modules that it may use. A row names only rows above it, so the
/// table cannot hold a cycle.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("metrics", &["domain"]),
    ("wire", &["domain", "metrics"]),
    ("log", &["domain", "metrics", "wire"]),
    ("projection", &["domain", "metrics", "wire", "log"]),
    ("query", &["domain", "metrics", "log", "projection"]),
    (
        "ledger",
        &["domain", "metrics", "wire", "log", "projection", "query"],
    ),
    ("auth", &["domain", "metrics", "wire", "log"]),
    (
        "http",
        &[
            "domain",
            "metrics",
            "wire",
            "log",
            "projection",
            "query",
            "ledger",
            "auth",
        ],
    ),
    (
        "dialects",
        &[
            "domain",
            "metrics",
            "wire",
            "log",
            "projection",
            "query",
            "ledger",
            "auth",
            "http",
        ],
    ),
    (
        "app",
        &[
            "domain",
            "metrics",
            "wire",
            "log",
            "projection",
            "query",
            "ledger",
            "auth",
            "http",
            "dialects",
        ],
    ),
    (
        "cli",
        &[
            "domain",
            "metrics",
            "wire",
            "log",
            "projection",
            "query",
            "ledger",
            "auth",
            "http",
            "dialects",
            "app",
        ],
    ),
];

/// The modules of `http`. A row uses only rows above it; the root, which puts them together, uses all.
const HTTP: &[&str] = &[
    "raw_schema",
    "dto",
    "problem",
    "origin",
    "connection",
    "refusals",
    "state",
    "request",
    "response",
    "layers",
    "api",
];

/// The module that all dialects use. A dialect uses only this module and its own.
const DIALECT_SDK: &str = "sdk";

/// Paths of outside crates, and other names, and the only places that may name them. A home is a file without its
/// extension, or a directory.
const HOMES: &[(&str, &[&str])] = &[
    ("async_nats::", &["src/log/jetstream"]),
    ("redb::", &["src/projection", "src/log/embedded"]),
    ("axum::", &["src/http", "src/dialects", "src/app"]),
    ("hyper::", &["src/app/http_server"]),
    ("hyper_util::", &["src/app/http_server"]),
    ("clap::", &["src/cli", "src/main"]),
    ("jsonwebtoken::", &["src/auth/jwt"]),
    // The command line installs it as the TLS provider.
    ("ring::", &["src/auth/jwt/provider", "src/cli/mod"]),
    ("governor::", &["src/auth/rate_limit"]),
    ("reqwest::", &["src/cli", "src/auth/jwt/source"]),
    // These files decide the status of problems, successes and the failures of each dialect.
    (
        "StatusCode",
        &[
            "src/http/problem",
            "src/http/response/body",
            "src/http/response/success",
            "src/dialects/agi/failure",
            "src/dialects/apphandoff/failure",
            "src/dialects/otas/failure",
            "src/dialects/truthlocks/failure",
            "src/cli",
        ],
    ),
    // The rows of every tenant, without a tenant's id.
    (
        "of_all_tenants",
        &[
            "src/projection",
            "src/ledger/expiry",
            "src/ledger/revocation",
        ],
    ),
    ("anyhow::", &["src/app", "src/cli"]),
    ("prometheus_client::", &["src/metrics"]),
];

/// Marks of unfinished work, in pieces so that this file does not contain them.
const STUBS: &[&str] = &[
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("FIX", "ME"),
    concat!("#[", "ignore"),
];

/// A path that climbs two modules. A path from `crate::` is easier to search for.
const CLIMB: &str = concat!("super::", "super");

/// What reads the machine's clock.
const CLOCKS: &[&str] = &["SystemTime", "Instant", "Utc::now", "now_v7", "SystemClock"];

type Problem = (usize, String);

#[test]
fn modules_use_only_lower_layers() {
    for (row, (module, lower)) in LAYERS.iter().enumerate() {
        for name in *lower {
            let above = LAYERS[..row].iter().any(|(other, _)| other == name);
            assert!(
                above,
                "`{module}` lists `{name}`, which is not a row above it"
            );
        }
    }
    report(&["src"], layer_problems);
}

#[test]
fn modules_of_http_use_only_those_above_them_in_the_table() {
    report(&["src/http"], http_problems);
}

#[test]
fn no_dialect_uses_another() {
    report(&["src/dialects"], dialect_problems);
}

#[test]
fn outside_crates_are_used_only_in_their_homes() {
    report(&["src"], home_problems);
}

#[test]
fn domain_and_the_fold_read_no_clock() {
    report(&["src/domain", "src/projection/fold"], |_, text| {
        clock_problems(text)
    });
}

#[test]
fn every_module_has_a_layer() {
    let entries = fs::read_dir("src").expect("src exists");
    for entry in entries {
        let path = entry.expect("src is readable").path();
        let name = path.file_stem().expect("a name").to_string_lossy();
        let known = LAYERS.iter().any(|(layer, _)| *layer == name) || is_root(&name);
        assert!(known, "{} has no row in LAYERS", path.display());
    }
}

#[test]
fn files_have_a_summary_and_stay_short() {
    report(&["src", "tests", "benches", "examples"], |_, text| {
        form_problems(text)
    });
}

#[test]
fn no_work_is_left_unfinished() {
    report(&["src", "tests", "benches", "examples"], |_, text| {
        stub_problems(text)
    });
}

#[test]
fn a_use_of_a_higher_layer_is_found() {
    let found = |file: &str, text: &str| layer_problems(Path::new(file), text).len();
    assert_eq!(found("src/query/page.rs", "use crate::domain::ids;"), 0);
    assert_eq!(found("src/query/page.rs", "use crate::query::plan;"), 0);
    assert_eq!(found("src/query/page.rs", "use crate::http::dto;"), 1);
    assert_eq!(found("src/metrics.rs", "let x = crate::log::head();"), 1);
    assert_eq!(
        found("src/query/page.rs", "use crate::{domain::ids, http};"),
        1
    );
    assert_eq!(
        found(
            "src/query/page.rs",
            "use crate::{\n    domain::{a, http},\n    cli,\n};"
        ),
        1
    );
    assert_eq!(found("src/query/mod.rs", "use super::http;"), 1);
    assert_eq!(found("src/query/page.rs", "use super::plan;"), 0);
    assert_eq!(found("src/query/page.rs", "// as crate::http does"), 0);
    assert_eq!(found("src/query/page.rs", "pub(crate) fn f() {}"), 0);
    assert_eq!(found("src/main.rs", "use crate::cli;"), 0);
}

#[test]
fn a_use_of_a_higher_module_of_http_is_found() {
    let found = |file: &str, text: &str| http_problems(Path::new(file), text).len();
    let (page, list) = ("src/http/response/page.rs", "src/http/api/list.rs");
    assert_eq!(found(page, "use crate::http::request::caller::Caller;"), 0);
    assert_eq!(found(page, "use crate::http::response::json;"), 0);
    assert_eq!(found(page, "use crate::http::api::list;"), 1);
    assert_eq!(found(page, "use crate::http::Mount;"), 1);
    assert_eq!(found(page, "use crate::http::{request, api};"), 1);
    assert_eq!(found(list, "use crate::http::response::page;"), 0);
    assert_eq!(found("src/http/state.rs", "crate::http::api::x()"), 1);
    assert_eq!(found("src/http/mod.rs", "use crate::http::api;"), 0);
}

#[test]
fn a_use_of_another_dialect_is_found() {
    let found = |file: &str, text: &str| dialect_problems(Path::new(file), text).len();
    let (create, sdk) = ("src/dialects/agi/create.rs", "src/dialects/sdk/change.rs");
    assert_eq!(found(create, "use crate::dialects::sdk::fields;"), 0);
    assert_eq!(found(create, "use crate::dialects::agi::session;"), 0);
    assert_eq!(found(create, "use crate::dialects::otas::agent;"), 1);
    assert_eq!(found(create, "use crate::dialects::{otas, sdk};"), 1);
    assert_eq!(found(sdk, "use crate::dialects::agi::session;"), 1);
    assert_eq!(found("src/dialects/mod.rs", "use crate::dialects::agi;"), 0);
}

#[test]
fn an_outside_crate_outside_its_homes_is_found() {
    let found = |file: &str, text: &str| home_problems(Path::new(file), text);
    assert_eq!(
        found("src/ledger/append.rs", "use redb::Database;").len(),
        1
    );
    assert_eq!(
        found("src/log/jetstream.rs", "async_nats::connect(url)").len(),
        0
    );
    assert_eq!(
        found("src/log/jetstream/publish.rs", "async_nats::connect(url)").len(),
        0
    );
    assert_eq!(
        found("src/log/embedded.rs", "async_nats::connect(url)").len(),
        1
    );
    assert_eq!(
        found(
            "src/query/page.rs",
            "let a = 1;\nlet x = \"http://h\"; axum::serve()"
        )[0]
        .0,
        2
    );
    assert_eq!(found("src/query/page.rs", "// not axum::serve").len(), 0);
    assert_eq!(found("src/query/page.rs", "hyper_axum::serve()").len(), 0);
}

#[test]
fn a_malformed_file_is_found() {
    assert_eq!(form_problems("//! Summary.\n").len(), 0);
    assert_eq!(form_problems("use std::fs;\n").len(), 1);
    assert_eq!(form_problems("//! 5 \u{b5}s.\n").len(), 1);
    assert_eq!(
        form_problems(&format!("//! Long.\n{}", "\n".repeat(FILE_LINES_MAX))).len(),
        1
    );
    assert_eq!(
        form_problems(&format!("//! Climbs.\nuse {CLIMB}::a;\n"))[0].0,
        2
    );
    assert_eq!(form_problems("//! Climbs once.\nuse super::a;\n").len(), 0);
}

#[test]
fn a_clock_is_found() {
    assert_eq!(clock_problems("fn f() { Instant::now(); }\n").len(), 1);
    assert_eq!(clock_problems("use uuid::Uuid;\nUuid::now_v7()\n")[0].0, 2);
    assert_eq!(clock_problems("trait Clock {} // SystemTime\n").len(), 0);
}

#[test]
fn a_stub_is_found() {
    for stub in STUBS {
        assert_eq!(stub_problems(&format!("fn f() {{}}\n// {stub}\n"))[0].0, 2);
    }
    assert_eq!(stub_problems("fn todo() {}\n").len(), 0);
}

/// Fails with every problem that `check` finds in the sources below `roots`.
fn report(roots: &[&str], check: impl Fn(&Path, &str) -> Vec<Problem>) {
    let files: Vec<PathBuf> = roots
        .iter()
        .flat_map(|root| sources(Path::new(root)))
        .collect();
    assert!(!files.is_empty(), "no sources below {roots:?}");
    let mut lines = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source is UTF-8");
        for (number, problem) in check(&file, &text) {
            lines.push(format!("{}:{number}: {problem}", file.display()));
        }
    }
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

/// Returns uses of modules that the file's own module may not use.
fn layer_problems(file: &Path, text: &str) -> Vec<Problem> {
    let place = file.with_extension("");
    let module = place.iter().nth(1).unwrap_or_default().to_string_lossy();
    if is_root(&module) {
        return Vec::new();
    }
    let lower = LAYERS
        .iter()
        .find(|(name, _)| *name == module)
        .map_or(&[][..], |(_, lower)| lower);
    let code = without_comments(text);
    let mut used = first_segments(&code, "crate::");
    // From a module's root file `super` is the crate, but tests in it say `super::*`.
    if place.iter().count() == 2 || place.ends_with("mod") && place.iter().count() == 3 {
        used.extend(
            first_segments(&code, "super::")
                .into_iter()
                .filter(|(_, name)| is_layer(name)),
        );
    }
    used.into_iter()
        .filter(|(_, name)| *name != module && !lower.contains(&name.as_str()))
        .map(|(number, name)| (number, format!("`{module}` must not use `{name}`")))
        .collect()
}

/// Returns uses of modules of `http` that the file's own module may not use.
fn http_problems(file: &Path, text: &str) -> Vec<Problem> {
    let module = part_of(file);
    let Some(row) = HTTP.iter().position(|name| *name == module) else {
        let root = (module != "mod").then(|| (1, format!("`{module}` has no row in HTTP")));
        return root.into_iter().collect();
    };
    let used = first_segments(&without_comments(text), "crate::http::");
    used.into_iter()
        .filter(|(_, name)| !HTTP[..=row].contains(&name.as_str()))
        .map(|(number, name)| (number, format!("`{module}` must not use `http::{name}`")))
        .collect()
}

/// Returns uses of other dialects.
fn dialect_problems(file: &Path, text: &str) -> Vec<Problem> {
    let dialect = part_of(file);
    if dialect == "mod" {
        return Vec::new();
    }
    let used = first_segments(&without_comments(text), "crate::dialects::");
    used.into_iter()
        .filter(|(_, name)| *name != dialect && name != DIALECT_SDK)
        .map(|(number, name)| (number, format!("`{dialect}` must not use `{name}`")))
        .collect()
}

/// Returns the name of the module in a layer to which a file belongs.
fn part_of(file: &Path) -> String {
    let place = file.with_extension("");
    let part = place.iter().nth(2).unwrap_or_default();
    part.to_string_lossy().into_owned()
}

/// Returns uses of outside crates outside their homes.
fn home_problems(file: &Path, text: &str) -> Vec<Problem> {
    let place = file.with_extension("");
    let code = without_comments(text);
    let mut problems = Vec::new();
    for (path, homes) in HOMES {
        if homes.iter().any(|home| place.starts_with(home)) {
            continue;
        }
        for at in places_of(&code, path) {
            problems.push((line_of(&code, at), format!("`{path}` belongs in {homes:?}")));
        }
    }
    problems
}

/// Clocks that the code names.
fn clock_problems(text: &str) -> Vec<Problem> {
    let code = without_comments(text);
    let clocks = CLOCKS.iter();
    let found = clocks.flat_map(|clock| places_of(&code, clock).map(move |at| (at, clock)));
    found
        .map(|(at, clock)| (line_of(&code, at), format!("`{clock}` reads a clock")))
        .collect()
}

fn form_problems(text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !text.starts_with("//! ") {
        problems.push((1, "the first line is not a `//!` summary".to_owned()));
    }
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        problems.push((lines, format!("{lines} lines, more than {FILE_LINES_MAX}")));
    }
    for (number, line) in (1..).zip(text.lines()) {
        if !line.is_ascii() {
            problems.push((number, "not ASCII".to_owned()));
        }
        if line.contains(CLIMB) {
            problems.push((number, format!("`{CLIMB}`: start the path at `crate`")));
        }
    }
    problems
}

fn stub_problems(text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for stub in STUBS.iter().filter(|stub| line.contains(**stub)) {
            problems.push((number, format!("`{stub}`")));
        }
    }
    problems
}

/// Returns the line number and first name of every path that starts with `prefix`, including groups in
/// braces.
fn first_segments(code: &str, prefix: &str) -> Vec<Problem> {
    let mut found = Vec::new();
    for at in places_of(code, prefix) {
        let rest = &code[at + prefix.len()..];
        let names = match rest.strip_prefix('{') {
            Some(group) => group_heads(group),
            None => vec![head(rest)],
        };
        found.extend(
            names
                .into_iter()
                .map(|name| (line_of(code, at), name.to_owned())),
        );
    }
    found
}

/// Returns the first name of each member of a `use` group. `group` begins after the opening brace.
fn group_heads(group: &str) -> Vec<&str> {
    let mut heads = vec![head(group.trim_start())];
    let mut depth = 0_usize;
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(head(group[at + 1..].trim_start())),
            _ => {}
        }
    }
    // After a trailing comma there is no member.
    heads.retain(|name| !name.is_empty());
    heads
}

/// Returns the identifier at the start of `text`.
fn head(text: &str) -> &str {
    text.split(|letter: char| !is_name(letter))
        .next()
        .unwrap_or_default()
}

/// Returns the indexes of `path` in `code`, except in the tail of a longer name.
fn places_of<'a>(code: &'a str, path: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(path)
        .map(|(at, _)| at)
        .filter(|at| !code[..*at].ends_with(is_name))
}

fn is_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

fn is_layer(name: &str) -> bool {
    LAYERS.iter().any(|(layer, _)| *layer == name)
}

/// Whether a module is a crate root, which is above all layers.
fn is_root(name: &str) -> bool {
    matches!(name, "lib" | "main")
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Returns the text without line comments, but with all its lines. `://` counts as a URL in a string.
fn without_comments(text: &str) -> String {
    let cut = |line: &str| {
        let comment = line
            .match_indices("//")
            .find(|(at, _)| !line[..*at].ends_with(':'));
        comment.map_or(line, |(at, _)| &line[..at]).to_owned()
    };
    text.lines().map(cut).collect::<Vec<_>>().join("\n")
}

/// Returns every `.rs` file below `root`, in path order, or none if `root` does not exist.
fn sources(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut pending = vec![root.to_path_buf()];
    while let Some(directory) = pending.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("a directory is readable").path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
