//! The trace of an event: the CloudEvents extension `traceparent`, as W3C Trace Context defines it.

use serde::Deserialize;

/// Texts of this length are the ids of traces and spans, in hexadecimal digits.
const TRACE_CHARS: usize = 32;
const SPAN_CHARS: usize = 16;

#[derive(Deserialize)]
struct Traced {
    #[serde(default)]
    traceparent: Option<String>,
}

/// The id of the trace that an event names; `None` if it names none, or in another form.
pub fn trace_id(event: &str) -> Option<String> {
    // Most events name none, and a page may have a thousand.
    if !event.contains("\"traceparent\"") {
        return None;
    }
    let Traced { traceparent } = serde_json::from_str(event).ok()?;
    let traceparent = traceparent?;
    let mut parts = traceparent.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let (span, flags) = (parts.next()?, parts.next()?);
    let is_known = version == "00" && parts.next().is_none();
    let is_later = is_hex(version, 2) && !matches!(version, "00" | "ff");
    let is_valid = is_id(trace, TRACE_CHARS) && is_id(span, SPAN_CHARS) && is_hex(flags, 2);
    ((is_known || is_later) && is_valid).then(|| trace.to_owned())
}

fn is_id(text: &str, chars: usize) -> bool {
    is_hex(text, chars) && text.bytes().any(|byte| byte != b'0')
}

fn is_hex(text: &str, chars: usize) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == chars && text.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::trace_id;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn only_a_valid_traceparent_names_a_trace() {
        let of = |traceparent: &str| trace_id(&json!({"traceparent": traceparent}).to_string());
        let span = "b7ad6b7169203331";
        for valid in [
            format!("00-{TRACE}-{span}-01"),
            format!("00-{TRACE}-{span}-00"),
            format!("01-{TRACE}-{span}-01-more"),
        ] {
            assert_eq!(of(&valid).as_deref(), Some(TRACE), "{valid}");
        }
        let zero = "0".repeat(32);
        for wrong in [
            String::new(),
            TRACE.to_owned(),
            format!("00-{TRACE}-{span}"),
            format!("00-{TRACE}-{span}-01-more"),
            format!("ff-{TRACE}-{span}-01"),
            format!("00-{zero}-{span}-01"),
            format!("00-{TRACE}-{}-01", &zero[..16]),
            format!("00-{}-{span}-01", TRACE.to_uppercase()),
        ] {
            assert_eq!(of(&wrong), None, "{wrong}");
        }
        for other in [
            "{}",
            "[\"traceparent\"]",
            r#"{"traceparent": 7}"#,
            "\"traceparent\"",
        ] {
            assert_eq!(trace_id(other), None, "{other}");
        }
        let inside = json!({"data": {"traceparent": format!("00-{TRACE}-{span}-01")}});
        assert_eq!(trace_id(&inside.to_string()), None);
    }
}
