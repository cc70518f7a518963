//! A request for a command: who gives it, the key that makes a retry safe, and the body.

use axum::RequestExt as _;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderName};
use bytes::Bytes;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::auth::{Principal, Role};
use crate::domain::TenantId;
use crate::domain::limits::IDEMPOTENCY_KEY_CHARS_MAX;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::body::{Body, JsonBody};
use crate::http::request::caller::{Caller, Write};
use crate::http::request::extract::{NoQuery, Query};
use crate::http::request::param::component;
use crate::http::state::App;
use crate::ledger::{By, IdempotencyKey};
use crate::query::Sight;

const RETRY_HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// Everything of a request for a command but its path. Such a request has no query.
#[derive(Debug)]
pub(crate) struct CommandRequest {
    caller: Caller<Write>,
    retry: Option<IdempotencyKey>,
    pub(crate) body: Bytes,
}

impl CommandRequest {
    /// Whose sessions and agents it is about.
    pub(crate) fn tenant(&self) -> &TenantId {
        self.caller.tenant()
    }

    /// Whether the caller may read what it did not change itself.
    pub(crate) fn may_read(&self) -> bool {
        self.caller.principal().roles.has(Role::Read)
    }

    /// The authenticated principal.
    pub(crate) fn principal(&self) -> &Principal {
        self.caller.principal()
    }

    /// What the caller is shown.
    pub(crate) fn sight(&self) -> Sight<'_> {
        self.caller.sight()
    }

    /// Who gives it.
    pub(crate) fn by(&self) -> By<'_> {
        let principal = self.caller.principal();
        By {
            tenant: &principal.tenant,
            actor: principal.id.as_deref(),
            agent: principal.agent.as_ref(),
            retry: self.retry.as_ref(),
        }
    }

    /// Takes any query, and a body of any content type.
    pub(crate) async fn lenient(mut request: Request, state: &App) -> Result<Self, Problem> {
        let caller = request.extract_parts_with_state(state).await?;
        let headers = request.headers().clone();
        let Body(body) = Body::from_request(request, state).await?;
        Self::new(caller, &headers, body)
    }

    /// The request of a caller, from the parts that the route has read.
    pub(crate) fn new(
        caller: Caller<Write>,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Self, Problem> {
        let retry = retry(headers)?;
        Ok(Self {
            caller,
            retry,
            body,
        })
    }
}

impl FromRequest<App> for CommandRequest {
    type Rejection = Problem;

    async fn from_request(mut request: Request, state: &App) -> Result<Self, Problem> {
        let caller = request.extract_parts_with_state(state).await?;
        let _none: Query<NoQuery> = request.extract_parts_with_state(state).await?;
        let retry = retry(request.headers())?;
        let JsonBody(body) = JsonBody::from_request(request, state).await?;
        Ok(Self {
            caller,
            retry,
            body,
        })
    }
}

fn retry(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let mut values = headers.get_all(RETRY_HEADER).iter();
    let (first, second) = (values.next(), values.next());
    let Some(first) = first else {
        return Ok(None);
    };
    let text = first.to_str().ok().filter(|_| second.is_none());
    let key = text.and_then(|text| IdempotencyKey::parse(text).ok());
    key.map(Some)
        .ok_or_else(|| Problem::new(Code::InvalidIdempotencyKey))
}

impl IntoParams for CommandRequest {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            // No space at either end, where HTTP takes it off.
            .pattern(Some("^[!-~]([ -~]*[!-~])?$"))
            .max_length(Some(IDEMPOTENCY_KEY_CHARS_MAX));
        let header = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "Makes the command safe to send again: a new text for each command, and the same \
                 text for its retries. A retry with the same body changes nothing and gets the same \
                 tokens. With another body it is a 409 `id_reused`. A key counts forever, for the \
                 credential that sends it, the call, and the session or agent in the path.",
            ))
            .extensions(Some(component("IdempotencyKey")))
            .schema(Some(schema));
        let mut params = Caller::<Write>::into_params(place);
        params.push(header.build());
        params
    }
}
