//! Checks the claims of a token with a valid signature, and derives the identity of its bearer.

use serde_json::Value;

use super::claim_set::{ClaimName, ClaimSet};
use super::quoted::Quoted;
use super::roles::{RoleRules, names};
use crate::auth::{Identity, Role, Tenants};
use crate::domain::limits::{
    CREDENTIAL_ID_BYTES_MAX, TENANT_CHARS_MAX, TOKEN_LEEWAY_US, TOKEN_TENANTS_MAX,
};
use crate::domain::{AgentId, TenantId, Timestamp};

/// How a token's claims are checked and read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRules {
    /// The required issuer (`iss`). `None` accepts every issuer with one of the keys.
    pub issuer: Option<String>,
    /// The audiences (`aud`) that are accepted. If there are none, a token must not have an
    /// audience: it is meant for another service (RFC 7519, section 4.1.3).
    pub audiences: Vec<String>,
    /// Where the tenants of a token come from.
    pub tenant: TenantRule,
    /// Where the roles of a token come from.
    pub roles: RoleRules,
    /// The claim that names the only agent that the bearer may write for.
    pub agent: ClaimName,
}

/// Where the tenants of a token come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantRule {
    /// From these claims. Each may be an id, a list of ids, or an object with ids as names.
    Claims(Vec<ClaimName>),
    /// Every token is for this tenant.
    Fixed(TenantId),
}

impl Default for TenantRule {
    fn default() -> Self {
        Self::Claims(["tenant_id", "tenants"].map(ClaimName::known).to_vec())
    }
}

impl Default for ClaimRules {
    fn default() -> Self {
        Self {
            issuer: None,
            audiences: Vec::new(),
            tenant: TenantRule::default(),
            roles: RoleRules::default(),
            agent: ClaimName::known("agent_id"),
        }
    }
}

/// Why the claims of a token are rejected. For logs: callers do not see it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The token has no expiry.
    #[error("its `exp` is missing or not a time")]
    NoExpiry,
    /// The token has expired.
    #[error("it has expired")]
    Expired,
    /// The token is not valid yet.
    #[error("it is not valid yet, or its `nbf` is not a time")]
    NotYetValid,
    /// The issuer is not the configured one.
    #[error("its issuer (`iss`) is {0}, which does not match --jwt-issuer")]
    Issuer(String),
    /// The token is for another audience.
    #[error("its audience (`aud`) is {0}, which does not match --jwt-audience")]
    Audience(String),
    /// The claims do not identify the bearer.
    #[error(
        "its `sub` is missing or empty, or its `sub` or `iss` is too long or has characters that \
         are not allowed"
    )]
    Subject,
    /// None of the claims for tenants is present.
    #[error("it names no tenant: it has no claim {0}")]
    NoTenant(String),
    /// The claims for tenants hold no valid id.
    #[error(
        "it names no tenant: its claim {0} holds no id of 1 to {TENANT_CHARS_MAX} letters, digits, \
         `_` and `-`"
    )]
    Tenant(String),
    /// The token has too many tenants.
    #[error("it names more than {TOKEN_TENANTS_MAX} tenants")]
    TooManyTenants,
    /// The claim for the agent is unreadable.
    #[error("its claim `{0}` is not a valid agent id")]
    Agent(ClaimName),
}

impl ClaimRules {
    /// Returns the identity that the claims prove at `now`.
    pub(super) fn identify(
        &self,
        claims: &ClaimSet,
        now: Timestamp,
    ) -> Result<Identity, ClaimError> {
        check_times(claims, now)?;
        self.check_parties(claims)?;
        let identity = Identity {
            tenants: self.tenants(claims)?,
            roles: self.roles.of(claims),
            id: id(claims)?.into(),
            agent: self.agent(claims)?,
        };
        self.log_unmatched(claims, &identity);
        Ok(identity)
    }

    /// Logs which claims and words of a token give no role. If the configuration matches nothing,
    /// callers see only a 403.
    fn log_unmatched(&self, claims: &ClaimSet, identity: &Identity) {
        if tracing::enabled!(tracing::Level::DEBUG)
            && let Some(unmatched) = self.roles.unmatched(claims)
        {
            let had: Vec<&str> = identity.roles.iter().map(Role::as_str).collect();
            let had = if had.is_empty() {
                "no role".to_owned()
            } else {
                format!("the roles {}", had.join(", "))
            };
            tracing::debug!(
                "a token of {} gives {had}: {unmatched}",
                Quoted(&identity.id)
            );
        }
    }

