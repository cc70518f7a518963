//! Claims: what a token whose signature is good says of its bearer, and whether that counts here.

use serde_json::{Map, Value};

use crate::auth::{Identity, Role, Roles, Tenants};
use crate::domain::limits::{TEXT_CHARS_MAX, TOKEN_LEEWAY_US, TOKEN_TENANTS_MAX};
use crate::domain::{AgentId, TenantId, Timestamp};

/// The claims of a token.
pub(super) type Claims = Map<String, Value>;

/// Names of the claims that standards leave open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimNames {
    /// The tenants: each of these claims may hold one id or a list of them.
    pub tenants: Vec<String>,
    /// The roles: a list of words, or one text with spaces between them.
    pub roles: String,
    /// The only agent on whose behalf the bearer may write.
    pub agent: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            tenants: ["tenant_id", "tenants"].map(str::to_owned).to_vec(),
            roles: "roles".to_owned(),
            agent: "agent_id".to_owned(),
        }
    }
}

/// What a token's claims are held to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimRules {
    /// Who must have issued it; `None` is whoever has one of the keys.
    pub issuer: Option<String>,
    /// Whom it must be meant for, one of these. With none, a token that is meant for somebody in
    /// particular is refused (RFC 7519, 4.1.3): that is not us.
    pub audiences: Vec<String>,
    /// Names of claims.
    pub names: ClaimNames,
}

/// Why claims do not count. For the log: callers are not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Every token must end.
    #[error("it has no `exp`, or one that is no time")]
    NoExpiry,
    /// It has ended.
    #[error("it has expired")]
    Expired,
    /// It begins later.
    #[error("it is not valid yet, or its `nbf` is no time")]
    NotYetValid,
    /// Another issuer.
    #[error("its issuer is not the one asked for")]
    Issuer,
    /// Meant for somebody else.
    #[error("it is not meant for this service")]
    Audience,
    /// Whose it is cannot be told.
    #[error("it has no `sub`, or one that is no name")]
    Subject,
    /// It names no tenant.
    #[error("it names no tenant, or too many")]
    Tenant,
    /// The agent that it is bound to cannot be told.
    #[error("the agent that it names has no valid id")]
    Agent,
}

impl ClaimRules {
    /// Whom the claims stand for at `now`.
    pub(super) fn identify(&self, claims: &Claims, now: Timestamp) -> Result<Identity, ClaimError> {
        check_times(claims, now)?;
        self.check_parties(claims)?;
        Ok(Identity {
            tenants: self.tenants(claims)?,
            roles: self.roles(claims),
            id: id(claims)?.into(),
            agent: self.agent(claims)?,
        })
    }

    fn check_parties(&self, claims: &Claims) -> Result<(), ClaimError> {
        if let Some(issuer) = &self.issuer
            && text(claims, "iss") != Some(issuer.as_str())
        {
            return Err(ClaimError::Issuer);
        }
        let ours = |name: &str| self.audiences.iter().any(|audience| audience == name);
        let meant_for_us = match claims.get("aud") {
            None | Some(Value::Null) => self.audiences.is_empty(),
            Some(Value::String(name)) => ours(name),
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(ours),
            Some(_) => false,
        };
        meant_for_us.then_some(()).ok_or(ClaimError::Audience)
    }

    fn tenants(&self, claims: &Claims) -> Result<Tenants, ClaimError> {
        let named = self
            .names
            .tenants
            .iter()
            .filter_map(|name| claims.get(name));
        let texts = named.flat_map(|claim| match claim {
            Value::Array(list) => list.as_slice(),
            other => std::slice::from_ref(other),
        });
        let mut tenants: Vec<TenantId> = texts
            .filter_map(|text| TenantId::parse(text.as_str()?).ok())
            .collect();
        tenants.sort_unstable();
        tenants.dedup();
        match tenants.len() {
            1 => Ok(Tenants::One(tenants.remove(0))),
            2..=TOKEN_TENANTS_MAX => Ok(Tenants::Several(tenants)),
            _ => Err(ClaimError::Tenant),
        }
    }

    /// The roles among its words. Other words are another service's.
    fn roles(&self, claims: &Claims) -> Roles {
        match claims.get(&self.names.roles) {
            Some(Value::String(words)) => {
                words.split_whitespace().filter_map(Role::parse).collect()
            }
            Some(Value::Array(words)) => {
                let words = words.iter().filter_map(Value::as_str);
                words.filter_map(Role::parse).collect()
            }
            Some(_) | None => Roles::default(),
        }
    }

