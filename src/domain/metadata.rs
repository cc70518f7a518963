//! Metadata: a caller's JSON object, kept as the text that the caller sent.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::domain::limits::{METADATA_BYTES_MAX, METADATA_DEPTH_MAX};

/// Why a text is not metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Not a JSON object.
    #[error("must be a JSON object")]
    Object,
    /// Longer than the limit, perhaps after a merge.
    #[error("must have at most {METADATA_BYTES_MAX} bytes")]
    Size,
    /// Nested too deeply.
    #[error("must be nested at most {METADATA_DEPTH_MAX} levels deep")]
    Depth,
}

/// A JSON object within the limits. Numbers keep their digits: a merge copies the text of the
/// members that it does not name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata(Box<str>);

type Members<'a> = BTreeMap<String, &'a RawValue>;

impl Default for Metadata {
    fn default() -> Self {
        Self("{}".into())
    }
}

impl Metadata {
    /// Checks a JSON text.
    pub fn parse(json: &str) -> Result<Self, MetadataError> {
        if METADATA_BYTES_MAX < json.len() {
            return Err(MetadataError::Size);
        }
        if METADATA_DEPTH_MAX < depth(json) {
            return Err(MetadataError::Depth);
        }
        if json != "{}" {
            members(json)?;
        }
        Ok(Self(json.into()))
    }

    /// Builds metadata from names and texts. The names must differ.
    pub fn of_texts(texts: &[(&str, &str)]) -> Result<Self, MetadataError> {
        let json_of = |text: &str| serde_json::to_string(text).expect("a text is JSON");
        let members = texts
            .iter()
            .map(|(name, text)| ((*name).to_owned(), json_of(text)));
        let mut json = String::new();
        write_object(&members.collect(), &mut json);
        if METADATA_BYTES_MAX < json.len() {
            return Err(MetadataError::Size);
        }
        Ok(Self(json.into()))
    }

    /// Wraps a text that [`Metadata::json`] returned, or that has passed the checks of
    /// [`Metadata::parse`]. Does not check it again.
    pub(crate) fn from_checked(json: &str) -> Self {
        Self(json.into())
    }

    /// The object's text.
    pub fn json(&self) -> &str {
        &self.0
    }

    /// Applies a merge patch (RFC 7396): members of the patch replace, `null` removes.
    pub fn merge(&self, patch: &Self) -> Result<Self, MetadataError> {
        let mut merged = String::new();
        merge_object(&members(&self.0)?, &patch.0, &mut merged)?;
        Self::parse(&merged)
    }
}

fn members(json: &str) -> Result<Members<'_>, MetadataError> {
    serde_json::from_str(json).map_err(|_not_an_object| MetadataError::Object)
}

/// Recursion is as deep as the patch, which is bounded by `METADATA_DEPTH_MAX`.
fn merge_object(target: &Members<'_>, patch: &str, out: &mut String) -> Result<(), MetadataError> {
    let patch = members(patch)?;
    let mut result: BTreeMap<String, String> = target
        .iter()
        .filter(|(name, _)| !patch.contains_key(*name))
        .map(|(name, value)| (name.clone(), value.get().to_owned()))
        .collect();
    for (name, value) in patch {
        if value.get() == "null" {
            continue;
        }
        let mut text = String::new();
        if value.get().starts_with('{') {
            let below = target.get(&name).map_or("{}", |old| old.get());
            let below = if below.starts_with('{') {
                members(below)?
            } else {
                Members::new()
            };
            merge_object(&below, value.get(), &mut text)?;
        } else {
            text.push_str(value.get());
        }
        result.insert(name, text);
    }
    write_object(&result, out);
    Ok(())
}

fn write_object(members: &BTreeMap<String, String>, out: &mut String) {
    out.push('{');
    for (index, (name, value)) in members.iter().enumerate() {
        if 0 < index {
            out.push(',');
        }
        out.push_str(&serde_json::to_string(name).expect("a text is JSON"));
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
}

/// Deepest nesting of a JSON text. Counted before parsing, because a parser may recurse.
pub(crate) fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(target: &str, patch: &str, expected: &str) {
        let merged = Metadata::parse(target)
            .unwrap()
            .merge(&Metadata::parse(patch).unwrap());
        assert_eq!(merged.unwrap().json(), expected, "{target} + {patch}");
    }

    #[test]
    fn metadata_of_texts_is_what_parsing_would_give() {
        let of_texts = Metadata::of_texts(&[("b", "x\"y"), ("a", "")]).unwrap();
        assert_eq!(of_texts.json(), r#"{"a":"","b":"x\"y"}"#);
        assert_eq!(Metadata::parse(of_texts.json()), Ok(of_texts));
        assert_eq!(Metadata::of_texts(&[]), Ok(Metadata::default()));
        let long = "x".repeat(METADATA_BYTES_MAX);
        let refused = Metadata::of_texts(&[("a", &long)]);
        assert_eq!(refused, Err(MetadataError::Size));
    }

    #[test]
    fn merging_follows_rfc_7396() {
        // The cases of RFC 7396, appendix A, whose patch and target are objects.
        check(r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#);
        check(r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#);
        check(r#"{"a":"b"}"#, r#"{"a":null}"#, "{}");
        check(r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#);
        check(r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#);
        check(r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#);
        check(
            r#"{"a":{"b":"c"}}"#,
            r#"{"a":{"b":"d","c":null}}"#,
            r#"{"a":{"b":"d"}}"#,
        );
        check(r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#);
        check(r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#);
        check("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#);
    }

    #[test]
    fn numbers_keep_their_digits() {
        let long = r#"{"n":123456789012345678901234567890.10}"#;
        check(
            long,
            r#"{"m":1}"#,
            r#"{"m":1,"n":123456789012345678901234567890.10}"#,
        );
    }

    #[test]
    fn limits_hold_also_after_a_merge() {
        let half = |name: &str| format!(r#"{{"{name}":"{}"}}"#, "x".repeat(METADATA_BYTES_MAX / 2));
        let (a, b) = (
            Metadata::parse(&half("a")).unwrap(),
            Metadata::parse(&half("b")).unwrap(),
        );
        assert_eq!(a.merge(&b), Err(MetadataError::Size));
        let deep = format!("{}1{}", r#"{"a":"#.repeat(33), "}".repeat(33));
        assert_eq!(Metadata::parse(&deep), Err(MetadataError::Depth));
        for wrong in ["", "[]", "null", "{", r#"{"a":1}{"#, "{\"a\":NaN}"] {
            assert_eq!(
                Metadata::parse(wrong),
                Err(MetadataError::Object),
                "{wrong:?}"
            );
        }
    }
}
