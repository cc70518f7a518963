//! Splits a JSON object into raw members, which the callers read one by one.
//!
//! Splitting checks the grammar and does not recurse. [`check_value`] checks the rest: the depth,
//! duplicate names, and values that some readers cannot represent (unpaired surrogates, and numbers
//! beyond a double). So every JSON parser can read an accepted body.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::limits::METADATA_DEPTH_MAX;

/// For up to this many names, comparing all pairs is faster than sorting.
const FEW_NAMES: usize = 24;
/// A number of at most this length fits into a double with any exponent: the largest is `9e99`.
const SAFE_NUMBER_BYTES: usize = 4;

/// One member of an object.
#[derive(Debug, Clone)]
pub struct Member<'a> {
    /// Its name, without escapes.
    pub name: Cow<'a, str>,
    /// The text of its value, without surrounding whitespace.
    pub raw: &'a str,
}

/// An error inside a grammatically correct value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    #[error("must be nested at most {METADATA_DEPTH_MAX} levels deep")]
    Depth,
    #[error("must not contain a member name twice")]
    Twice,
    #[error("must not contain unpaired surrogates or numbers beyond the range of a double")]
    Unreadable,
}

/// Splits an object into its members; `None` if the text is not JSON or not an object.
pub fn members(json: &str) -> Option<Vec<Member<'_>>> {
    serde_json::from_str::<Members<'_>>(json)
        .ok()
        .map(|members| members.0)
}

/// Returns the name of a member that occurs twice, if any.
pub(super) fn name_given_twice<'m>(members: &'m [Member<'_>]) -> Option<&'m str> {
    repeated(members.len(), || members.iter().map(|member| &*member.name))
}

/// Reads a JSON string; `None` for another value or an unpaired surrogate.
pub fn string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(json).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// Reads a JSON number; `None` for another value or one beyond the range of a double.
pub(super) fn number(json: &str) -> Option<f64> {
    // The rounding of serde_json depends on a feature that another crate may enable, so the
    // standard library converts. Callers have checked the grammar, so `inf` cannot occur here.
    let is_number = json.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    is_number
        .then(|| json.parse().ok())
        .flatten()
        .filter(|number: &f64| number.is_finite())
}

/// Reads a JSON integer that is not negative; `None` for another value. `60.0` and `6e1` are integers.
pub fn integer(json: &str) -> Option<u64> {
    if let Ok(integer) = json.parse() {
        return Some(integer);
    }
    // A double represents every integer below 2^53 exactly, and the ledger needs no larger ones.
    let number = number(json).filter(|number| number.fract() == 0.0)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked"
    )]
    (0.0..9_007_199_254_740_992.0)
        .contains(&number)
        .then_some(number as u64)
}

/// Checks the value of a member for errors that the grammar does not exclude; see [`Flaw`].
pub(super) fn check_value(json: &str) -> Result<(), Flaw> {
    let safe = match json.as_bytes().first() {
        Some(b'"') => !json.contains('\\'),
        Some(b'{' | b'[') => json.len() == 2,
        Some(b't' | b'f' | b'n') => true,
        Some(_) | None => json.len() <= SAFE_NUMBER_BYTES,
    };
    if safe {
        return Ok(());
    }
    let flaw = Cell::new(Flaw::Unreadable);
    let walk = Walk {
        depth_left: METADATA_DEPTH_MAX,
        flaw: &flaw,
    };
    let mut parser = serde_json::Deserializer::from_str(json);
    walk.deserialize(&mut parser)
        .map_err(|_reported_by_flaw| flaw.get())
}

/// Returns a name that occurs twice among `count` names, if any.
fn repeated<'n, I: Iterator<Item = &'n str>>(
    count: usize,
    names: impl Fn() -> I,
) -> Option<&'n str> {
    if count <= FEW_NAMES {
        let earlier = |at: usize, name: &str| names().take(at).any(|other| other == name);
        return names()
            .enumerate()
            .find(|(at, name)| earlier(*at, name))
            .map(|(_, name)| name);
    }
    let mut sorted: Vec<&str> = names().collect();
    sorted.sort_unstable();
    sorted.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some(*a),
        _ => None,
    })
}

/// The name of a member, borrowed unless it contains an escape.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }
            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

struct Members<'a>(Vec<Member<'a>>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(FEW_NAMES);
                while let Some((name, raw)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    members.push(Member {
                        name: name.0,
                        raw: raw.get(),
                    });
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

/// Visits a value recursively, at most `depth_left` levels deep.
#[derive(Clone, Copy)]
struct Walk<'f> {
    depth_left: usize,
    flaw: &'f Cell<Flaw>,
}

impl Walk<'_> {
    fn fail<E: de::Error>(self, flaw: Flaw) -> E {
        self.flaw.set(flaw);
        E::custom("")
    }

    fn below<E: de::Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left, ..self }),
            None => Err(self.fail(Flaw::Depth)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let below = self.below()?;
        while items.next_element_seed(below)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let below = self.below()?;
        let mut names: Vec<Cow<'de, str>> = Vec::new();
        while let Some(name) = map.next_key::<Name<'de>>()? {
            map.next_value_seed(below)?;
            names.push(name.0);
        }
        match repeated(names.len(), || names.iter().map(|name| &**name)) {
            Some(_) => Err(self.fail(Flaw::Twice)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Result<(), Flaw>) {
        assert_eq!(check_value(json), expected, "{json:?}");
    }

    #[test]
    fn values_that_every_reader_can_represent_pass() {
        for json in [
            r#""a\n\ud83d\ude00""#,
            "null",
            "-0",
            "1e308",
            "[]",
            "{}",
            r#"{"a":[{"a":1}]}"#,
        ] {
            check(json, Ok(()));
        }
    }

    #[test]
    fn values_that_some_readers_cannot_represent_are_errors() {
        for json in [
            r#""\ud800""#,
            r#"{"\udc00":1}"#,
            "1e309",
            "-1e999",
            "[[1e309]]",
        ] {
            check(json, Err(Flaw::Unreadable));
        }
    }

    #[test]
    fn a_name_may_occur_only_once_in_any_spelling() {
        check(r#"{"a":1,"b":{"a":1}}"#, Ok(()));
        check(r#"{"b":{"a":1,"\u0061":2}}"#, Err(Flaw::Twice));
        let many: Vec<String> = (0..100).map(|n| format!("\"{n}\":1")).collect();
        check(&format!("{{{}}}", many.join(",")), Ok(()));
        check(
            &format!("{{{},\"50\":1}}", many.join(",")),
            Err(Flaw::Twice),
        );
    }

    #[test]
    fn the_depth_is_bounded_before_the_stack_overflows() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        check(&nested(METADATA_DEPTH_MAX), Ok(()));
        check(&nested(METADATA_DEPTH_MAX + 1), Err(Flaw::Depth));
        check(&nested(30_000), Err(Flaw::Depth));
        assert!(members(&format!("{{\"a\":{}}}", nested(30_000))).is_some());
    }

    #[test]
    fn integers_may_be_written_with_a_fraction_of_zero() {
        for (json, expected) in [
            ("60", Some(60)),
            ("60.0", Some(60)),
            ("6e1", Some(60)),
            ("60.5", None),
            ("-60", None),
            ("1e300", None),
            ("\"60\"", None),
            ("true", None),
        ] {
            assert_eq!(integer(json), expected, "{json}");
        }
    }
}
