//! The bounds of the fold: long histories, full parking, long chains, and unknown rules.

use serde_json::json;
use session_ledger::domain::Rules;
use session_ledger::domain::limits::{HISTORY_INLINE_MAX, PARKED_PER_SESSION_MAX};
use session_ledger::domain::{Position, Reason, Verdict};
use session_ledger::log::Record;
use session_ledger::projection::{Commit, FoldError, Prepared};
use session_ledger::query::{Sight, events, sessions};

use crate::fold::world::{SECOND_US, World, acme, id};

const DAY_US: i64 = 24 * 3600 * SECOND_US;

#[test]
fn a_history_of_any_length_keeps_its_order_and_detects_duplicates() {
    let mut world = World::new();
    let created = world.record("session.created", "s", &json!({"agent_id": "a"}));
    world.fold(created);
    let refreshes = 3 * HISTORY_INLINE_MAX as u64;
    for _ in 0..refreshes {
        let refreshed = world.record("session.refreshed", "s", &json!({}));
        assert_eq!(world.fold(refreshed), Verdict::Applied);
    }
    let total = world.position;
    for first in 1..=total {
        let (kind, data) = match first {
            1 => ("session.created", json!({"agent_id": "a"})),
            _ => ("session.refreshed", json!({})),
        };
        world.position += 1;
        let copy = world.record_with_id(kind, "s", &data, &format!("e{first}"));
        assert_eq!(world.fold(copy), Verdict::Duplicate(Position::new(first)));
        world.position += 1;
        let reused =
            world.record_with_id("session.terminated", "s", &json!({}), &format!("e{first}"));
        assert_eq!(world.fold(reused), Verdict::Rejected(Reason::IdReused));
    }
    let snapshot = world.store.snapshot().unwrap();
    for from in [0, 1, 31, 32, 63, 64, 65, total - 1, total, total + 9] {
        let page = events::of_session(&snapshot, Sight::of_tenant(&acme()), &id("s"), from, 40)
            .unwrap()
            .unwrap();
        let positions: Vec<u64> = page
            .events
            .iter()
            .map(|(position, _)| position.get())
            .collect();
        let expected: Vec<u64> = (1..=total)
            .skip(usize::try_from(from).unwrap())
            .take(40)
            .collect();
        assert_eq!(
            (positions, page.total),
            (expected, Some(total)),
            "from {from}"
        );
    }
}

#[test]
fn the_number_of_events_parked_for_a_session_is_limited() {
    let mut world = World::new();
    for _ in 0..PARKED_PER_SESSION_MAX {
        let early = world.record("session.refreshed", "s", &json!({}));
        assert_eq!(world.fold(early), Verdict::Parked);
    }
    let one_more = world.record("session.refreshed", "s", &json!({}));
    assert_eq!(world.fold(one_more), Verdict::Rejected(Reason::ParkingFull));
    let other = world.record("session.refreshed", "other", &json!({}));
    assert_eq!(world.fold(other), Verdict::Parked);
}

#[test]
fn parked_events_are_applied_in_log_order_when_the_session_opens() {
    let mut world = World::new();
    let pause = world.record("session.refreshed", "s", &json!({"phase": "paused"}));
    let run = world.record("session.refreshed", "s", &json!({"phase": "running"}));
    let created = world.record("session.created", "s", &json!({"agent_id": "a"}));
    assert_eq!(world.fold_all(vec![pause, run]), [Verdict::Parked; 2]);
    assert_eq!(world.fold(created), Verdict::Applied);
    assert_eq!(world.verdict(1), (Verdict::Applied, Some(3)));
    assert_eq!(world.verdict(2), (Verdict::Applied, Some(3)));
    let snapshot = world.store.snapshot().unwrap();
    let row = sessions::get(&snapshot, Sight::of_tenant(&acme()), &id("s"))
        .unwrap()
        .unwrap();
    assert_eq!(row.row().unwrap().phase.unwrap().as_str(), "running");
}

