//! The roles of a token: which claims hold words of the identity provider, and which roles these
//! words give.

use serde_json::Value;

use super::claim_set::{ClaimName, ClaimSet};
use super::quoted::Quoted;
use crate::auth::{Role, Roles};
use crate::domain::limits::{LOGGED_WORDS_MAX, ROLE_WORDS_MAX};

/// Which claims hold roles, and what their words mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRules {
    /// The claims that hold roles. A token has the roles of all of them.
    pub claims: Vec<ClaimName>,
    /// What the words in these claims mean.
    pub words: RoleWords,
}

impl Default for RoleRules {
    fn default() -> Self {
        Self {
            claims: vec![ClaimName::known("roles")],
            words: RoleWords::default(),
        }
    }
}

/// Maps words of an identity provider to roles.
///
/// Without a prefix and pairs, the word `admin` gives the role `admin`. With a prefix or pairs it does not: it may belong to another service. Only a pair
/// gives the role `operator`, which reaches all tenants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleWords {
    prefix: Option<Box<str>>,
    pairs: Vec<(Box<str>, Role)>,
}

/// Why a prefix or the pairs are rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RoleWordsError {
    /// The prefix is empty or has spaces.
    #[error("a prefix has at least one character and no spaces")]
    Prefix,
    /// A word is empty or has spaces around it.
    #[error("a word has at least one character and no spaces around it")]
    Word,
    /// There are too many pairs.
    #[error("there are more than {ROLE_WORDS_MAX} pairs of a word and a role")]
    TooMany,
}

impl RoleWords {
    /// `prefix` stands before the word of a role; each of `pairs` is a word and the role that it
    /// gives.
    pub fn new(prefix: Option<String>, pairs: Vec<(String, Role)>) -> Result<Self, RoleWordsError> {
        let is_prefix = |text: &String| !text.is_empty() && !text.contains(char::is_whitespace);
        if !prefix.as_ref().is_none_or(is_prefix) {
            return Err(RoleWordsError::Prefix);
        }
        if pairs
            .iter()
            .any(|(word, _)| word.is_empty() || word.trim() != word)
        {
            return Err(RoleWordsError::Word);
        }
        if ROLE_WORDS_MAX < pairs.len() {
            return Err(RoleWordsError::TooMany);
        }
        let pairs = pairs.into_iter().map(|(word, role)| (word.into(), role));
        Ok(Self {
            prefix: prefix.map(String::into_boxed_str),
            pairs: pairs.collect(),
        })
    }

    fn roles(&self, word: &str) -> Roles {
        if self.prefix.is_none() && self.pairs.is_empty() {
            return Role::of_tenant(word).into_iter().collect();
        }
        let rest = self.prefix.as_deref().and_then(|it| word.strip_prefix(it));
        let paired = self.pairs.iter().filter(|(from, _)| **from == *word);
        let paired = paired.map(|(_, role)| *role);
        rest.and_then(Role::of_tenant)
            .into_iter()
            .chain(paired)
            .collect()
    }
}

impl RoleRules {
    /// The roles of a token. Other words are ignored: they belong to other services.
    pub(super) fn of(&self, claims: &ClaimSet) -> Roles {
        let mut roles = Roles::default();
        for claim in self.claims.iter().filter_map(|name| claims.find(name)) {
            each_word(claim, &mut |word| {
                roles = roles.with(self.words.roles(word));
            });
        }
        roles
    }

    /// Describes, for the log, the missing claims and the words that match no role. `None` if every
    /// claim is present and every word matches.
    pub(super) fn unmatched(&self, claims: &ClaimSet) -> Option<String> {
        let complaints = self.claims.iter().filter_map(|name| {
            let Some(claim) = claims.find(name) else {
                return Some(format!("it has no claim `{name}`"));
            };
            let (mut count, mut words) = (0_usize, Vec::new());
            each_word(claim, &mut |word| {
                if self.words.roles(word) == Roles::default() {
                    count += 1;
                    if words.len() < LOGGED_WORDS_MAX {
                        words.push(Quoted(word).to_string());
                    }
                }
            });
            let more = match count - words.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let words = words.join(", ");
            (count != 0)
                .then(|| format!("words in its claim `{name}` match no role: {words}{more}"))
        });
        let complaints: Vec<String> = complaints.collect();
        (!complaints.is_empty()).then(|| complaints.join("; "))
    }
}