    /// The agent that it is bound to. A claim that cannot be read does not mean that there is none.
    fn agent(&self, claims: &Claims) -> Result<Option<AgentId>, ClaimError> {
        match claims.get(&self.names.agent) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(id)) => AgentId::parse(id)
                .map(Some)
                .map_err(|_error| ClaimError::Agent),
            Some(_) => Err(ClaimError::Agent),
        }
    }
}

fn check_times(claims: &Claims, now: Timestamp) -> Result<(), ClaimError> {
    let expires_at = time(claims.get("exp")).ok_or(ClaimError::NoExpiry)?;
    if expires_at.plus_micros(TOKEN_LEEWAY_US) <= now {
        return Err(ClaimError::Expired);
    }
    match claims.get("nbf") {
        None | Some(Value::Null) => Ok(()),
        not_before => time(not_before)
            .filter(|from| *from <= now.plus_micros(TOKEN_LEEWAY_US))
            .map(drop)
            .ok_or(ClaimError::NotYetValid),
    }
}

/// Seconds since 1970, which may have a fraction.
fn time(claim: Option<&Value>) -> Option<Timestamp> {
    let seconds = claim?.as_f64()?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a time beyond the range is moved to its end, as the cast does"
    )]
    let micros = (seconds * 1e6) as i64;
    Some(Timestamp::from_micros_clamped(micros))
}

/// `issuer|subject`: the same for every token of the same bearer, and no other's. An issuer is a
/// URI or a word, so the first `|` is ours.
fn id(claims: &Claims) -> Result<String, ClaimError> {
    let issuer = text(claims, "iss").unwrap_or_default();
    let subject = text(claims, "sub").ok_or(ClaimError::Subject)?;
    let fits =
        |part: &str| part.chars().count() <= TEXT_CHARS_MAX && !part.contains(char::is_control);
    let distinct = !subject.is_empty() && !issuer.contains('|');
    (distinct && fits(issuer) && fits(subject))
        .then(|| format!("{issuer}|{subject}"))
        .ok_or(ClaimError::Subject)
}

