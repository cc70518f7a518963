//! Tables for people.

use comfy_table::{ContentArrangement, Table};
use serde_json::{Map, Value};

/// Plain columns under a header, which also `grep` and `awk` understand.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    table
}

/// A table's text. Lines end where their content does.
pub(super) fn text(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim());
        text.push('\n');
    }
    text
}

/// A time to the second, as in `2026-01-31 23:59:59`, in UTC.
pub(super) fn time(rfc3339: &str) -> String {
    match rfc3339.get(..19) {
        Some(second) => second.replace('T', " "),
        None => rfc3339.to_owned(),
    }
}

/// What a cell shows where there is nothing.
pub(super) fn or_dash(text: Option<&str>) -> &str {
    text.unwrap_or("-")
}

/// Every member that has a value, one per line, these first.
pub(super) fn fields(object: &Map<String, Value>, first: &[&str]) -> String {
    let width = object.keys().map(String::len).max().unwrap_or(0);
    let mut lines = Vec::new();
    let place = |name: &str| first.iter().position(|member| *member == name);
    let mut members: Vec<(&String, &Value)> = object.iter().collect();
    members.sort_by_key(|(name, _)| place(name).unwrap_or(first.len()));
    for (name, value) in members {
        let value = match value {
            Value::Null | Value::Bool(false) => continue,
            Value::Array(list) if list.is_empty() => continue,
            Value::Object(members) if members.is_empty() => continue,
            Value::String(value) => value.clone(),
            other => other.to_string(),
        };
        lines.push(format!("{name:width$}  {value}\n"));
    }
    lines.concat()
}
