//! Comparisons of a read model with the naive model: verdicts, histories, rejections.

use session_ledger::domain::{Position, SessionId, TenantId, Verdict};
use session_ledger::projection::Snapshot;
use session_ledger::query::{Sight, events};

use crate::fold::history::{Logged, TENANTS};
use crate::fold::model::Model;

pub(crate) fn modelled(history: &[Logged]) -> Model {
    let mut model = Model::default();
    for one in history {
        model.fold(one);
    }
    model
}

/// Compares every verdict with the model's.
pub(crate) fn check_verdicts(snapshot: &Snapshot, history: &[Logged], model: &Model) {
    for one in history.iter().filter(|one| !one.sent.is_switch()) {
        let tenant = TenantId::parse(one.sent.tenant).unwrap();
        let found = events::get(
            snapshot,
            Sight::of_tenant(&tenant),
            Position::new(one.position),
        )
        .unwrap()
        .unwrap();
        let verdict = match found.verdict {
            Verdict::Duplicate(first) => format!("duplicate {first}"),
            Verdict::Rejected(reason) => reason.code().to_owned(),
            Verdict::Applied | Verdict::Parked => found.verdict.as_str().to_owned(),
        };
        let settled = found.settled_at.map(Position::get);
        let expected = &model.verdicts[&one.position];
        assert_eq!(&(verdict, settled), expected, "verdict on {one:?}");
    }
}

/// Compares every session's history, and the list of rejected and parked events.
pub(crate) fn check_histories(snapshot: &Snapshot, model: &Model) {
    for session in &model.sessions {
        let tenant = TenantId::parse(&session.tenant).unwrap();
        let id = SessionId::parse(&session.id).unwrap();
        let mut positions = Vec::new();
        let mut from = Some(0);
        while let Some(number) = from {
            let page = events::of_session(snapshot, Sight::of_tenant(&tenant), &id, number, 3)
                .unwrap()
                .unwrap();
            assert_eq!(page.total, Some(session.events.len() as u64));
            positions.extend(page.events.iter().map(|(position, _)| position.get()));
            from = page.next;
        }
        assert_eq!(positions, session.events, "history of {}", session.id);
    }
}

pub(crate) fn check_rejections(snapshot: &Snapshot, history: &[Logged], model: &Model) {
    for tenant in TENANTS {
        let is_listed = |one: &&Logged| {
            let verdict = &model.verdicts[&one.position].0;
            one.sent.tenant == tenant && verdict != "applied" && !verdict.starts_with("duplicate")
        };
        let expected: Vec<u64> = history
            .iter()
            .rev()
            .filter(is_listed)
            .map(|one| one.position)
            .collect();
        let tenant = TenantId::parse(tenant).unwrap();
        let mut listed = Vec::new();
        let mut before = Some(u64::MAX);
        while let Some(position) = before {
            let position = Position::new(position);
            let found =
                events::rejections(snapshot, Sight::of_tenant(&tenant), &[], position, 7).unwrap();
            let by_code: u64 = found.by_code.iter().map(|(_, total)| total).sum();
            assert_eq!(
                (found.page.total, by_code),
                (Some(by_code), expected.len() as u64)
            );
            listed.extend(found.page.events.iter().map(|(position, _)| position.get()));
            before = found.page.next;
        }
        assert_eq!(listed, expected, "rejections of {tenant}");
    }
}
