//! The caller of a request, and the roles that routes need.
//!
//! A handler takes a [`Caller`], whose type says the roles that it needs. The principal comes from
//! `layers::authenticate`, which every guarded route stands behind.

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
use crate::http::request::params::component;
use crate::query::Sight;

/// Carries a route's roles from its description to the document.
pub(crate) const ROLES_EXTENSION: &str = "x-roles";

/// The roles of which a caller needs one.
pub(crate) trait Needs: Send + 'static {
    /// Any one of these will do.
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
    /// Listings and single reads.
    Read: Read;
    /// Whatever changes something.
    Write: Write;
    /// Replay of everything.
    Audit: Audit;
    /// The history of one thing.
    ReadOrAudit: Read | Audit;
    /// What became of an event: for who sent it, and for who checks.
    WriteOrAudit: Write | Audit;
    /// What became of keys: for who changes them, and for who checks.
    AuditOrAdmin: Audit | Admin;
    /// Keys.
    Admin: Admin;
    /// Anybody with a credential.
    Anyone: Read | Write | Audit | Admin;
}

/// On whose behalf a request comes, who may do what `N` needs.
#[derive(Debug, Clone)]
pub(crate) struct Caller<N> {
    principal: Principal,
    needs: PhantomData<N>,
}

impl<N> Caller<N> {
    /// Whose data the caller sees.
    pub(crate) fn tenant(&self) -> &TenantId {
        &self.principal.tenant
    }

    /// What the caller is shown.
    pub(crate) fn sight(&self) -> Sight<'_> {
        sight(&self.principal)
    }

    /// Who it is.
    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Refuses whoever shows no credential of a tenant, where that is what a change is about.
    pub(crate) fn refuse_anonymous(&self) -> Result<(), Problem> {
        match &self.principal.id {
            Some(_) => Ok(()),
            None => Err(Problem::new(Code::CredentialsOff)),
        }
    }

    /// Refuses a credential that is bound to an agent, where nothing else would hold it to that.
    pub(crate) fn refuse_bound(&self) -> Result<(), Problem> {
        match &self.principal.agent {
            Some(_) => Err(Problem::new(Code::AgentBound)),
            None => Ok(()),
        }
    }
}

/// What a principal is shown.
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
            tracing::error!("a route was reached past authentication");
            return Err(Problem::new(Code::InternalError));
        };
        if !principal.roles.has_any(N::ONE_OF) {
            let words: Vec<&str> = N::ONE_OF.iter().map(|role| role.as_str()).collect();
            let detail = format!(
                "the credential needs one of these roles, and has none of them: {}",
                words.join(", ")
            );
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
