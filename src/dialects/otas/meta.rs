//! The `meta` of a session. It may be any JSON value, but metadata of the ledger is always an
//! object.
//!
//! The ledger keeps an object unchanged. It keeps another value as `otas_meta`, the only member of
//! an object, and answers show only the value. An object that already looks like this is wrapped as
//! well. So clients get back exactly what they sent, to the digit.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::failure::{Failure, Refusal};
use crate::domain::Metadata;
use crate::wire;

const WRAP: &str = "otas_meta";

/// Reads the metadata from a body.
pub(super) fn read(body: &[u8]) -> Result<Metadata, Failure> {
    #[derive(Deserialize)]
    struct Create<'a> {
        #[serde(borrow, default)]
        meta: Option<&'a RawValue>,
    }
    let body = body.trim_ascii();
    if body.is_empty() {
        return Ok(Metadata::default());
    }
    // Without this check, serde would read a list as the fields in their order.
    let is_object = body.starts_with(b"{");
    let create: Option<Create<'_>> = serde_json::from_slice(body).ok();
    let create = create.filter(|_| is_object).ok_or(Refusal::InvalidJson)?;
    let Some(meta) = create.meta.map(RawValue::get) else {
        return Ok(Metadata::default());
    };
    let metadata = if meta.starts_with('{') && wrapped(meta).is_none() {
        wire::metadata(meta)
    } else {
        wire::metadata(&format!("{{\"{WRAP}\":{meta}}}"))
    };
    metadata.map_err(|wrong| Failure::Because(Refusal::InvalidMeta, format!("meta {wrong}")))
}

/// `meta` of a session, as JSON.
pub(super) fn shown(metadata: &str) -> &str {
    wrapped(metadata).unwrap_or(metadata)
}

/// The value of the member `otas_meta`, if the object has no other member.
fn wrapped(metadata: &str) -> Option<&str> {
    if !metadata.contains(WRAP) {
        return None;
    }
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(metadata).ok()?;
    let inner = members.get(WRAP).filter(|_| members.len() == 1)?;
    Some(inner.get())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_object_is_kept_as_it_is_and_nothing_is_an_empty_one() {
        let check = |body: &str, expected: &str| {
            let metadata = read(body.as_bytes()).unwrap();
            assert_eq!(metadata.json(), expected, "{body}");
        };
        check("", "{}");
        check(" {} ", "{}");
        check(r#"{"meta":null,"other":[]}"#, "{}");
        check(r#"{"meta":{"a": [1,  2.50]}}"#, r#"{"a": [1,  2.50]}"#);
        check(r#"{"meta":[1]}"#, r#"{"otas_meta":[1]}"#);
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        for body in ["[]", "[{}]", "null", "1", "{", "{\"meta\":NaN}", "\0"] {
            let refused = read(body.as_bytes());
            assert!(matches!(
                refused,
                Err(Failure::Refused(Refusal::InvalidJson))
            ));
        }
        assert!(read(b"{\"meta\":\"\xff\"}").is_err());
    }

    #[test]
    fn what_was_wrapped_by_somebody_else_is_shown_without_it() {
        assert_eq!(shown(r#"{"otas_meta":5}"#), "5");
        assert_eq!(
            shown(r#"{"otas_meta":5,"a":1}"#),
            r#"{"otas_meta":5,"a":1}"#
        );
        assert_eq!(shown(r#"{"a":"otas_meta"}"#), r#"{"a":"otas_meta"}"#);
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("true".to_owned()),
            Just("\"otas_meta\"".to_owned()),
            "-?[1-9][0-9]{0,30}(\\.[0-9]{1,30})?",
        ];
        leaf.prop_recursive(4, 16, 3, |inner| {
            let name = prop_oneof![Just("otas_meta"), Just("otas\\u005fmeta"), Just("a")];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3)
                    .prop_map(|items| format!("[{}]", items.join(", "))),
                (name, inner).prop_map(|(name, value)| format!("{{\"{name}\": {value}}}")),
            ]
        })
    }

    proptest! {
        #[test]
        fn everything_comes_out_as_it_went_in(meta in json()) {
            let kept = read(format!("{{\"meta\":{meta}}}").as_bytes()).unwrap();
            prop_assert_eq!(&kept.json()[..1], "{");
            prop_assert_eq!(shown(kept.json()), meta);
        }
    }
}
