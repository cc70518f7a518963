//! Reads the sign-in code of a request.
//!
//! The code is in a header, so that the request needs no body: nobody without a credential can make the
//! server wait for one. A page of another site could send the header only if CORS allowed it.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::auth::SignInCode;

const HEADER: &str = "X-Sign-In-Code";

/// The code of a request; `None` if it has none, or something else.
#[derive(Debug)]
pub(crate) struct GivenCode(pub(crate) Option<SignInCode>);

impl<S: Sync> FromRequestParts<S> for GivenCode {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let given = parts.headers.get(HEADER).and_then(|it| it.to_str().ok());
        Ok(Self(given.and_then(SignInCode::parse)))
    }
}

impl IntoParams for GivenCode {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^[0-9a-f]{64}$"));
        let header = ParameterBuilder::new()
            .name(HEADER)
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some("The code."))
            .schema(Some(schema));
        vec![header.build()]
    }
}
