//! Who asks: the one place that knows how a request's principal is found, and what routes ask of it.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::error::Code;
use super::problem::Problem;
use crate::auth::{Principal, Role};
use crate::domain::TenantId;
use crate::domain::limits::TENANT_CHARS_MAX;

const TENANT_HEADER: &str = "x-tenant-id";

/// The roles of which a caller needs one.
pub(super) trait Needs: Send + 'static {
    /// Any one of these will do.
    const ONE_OF: &'static [Role];
}

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident: $($role:ident)|+;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub(super) struct $name;

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
    /// Keys.
    Admin: Admin;
    /// Anybody with a credential.
    Anyone: Read | Write | Audit | Admin;
}

/// On whose behalf a request comes, who may do what `N` needs.
#[derive(Debug, Clone)]
pub(super) struct Caller<N> {
    principal: Principal,
    needs: PhantomData<N>,
}

impl<N> Caller<N> {
    /// Whose data the caller sees.
    pub(super) fn tenant(&self) -> &TenantId {
        &self.principal.tenant
    }

    /// Who it is.
    pub(super) fn principal(&self) -> &Principal {
        &self.principal
    }
}

impl<N: Needs, S: Sync> FromRequestParts<S> for Caller<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(TENANT_HEADER).iter();
        let (first, second) = (values.next(), values.next());
        let first = first.ok_or_else(|| Problem::new(Code::TenantRequired))?;
        let invalid = || Problem::new(Code::InvalidTenant);
        if second.is_some() {
            return Err(invalid());
        }
        let text = first.to_str().map_err(|_not_ascii| invalid())?;
        let tenant = TenantId::parse(text)
            .map_err(|error| invalid().with_error("X-Tenant-ID", error.to_string()))?;
        Ok(Self {
            principal: Principal::anonymous(tenant),
            needs: PhantomData,
        })
    }
}

impl<N: Needs> IntoParams for Caller<N> {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(format!("^[A-Za-z0-9_-]{{1,{TENANT_CHARS_MAX}}}$")));
        let header = ParameterBuilder::new()
            .name("X-Tenant-ID")
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some("The tenant on whose behalf the request comes."))
            .schema(Some(schema))
            .example(Some("acme".into()))
            .build();
        vec![header]
    }
}
