//! Tables for people.

use comfy_table::{ContentArrangement, Table};
use serde_json::{Map, Value};

use crate::app::terminal;

/// A table. Control characters and line ends in its cells are escaped.
pub(super) struct Rows(Table);

impl Rows {
    /// Adds a row.
    pub(super) fn add_row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let shown = |cell: T| terminal::one_line(cell.as_ref()).into_owned();
        let cells: Vec<String> = cells.into_iter().map(shown).collect();
        self.0.add_row(cells);
    }
}

/// Makes a table of plain columns with a header, which `grep` and `awk` can read.
pub(super) fn table(header: &[&str]) -> Rows {
    let mut table = Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    Rows(table)
}

/// The text of a table, without spaces at the ends of lines.
pub(super) fn text(rows: &Rows) -> String {
    let mut text = String::new();
    for line in rows.0.lines() {
        text.push_str(line.trim());
        text.push('\n');
    }
    text
}

/// Shortens a time to the second: `2026-01-31 23:59:59`, in UTC.
pub(super) fn time(rfc3339: &str) -> String {
    match rfc3339.get(..19) {
        Some(second) => second.replace('T', " "),
        None => rfc3339.to_owned(),
    }
}

/// Returns the text, or `-` for an empty cell.
pub(super) fn or_dash(text: Option<&str>) -> &str {
    text.unwrap_or("-")
}

/// Formats the members of an object, one per line, those in `first` first. Leaves out members that
/// are null, false or empty.
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
        let (name, value) = (terminal::one_line(name), terminal::one_line(&value));
        lines.push(format!("{name:width$}  {value}\n"));
    }
    lines.concat()
}
