//! `GET /v1/status`: the counts of a tenant.

use axum::extract::State;
use axum::response::Response;

use crate::auth::Principal;
use crate::domain::SessionFilter;
use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::sets::EventsProblems;
use crate::http::request::caller::{Anyone, Caller};
use crate::http::request::extract::Query;
use crate::http::request::page_query::GetQuery;
use crate::http::response::body;
use crate::http::response::totals::by_word;
use crate::http::state::App;
use crate::log::chain::TenantChain;
use crate::projection::RowSum;
use crate::query;

/// Read the tenant's status
///
/// The number of the tenant's sessions by status, and of its rejected events by reason, a digest of its
/// sessions and agents, to compare servers of one ledger, and the number of its events with their hash chain, to
/// compare exports. It also has the roles of the caller. For a credential
/// that is bound to an agent, only the sessions of that agent. `/metrics` has figures of the whole server.
#[utoipa::path(
    get,
    path = "/v1/status",
    operation_id = "get_status",
    tag = "operations",
    params(Caller<Anyone>, Query<GetQuery>),
    responses((status = 200, description = "The counts", body = dto::Status), EventsProblems)
)]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller<Anyone>,
    Query(query): Query<GetQuery>,
) -> Result<Response, Problem> {
    app.wait_for(query.min_position).await?;
    let (sight, tenant) = (caller.sight(), caller.tenant());
    let found = app.read(|snapshot| {
        let counts = query::sessions::count(snapshot, sight, &SessionFilter::default())?;
        // Not for callers bound to an agent: many rejected events concern no known agent.
        let whole = match (sight.agent, snapshot.of_tenant(tenant)?) {
            (Some(_), _) => None,
            (None, Some(tenant)) => {
                let rows = (tenant.rejection_totals()?, tenant.digest()?);
                Some((rows, tenant.chain()?))
            }
            (None, None) => Some(((Vec::new(), RowSum::default()), TenantChain::EMPTY)),
        };
        Ok((counts, whole, snapshot.progress().rules.current().number()))
    });
    let (counts, whole, rules_version) = found?;
    let (rows, chain) = whole.unzip();
    let (rejections, digest) = rows.unzip();
    let by_status = counts.by_status.iter();
    let by_status = by_status.map(|(status, total)| (status.as_str().to_owned(), *total));
    let answer = dto::Status {
        tenant: caller.tenant().to_string(),
        sessions: dto::Totals {
            total: counts.total,
            by: by_status.collect(),
        },
        rejections: rejections.map(|by_code| {
            let by = by_word(&by_code);
            let total = by.values().sum();
            dto::Totals { total, by }
        }),
        digest: digest.map(RowSum::to_hex),
        events: chain.map(|chain| chain.events),
        chain: chain.map(|chain| hex::encode(chain.head)),
        rules_version,
        caller: of(caller.principal()),
        trace_url: app.trace_url().map(str::to_owned),
        as_of: app.as_of(counts.as_of),
    };
    Ok(body::json_of(&answer))
}

fn of(principal: &Principal) -> dto::StatusCaller {
    let roles = principal.roles.iter().map(|role| role.as_str().to_owned());
    dto::StatusCaller {
        roles: roles.collect(),
        agent_id: principal.agent.as_ref().map(ToString::to_string),
    }
}
