//! Listings against the model: every filter, by offset and by cursor, any page size.

use session_ledger::domain::filter::Owner;
use session_ledger::domain::session::{Outcome, Status};
use session_ledger::domain::{
    AgentId, AgentIds, OutcomeSet, ProjectId, SessionFilter, SessionId, StatusSet, TenantId,
    TimeRange, Timestamp,
};
use session_ledger::projection::{SessionRow, Snapshot};
use session_ledger::query::{PageStart, Sight, sessions};

use crate::fold::history::{PROJECTS, START_US, TENANTS, TICK_US, session};
use crate::fold::model::{Model, ModelSession};

/// Compares every listing of every tenant with the model's.
#[cfg(test)]
pub(crate) fn check(snapshot: &Snapshot, model: &Model, rows_max: usize) {
    check_some(snapshot, model, rows_max, (0, 1));
}

/// Compares the listings `first`, `first + step` and so on.
pub(crate) fn check_some(
    snapshot: &Snapshot,
    model: &Model,
    rows_max: usize,
    (first, step): (usize, usize),
) {
    let mut filters = Vec::new();
    for tenant in TENANTS {
        for (owner, root) in owners() {
            for (statuses, outcomes) in states() {
                for created in time_ranges() {
                    let owner = owner.clone();
                    filters.push((
                        tenant,
                        SessionFilter {
                            owner,
                            root,
                            statuses,
                            outcomes,
                            created,
                        },
                    ));
                }
            }
        }
    }
    for (tenant, filter) in filters.iter().skip(first).step_by(step) {
        check_one(snapshot, model, tenant, filter, rows_max);
    }
}

fn check_one(
    snapshot: &Snapshot,
    model: &Model,
    tenant: &str,
    filter: &SessionFilter,
    rows_max: usize,
) {
    let expected = oracle(model, tenant, filter);
    let tenant = TenantId::parse(tenant).unwrap();
    let counts = sessions::count(snapshot, Sight::of_tenant(&tenant), filter).unwrap();
    assert_eq!(counts.total, expected.len() as u64, "total of {filter:?}");
    for (status, total) in counts.by_status {
        let same = expected
            .iter()
            .filter(|session| session.status == status.as_str());
        assert_eq!(total, same.count() as u64, "{status:?} of {filter:?}");
    }
    let mut start = PageStart::Offset(0);
    let mut listed = 0;
    loop {
        let page =
            sessions::list(snapshot, Sight::of_tenant(&tenant), filter, start, rows_max).unwrap();
        let by_offset = PageStart::Offset(listed as u64);
        let same = sessions::list(
            snapshot,
            Sight::of_tenant(&tenant),
            filter,
            by_offset,
            rows_max,
        )
        .unwrap();
        assert_eq!((page.total, same.total), (counts.total, counts.total));
        assert_eq!((page.next, page.rows.len()), (same.next, same.rows.len()));
        for (row, same) in page.rows.iter().zip(&same.rows) {
            let row = row.row().unwrap();
            assert_eq!(row, same.row().unwrap(), "by cursor and by offset");
            check_row(&row, expected[listed]);
            listed += 1;
        }
        match page.next {
            Some(cursor) => start = cursor.into(),
            None => break,
        }
    }
    assert_eq!(listed, expected.len(), "rows of {filter:?}");
}

/// Returns the model's listing: newest first. Of equal times, the session that opened last is first.
fn oracle<'a>(model: &'a Model, tenant: &str, filter: &SessionFilter) -> Vec<&'a ModelSession> {
    let matches = |session: &&ModelSession| {
        let owner = match &filter.owner {
            Owner::Tenant => true,
            Owner::Agents(ids) => ids.iter().any(|id| session.agent == id.as_str()),
            Owner::Project(id) => session.project.as_deref() == Some(id.as_str()),
            Owner::Parent(id) => session.parent.as_deref() == Some(id.as_str()),
            Owner::User(id) => session.user.as_deref() == Some(&**id),
        };
        let root = filter
            .root
            .is_none_or(|root| root == session.parent.is_none());
        let TimeRange { after, before } = filter.created;
        session.tenant == tenant
            && owner
            && root
            && filter.statuses.has(session.status.parse().unwrap())
            && (session.status != "terminated" || filter.outcomes.has(outcome(session)))
            && after.is_none_or(|after| after.micros() <= session.created)
            && before.is_none_or(|before| session.created < before.micros())
    };
    let mut sessions: Vec<&ModelSession> = model.sessions.iter().rev().filter(matches).collect();
    sessions.sort_by_key(|session| std::cmp::Reverse(session.created));
    sessions
}

fn outcome(session: &ModelSession) -> Option<Outcome> {
    let word = session.outcome.as_deref();
    word.map(|word| word.parse().unwrap())
}

