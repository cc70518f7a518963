//! Principals: the caller of a request, and what it may do.

use std::sync::Arc;

use crate::auth::{Role, Roles};
use crate::domain::{AgentId, TenantId};

/// The authenticated caller of one request. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The tenant whose data the caller may see.
    pub tenant: TenantId,
    /// What the caller may do.
    pub roles: Roles,
    /// The id of the credential, without its secret: the id of a key, or `issuer|subject` of a
    /// token. `None` if the server requires no credentials. Each id has its own idempotency keys
    /// and rate limit.
    pub id: Option<Arc<str>>,
    /// The only agent that the caller may write for; `None` is any.
    pub agent: Option<AgentId>,
}

impl Principal {
    /// A caller of a server that requires no credentials. It has every role within a tenant, but not the
    /// role operator, which reaches all tenants: a proxy that sets the tenant could not prevent that.
    pub fn anonymous(tenant: TenantId) -> Self {
        Self {
            tenant,
            roles: Role::OF_TENANT.iter().copied().collect(),
            id: None,
            agent: None,
        }
    }
}

/// What a credential proves. A request then chooses one of its tenants, which makes a
/// [`Principal`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The tenants whose data the credential gives access to.
    pub tenants: Tenants,
    /// What the credential allows.
    pub roles: Roles,
    /// The id of the credential: see [`Principal::id`].
    pub id: Arc<str>,
    /// The only agent that the caller may write for; `None` is any.
    pub agent: Option<AgentId>,
}

/// The tenants of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenants {
    /// One tenant. A key always has one.
    One(TenantId),
    /// At least two tenants. Only a token can have several.
    Several(Vec<TenantId>),
}

/// Why a credential cannot be used for a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantError {
    /// The credential has several tenants, and the request names none.
    Required,
    /// The request names a tenant that the credential does not have.
    Forbidden,
}

impl Identity {
    /// Returns the principal of a request that names this tenant; `None` names no tenant.
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
