//! Roles of a token: which claims hold an identity provider's words, and which of these are roles of
//! ours.

use serde_json::Value;

use super::claim_set::{ClaimName, ClaimSet};
use super::told::Told;
use crate::auth::{Role, Roles};
use crate::domain::limits::{LOGGED_WORDS_MAX, ROLE_WORDS_MAX};

/// Where a token's roles stand, and how its words read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRules {
    /// The claims that hold roles. All of them count.
    pub claims: Vec<ClaimName>,
    /// What their words mean.
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

/// What words of an identity provider mean. Without a prefix and pairs a role's own word is the role.
/// With either, only these count: a word `admin` may then be another service's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleWords {
    prefix: Option<Box<str>>,
    pairs: Vec<(Box<str>, Role)>,
}

/// Why words cannot be given a meaning like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RoleWordsError {
    /// It would change nothing.
    #[error("a prefix has at least one character and no spaces")]
    Prefix,
    /// It matches nothing.
    #[error("a word has at least one character and no spaces around it")]
    Word,
    /// More than anybody needs.
    #[error("there are more than {ROLE_WORDS_MAX} pairs of a word and a role")]
    TooMany,
}

impl RoleWords {
    /// Words with a prefix before a role's own word, and pairs of a word and the role that it gives.
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
            return Role::parse(word).into_iter().collect();
        }
        let rest = self.prefix.as_deref().and_then(|it| word.strip_prefix(it));
        let paired = self.pairs.iter().filter(|(from, _)| **from == *word);
        let paired = paired.map(|(_, role)| *role);
        rest.and_then(Role::parse)
            .into_iter()
            .chain(paired)
            .collect()
    }
}

impl RoleRules {
    /// The roles among the words of a token. Other words are another service's.
    pub(super) fn of(&self, claims: &ClaimSet) -> Roles {
        let mut roles = Roles::default();
        for claim in self.claims.iter().filter_map(|name| claims.find(name)) {
            each_word(claim, &mut |word| {
                roles = roles.with(self.words.roles(word));
            });
        }
        roles
    }

    /// What of a token is no role here, for the log: claims that are missing, and words that match
    /// none. `None` if every claim is there and every word matches.
    pub(super) fn unmatched(&self, claims: &ClaimSet) -> Option<String> {
        let said = self.claims.iter().filter_map(|name| {
            let Some(claim) = claims.find(name) else {
                return Some(format!("it has no claim `{name}`"));
            };
            let (mut count, mut words) = (0_usize, Vec::new());
            each_word(claim, &mut |word| {
                if self.words.roles(word) == Roles::default() {
                    count += 1;
                    if words.len() < LOGGED_WORDS_MAX {
                        words.push(Told(word).to_string());
                    }
                }
            });
            let more = match count - words.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let words = words.join(", ");
            (count != 0).then(|| format!("in its claim `{name}` no role is {words}{more}"))
        });
        let said: Vec<String> = said.collect();
        (!said.is_empty()).then(|| said.join("; "))
    }
}

/// The words of a claim: a text with spaces or commas between them, a list of words, or an object
/// whose names are the words. A name whose value is false stands for what its bearer is not.
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

/// The names of an object that stand for something.
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
    fn a_prefix_or_pairs_give_words_their_role_and_no_other_word_counts() {
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
    fn several_claims_count_together() {
        let rules = rules(&["roles", "realm_access.roles"], None, &[]);
        let both = json!({"roles": ["read"], "realm_access": {"roles": ["write"]}});
        check(&rules, &both, &[Role::Read, Role::Write]);
        check(&rules, &json!({"roles": "read"}), &[Role::Read]);
    }

    #[test]
    fn what_matches_no_role_is_told_by_name() {
        let rules = rules(&["scp", "roles"], Some("Ledger."), &[]);
        let unmatched = |value: &Value| rules.unmatched(&claims(value)).unwrap_or_default();
        assert_eq!(
            unmatched(&json!({"scp": "Ledger.read openid\u{7} profile"})),
            "in its claim `scp` no role is \"openid\\u{7}\", \"profile\"; it has no claim `roles`"
        );
        assert_eq!(unmatched(&json!({"scp": "", "roles": "Ledger.read"})), "");
        let many: Vec<String> = (0..LOGGED_WORDS_MAX + 3).map(|n| n.to_string()).collect();
        let told = unmatched(&json!({"scp": [], "roles": many}));
        assert!(told.ends_with(" and 3 more"), "{told}");
    }

    #[test]
    fn words_without_a_meaning_are_refused() {
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
