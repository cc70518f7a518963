//! The caller of a request, and the roles that routes require.
//!
//! A handler takes a [`Caller<N>`](Caller), where `N` lists the roles that the route accepts. The
//! principal comes from `layers::authenticate`, which every guarded route stands behind.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::auth::{Principal, Role};
use crate::domain::TenantId;
use crate::domain::limits::TENANT_CHARS_MAX;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::param::component;
use crate::query::Sight;

/// The `OpenAPI` extension that carries the roles of a route from its handler to the document.
pub(crate) const ROLES_EXTENSION: &str = "x-roles";

/// The roles that a route accepts.
pub(crate) trait Needs: Send + 'static {
    /// A caller needs at least one of these roles.
    const ONE_OF: &'static [Role];
}

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident: $($role:ident)|+;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub(crate) struct $name;

            impl Needs for $name {
                const ONE_OF: &'static [Role] = &[$(Role::$role),+];
            }
        )*
    };
}

needs! {
    /// For listings and reads of one session or agent.
    Read: Read;
    /// For changes.
    Write: Write;
    /// For a route that serves reads and changes. It checks the role of each.
    ReadOrWrite: Read | Write;
    /// For the replay of all events.
    Audit: Audit;
    /// For the history of one session.
    ReadOrAudit: Read | Audit;
    /// For the verdict on one event, for its sender and for auditors.
    WriteOrAudit: Write | Audit;
    /// For the history of keys, for those who manage keys and for auditors.
    AuditOrAdmin: Audit | Admin;
    /// For the management of keys.
    Admin: Admin;
    /// For any credential.
    Anyone: Read | Write | Audit | Admin | Operator;
    /// For backups, which have the records of all tenants.
    Operator: Operator;
}

/// An authenticated caller that has at least one of the roles in `N`.
#[derive(Debug, Clone)]
pub(crate) struct Caller<N> {
    principal: Principal,
    needs: PhantomData<N>,
}

impl<N> Caller<N> {
    /// The tenant whose data the caller reads and changes.
    pub(crate) fn tenant(&self) -> &TenantId {
        &self.principal.tenant
    }

    /// The part of the tenant's data that the caller may see.
    pub(crate) fn sight(&self) -> Sight<'_> {
        sight(&self.principal)
    }

    /// The authenticated principal.
    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Rejects callers without a credential, on a server that requires none (`--no-auth`).
    pub(crate) fn refuse_anonymous(&self) -> Result<(), Problem> {
        match &self.principal.id {
            Some(_) => Ok(()),
            None => Err(Problem::new(Code::CredentialsOff)),
        }
    }

    /// Rejects credentials that are bound to an agent, on routes that cannot limit the caller to
    /// that agent.
    pub(crate) fn refuse_bound(&self) -> Result<(), Problem> {
        match &self.principal.agent {
            Some(_) => Err(Problem::new(Code::AgentBound)),
            None => Ok(()),
        }
    }
}

/// The part of the tenant's data that a principal may see.
pub(crate) fn sight(principal: &Principal) -> Sight<'_> {
    Sight {
        tenant: &principal.tenant,
        agent: principal.agent.as_ref(),
    }
}

impl<N: Needs, S: Sync> FromRequestParts<S> for Caller<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let Some(principal) = parts.extensions.get::<Principal>() else {
            tracing::error!("a route that needs a caller is not behind authentication");
            return Err(Problem::new(Code::InternalError));
        };
        if !principal.roles.has_any(N::ONE_OF) {
            let words: Vec<&str> = N::ONE_OF.iter().map(|role| role.as_str()).collect();
            let words = words.join(", ");
            let detail = match &principal.id {
                Some(_) => format!(
                    "the credential needs one of these roles, and has none of them: {words}"
                ),
                None => format!(
                    "this server requires no credentials, and on such a server no caller has the role \
                     {words}"
                ),
            };
            return Err(Problem::new(Code::RoleRequired).with_detail(detail));
        }
        Ok(Self {
            principal: principal.clone(),
            needs: PhantomData,
        })
    }
}

impl<N: Needs> IntoParams for Caller<N> {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(format!("^[A-Za-z0-9_-]{{1,{TENANT_CHARS_MAX}}}$")));
        let roles: Vec<&str> = N::ONE_OF.iter().map(|role| role.as_str()).collect();
        let mut extensions = component("TenantId");
        extensions.insert(ROLES_EXTENSION.to_owned(), roles.into());
        let header = ParameterBuilder::new()
            .name("X-Tenant-ID")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "The tenant of the request. Needed only with a token for several tenants, and with a \
                 server that needs no credentials. It must be a tenant of the credential.",
            ))
            .schema(Some(schema))
            .example(Some("acme".into()))
            .extensions(Some(extensions))
            .build();
        vec![header]
    }
}
