//! Scopes: what a session or an agent may do, and whether one set lies within another.
//!
//! A scope is an opaque text such as `files:read`. In it, `*` stands for any run of characters, and
//! a leading `!` denies. Scopes are kept as the JSON text of an array, because listings copy them
//! far more often than hand-offs compare them.

use crate::domain::limits::{SCOPE_CHARS_MAX, SCOPES_MAX};

/// Why a list is not a list of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScopesError {
    /// Too many scopes.
    #[error("must have at most {SCOPES_MAX} scopes")]
    Count,
    /// A scope that is empty, too long, or holds a control character.
    #[error("must each have 1 to {SCOPE_CHARS_MAX} characters, and no control characters")]
    Scope,
}

/// A checked list of scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(Box<str>);

impl Default for Scopes {
    fn default() -> Self {
        Self("[]".into())
    }
}

impl Scopes {
    /// Checks a list.
    pub fn parse<S: AsRef<str>>(scopes: &[S]) -> Result<Self, ScopesError> {
        if SCOPES_MAX < scopes.len() {
            return Err(ScopesError::Count);
        }
        for scope in scopes {
            let scope = scope.as_ref();
            let chars = scope.chars().count();
            if chars == 0 || SCOPE_CHARS_MAX < chars || scope.chars().any(char::is_control) {
                return Err(ScopesError::Scope);
            }
        }
        let texts: Vec<&str> = scopes.iter().map(AsRef::as_ref).collect();
        let json = serde_json::to_string(&texts).expect("a list of texts is JSON");
        Ok(Self(json.into()))
    }

    /// Wraps a text that [`Scopes::json`] returned. Does not check it again.
    pub(crate) fn from_checked(json: &str) -> Self {
        Self(json.into())
    }

    /// The list as a JSON array.
    pub fn json(&self) -> &str {
        &self.0
    }

    /// The scopes one by one.
    pub fn list(&self) -> Vec<String> {
        // Only a damaged file holds another value. No scopes are then the safe result.
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// The scopes that both `self` and `bound` allow: each lies within a scope of the other.
    ///
    /// Two patterns that only overlap, such as `a*` and `*b`, contribute nothing: no single scope
    /// means their intersection.
    #[must_use]
    pub fn narrowed_to(&self, bound: &Self) -> Self {
        if bound.covers(self) {
            return self.clone();
        }
        let (own, others) = (self.list(), bound.list());
        let (own, others) = (Parts::of(&own), Parts::of(&others));
        let mut denied = own.denied.clone();
        denied.extend(
            others
                .denied
                .iter()
                .filter(|scope| !own.denied.contains(scope)),
        );
        let within_both = |scope: &&str| {
            let alone = Parts {
                denied: denied.clone(),
                allowed: vec![scope],
            };
            own.cover(&alone) && others.cover(&alone)
        };
        let all = own.allowed.iter().chain(&others.allowed).copied();
        let mut allowed: Vec<&str> = Vec::new();
        for scope in all.filter(within_both) {
            if !allowed.contains(&scope) {
                allowed.push(scope);
            }
        }
        // Denied scopes come first: if there are too many scopes, only allowed ones are left out.
        let denied = denied.iter().map(|scope| format!("!{scope}"));
        let mut narrowed: Vec<String> = denied.collect();
        narrowed.extend(allowed.into_iter().map(str::to_owned));
        narrowed.truncate(SCOPES_MAX);
        // Only a damaged row holds a scope that fails the check. To allow nothing is then safe.
        Self::parse(&narrowed).unwrap_or_default()
    }

    /// Whether `self` allows everything that `narrower` allows.
    ///
    /// Each scope that `narrower` allows must match a scope that `self` allows. `narrower` must
    /// also deny each scope that `self` denies, unless that scope overlaps with none that
    /// `narrower` allows.
    pub fn covers(&self, narrower: &Self) -> bool {
        if narrower.0 == self.0 {
            return true;
        }
        let (outer, inner) = (self.list(), narrower.list());
        Parts::of(&outer).cover(&Parts::of(&inner))
    }
}

/// A list of scopes, split into denied and allowed ones.
struct Parts<'a> {
    /// The denied scopes, without their `!`.
    denied: Vec<&'a str>,
    allowed: Vec<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(scopes: &'a [String]) -> Self {
        let denied = scopes.iter().filter_map(|scope| scope.strip_prefix('!'));
        let allowed = scopes.iter().map(String::as_str);
        Self {
            denied: denied.collect(),
            allowed: allowed.filter(|scope| !scope.starts_with('!')).collect(),
        }
    }

