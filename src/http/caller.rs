//! Who asks: the one place that knows how a request's tenant is found.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::error::Code;
use super::problem::Problem;
use crate::domain::TenantId;
use crate::domain::limits::TENANT_CHARS_MAX;

const TENANT_HEADER: &str = "x-tenant-id";

/// The tenant on whose behalf a request comes.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) tenant: TenantId,
}

impl<S: Sync> FromRequestParts<S> for Caller {
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
        Ok(Self { tenant })
    }
}

impl IntoParams for Caller {
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