/// Passes on the words of a claim: a string of words separated by spaces or commas, a list of
/// words, or an object with words as names.
fn each_word<'c>(claim: &'c Value, take: &mut impl FnMut(&'c str)) {
    match claim {
        Value::String(text) => text
            .split(|letter: char| letter.is_whitespace() || letter == ',')
            .filter(|word| !word.is_empty())
            .for_each(take),
        Value::Array(words) => words.iter().filter_map(Value::as_str).for_each(take),
        Value::Object(members) => names(members).for_each(take),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The names of an object, without those whose value is `null` or `false`: the bearer does not have
/// these.
pub(super) fn names(members: &serde_json::Map<String, Value>) -> impl Iterator<Item = &str> {
    let stands = |value: &Value| !matches!(value, Value::Null | Value::Bool(false));
    let standing = members.iter().filter(move |(_, value)| stands(value));
    standing.map(|(name, _)| name.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules(names: &[&str], prefix: Option<&str>, pairs: &[(&str, Role)]) -> RoleRules {
        let pairs = pairs.iter().map(|(word, role)| ((*word).to_owned(), *role));
        RoleRules {
            claims: names
                .iter()
                .map(|name| ClaimName::parse(name).unwrap())
                .collect(),
            words: RoleWords::new(prefix.map(str::to_owned), pairs.collect()).unwrap(),
        }
    }

    fn claims(value: &Value) -> ClaimSet {
        ClaimSet::parse(value.to_string().as_bytes()).unwrap()
    }

    #[track_caller]
    fn check(rules: &RoleRules, value: &Value, expected: &[Role]) {
        let roles = rules.of(&claims(value));
        assert_eq!(roles.iter().collect::<Vec<_>>(), expected, "{value}");
    }

    #[test]
    fn roles_are_words_of_a_list_a_text_or_the_names_of_an_object() {
        let plain = rules(&["roles"], None, &[]);
        let list = json!({"roles": ["write", "god", 1, "read"]});
        check(&plain, &list, &[Role::Read, Role::Write]);
        let text = json!({"roles": "audit  admin,write x"});
        check(&plain, &text, &[Role::Write, Role::Audit, Role::Admin]);
        let object = json!({"roles": {"read": {"1": "acme.example"}, "god": {}, "audit": true}});
        check(&plain, &object, &[Role::Read, Role::Audit]);
        let denied = json!({"roles": {"read": true, "admin": false, "audit": null}});
        check(&plain, &denied, &[Role::Read]);
        for none in [json!("READ"), json!(7), json!(null), json!([["read"]])] {
            check(&plain, &json!({"roles": none}), &[]);
        }
    }

    #[test]
    fn with_a_prefix_or_pairs_no_other_word_gives_a_role() {
        let scope = rules(&["scope"], Some("ledger/"), &[]);
        let cognito = json!({"scope": "openid ledger/read other/write admin ledger/ledger/audit"});
        check(&scope, &cognito, &[Role::Read]);
        let pairs = [
            ("read:sessions", Role::Read),
            ("ops", Role::Write),
            ("ops", Role::Audit),
            ("Ledger Admins", Role::Admin),
        ];
        let paired = rules(&["permissions"], None, &pairs);
        check(
            &paired,
            &json!({"permissions": ["read:sessions", "ops", "admin"]}),
            &[Role::Read, Role::Write, Role::Audit],
        );
        let group = json!({"permissions": ["Ledger Admins"]});
        check(&paired, &group, &[Role::Admin]);
        let both = rules(&["scope"], Some("ledger:"), &[("all", Role::Admin)]);
        let given = json!({"scope": "ledger:read all write"});
        check(&both, &given, &[Role::Read, Role::Admin]);
    }

    #[test]
    fn only_a_pair_gives_the_role_of_operators() {
        let plain = rules(&["roles"], None, &[]);
        check(&plain, &json!({"roles": "operator read"}), &[Role::Read]);
        let prefixed = rules(&["roles"], Some("ledger/"), &[]);
        check(&prefixed, &json!({"roles": "ledger/operator"}), &[]);
        let paired = rules(&["roles"], None, &[("ops", Role::Operator)]);
        check(
            &paired,
            &json!({"roles": ["ops", "operator"]}),
            &[Role::Operator],
        );
    }

    #[test]
    fn several_claims_count_together() {
        let rules = rules(&["roles", "realm_access.roles"], None, &[]);
        let both = json!({"roles": ["read"], "realm_access": {"roles": ["write"]}});
        check(&rules, &both, &[Role::Read, Role::Write]);
        check(&rules, &json!({"roles": "read"}), &[Role::Read]);
    }

    #[test]
    fn words_that_match_no_role_are_named() {
        let rules = rules(&["scp", "roles"], Some("Ledger."), &[]);
        let unmatched = |value: &Value| rules.unmatched(&claims(value)).unwrap_or_default();
        assert_eq!(
            unmatched(&json!({"scp": "Ledger.read openid\u{7} profile"})),
            "words in its claim `scp` match no role: \"openid\\u{7}\", \"profile\"; it has no claim \
             `roles`"
        );
        assert_eq!(unmatched(&json!({"scp": "", "roles": "Ledger.read"})), "");
        let many: Vec<String> = (0..LOGGED_WORDS_MAX + 3).map(|n| n.to_string()).collect();
        let shortened = unmatched(&json!({"scp": [], "roles": many}));
        assert!(shortened.ends_with(" and 3 more"), "{shortened}");
    }

    #[test]
    fn invalid_words_are_rejected() {
        let refused = |prefix: Option<&str>, words: &[&str]| {
            let pairs = words.iter().map(|word| ((*word).to_owned(), Role::Read));
            RoleWords::new(prefix.map(str::to_owned), pairs.collect()).err()
        };
        assert_eq!(refused(Some(""), &[]), Some(RoleWordsError::Prefix));
        assert_eq!(refused(Some("a b"), &[]), Some(RoleWordsError::Prefix));
        assert_eq!(refused(None, &[""]), Some(RoleWordsError::Word));
        assert_eq!(refused(None, &[" a"]), Some(RoleWordsError::Word));
        let many = vec!["w"; ROLE_WORDS_MAX + 1];
        assert_eq!(refused(None, &many), Some(RoleWordsError::TooMany));
        assert_eq!(refused(Some("a/"), &["CN=Ledger, OU=x"]), None);
    }
}
