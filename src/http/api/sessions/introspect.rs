//! `POST /v1/agent-sessions/introspect`: whether a token is active (RFC 7662).

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::Value;

use crate::domain::time::SECOND_US;
use crate::domain::{Reason, TenantId, Timestamp};
use crate::http::dto::{IntrospectToken, Introspection};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::problem::sets::IntrospectProblems;
use crate::http::request::body::Body;
use crate::http::request::caller::{Caller, Read};
use crate::http::request::extract::Query;
use crate::http::request::json_body;
use crate::http::request::media_type::{self, JSON};
use crate::http::request::page_query::GetQuery;
use crate::http::response::body;
use crate::http::state::App;
use crate::ledger::TokenClaim;
use crate::projection::SessionRow;
use crate::query;

const FORM: &str = "application/x-www-form-urlencoded";

/// Introspect a token
///
/// Says whether a token is active (RFC 7662): it is the latest access token of an active session of this
/// tenant, before the deadline of the session by the clock of this server, and the agent may act. Any
/// other text gets `{"active": false}`. A server that cannot know, because it is cut off from the log or
/// behind it, answers 503.
#[utoipa::path(
    post,
    path = "/v1/agent-sessions/introspect",
    operation_id = "introspect_token",
    tag = "sessions",
    params(Caller<Read>, Query<GetQuery>),
    request_body(
        description = "`token`, as a form (RFC 7662) or as JSON. The server ignores other fields.",
        content(
            (IntrospectToken = "application/x-www-form-urlencoded", example = json!({"token": "slat_..."})),
            (IntrospectToken = "application/json", example = json!({"token": "slat_..."})),
        ),
    ),
    responses(
        (status = 200, description = "Whether the token is active", body = Introspection),
        IntrospectProblems,
    )
)]
pub(crate) async fn introspect(
    State(app): State<App>,
    caller: Caller<Read>,
    Query(query): Query<GetQuery>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Problem> {
    let token = asked_token(&headers, &body)?;
    app.wait_for(query.min_position).await?;
    // A stale read model could report an ended session as active.
    app.check_fresh()?;
    let answer = match TokenClaim::of_access(&token) {
        Some(claim) if claim.tenant == *caller.tenant() => find(&app, &caller, &claim)?,
        Some(_) | None => Introspection::default(),
    };
    Ok(body::json_of(&answer))
}

/// Reads the token from the body. Problems never repeat text of the body, because it may be a token
/// in the wrong place.
fn asked_token(headers: &HeaderMap, body: &[u8]) -> Result<String, Problem> {
    let found = match media_type::of(headers)?.as_deref() {
        Some(FORM) => {
            let mut fields = form_urlencoded::parse(body);
            let token = fields.find(|(name, _)| name == "token");
            token.map(|(_, token)| token.into_owned())
        }
        Some(JSON) => match json_body::object(body)?.remove("token") {
            Some(Value::String(token)) => Some(token),
            Some(_) | None => None,
        },
        _ => {
            let detail = "send application/x-www-form-urlencoded or application/json in UTF-8";
            return Err(Problem::new(Code::UnsupportedMediaType).with_detail(detail));
        }
    };
    found.filter(|token| !token.is_empty()).ok_or_else(|| {
        Problem::new(Code::Event(Reason::Invalid))
            .with_detail("the body must have the field token, which must be a string")
            .with_error("token", "is required and must be a string")
    })
}

fn find(app: &App, caller: &Caller<Read>, claim: &TokenClaim) -> Result<Introspection, Problem> {
    let now = app.now();
    let TokenClaim { session, hash, .. } = claim;
    let sight = caller.sight();
    let stored = app.read(|snapshot| {
        let found = query::sessions::by_access_token(snapshot, sight, session, hash, now);
        Ok(found?)
    });
    match stored? {
        Some(stored) => Ok(describe(sight.tenant, &stored.row()?)),
        None => Ok(Introspection::default()),
    }
}

fn describe(tenant: &TenantId, row: &SessionRow<'_>) -> Introspection {
    let scopes: Vec<String> = serde_json::from_str(row.scopes).unwrap_or_default();
    let seconds = |time: Timestamp| time.micros().div_euclid(SECOND_US);
    Introspection {
        active: true,
        scope: Some(scopes.join(" ")),
        client_id: Some(row.agent_id.to_owned()),
        username: row.profile.user_id.map(ToOwned::to_owned),
        token_type: Some("Bearer".to_owned()),
        exp: row.expires_at.map(seconds),
        iat: Some(seconds(row.created_at)),
        sub: Some(row.session_id.to_owned()),
        scopes: Some(scopes),
        session_id: Some(row.session_id.to_owned()),
        agent_id: Some(row.agent_id.to_owned()),
        tenant_id: Some(tenant.to_string()),
        project_id: row.project_id.map(ToOwned::to_owned),
    }
}
