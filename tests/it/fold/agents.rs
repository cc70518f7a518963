//! Listings of agents against the model: every filter, by offset and by cursor, any page size.

use session_ledger::domain::{AgentFilter, AgentId, AgentStatus, StatusSet, TenantId, Timestamp};
use session_ledger::projection::{KnownAgent, Snapshot};
use session_ledger::query::{PageStart, Sight, agents};

use crate::fold::history::{AGENT_TYPES, TENANTS, TRUST_LEVELS};
use crate::fold::model::Model;
use crate::fold::model_agents::ModelAgent;

/// Compares every listing of every tenant with the model's, every single read of an agent, and the index of
/// revoked agents.
#[cfg(test)]
pub(crate) fn check(snapshot: &Snapshot, model: &Model, rows_max: usize) {
    check_some(snapshot, model, rows_max, (0, 1));
    check_revoked(snapshot, model);
}

/// Compares the listings `first`, `first + step` and so on, and every single read of an agent.
pub(crate) fn check_some(
    snapshot: &Snapshot,
    model: &Model,
    rows_max: usize,
    (first, step): (usize, usize),
) {
    let mut filters = Vec::new();
    for tenant in TENANTS {
        for agent_type in texts(&AGENT_TYPES) {
            for trust_level in texts(&TRUST_LEVELS) {
                for statuses in status_sets() {
                    let filter = AgentFilter {
                        agent_type: agent_type.clone(),
                        trust_level: trust_level.clone(),
                        statuses,
                    };
                    filters.push((tenant, filter));
                }
            }
        }
    }
    for (tenant, filter) in filters.iter().skip(first).step_by(step) {
        check_one(snapshot, model, tenant, filter, rows_max);
    }
    for expected in &model.agents {
        let found = get(snapshot, expected).unwrap();
        check_agent(&found, expected, model);
    }
}

/// Returns an agent of the model, if the snapshot knows it.
pub(crate) fn get(snapshot: &Snapshot, agent: &ModelAgent) -> Option<KnownAgent> {
    let tenant = TenantId::parse(&agent.tenant).unwrap();
    let id = AgentId::parse(&agent.id).unwrap();
    agents::get(snapshot, Sight::of_tenant(&tenant), &id).unwrap()
}

/// Compares the revoked agents that still have active sessions with the model's.
#[cfg(test)]
fn check_revoked(snapshot: &Snapshot, model: &Model) {
    let mut revoked = Vec::new();
    for (number, expected) in (1_u32..).zip(&model.agents) {
        let found = get(snapshot, expected).unwrap();
        if expected.status == "revoked" && 0 < found.active_sessions {
            revoked.push(number);
        }
    }
    let found = snapshot
        .of_all_tenants()
        .revoked_agents(usize::MAX)
        .unwrap()
        .into_iter();
    assert_eq!(
        found
            .map(session_ledger::projection::AgentNumber::get)
            .collect::<Vec<_>>(),
        revoked
    );
}

fn check_one(
    snapshot: &Snapshot,
    model: &Model,
    tenant: &str,
    filter: &AgentFilter,
    rows_max: usize,
) {
    let expected = oracle(model, tenant, filter);
    let tenant = TenantId::parse(tenant).unwrap();
    let mut start = PageStart::Offset(0);
    let mut listed = 0;
    loop {
        let page =
            agents::list(snapshot, Sight::of_tenant(&tenant), filter, start, rows_max).unwrap();
        let by_offset = PageStart::Offset(listed as u64);
        let same = agents::list(
            snapshot,
            Sight::of_tenant(&tenant),
            filter,
            by_offset,
            rows_max,
        )
        .unwrap();
        let total = expected.len() as u64;
        assert_eq!((page.total, same.total), (total, total), "{filter:?}");
        assert_eq!((page.next, page.rows.len()), (same.next, same.rows.len()));
        for (agent, same) in page.rows.iter().zip(&same.rows) {
            assert_eq!(agent.row().unwrap(), same.row().unwrap());
            check_agent(agent, expected[listed], model);
            listed += 1;
        }
        match page.next {
            Some(cursor) => start = cursor.into(),
            None => break,
        }
    }
    assert_eq!(listed, expected.len(), "rows of {filter:?}");
}

/// Returns the model's listing: newest first. Of equal times, the agent that became known last is first.
fn oracle<'a>(model: &'a Model, tenant: &str, filter: &AgentFilter) -> Vec<&'a ModelAgent> {
    let is = |wanted: &Option<Box<str>>, found: &Option<String>| {
        wanted.is_none() || wanted.as_deref() == found.as_deref()
    };
    let matches = |agent: &&ModelAgent| {
        agent.tenant == tenant
            && is(&filter.agent_type, &agent.agent_type)
            && is(&filter.trust_level, &agent.trust_level)
            && filter.statuses.has(agent.status.parse().unwrap())
    };
    let mut agents: Vec<&ModelAgent> = model.agents.iter().rev().filter(matches).collect();
    agents.sort_by_key(|agent| std::cmp::Reverse(agent.created));
    agents
}

fn check_agent(found: &KnownAgent, expected: &ModelAgent, model: &Model) {
    let row = found.row().unwrap();
    let micros = |time: Option<Timestamp>| time.map(Timestamp::micros);
    assert_eq!(row.agent_id, expected.id);
    assert_eq!(row.status.as_str(), expected.status);
    assert_eq!(row.registered, expected.registered);
    assert_eq!(row.texts.agent_type, expected.agent_type.as_deref());
    assert_eq!(row.texts.trust_level, expected.trust_level.as_deref());
    let scopes = expected.scopes.as_ref();
    let scopes = scopes.map(|scopes| serde_json::to_string(scopes).unwrap());
    assert_eq!(row.scopes, scopes.as_deref());
    assert_eq!(row.created_at.micros(), expected.created);
    assert_eq!(row.recorded_at.micros(), expected.recorded);
    assert_eq!(row.updated_at.micros(), expected.updated);
    assert_eq!(micros(row.suspended_at), expected.suspended);
    assert_eq!(micros(row.revoked_at), expected.revoked);
    assert_eq!(micros(row.expires_at), expected.expires);
    let sessions = model.sessions.iter();
    let own = sessions.filter(|one| one.tenant == expected.tenant && one.agent == expected.id);
    let active = own.clone().filter(|session| session.status == "active");
    assert_eq!(
        (found.sessions, found.active_sessions),
        (own.count() as u64, active.count() as u64)
    );
}

/// Returns each of these values, an unknown one, and none.
fn texts(known: &[&str]) -> Vec<Option<Box<str>>> {
    let given = known.iter().chain(&["nobody's"]);
    given
        .map(|text| Some((*text).into()))
        .chain([None])
        .collect()
}

fn status_sets() -> Vec<StatusSet<AgentStatus>> {
    (1..8_u8)
        .map(|bits| {
            let some = AgentStatus::ALL
                .iter()
                .copied()
                .filter(|status| bits & 1 << (*status as u8) != 0);
            StatusSet::of(&some.collect::<Vec<_>>()).unwrap()
        })
        .collect()
}