pub(crate) fn check_row(row: &SessionRow<'_>, expected: &ModelSession) {
    let micros = |time: Option<Timestamp>| time.map(Timestamp::micros);
    assert_eq!(row.session_id, expected.id);
    assert_eq!(row.agent_id, expected.agent);
    assert_eq!(row.status.as_str(), expected.status);
    assert_eq!(
        row.phase
            .map(session_ledger::domain::session::Phase::as_str),
        expected.phase.as_deref()
    );
    assert_eq!(
        row.outcome.map(Outcome::as_str),
        expected.outcome.as_deref()
    );
    assert_eq!(row.created_at.micros(), expected.created);
    assert_eq!(row.recorded_at.micros(), expected.recorded);
    assert_eq!(row.updated_at.micros(), expected.updated);
    assert_eq!(row.last_activity_at.micros(), expected.activity);
    assert_eq!(micros(row.refreshed_at), expected.refreshed);
    assert_eq!(micros(row.expires_at), expected.expires);
    assert_eq!(micros(row.terminated_at), expected.terminated);
    assert_eq!(micros(row.deleted_at), expected.deleted);
    assert_eq!(row.time_adjusted, expected.adjusted);
    assert_eq!(row.scopes, serde_json::to_string(&expected.scopes).unwrap());
    let metadata: serde_json::Value = serde_json::from_str(row.metadata).unwrap();
    assert_eq!(metadata, expected.metadata);
    assert_eq!(row.parent_session_id, expected.parent.as_deref());
    assert_eq!(row.project_id, expected.project.as_deref());
    assert_eq!(row.handed_off_to, expected.to.as_deref());
    assert_eq!(row.handed_off_session_id, expected.child.as_deref());
    assert_eq!(row.profile.user_id, expected.user.as_deref());
}

/// Owners of listings, and whether only roots or only children are listed.
fn owners() -> Vec<(Owner, Option<bool>)> {
    let agent = |number: usize| AgentId::parse(&format!("a{number}")).unwrap();
    let agents = (0..5).map(|number| Owner::agent(agent(number)));
    let several = [vec![agent(0), agent(1)], (0..5).map(agent).collect()];
    let several = several.map(|ids| Owner::Agents(AgentIds::of(ids).unwrap()));
    let projects = PROJECTS.map(|id| Owner::Project(ProjectId::parse(id).unwrap()));
    let users = ["u0", "u1", "u2"].map(|id| Owner::User(id.into()));
    let sessions = (0..14).map(|number| SessionId::parse(&session(number)).unwrap());
    let divided = [Owner::Tenant]
        .into_iter()
        .chain(agents)
        .chain(several)
        .chain(projects)
        .chain(users);
    let divided =
        divided.flat_map(|owner| [None, Some(true), Some(false)].map(|root| (owner.clone(), root)));
    divided
        .chain(sessions.map(|id| (Owner::Parent(id), None)))
        .collect()
}

fn status_sets() -> Vec<StatusSet> {
    (1..16_u8)
        .map(|bits| {
            let some = Status::ALL
                .iter()
                .copied()
                .filter(|status| bits & 1 << (*status as u8) != 0);
            StatusSet::of(&some.collect::<Vec<_>>()).unwrap()
        })
        .collect()
}

/// Sets of statuses, and of outcomes of the terminated sessions.
fn states() -> Vec<(StatusSet, OutcomeSet)> {
    let whole = status_sets().into_iter();
    let whole = whole.map(|statuses| (statuses, OutcomeSet::ALL));
    let (ended, of) = (Status::Terminated, |statuses: &[Status]| {
        StatusSet::of(statuses).unwrap()
    });
    let divided = [
        (of(&[ended]), vec![None]),
        (of(&[ended]), vec![Some(Outcome::Completed)]),
        (
            of(&[ended]),
            vec![Some(Outcome::Deleted), Some(Outcome::Revoked)],
        ),
        (
            of(&[ended, Status::HandedOff]),
            vec![Some(Outcome::Completed)],
        ),
        (of(&[ended, Status::Expired]), vec![Some(Outcome::Error)]),
        (StatusSet::ALL, vec![None, Some(Outcome::Error)]),
    ];
    let divided = divided
        .into_iter()
        .map(|(statuses, outcomes)| (statuses, OutcomeSet::of(&outcomes).unwrap()));
    whole.chain(divided).collect()
}

fn time_ranges() -> Vec<TimeRange> {
    let at = |ticks: i64| Timestamp::from_micros(START_US + ticks * TICK_US);
    let range = |after, before| TimeRange { after, before };
    vec![
        range(None, None),
        range(at(5), None),
        range(None, at(12)),
        range(at(3), at(20)),
        range(at(20), at(3)),
    ]
}
