//! Finds the paths of this crate that a source file names, and resolves them from the crate's root.
//!
//! This reads text, not Rust's grammar: it relies on the layout that rustfmt gives a file.

use std::path::Path;

use super::text::{is_name, line_of, places_of};

/// A path that a file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Use {
    /// The line.
    pub(super) line: usize,
    /// The segments after `crate`. The last one is `*` for a glob.
    pub(super) path: Vec<String>,
}

/// A member of a `use`: its segments, and the name that it has in the file.
struct Member {
    segments: Vec<String>,
    alias: Option<String>,
}

/// Returns the paths that begin with `crate`, `self`, `super` or a name that such a path imports. Groups in
/// braces give a path for each member. `code` is the text of the file without comments.
pub(super) fn uses(file: &Path, code: &str) -> Vec<Use> {
    let mut found = Vec::new();
    let mut imports = Vec::new();
    for root in ["crate", "self", "super"] {
        let prefix = format!("{root}::");
        for at in starts(code, &prefix) {
            let is_import = is_import(&code[..at]);
            let (members, _rest) = members(&code[at..]);
            let (line, module) = (line_of(code, at), module_at(file, code, at));
            for Member { segments, alias } in members {
                let path = resolve(&module, &segments);
                if is_import && let Some(name) = alias.or_else(|| path.last().cloned()) {
                    imports.push((name, path.clone()));
                }
                found.push(Use { line, path });
            }
        }
    }
    for (name, imported) in imports {
        for at in starts(code, &format!("{name}::")) {
            let (members, _rest) = members(&code[at..]);
            let line = line_of(code, at);
            found.extend(members.into_iter().map(|member| {
                let path = [&imported[..], &member.segments[1..]].concat();
                Use { line, path }
            }));
        }
    }
    found
}

/// Returns the indexes at which a path begins with `prefix`.
fn starts<'a>(code: &'a str, prefix: &'a str) -> impl Iterator<Item = usize> + 'a {
    places_of(code, prefix).filter(|at| !code[..*at].ends_with(':'))
}

/// Whether the path after `before` is that of a `use`.
fn is_import(before: &str) -> bool {
    let before = before.trim_end();
    before.ends_with("use") && !before[..before.len() - 3].ends_with(is_name)
}

/// Reads a path or a tree of paths at the start of a text. Returns its members and the text behind it.
fn members(mut text: &str) -> (Vec<Member>, &str) {
    let mut segments = Vec::new();
    loop {
        if let Some(group) = text.strip_prefix('{') {
            let (inner, rest) = group_members(group);
            let all = inner.into_iter().map(|member| Member {
                segments: [&segments[..], &member.segments[..]].concat(),
                alias: member.alias,
            });
            return (all.collect(), rest);
        }
        let (segment, rest) = match text.strip_prefix('*') {
            Some(rest) => ("*", rest),
            None => text.split_at(text.find(|letter| !is_name(letter)).unwrap_or(text.len())),
        };
        // `{self}` in a group is the path before the group.
        if !segment.is_empty() && (segment != "self" || segments.is_empty()) {
            segments.push(segment.to_owned());
        }
        match rest.strip_prefix("::") {
            Some(next) if next.starts_with(|letter| is_name(letter) || "{*".contains(letter)) => {
                text = next;
            }
            _ => {
                let renamed = rest.strip_prefix(" as ");
                let alias = renamed.map(|name| name.split(|letter| !is_name(letter)).next());
                let alias = alias.flatten().map(ToOwned::to_owned);
                return (vec![Member { segments, alias }], rest);
            }
        }
    }
}

