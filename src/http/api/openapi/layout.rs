//! The document as text: short parts stand in one line, so that people can read it and compare versions.

use serde_json::Value;

/// Longest line with more than one member, in bytes.
const LINE_BYTES_MAX: usize = 160;

/// The text of a value, ending in a newline.
pub(super) fn text(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0, 0);
    out.push('\n');
    out
}

/// Writes a value at a depth; `before` is the length of what stands before it in its line.
fn write(out: &mut String, value: &Value, depth: usize, before: usize) {
    let flat = flat(value);
    let is_short = before + flat.len() < LINE_BYTES_MAX;
    match value {
        Value::Object(members) if !is_short && !members.is_empty() => {
            let named = members.iter().map(|(name, member)| (Some(name), member));
            write_lines(out, ['{', '}'], depth, named);
        }
        Value::Array(elements) if !is_short && !elements.is_empty() => {
            write_lines(
                out,
                ['[', ']'],
                depth,
                elements.iter().map(|one| (None, one)),
            );
        }
        _ => out.push_str(&flat),
    }
}

fn write_lines<'v>(
    out: &mut String,
    [open, close]: [char; 2],
    depth: usize,
    parts: impl Iterator<Item = (Option<&'v String>, &'v Value)>,
) {
    let indent = |out: &mut String, depth| out.extend(std::iter::repeat_n(' ', depth));
    out.push(open);
    for (index, (name, part)) in parts.enumerate() {
        out.push_str(if index == 0 { "\n" } else { ",\n" });
        let start = out.len();
        indent(out, depth + 1);
        if let Some(name) = name {
            out.push_str(&quoted(name));
            out.push_str(": ");
        }
        let before = out.len() - start;
        write(out, part, depth + 1, before);
    }
    out.push('\n');
    indent(out, depth);
    out.push(close);
}

/// A value in one line.
fn flat(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members = members.iter();
            let members =
                members.map(|(name, member)| format!("{}: {}", quoted(name), flat(member)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(flat).collect();
            format!("[{}]", elements.join(", "))
        }
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn short_parts_stand_in_one_line_and_long_ones_do_not() {
        let long = "x".repeat(LINE_BYTES_MAX);
        let value = json!({"a": [1, {"b": "\""}], "c": {"d": long}, "e": {}});
        let expected = format!(
            "{{\n \"a\": [1, {{\"b\": \"\\\"\"}}],\n \"c\": {{\n  \"d\": \"{long}\"\n }},\n \"e\": {{}}\n}}\n"
        );
        assert_eq!(text(&value), expected);
        assert_eq!(serde_json::from_str::<Value>(&expected).unwrap(), value);
    }
}