    fn check_parties(&self, claims: &ClaimSet) -> Result<(), ClaimError> {
        if let Some(issuer) = &self.issuer
            && claims.text("iss") != Some(issuer.as_str())
        {
            return Err(ClaimError::Issuer(described(claims.get("iss"))));
        }
        let ours = |name: &str| self.audiences.iter().any(|audience| audience == name);
        let audience = claims.get("aud");
        let meant_for_us = match audience {
            None => self.audiences.is_empty(),
            Some(Value::String(name)) => ours(name),
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(ours),
            Some(_) => false,
        };
        let refused = || ClaimError::Audience(described(audience));
        meant_for_us.then_some(()).ok_or_else(refused)
    }

    fn tenants(&self, claims: &ClaimSet) -> Result<Tenants, ClaimError> {
        let claim_names = match &self.tenant {
            TenantRule::Fixed(tenant) => return Ok(Tenants::One(tenant.clone())),
            TenantRule::Claims(names) => names,
        };
        let (mut found, mut tenants) = (false, Vec::new());
        for claim in claim_names.iter().filter_map(|name| claims.find(name)) {
            found = true;
            each_id(claim, &mut |id| tenants.extend(TenantId::parse(id)));
        }
        tenants.sort_unstable();
        tenants.dedup();
        match tenants.len() {
            0 if found => Err(ClaimError::Tenant(any_of(claim_names))),
            0 => Err(ClaimError::NoTenant(any_of(claim_names))),
            1 => Ok(Tenants::One(tenants.remove(0))),
            2..=TOKEN_TENANTS_MAX => Ok(Tenants::Several(tenants)),
            _ => Err(ClaimError::TooManyTenants),
        }
    }

    /// The agent that the token is bound to. An unreadable claim is an error: treated as absent, it
    /// would allow every agent.
    fn agent(&self, claims: &ClaimSet) -> Result<Option<AgentId>, ClaimError> {
        let Some(claim) = claims.find(&self.agent) else {
            return Ok(None);
        };
        let agent = claim.as_str().and_then(|id| AgentId::parse(id).ok());
        let unreadable = || ClaimError::Agent(self.agent.clone());
        agent.map(Some).ok_or_else(unreadable)
    }
}

/// Passes on the ids in a claim: a string, the strings of a list, or the names of an object.
fn each_id<'c>(claim: &'c Value, take: &mut impl FnMut(&'c str)) {
    match claim {
        Value::String(id) => take(id),
        Value::Array(ids) => ids.iter().filter_map(Value::as_str).for_each(take),
        Value::Object(members) => names(members).for_each(take),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn any_of(names: &[ClaimName]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(" or ")
}

/// Describes a claim for the log.
fn described(claim: Option<&Value>) -> String {
    match claim {
        None => "missing".to_owned(),
        Some(Value::String(text)) => Quoted(text).to_string(),
        Some(Value::Array(list)) => match list.first() {
            Some(Value::String(first)) => format!("a list that begins with {}", Quoted(first)),
            Some(_) => "a list that does not begin with a string".to_owned(),
            None => "an empty list".to_owned(),
        },
        Some(_) => "not a string".to_owned(),
    }
}

fn check_times(claims: &ClaimSet, now: Timestamp) -> Result<(), ClaimError> {
    let expires_at = time(claims.get("exp")).ok_or(ClaimError::NoExpiry)?;
    if expires_at.plus_micros(TOKEN_LEEWAY_US) <= now {
        return Err(ClaimError::Expired);
    }
    match claims.get("nbf") {
        None => Ok(()),
        not_before => time(not_before)
            .filter(|from| *from <= now.plus_micros(TOKEN_LEEWAY_US))
            .map(drop)
            .ok_or(ClaimError::NotYetValid),
    }
}

/// Reads a time: seconds since 1970, possibly with a fraction.
fn time(claim: Option<&Value>) -> Option<Timestamp> {
    let seconds = claim?.as_f64()?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cast saturates, which is right for a time out of range"
    )]
    let micros = (seconds * 1e6) as i64;
    Some(Timestamp::from_micros_clamped(micros))
}

