//! Rules about the sources that the compiler does not check.
//!
//! `LAYERS` and `HOMES` are the architecture. ARCHITECTURE.md explains them, and these tests enforce
//! them. Each rule is a function on text, and is itself tested on text that breaks it.

mod tables;
mod text;
mod uses;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tables::{DIALECT_SDK, HOMES, HTTP, LAYERS};
use text::{line_of, places_of, quoted, sources, table_rows, without_comments};
use uses::{Use, module_of, uses};

/// The most lines of a file. A longer file does more than one thing.
const FILE_LINES_MAX: usize = 600;

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

/// The files of `projection` that measure how long a batch takes, and wait. They decide nothing by it.
const CLOCK_READERS: &[&str] = &[
    "projection/batch.rs",
    "projection/batch_tests.rs",
    "projection/live.rs",
    "projection/runner.rs",
    "projection/past/runner.rs",
];

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
fn no_dialect_uses_another_or_the_routes_of_the_api() {
    report(&["src/dialects"], dialect_problems);
}

#[test]
fn outside_crates_are_used_only_in_their_homes() {
    report(&["src"], home_problems);
}

#[test]
fn only_the_loops_of_the_projection_and_higher_layers_read_a_clock() {
    report(
        &["src/domain", "src/wire", "src/projection"],
        |file, text| {
            if CLOCK_READERS.iter().any(|reader| file.ends_with(reader)) {
                return Vec::new();
            }
            clock_problems(text)
        },
    );
}

#[test]
fn each_row_names_a_module_and_each_home_its_crate() {
    let modules = LAYERS.iter().map(|(module, _)| format!("src/{module}"));
    let modules = modules.chain(HTTP.iter().map(|module| format!("src/http/{module}")));
    for module in modules.chain([format!("src/dialects/{DIALECT_SDK}")]) {
        assert!(!sources(Path::new(&module)).is_empty(), "no file {module}");
    }
    for reader in CLOCK_READERS {
        let text = fs::read_to_string(Path::new("src").join(reader)).expect("a reader is a file");
        assert!(!clock_problems(&text).is_empty(), "{reader} reads no clock");
    }
    let mut stale = Vec::new();
    for (path, homes) in HOMES {
        for home in *homes {
            let named = sources(Path::new(home)).into_iter().any(|file| {
                let text = fs::read_to_string(file).expect("a source is UTF-8");
                places_of(&without_comments(&text), path).next().is_some()
            });
            if !named {
                stale.push(format!("no file of {home} names `{path}`"));
            }
        }
    }
    assert!(stale.is_empty(), "\n{}", stale.join("\n"));
}

#[test]
fn the_tables_in_the_documents_are_those_of_this_file() {
    let document = fs::read_to_string("ARCHITECTURE.md").expect("the document exists");
    let (_, layers) = document.split_once("## Layers").expect("its section");
    let (layers, _) = layers.split_once("###").expect("the end of the section");
    let mut above = Vec::new();
    let rows = table_rows(layers, "");
    assert_eq!(rows.len(), LAYERS.len(), "rows of ARCHITECTURE.md");
    for (row, (module, lower)) in rows.iter().zip(LAYERS) {
        let [name, _, may_use] = row[..] else {
            panic!("{row:?} has not three cells");
        };
        assert_eq!(quoted(name), [*module], "ARCHITECTURE.md");
        let names: BTreeSet<&str> = quoted(may_use).into_iter().collect();
        let named: BTreeSet<&str> = match may_use.strip_prefix("all above") {
            Some(_) => above
                .iter()
                .copied()
                .filter(|name| !names.contains(name))
                .collect(),
            None => names,
        };
        let lower = lower.iter().copied().collect();
        assert_eq!(named, lower, "`{module}` in ARCHITECTURE.md");
        above.push(*module);
    }
    let http = fs::read_to_string("src/http/mod.rs").expect("the module exists");
    let rows = table_rows(&http, "//! ");
    let names: Vec<&str> = rows.iter().flat_map(|row| quoted(row[0])).collect();
    assert_eq!(names, HTTP, "src/http/mod.rs");
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
    assert_eq!(found("src/metrics.rs", "use super::cli::Cli;"), 1);
    let tests = "mod tests {\n    use super::*;\n}";
    assert_eq!(found("src/metrics.rs", tests), 0);
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
    assert_eq!(found(page, "use crate::{http::api::x, log};"), 1);
    assert_eq!(found(page, "use crate::http;\nhttp::api::x();"), 1);
    assert_eq!(found(page, "use super::json;"), 0);
    assert_eq!(found("src/http/state.rs", "use super::api;"), 1);
    assert_eq!(found("src/http/response/mod.rs", "use super::api;"), 1);
    assert_eq!(found("src/http/response/mod.rs", "use super::dto;"), 0);
}