fn text<'c>(claims: &'c Claims, name: &str) -> Option<&'c str> {
    match claims.get(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// 2026-01-31T12:00:00Z.
    const NOW_S: i64 = 1_769_860_800;

    fn now() -> Timestamp {
        Timestamp::from_micros_clamped(NOW_S * 1_000_000)
    }

    /// Good claims with some changed; null takes one away.
    fn claims(changes: Value) -> Claims {
        let good = json!({
            "iss": "https://issuer.example", "sub": "ci", "aud": "ledger",
            "exp": NOW_S + 60, "tenant_id": "acme", "roles": ["read"],
        });
        let (Value::Object(mut claims), Value::Object(changes)) = (good, changes) else {
            panic!("objects")
        };
        claims.extend(changes);
        claims.retain(|_, value| !value.is_null());
        claims
    }

    fn rules() -> ClaimRules {
        ClaimRules {
            issuer: Some("https://issuer.example".to_owned()),
            audiences: vec!["ledger".to_owned(), "ledger-2".to_owned()],
            names: ClaimNames::default(),
        }
    }

    #[track_caller]
    fn check(changes: Value, expected: Result<(), ClaimError>) {
        let claims = claims(changes);
        let found = rules().identify(&claims, now()).map(drop);
        assert_eq!(found, expected, "{claims:?}");
    }

    #[track_caller]
    fn good(changes: Value) -> Identity {
        rules().identify(&claims(changes), now()).unwrap()
    }

    fn tenant(text: &str) -> TenantId {
        TenantId::parse(text).unwrap()
    }

    #[test]
    fn a_token_counts_within_its_time_give_or_take_the_leeway() {
        let leeway_s = TOKEN_LEEWAY_US / 1_000_000;
        check(json!({}), Ok(()));
        check(json!({"exp": NOW_S - leeway_s + 1}), Ok(()));
        check(json!({"exp": NOW_S - leeway_s}), Err(ClaimError::Expired));
        check(json!({"exp": 0}), Err(ClaimError::Expired));
        check(json!({"exp": -1e300}), Err(ClaimError::Expired));
        check(json!({"exp": 1e300}), Ok(()));
        check(json!({"exp": null}), Err(ClaimError::NoExpiry));
        check(json!({"exp": "tomorrow"}), Err(ClaimError::NoExpiry));
        check(json!({"nbf": NOW_S + leeway_s}), Ok(()));
        check(
            json!({"nbf": NOW_S + leeway_s + 1}),
            Err(ClaimError::NotYetValid),
        );
        check(json!({"nbf": "now"}), Err(ClaimError::NotYetValid));
    }

    #[test]
    fn issuer_and_audience_must_be_ours() {
        check(
            json!({"iss": "https://other.example"}),
            Err(ClaimError::Issuer),
        );
        check(json!({"iss": null}), Err(ClaimError::Issuer));
        check(
            json!({"iss": ["https://issuer.example"]}),
            Err(ClaimError::Issuer),
        );
        check(json!({"aud": "other"}), Err(ClaimError::Audience));
        check(json!({"aud": null}), Err(ClaimError::Audience));
        check(json!({"aud": []}), Err(ClaimError::Audience));
        check(json!({"aud": {"ledger": 1}}), Err(ClaimError::Audience));
        check(json!({"aud": ["other", "ledger-2"]}), Ok(()));
    }

    #[test]
    fn without_rules_any_issuer_will_do_but_no_audience() {
        let open = ClaimRules::default();
        let identify = |changes| open.identify(&claims(changes), now()).map(drop);
        assert_eq!(identify(json!({"aud": null, "iss": null})), Ok(()));
        assert_eq!(identify(json!({})), Err(ClaimError::Audience));
    }

    #[test]
    fn one_tenant_or_several_from_either_claim() {
        assert_eq!(good(json!({})).tenants, Tenants::One(tenant("acme")));
        let both = good(json!({"tenants": ["globex", "acme", "not a tenant", 7]}));
        let expected = Tenants::Several(vec![tenant("acme"), tenant("globex")]);
        assert_eq!(both.tenants, expected);
        let one = good(json!({"tenant_id": null, "tenants": ["globex", "globex"]}));
        assert_eq!(one.tenants, Tenants::One(tenant("globex")));
        check(json!({"tenant_id": null}), Err(ClaimError::Tenant));
        check(json!({"tenant_id": ""}), Err(ClaimError::Tenant));
        let many: Vec<String> = (0..=TOKEN_TENANTS_MAX).map(|n| n.to_string()).collect();
        check(json!({"tenants": many}), Err(ClaimError::Tenant));
    }

    #[test]
    fn roles_are_a_list_or_words_and_other_words_give_none() {
        let roles = |roles: Value| {
            good(json!({"roles": roles}))
                .roles
                .iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(
            roles(json!(["write", "god", 1, "read"])),
            [Role::Read, Role::Write]
        );
        assert_eq!(roles(json!("audit  admin x")), [Role::Audit, Role::Admin]);
        assert_eq!(roles(json!("READ")), []);
        assert_eq!(roles(json!({"read": true})), []);
        assert_eq!(roles(Value::Null), []);
    }

    #[test]
    fn an_agent_that_cannot_be_read_is_not_none() {
        assert_eq!(good(json!({})).agent, None);
        let bound = good(json!({"agent_id": "triage"})).agent;
        assert_eq!(bound.as_ref().map(AgentId::as_str), Some("triage"));
        check(json!({"agent_id": "a/b"}), Err(ClaimError::Agent));
        check(json!({"agent_id": ["triage"]}), Err(ClaimError::Agent));
    }

    #[test]
    fn no_two_bearers_have_the_same_id() {
        assert_eq!(&*good(json!({})).id, "https://issuer.example|ci");
        check(json!({"sub": null}), Err(ClaimError::Subject));
        check(json!({"sub": ""}), Err(ClaimError::Subject));
        check(json!({"sub": "a\nb"}), Err(ClaimError::Subject));
        check(
            json!({"sub": "s".repeat(TEXT_CHARS_MAX + 1)}),
            Err(ClaimError::Subject),
        );
        let odd = claims(json!({"aud": null, "iss": "a|b"}));
        let found = ClaimRules::default().identify(&odd, now());
        assert_eq!(found.unwrap_err(), ClaimError::Subject);
    }

    #[test]
    fn claims_may_have_other_names() {
        let names = ClaimNames {
            tenants: vec!["org".to_owned()],
            roles: "https://example/roles".to_owned(),
            agent: "bot".to_owned(),
        };
        let rules = ClaimRules { names, ..rules() };
        let changes = json!({"org": "globex", "https://example/roles": "admin", "bot": "b"});
        let identity = rules.identify(&claims(changes), now()).unwrap();
        assert_eq!(identity.tenants, Tenants::One(tenant("globex")));
        assert!(identity.roles.has(Role::Admin) && !identity.roles.has(Role::Read));
        assert!(identity.agent.is_some());
    }
}