#[test]
fn a_parked_event_is_rejected_after_a_day_on_the_logs_clock() {
    let mut world = World::new();
    let early = world.record("session.refreshed", "s", &json!({}));
    world.fold(early);
    world.now += DAY_US - SECOND_US;
    let other = world.record("session.created", "other", &json!({"agent_id": "a"}));
    world.fold(other);
    assert_eq!(world.verdict(1), (Verdict::Parked, None));
    let late = world.record("session.created", "s", &json!({"agent_id": "a"}));
    assert_eq!(world.fold(late), Verdict::Applied);
    assert_eq!(
        world.verdict(1),
        (Verdict::Rejected(Reason::ParkingExpired), Some(3))
    );
}

/// A fold that recursed from hand-off to hand-off would overflow its stack here.
#[test]
fn a_long_chain_of_parked_hand_offs_opens_at_once() {
    let mut world = World::new();
    let links = 20_000;
    let chain: Vec<Record> = (0..links)
        .map(|link| {
            let data = json!({"to_agent_id": "a", "session_id": format!("s{}", link + 1)});
            world.record("session.handed_off", &format!("s{link}"), &data)
        })
        .collect();
    let verdicts = world.fold_all(chain);
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Parked));
    let created = world.record("session.created", "s0", &json!({"agent_id": "a"}));
    assert_eq!(world.fold(created), Verdict::Applied);
    let snapshot = world.store.snapshot().unwrap();
    let last = sessions::get(
        &snapshot,
        Sight::of_tenant(&acme()),
        &id(&format!("s{links}")),
    )
    .unwrap()
    .unwrap();
    assert_eq!(last.row().unwrap().status.as_str(), "active");
    assert_eq!(world.verdict(links), (Verdict::Applied, Some(links + 1)));
}

fn rules(world: &mut World, body: &str) -> Record {
    let record = world.record("rules", "rules", &json!({}));
    Record {
        subject: "ledger.sys.v1.rules".into(),
        payload: body.to_owned().into(),
        ..record
    }
}

fn rules_body(version: u32) -> String {
    json!({
        "specversion": "1.0", "id": "r", "source": "/ledger", "type": "ledger.rules",
        "subject": "rules", "data": {"version": version},
    })
    .to_string()
}

#[test]
fn a_node_stops_right_before_rules_that_it_does_not_support() {
    let mut world = World::new();
    let known = rules(&mut world, &rules_body(Rules::LATEST.number()));
    assert_eq!(world.fold(known), Verdict::Applied);
    let last = world.record("session.created", "s", &json!({"agent_id": "a"}));
    let unknown = rules(&mut world, &rules_body(Rules::LATEST.number() + 1));
    let after = world.record("session.terminated", "s", &json!({}));
    let batch: Vec<Prepared> = [last, unknown, after]
        .into_iter()
        .map(|record| Prepared::new(Rules::LATEST, record))
        .collect();
    let failed = world.store.fold(&batch, Commit::Visible).unwrap_err();
    assert!(
        matches!(failed, FoldError::Rules { asked, .. } if asked == Rules::LATEST.number() + 1),
        "{failed}"
    );
    assert!(failed.to_string().contains("upgrade this node"), "{failed}");
    let snapshot = world.store.snapshot().unwrap();
    assert_eq!(
        snapshot.progress().position,
        Position::new(2),
        "every record before it is folded"
    );
    let row = sessions::get(&snapshot, Sight::of_tenant(&acme()), &id("s"))
        .unwrap()
        .unwrap();
    assert_eq!(row.row().unwrap().status.as_str(), "active");
}

/// On a shared NATS account, a client can make the server write an acknowledgement to this subject.
#[test]
fn noise_on_the_subject_of_the_rules_is_rejected_and_stops_no_node() {
    let mut world = World::new();
    let noise = rules(&mut world, r#"{"stream":"LEDGER","seq":12}"#);
    assert!(matches!(world.fold(noise), Verdict::Rejected(_)));
    let created = world.record("session.created", "s", &json!({"agent_id": "a"}));
    assert_eq!(world.fold(created), Verdict::Applied);
}

#[test]
fn a_gap_is_an_error_and_changes_nothing() {
    let mut world = World::new();
    world.position += 1;
    let second = world.record("session.created", "s", &json!({"agent_id": "a"}));
    let failed = world
        .store
        .fold(&[Prepared::new(Rules::LATEST, second)], Commit::Visible)
        .unwrap_err();
    assert!(matches!(failed, FoldError::OutOfOrder { .. }), "{failed}");
    assert_eq!(
        world.store.snapshot().unwrap().progress().position,
        Position::ZERO
    );
}