    /// Whether these scopes allow everything that `inner` allows.
    fn cover(&self, inner: &Parts<'_>) -> bool {
        inner.allowed.iter().all(|scope| {
            self.allowed.iter().any(|pattern| matches(pattern, scope))
                && self
                    .denied
                    .iter()
                    .all(|denied| inner.denied.contains(denied) || !overlap(denied, scope))
        })
    }
}

/// Whether some text matches both patterns. If both have a `*`, a text can have their middles one
/// after the other, so only the ends decide.
fn overlap(a: &str, b: &str) -> bool {
    match (ends(a), ends(b)) {
        (None, _) => matches(b, a),
        (_, None) => matches(a, b),
        (Some((head, tail)), Some((other_head, other_tail))) => {
            (head.starts_with(other_head) || other_head.starts_with(head))
                && (tail.ends_with(other_tail) || other_tail.ends_with(tail))
        }
    }
}

/// The text of a pattern before its first `*`, and after its last; `None` if it has no `*`.
fn ends(pattern: &str) -> Option<(&str, &str)> {
    let (head, _) = pattern.split_once('*')?;
    let (_, tail) = pattern.rsplit_once('*')?;
    Some((head, tail))
}

/// Whether `pattern`, in which `*` stands for any run of characters, matches all of `text`.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let mut middles: Vec<&str> = rest.split('*').collect();
    let tail = middles.pop().expect("a text splits into at least one part");
    for middle in middles {
        match text.find(middle) {
            // The earliest match leaves the most text for the parts that follow.
            Some(at) => text = &text[at + middle.len()..],
            None => return false,
        }
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(outer: &[&str], inner: &[&str], expected: bool) {
        let parse = |list| Scopes::parse(list).unwrap();
        assert_eq!(
            parse(outer).covers(&parse(inner)),
            expected,
            "{outer:?} covers {inner:?}"
        );
    }

    #[test]
    fn a_set_covers_what_it_allows_and_no_more() {
        check(&["files:read"], &["files:read"], true);
        check(&["files:read"], &["files:write"], false);
        check(&["files:read"], &[], true);
        check(&[], &["files:read"], false);
        check(&["files:*"], &["files:read", "files:*"], true);
        check(&["files:*"], &["*"], false);
        check(&["*"], &["anything:at:all"], true);
        check(&["a*b*c"], &["a-b-b-c"], true);
        check(&["a*b*c"], &["a-c-b"], false);
        check(&["a*a"], &["a"], false);
    }

    #[test]
    fn a_denial_cannot_be_dropped() {
        check(&["*", "!files:delete"], &["files:read"], true);
        check(&["*", "!files:delete"], &["files:delete"], false);
        check(&["*", "!files:delete"], &["files:*"], false);
        check(&["*", "!files:delete"], &["files:*", "!files:delete"], true);
        check(&["*", "!files:*"], &["files:read"], false);
        check(&["files:read"], &["files:read", "!files:delete"], true);
    }

    /// A denied scope that covers only a part of a requested scope still denies that part.
    #[test]
    fn a_denial_that_crosses_a_scope_is_not_covered() {
        check(&["*", "!*:delete"], &["files:*"], false);
        check(&["*", "!*:delete"], &["files:read*"], false);
        check(&["*", "!*:delete"], &["files:*:read"], true);
    }

    proptest::proptest! {
        #[test]
        fn patterns_overlap_if_some_text_matches_both(a in "[ab*]{1,5}", b in "[ab*]{1,5}") {
            let texts = (0..=8_u32).flat_map(|length| {
                (0..2_u32.pow(length)).map(move |bits| {
                    let letter = |at| if bits >> at & 1 == 0 { 'a' } else { 'b' };
                    (0..length).map(letter).collect::<String>()
                })
            });
            let found = texts.into_iter().any(|text| matches(&a, &text) && matches(&b, &text));
            proptest::prop_assert_eq!(overlap(&a, &b), found, "{} and {}", a, b);
        }
    }

    #[test]
    fn lists_are_bounded() {
        assert_eq!(
            Scopes::parse(&vec!["x"; SCOPES_MAX + 1]),
            Err(ScopesError::Count)
        );
        assert_eq!(Scopes::parse(&[""]), Err(ScopesError::Scope));
        assert_eq!(Scopes::parse(&["x".repeat(129)]), Err(ScopesError::Scope));
    }
}
