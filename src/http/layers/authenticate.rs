//! Finds the principal of each request, and rejects requests without one.
//!
//! Every guarded route stands behind [`authenticate`]. It puts the principal into the request's
//! extensions, where [`Caller`](crate::http::request::caller::Caller) finds it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::auth::{
    Access, ApiKey, CredentialError, Credentials, Presented, Principal, Standing, TenantError,
};
use crate::domain::{AgentId, TenantId, TokenHash};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::refusals::{self, Refusal};
use crate::http::request::credential;
use crate::http::state::App;
use crate::query;

/// Names the tenant in the API.
const TENANT_HEADER: &str = "X-Tenant-ID";
/// The prefix of a key that names a tenant, on a server that requires no credentials.
const TENANT_AS_CREDENTIAL: &str = "tenant:";
const LIMIT_HEADER: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING_HEADER: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET_HEADER: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const POLICY_HEADER: HeaderName = HeaderName::from_static("x-ratelimit-policy");

/// Finds the credential in the headers of a request.
pub(crate) type Present = fn(&HeaderMap) -> Result<Presented<'_>, Problem>;

/// How the requests of an API carry their credential and their tenant.
#[derive(Clone)]
pub(crate) struct CredentialScheme {
    pub(crate) present: Present,
    /// The header that names the tenant; `None` if only the credential names it.
    pub(crate) tenant: Option<TenantHeader>,
}

/// The header in which requests name the tenant.
#[derive(Debug, Clone)]
pub(crate) struct TenantHeader {
    /// As the documents of the API spell it.
    name: &'static str,
    /// Whether the header may be empty, and then counts as absent.
    may_be_empty: bool,
}

impl TenantHeader {
    /// A header that must not be empty, with its name as the documents of the API spell it.
    pub(crate) fn new(name: &'static str) -> Self {
        let may_be_empty = false;
        Self { name, may_be_empty }
    }
}

impl CredentialScheme {
    /// The scheme of the ledger's own API: `X-API-Key` or `Authorization`, and `X-Tenant-ID`.
    pub(crate) fn usual() -> Self {
        Self {
            present: credential::presented,
            tenant: Some(TenantHeader::new(TENANT_HEADER)),
        }
    }

    /// The scheme of the ledger's own API, for clients that send an empty `X-Tenant-ID` if they
    /// know no tenant.
    pub(crate) fn usual_or_empty() -> Self {
        let tenant = Some(TenantHeader {
            name: TENANT_HEADER,
            may_be_empty: true,
        });
        let usual = Self::usual();
        Self { tenant, ..usual }
    }

    fn named_tenant(&self, headers: &HeaderMap) -> Named {
        match &self.tenant {
            Some(header) => named_tenant(headers, header),
            None => Ok(None),
        }
    }
}

/// The state of [`authenticate`].
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) app: App,
    pub(crate) scheme: CredentialScheme,
}

