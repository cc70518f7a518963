//! Converts metrics from the `OpenMetrics` format to the older Prometheus text format (0.0.4).
//!
//! For our metrics the formats differ only in comments. In the older format the comments name a
//! counter with the suffix `_total`, like its samples, and there are no units and no end mark.

/// Converts metrics to the older format.
pub(super) fn from_open_metrics(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("# UNIT ") || line == "# EOF" {
            continue;
        }
        let of_counter = lines.peek().is_some_and(|next| is_type_of_counter(next));
        let help = line
            .strip_prefix("# HELP ")
            .and_then(|it| it.split_once(' '));
        let kind = line
            .strip_prefix("# TYPE ")
            .and_then(|it| it.split_once(' '));
        let renamed = match (help, kind) {
            (Some((name, help)), _) if of_counter => Some(format!("# HELP {name}_total {help}")),
            (_, Some((name, "counter"))) => Some(format!("# TYPE {name}_total counter")),
            (_, Some((name, "unknown"))) => Some(format!("# TYPE {name} untyped")),
            _ => None,
        };
        out.push_str(renamed.as_deref().unwrap_or(line));
        out.push('\n');
    }
    out
}

fn is_type_of_counter(line: &str) -> bool {
    line.starts_with("# TYPE ") && line.ends_with(" counter")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_follow_the_older_format() {
        let text = "\
# HELP a_verdicts Folded events.
# TYPE a_verdicts counter
a_verdicts_total{verdict=\"applied\"} 1
# HELP a_unsent_bytes Answers.
# TYPE a_unsent_bytes gauge
# UNIT a_unsent_bytes bytes
a_unsent_bytes 0
# EOF
";
        let expected = "\
# HELP a_verdicts_total Folded events.
# TYPE a_verdicts_total counter
a_verdicts_total{verdict=\"applied\"} 1
# HELP a_unsent_bytes Answers.
# TYPE a_unsent_bytes gauge
a_unsent_bytes 0
";
        assert_eq!(from_open_metrics(text), expected);
    }
}