#[test]
fn a_use_of_another_dialect_or_of_a_route_is_found() {
    let found = |file: &str, text: &str| dialect_problems(Path::new(file), text).len();
    let (create, sdk) = ("src/dialects/agi/create.rs", "src/dialects/sdk/change.rs");
    assert_eq!(found(create, "use crate::dialects::sdk::fields;"), 0);
    assert_eq!(found(create, "use crate::dialects::agi::session;"), 0);
    assert_eq!(found(create, "use crate::dialects::otas::agent;"), 1);
    assert_eq!(found(create, "use crate::dialects::{otas, sdk};"), 1);
    assert_eq!(found(sdk, "use crate::dialects::agi::session;"), 1);
    assert_eq!(found("src/dialects/mod.rs", "use crate::dialects::agi;"), 0);
    assert_eq!(found(create, "use crate::http::response::lookup;"), 0);
    assert_eq!(found(create, "use crate::http::api::sessions;"), 1);
    assert_eq!(found(create, "use crate::http::{api, state};"), 1);
    let agi = "src/dialects/agi/mod.rs";
    assert_eq!(found(agi, "use super::otas::agent;"), 1);
    assert_eq!(found(agi, "use super::sdk::fields;"), 0);
    assert_eq!(found(create, "use super::session;"), 0);
    assert_eq!(found(create, "use crate::{dialects::otas, log};"), 1);
    assert_eq!(
        found(create, "use crate::dialects;\ndialects::otas::x();"),
        1
    );
    assert_eq!(found(create, "use crate::dialects::*;"), 1);
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
    let mut files: Vec<PathBuf> = Vec::new();
    for root in roots {
        let below = sources(Path::new(root));
        assert!(!below.is_empty(), "no sources below {root}");
        files.extend(below);
    }
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
    let own = module_of(file);
    let Some(module) = own.first() else {
        return Vec::new();
    };
    let lower = LAYERS
        .iter()
        .find(|(name, _)| name == module)
        .map_or(&[][..], |(_, lower)| lower);
    let used = uses(file, &without_comments(text)).into_iter();
    used.filter_map(|Use { line, path }| Some((line, path.into_iter().next()?)))
        .filter(|(_, name)| name != module && !lower.contains(&name.as_str()))
        .map(|(line, name)| (line, format!("`{module}` must not use `{name}`")))
        .collect()
}

/// Returns uses of modules of `http` that the file's own module may not use.
fn http_problems(file: &Path, text: &str) -> Vec<Problem> {
    let own = module_of(file);
    let Some(module) = own.get(1) else {
        return Vec::new();
    };
    let Some(row) = HTTP.iter().position(|name| name == module) else {
        return vec![(1, format!("`{module}` has no row in HTTP"))];
    };
    parts_used(file, text, "http")
        .filter(|(_, name)| !HTTP[..=row].contains(&name.as_str()))
        .map(|(line, name)| (line, format!("`{module}` must not use `http::{name}`")))
        .collect()
}

/// Returns uses of other dialects, and of the routes of the ledger's own API.
fn dialect_problems(file: &Path, text: &str) -> Vec<Problem> {
    let own = module_of(file);
    let Some(dialect) = own.get(1) else {
        return Vec::new();
    };
    let others = parts_used(file, text, "dialects")
        .filter(|(_, name)| name != dialect && name != DIALECT_SDK);
    let routes = parts_used(file, text, "http").filter(|(_, name)| name == "api");
    others
        .chain(routes)
        .map(|(line, name)| (line, format!("`{dialect}` must not use `{name}`")))
        .collect()
}

/// Returns the lines and names of the parts of a layer that a file uses.
fn parts_used(file: &Path, text: &str, layer: &str) -> impl Iterator<Item = Problem> {
    let used = uses(file, &without_comments(text)).into_iter();
    used.filter_map(move |Use { line, path }| {
        let mut path = path.into_iter();
        path.next().filter(|name| name == layer)?;
        Some((line, path.next()?))
    })
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

/// Whether a module is a crate root, which is above all layers.
fn is_root(name: &str) -> bool {
    matches!(name, "lib" | "main")
}
