//! The principal: on whose behalf a request comes, and what it may do.

use std::sync::Arc;

use crate::auth::Roles;
use crate::domain::{AgentId, TenantId};

/// On whose behalf a request comes. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Whose data it may see.
    pub tenant: TenantId,
    /// What it may do.
    pub roles: Roles,
    /// Names the credential, not the secret: the id of a key, the subject of a token; `None` where
    /// nobody is asked for credentials. Idempotency keys and rate limits are per id.
    pub id: Option<Arc<str>>,
    /// The only agent on whose behalf it may write; `None` is any.
    pub agent: Option<AgentId>,
}

impl Principal {
    /// Anybody who reaches a server that asks for no credentials.
    pub fn anonymous(tenant: TenantId) -> Self {
        Self {
            tenant,
            roles: Roles::ALL,
            id: None,
            agent: None,
        }
    }
}

/// Whom a credential stands for, before it is known for which of its tenants it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Whose data it may see.
    pub tenants: Tenants,
    /// What it may do.
    pub roles: Roles,
    /// Names the credential.
    pub id: Arc<str>,
    /// The only agent on whose behalf it may write.
    pub agent: Option<AgentId>,
}

/// The tenants of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenants {
    /// As a key has.
    One(TenantId),
    /// As a token may have; at least two.
    Several(Vec<TenantId>),
}

/// Why a credential cannot be used for a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantError {
    /// It has several, and the request names none.
    Required,
    /// It does not have the one that the request names.
    Forbidden,
}

impl Identity {
    /// The principal of a request that names a tenant, or none.
    pub fn for_tenant(self, named: Option<TenantId>) -> Result<Principal, TenantError> {
        let tenant = match (self.tenants, named) {
            (Tenants::One(tenant), None) => tenant,
            (Tenants::Several(_), None) => return Err(TenantError::Required),
            (Tenants::One(tenant), Some(named)) if tenant == named => tenant,
            (Tenants::Several(tenants), Some(named)) if tenants.contains(&named) => named,
            (Tenants::One(_) | Tenants::Several(_), Some(_)) => return Err(TenantError::Forbidden),
        };
        Ok(Principal {
            tenant,
            roles: self.roles,
            id: Some(self.id),
            agent: self.agent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_for_one_of_the_credentials_tenants() {
        let id = |text: &str| TenantId::parse(text).unwrap();
        let check =
            |tenants: &Tenants, named: Option<&str>, expected: Result<&str, TenantError>| {
                let identity = Identity {
                    tenants: tenants.clone(),
                    roles: Roles::ALL,
                    id: "key".into(),
                    agent: None,
                };
                let found = identity.for_tenant(named.map(id));
                assert_eq!(found.map(|principal| principal.tenant), expected.map(id));
            };
        let one = Tenants::One(id("a"));
        check(&one, None, Ok("a"));
        check(&one, Some("a"), Ok("a"));
        check(&one, Some("b"), Err(TenantError::Forbidden));
        let several = Tenants::Several(vec![id("a"), id("b")]);
        check(&several, None, Err(TenantError::Required));
        check(&several, Some("b"), Ok("b"));
        check(&several, Some("c"), Err(TenantError::Forbidden));
    }
}