/// Authenticates a request and passes it on with its principal, or answers it with a problem.
pub(crate) async fn authenticate(
    State(gate): State<Gate>,
    mut request: Request,
    next: Next,
) -> Response {
    let Gate { app, scheme } = &gate;
    let presented = (scheme.present)(request.headers());
    let named = scheme.named_tenant(request.headers());
    let Found {
        principal,
        why,
        by,
        standing,
    } = match app.access() {
        Access::Everybody => anonymous(named, presented).into(),
        Access::Credentials(credentials) => match presented {
            Ok(presented) => identified(app, credentials, presented, named).await,
            Err(problem) => Err(problem).into(),
        },
        Access::Private(hash) => private(hash, named, presented).into(),
    };
    let principal = principal.and_then(|principal| with_known_agent(app, principal));
    let tenant = principal.as_ref().ok().map(|it| it.tenant.clone());
    let mut response = match principal {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    if let Some(problem) = refusals::problem_of(&response) {
        let refusal = Refusal {
            problem,
            why: why.as_ref(),
            by: by.as_deref(),
            tenant: tenant.as_ref(),
        };
        app.refusals().record(&refusal, app.metrics());
    }
    if let Some(standing) = standing {
        add_rate_limit_headers(&standing, response.headers_mut());
    }
    response
}

/// The result of authenticating a request.
struct Found {
    principal: Result<Principal, Problem>,
    /// Why the credential is invalid.
    why: Option<CredentialError>,
    /// The id of a valid credential, even if it may not make this request.
    by: Option<Arc<str>>,
    /// The state of the credential's rate limit.
    standing: Option<Standing>,
}

impl From<Result<Principal, Problem>> for Found {
    fn from(principal: Result<Principal, Problem>) -> Self {
        Self {
            principal,
            why: None,
            by: None,
            standing: None,
        }
    }
}

/// Replaces the id of a principal's agent with the spelling under which that agent is known.
fn with_known_agent(app: &App, mut principal: Principal) -> Result<Principal, Problem> {
    let respelled = principal.agent.as_ref().and_then(AgentId::as_made);
    if let (Some(_), Some(given)) = (respelled, &principal.agent) {
        let tenant = &principal.tenant;
        let known = app.read(|snapshot| Ok(query::known_agent(snapshot, tenant, given)?))?;
        principal.agent = Some(known);
    }
    Ok(principal)
}

/// The tenant in the header of a request; `None` if the header is absent.
type Named = Result<Option<TenantId>, Problem>;

fn anonymous(
    named: Named,
    presented: Result<Presented<'_>, Problem>,
) -> Result<Principal, Problem> {
    let tenant = match (named?, presented) {
        (Some(tenant), _) => Some(tenant),
        (None, Ok(presented)) => tenant_as_credential(presented),
        (None, Err(_none)) => None,
    };
    let tenant = tenant.ok_or_else(|| Problem::new(Code::TenantRequired))?;
    Ok(Principal::anonymous(tenant))
}

/// The tenant `T` of the key `tenant:T`. Some clients of dialects cannot send a tenant header, but
/// every client can be configured with a key.
fn tenant_as_credential(presented: Presented<'_>) -> Option<TenantId> {
    let name = presented.text().strip_prefix(TENANT_AS_CREDENTIAL)?;
    TenantId::parse(name).ok()
}

fn private(
    hash: &TokenHash,
    named: Named,
    presented: Result<Presented<'_>, Problem>,
) -> Result<Principal, Problem> {
    let presented = presented?;
    let key = ApiKey::parse(presented.text());
    if key.is_some_and(|key| key.has_hash(hash)) {
        anonymous(named, Ok(presented))
    } else {
        Err(Problem::new(Code::InvalidCredential))
    }
}

async fn identified(
    app: &App,
    credentials: &Credentials,
    presented: Presented<'_>,
    named: Named,
) -> Found {
    let identity = match credentials.identify(presented, app.now()).await {
        Ok(identity) => identity,
        Err(why) => {
            let principal = Err(Problem::new(Code::InvalidCredential));
            return Found {
                why: Some(why),
                ..principal.into()
            };
        }
    };
    let limits = credentials.rate_limits.as_ref();
    let standing = limits.map(|limits| limits.count(&identity.id));
    let by = Arc::clone(&identity.id);
    let principal = if standing.is_some_and(|standing| standing.retry_after_s.is_some()) {
        Err(Problem::new(Code::RateLimited))
    } else {
        named.and_then(|named| {
            let principal = identity.for_tenant(named);
            principal.map_err(|error| match error {
                TenantError::Required => Problem::new(Code::TenantRequired),
                TenantError::Forbidden => Problem::new(Code::TenantForbidden),
            })
        })
    };
    Found {
        by: Some(by),
        standing,
        ..principal.into()
    }
}

fn named_tenant(headers: &HeaderMap, header: &TenantHeader) -> Named {
    let counts = |value: &&HeaderValue| !(header.may_be_empty && value.is_empty());
    let mut values = headers.get_all(header.name).iter().filter(counts);
    let (first, second) = (values.next(), values.next());
    let Some(first) = first else {
        return Ok(None);
    };
    let invalid = || Problem::new(Code::InvalidTenant);
    if second.is_some() {
        return Err(invalid());
    }
    let text = first.to_str().map_err(|_not_ascii| invalid())?;
    TenantId::parse(text)
        .map(Some)
        .map_err(|error| invalid().with_error(header.name, error.to_string()))
}

fn add_rate_limit_headers(standing: &Standing, headers: &mut HeaderMap) {
    let (per_second, burst) = (standing.limit.per_second, standing.limit.burst);
    let policy = HeaderValue::try_from(format!("{per_second};w=1;burst={burst}"));
    headers.insert(LIMIT_HEADER, HeaderValue::from(burst.get()));
    headers.insert(REMAINING_HEADER, HeaderValue::from(standing.remaining));
    headers.insert(RESET_HEADER, HeaderValue::from(standing.reset_s));
    headers.insert(
        POLICY_HEADER,
        policy.expect("numbers and words are a header's value"),
    );
    if let Some(seconds) = standing.retry_after_s {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_tenant_is_an_error_of_the_header_that_names_it() {
        let headers = HeaderMap::from_iter([
            (
                HeaderName::from_static("x-tenant-id"),
                HeaderValue::from_static("a b"),
            ),
            (
                HeaderName::from_static("x-otas-project-id"),
                HeaderValue::from_static("a b"),
            ),
        ]);
        for name in [TENANT_HEADER, "X-OTAS-PROJECT-ID"] {
            let problem = named_tenant(&headers, &TenantHeader::new(name)).unwrap_err();
            assert_eq!(problem.code(), Code::InvalidTenant);
            assert_eq!(problem.errors()[0].field, name);
        }
    }
}
