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