/// Reads the members of a group. `text` begins after the opening brace.
fn group_members(mut text: &str) -> (Vec<Member>, &str) {
    let mut all = Vec::new();
    loop {
        text = text.trim_start_matches(|letter: char| letter.is_whitespace() || letter == ',');
        if let Some(rest) = text.strip_prefix('}') {
            return (all, rest);
        }
        let (inner, rest) = members(text);
        all.extend(inner.into_iter().map(|member| {
            let segments = member.segments.into_iter();
            let segments = segments.filter(|segment| segment != "self").collect();
            Member { segments, ..member }
        }));
        // A name that was given, as in `a as b`, or what is no path.
        let Some(end) = rest.find([',', '}']) else {
            return (all, "");
        };
        text = &rest[end..];
    }
}

/// Returns a path from the crate's root. `module` is where it stands.
fn resolve(module: &[String], segments: &[String]) -> Vec<String> {
    let mut path = match segments.first().map(String::as_str) {
        Some("crate") => Vec::new(),
        _ => module.to_vec(),
    };
    for segment in segments {
        match segment.as_str() {
            "crate" | "self" => {}
            "super" => drop(path.pop()),
            name => path.push(name.to_owned()),
        }
    }
    path
}

/// Returns the path of the module in which an index of the code is.
fn module_at(file: &Path, code: &str, at: usize) -> Vec<String> {
    let mut module = module_of(file);
    // The modules in braces around the index, with their indentation.
    let mut around: Vec<(&str, &str)> = Vec::new();
    for line in code[..at].lines() {
        let body = line.trim_start();
        let indent = &line[..line.len() - body.len()];
        if body == "}" && around.last().is_some_and(|(last, _)| *last == indent) {
            around.pop();
        } else if let Some(head) = body.strip_suffix(" {")
            && let Some((before, name)) = head.rsplit_once("mod ")
            && name.chars().all(is_name)
            && (before.is_empty() || before.starts_with("pub"))
        {
            around.push((indent, name));
        }
    }
    module.extend(around.iter().map(|(_, name)| (*name).to_owned()));
    module
}

/// Returns the path of the module that a file below `src` is.
pub(super) fn module_of(file: &Path) -> Vec<String> {
    let place = file.with_extension("");
    let names = place.iter().skip(1).map(|name| name.to_string_lossy());
    let mut module: Vec<String> = names.map(std::borrow::Cow::into_owned).collect();
    let last = module.last().map(String::as_str);
    if last == Some("mod") || module.len() == 1 && matches!(last, Some("lib" | "main")) {
        module.pop();
    }
    module
}

#[test]
fn every_way_to_name_a_path_is_found() {
    let found = |file: &str, code: &str| -> Vec<String> {
        let uses = uses(Path::new(file), code).into_iter();
        uses.map(|one| one.path.join("::")).collect()
    };
    let page = "src/http/response/page.rs";
    assert_eq!(found(page, "crate::http::api::x()"), ["http::api::x"]);
    assert_eq!(found(page, "use super::json;"), ["http::response::json"]);
    assert_eq!(found(page, "self::x()"), ["http::response::page::x"]);
    assert_eq!(found(page, "pub(crate) fn f(self) {}"), [""; 0]);
    assert_eq!(found(page, "$crate::log::x::<T>()"), ["log::x"]);
    assert_eq!(found("src/http/mod.rs", "use super::cli;"), ["cli"]);
    assert_eq!(found("src/lib.rs", "use crate::cli::*;"), ["cli::*"]);
    let groups =
        "use crate::{\n    http::{api::x, self as web},\n    log,\n};\nweb::y(); log::z(a::log::b)";
    let expected = ["http::api::x", "http", "log", "http::y", "log::z"];
    assert_eq!(found(page, groups), expected);
    let inline = "mod tests {\n    use super::x;\n}\nuse super::y;";
    let expected = ["http::response::page::x", "http::response::y"];
    assert_eq!(found(page, inline), expected);
    let imported = "use crate::http;\nuse super::otas as other;\nhttp::api::x(); other::y()";
    let expected = [
        "http",
        "dialects::otas",
        "http::api::x",
        "dialects::otas::y",
    ];
    assert_eq!(found("src/dialects/agi/mod.rs", imported), expected);
}