/// Returns `issuer|subject`, which identifies the bearer across tokens. It is unambiguous: an
/// issuer with `|` is rejected, so the first `|` is the separator.
fn id(claims: &ClaimSet) -> Result<String, ClaimError> {
    let issuer = claims.text("iss").unwrap_or_default();
    let subject = claims.text("sub").ok_or(ClaimError::Subject)?;
    let fits = issuer.len() + subject.len() < CREDENTIAL_ID_BYTES_MAX;
    let printable = |part: &str| !part.contains(char::is_control);
    let distinct = !subject.is_empty() && !issuer.contains('|');
    (distinct && fits && printable(issuer) && printable(subject))
        .then(|| format!("{issuer}|{subject}"))
        .ok_or(ClaimError::Subject)
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

    /// Valid claims with some changes; null removes a claim.
    fn claims(changes: Value) -> ClaimSet {
        let good = json!({
            "iss": "https://issuer.example", "sub": "ci", "aud": "ledger",
            "exp": NOW_S + 60, "tenant_id": "acme", "roles": ["read"],
        });
        let (Value::Object(mut claims), Value::Object(changes)) = (good, changes) else {
            panic!("objects")
        };
        claims.extend(changes);
        claims.retain(|_, value| !value.is_null());
        ClaimSet::parse(Value::Object(claims).to_string().as_bytes()).unwrap()
    }

    fn rules() -> ClaimRules {
        ClaimRules {
            issuer: Some("https://issuer.example".to_owned()),
            audiences: vec!["ledger".to_owned(), "ledger-2".to_owned()],
            ..ClaimRules::default()
        }
    }

    fn name(text: &str) -> ClaimName {
        ClaimName::parse(text).unwrap()
    }

    #[track_caller]
    fn check(changes: Value, expected: &Result<(), ClaimError>) {
        let claims = claims(changes);
        let found = rules().identify(&claims, now()).map(drop);
        assert_eq!(&found, expected, "{claims:?}");
    }

    #[track_caller]
    fn refused(changes: Value, why: &str) {
        let claims = claims(changes);
        let found = rules().identify(&claims, now()).unwrap_err().to_string();
        assert!(found.contains(why), "{found}: {claims:?}");
    }

    #[track_caller]
    fn good(changes: Value) -> Identity {
        rules().identify(&claims(changes), now()).unwrap()
    }

    fn tenant(text: &str) -> TenantId {
        TenantId::parse(text).unwrap()
    }

    #[test]
    fn a_token_is_valid_within_its_time_plus_the_leeway() {
        let leeway_s = TOKEN_LEEWAY_US / 1_000_000;
        check(json!({}), &Ok(()));
        check(json!({"exp": NOW_S - leeway_s + 1}), &Ok(()));
        check(json!({"exp": NOW_S - leeway_s}), &Err(ClaimError::Expired));
        check(json!({"exp": 0}), &Err(ClaimError::Expired));
        check(json!({"exp": -1e300}), &Err(ClaimError::Expired));
        check(json!({"exp": 1e300}), &Ok(()));
        check(json!({"exp": null}), &Err(ClaimError::NoExpiry));
        check(json!({"exp": "tomorrow"}), &Err(ClaimError::NoExpiry));
        check(json!({"nbf": NOW_S + leeway_s}), &Ok(()));
        check(
            json!({"nbf": NOW_S + leeway_s + 1}),
            &Err(ClaimError::NotYetValid),
        );
        check(json!({"nbf": "now"}), &Err(ClaimError::NotYetValid));
    }

    #[test]
    fn issuer_and_audience_must_be_ours() {
        let other = "https://issuer.example/";
        refused(
            json!({"iss": other}),
            "(`iss`) is \"https://issuer.example/\", which does not match",
        );
        refused(json!({"iss": null}), "(`iss`) is missing");
        refused(
            json!({"iss": ["https://issuer.example"]}),
            "(`iss`) is a list",
        );
        refused(json!({"aud": "other"}), "(`aud`) is \"other\", which");
        refused(json!({"aud": null}), "(`aud`) is missing");
        refused(json!({"aud": []}), "(`aud`) is an empty list");
        refused(json!({"aud": {"ledger": 1}}), "(`aud`) is not a string");
        check(json!({"aud": ["other", "ledger-2"]}), &Ok(()));
    }

    #[test]
    fn without_rules_any_issuer_is_accepted_and_no_audience() {
        let open = ClaimRules::default();
        let identify = |changes| open.identify(&claims(changes), now()).map(drop);
        assert_eq!(identify(json!({"aud": null, "iss": null})), Ok(()));
        let refused = identify(json!({})).unwrap_err();
        assert_eq!(refused, ClaimError::Audience("\"ledger\"".to_owned()));
    }

    #[test]
    fn each_claim_gives_one_or_several_tenants() {
        assert_eq!(good(json!({})).tenants, Tenants::One(tenant("acme")));
        let both = good(json!({"tenants": ["globex", "acme", "not a tenant", 7]}));
        let expected = Tenants::Several(vec![tenant("acme"), tenant("globex")]);
        assert_eq!(both.tenants, expected);
        let one = good(json!({"tenant_id": null, "tenants": ["globex", "globex"]}));
        assert_eq!(one.tenants, Tenants::One(tenant("globex")));
        let names = json!({"globex": {"id": "1"}, "acme": {}, "initech": false});
        let named = good(json!({"tenant_id": null, "tenants": names}));
        assert_eq!(named.tenants, expected);
        refused(
            json!({"tenant_id": null}),
            "it has no claim `tenant_id` or `tenants`",
        );
        refused(
            json!({"tenant_id": ""}),
            "its claim `tenant_id` or `tenants` holds no id",
        );
        let many: Vec<String> = (0..=TOKEN_TENANTS_MAX).map(|n| n.to_string()).collect();
        check(json!({"tenants": many}), &Err(ClaimError::TooManyTenants));
    }

    #[test]
    fn a_fixed_tenant_applies_to_every_token() {
        let tenant_rule = TenantRule::Fixed(tenant("globex"));
        let rules = ClaimRules {
            tenant: tenant_rule,
            ..rules()
        };
        for changes in [json!({}), json!({"tenant_id": null})] {
            let identity = rules.identify(&claims(changes), now()).unwrap();
            assert_eq!(identity.tenants, Tenants::One(tenant("globex")));
        }
    }

    #[test]
    fn an_unreadable_agent_is_an_error() {
        assert_eq!(good(json!({})).agent, None);
        let bound = good(json!({"agent_id": "triage"})).agent;
        assert_eq!(bound.as_ref().map(AgentId::as_str), Some("triage"));
        let unreadable = || Err(ClaimError::Agent(name("agent_id")));
        check(json!({"agent_id": "a/b"}), &unreadable());
        check(json!({"agent_id": ["triage"]}), &unreadable());
    }

    #[test]
    fn no_two_bearers_have_the_same_id() {
        assert_eq!(&*good(json!({})).id, "https://issuer.example|ci");
        check(json!({"sub": null}), &Err(ClaimError::Subject));
        check(json!({"sub": ""}), &Err(ClaimError::Subject));
        check(json!({"sub": "a\nb"}), &Err(ClaimError::Subject));
        check(
            json!({"sub": "s".repeat(CREDENTIAL_ID_BYTES_MAX)}),
            &Err(ClaimError::Subject),
        );
        let odd = claims(json!({"aud": null, "iss": "a|b"}));
        let found = ClaimRules::default().identify(&odd, now());
        assert_eq!(found.unwrap_err(), ClaimError::Subject);
    }

    #[test]
    fn claims_may_have_other_names() {
        let rules = ClaimRules {
            tenant: TenantRule::Claims(vec![name("org.id")]),
            roles: RoleRules {
                claims: vec![name("https://example/roles")],
                ..RoleRules::default()
            },
            agent: name("bot"),
            ..rules()
        };
        let changes = json!({
            "org": {"id": "globex"}, "https://example/roles": "admin", "bot": "b",
        });
        let identity = rules.identify(&claims(changes), now()).unwrap();
        assert_eq!(identity.tenants, Tenants::One(tenant("globex")));
        assert!(identity.roles.has(Role::Admin) && !identity.roles.has(Role::Read));
        assert!(identity.agent.is_some());
    }
}
