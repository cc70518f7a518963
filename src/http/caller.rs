//! Who asks: the one place that knows how a request's principal is found, and what routes ask of it.
//!
//! Every route of the API stands behind [`authenticate`], so that none can forget to; a handler
//! takes a [`Caller`], which says the roles that it needs.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::app::App;
use super::credential;
use super::error::Code;
use super::problem::Problem;
use super::refusals::{self, Refusal};
use crate::auth::{
    Access, ApiKey, Credentials, Presented, Principal, Refused, Role, Standing, TenantError,
};
use crate::domain::limits::TENANT_CHARS_MAX;
use crate::domain::{AgentId, TenantId, TokenHash};
use crate::query::{self, Sight};

/// Names the tenant in the API.
const TENANT_HEADER: HeaderName = HeaderName::from_static("x-tenant-id");
/// What a key begins with that names a tenant, where nobody is asked for credentials.
const TENANT_AS_CREDENTIAL: &str = "tenant:";
const LIMIT_HEADER: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING_HEADER: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET_HEADER: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const POLICY_HEADER: HeaderName = HeaderName::from_static("x-ratelimit-policy");

/// Carries a route's roles from its description to the document.
pub(super) const ROLES_EXTENSION: &str = "x-roles";

/// The roles of which a caller needs one.
pub(in crate::http) trait Needs: Send + 'static {
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
    /// What became of keys: for who changes them, and for who checks.
    AuditOrAdmin: Audit | Admin;
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

    /// What the caller is shown.
    pub(super) fn sight(&self) -> Sight<'_> {
        sight(&self.principal)
    }

    /// Who it is.
    pub(super) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Refuses whoever shows no credential of a tenant, where that is what a change is about.
    pub(super) fn refuse_anonymous(&self) -> Result<(), Problem> {
        match &self.principal.id {
            Some(_) => Ok(()),
            None => Err(Problem::new(Code::CredentialsOff)),
        }
    }

    /// Refuses a credential that is bound to an agent, where nothing else would hold it to that.
    pub(super) fn refuse_bound(&self) -> Result<(), Problem> {
        match &self.principal.agent {
            Some(_) => Err(Problem::new(Code::AgentBound)),
            None => Ok(()),
        }
    }
}

/// What a principal is shown.
pub(super) fn sight(principal: &Principal) -> Sight<'_> {
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

/// Where a request shows its credential, if it shows one.
pub(super) type Present = fn(&HeaderMap) -> Result<Presented<'_>, Problem>;

/// Where requests say on whose behalf they come.
#[derive(Clone)]
pub(super) struct Signature {
    pub(super) present: Present,
    /// Names the tenant; `None` where the credential alone does.
    pub(super) tenant: Option<TenantHeader>,
}

/// The header in which requests name the tenant.
#[derive(Debug, Clone)]
pub(super) struct TenantHeader {
    name: HeaderName,
    /// Whether clients send it without a value where they know no tenant.
    may_be_empty: bool,
}

impl From<HeaderName> for TenantHeader {
    fn from(name: HeaderName) -> Self {
        let may_be_empty = false;
        Self { name, may_be_empty }
    }
}

impl Signature {
    /// As the API has it.
    pub(super) fn usual() -> Self {
        Self {
            present: credential::presented,
            tenant: Some(TENANT_HEADER.into()),
        }
    }

    /// The same, where a header without a value names no tenant.
    pub(super) fn usual_or_empty() -> Self {
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

/// What callers of some routes are found with.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) app: App,
    pub(super) signature: Signature,
}

/// Finds on whose behalf a request comes, or answers it.
pub(super) async fn authenticate(
    State(gate): State<Gate>,
    mut request: Request,
    next: Next,
) -> Response {
    let Gate { app, signature } = &gate;
    let presented = (signature.present)(request.headers());
    let named = signature.named_tenant(request.headers());
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
        app.refusals().note(&refusal, app.metrics());
    }
    if let Some(standing) = standing {
        tell(&standing, response.headers_mut());
    }
    response
}

/// What came of looking for a request's principal.
struct Found {
    principal: Result<Principal, Problem>,
    /// Why its credential stands for nobody.
    why: Option<Refused>,
    /// Whose credential it is, if it is good.
    by: Option<Arc<str>>,
    /// Where its credential stands.
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

/// Spells the agent of a principal as the tenant knows it.
fn with_known_agent(app: &App, mut principal: Principal) -> Result<Principal, Problem> {
    let respelled = principal.agent.as_ref().and_then(AgentId::as_made);
    if let (Some(_), Some(given)) = (respelled, &principal.agent) {
        let tenant = &principal.tenant;
        let known = app.read(|snapshot| Ok(query::known_agent(snapshot, tenant, given)?))?;
        principal.agent = Some(known);
    }
    Ok(principal)
}

/// The tenant that a request names, if it names one.
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

/// Clients of a dialect cannot name a tenant in a header, but all of them can be given a key.
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
    let mut values = headers.get_all(&header.name).iter().filter(counts);
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
        .map_err(|error| invalid().with_error("X-Tenant-ID", error.to_string()))
}

fn tell(standing: &Standing, headers: &mut HeaderMap) {
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

impl<N: Needs> IntoParams for Caller<N> {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(format!("^[A-Za-z0-9_-]{{1,{TENANT_CHARS_MAX}}}$")));
        let roles: Vec<&str> = N::ONE_OF.iter().map(|role| role.as_str()).collect();
        let header = ParameterBuilder::new()
            .name("X-Tenant-ID")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "The tenant on whose behalf the request comes. Needed only where the credential \
                 does not say: with a token for several tenants, and with a server that asks for \
                 no credentials. It must be one of the credential's.",
            ))
            .schema(Some(schema))
            .example(Some("acme".into()))
            .extensions(Some(Extensions::from_iter([(ROLES_EXTENSION, roles)])))
            .build();
        vec![header]
    }
}
