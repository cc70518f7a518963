//! Checks that no record can bypass: preconditions, ids of expiries, limits after a merge, hidden hashes.

use serde_json::json;
use session_ledger::domain::{Private, Reason, TokenHash, TokenHashes, Verdict};
use session_ledger::log::Record;
use session_ledger::query::{Sight, sessions};
use session_ledger::wire;

use crate::fold::world::{SECOND_US, START_US, World, acme, id};

/// A runtime that used the id of the coming expiry once kept its session open forever.
#[test]
fn a_runtime_cannot_use_up_the_id_of_an_expiry() {
    let mut world = World::new();
    let created = world.record(
        "session.created",
        "s",
        &json!({"agent_id": "a", "ttl_seconds": 60}),
    );
    world.fold(created);
    let due = START_US + 61 * SECOND_US;
    let key = format!("expired-{due}");
    world.position += 1;
    let forged = world.record_with_id("session.refreshed", "s", &json!({}), &key);
    assert_eq!(world.fold(forged), Verdict::Applied);
    world.position += 1;
    world.now = due;
    let at = session_ledger::domain::Timestamp::from_micros(due).unwrap();
    let expired = world.record_with_id("session.expired", "s", &json!({"expires_at": at}), &key);
    let expired = Record {
        subject: "ledger.sys.v1.acme.session.expired".into(),
        ..expired
    };
    assert_eq!(world.fold(expired), Verdict::Applied);
}

/// Returns a record as a command writes it.
fn with_private(record: Record, private: &Private) -> Record {
    let subject = record.subject.replace("ledger.v1.", "ledger.sys.v1.");
    Record {
        subject: subject.into(),
        private: wire::private::encode(private).into(),
        ..record
    }
}

fn hash(byte: u8) -> TokenHash {
    TokenHash::new([byte; 32])
}

fn tokens(access: u8, refresh: u8) -> TokenHashes {
    TokenHashes {
        access: hash(access),
        refresh: hash(refresh),
    }
}

#[test]
fn one_of_two_refreshes_with_the_same_token_wins() {
    let mut world = World::new();
    let created = world.record("session.created", "s", &json!({"agent_id": "a"}));
    world.fold(with_private(
        created,
        &Private {
            tokens: Some(tokens(1, 2)),
            ..Private::default()
        },
    ));
    let presented = Some(hash(2));
    for (access, refresh, expected) in [
        (3, 4, Verdict::Applied),
        (5, 6, Verdict::Rejected(Reason::TokenStale)),
    ] {
        let refreshed = world.record("session.refreshed", "s", &json!({}));
        let private = Private {
            refresh_token: presented,
            tokens: Some(tokens(access, refresh)),
            ..Private::default()
        };
        assert_eq!(world.fold(with_private(refreshed, &private)), expected);
    }
    let unprotected = world.record("session.created", "open", &json!({"agent_id": "a"}));
    world.fold(unprotected);
    let refreshed = world.record("session.refreshed", "open", &json!({}));
    let private = Private {
        refresh_token: presented,
        ..Private::default()
    };
    let verdict = world.fold(with_private(refreshed, &private));
    assert_eq!(
        verdict,
        Verdict::Rejected(Reason::TokenStale),
        "it never had a token"
    );
}

#[test]
fn a_command_for_an_unknown_agent_or_session_changes_nothing() {
    let mut world = World::new();
    let created = world.record("session.created", "s", &json!({"agent_id": "a"}));
    let private = Private {
        agent_registered: true,
        ..Private::default()
    };
    let verdict = world.fold(with_private(created, &private));
    assert_eq!(verdict, Verdict::Rejected(Reason::AgentNotRegistered));
    let ended = world.record("session.terminated", "s", &json!({}));
    let private = Private {
        existing: true,
        ..Private::default()
    };
    let verdict = world.fold(with_private(ended, &private));
    assert_eq!(
        verdict,
        Verdict::Rejected(Reason::NotFound),
        "and nothing is parked"
    );
}

#[test]
fn metadata_that_would_grow_too_large_changes_nothing() {
    let mut world = World::new();
    let half = |name: &str| json!({"metadata": {name: "x".repeat(9_000)}});
    let mut data = half("a");
    data["agent_id"] = json!("a");
    let created = world.record("session.created", "s", &data);
    world.fold(created);
    let mut data = half("b");
    data["phase"] = json!("running");
    let refreshed = world.record("session.refreshed", "s", &data);
    assert_eq!(
        world.fold(refreshed),
        Verdict::Rejected(Reason::MetadataTooLarge)
    );
    let snapshot = world.store.snapshot().unwrap();
    let row = sessions::get(&snapshot, Sight::of_tenant(&acme()), &id("s"))
        .unwrap()
        .unwrap();
    assert_eq!(row.row().unwrap().phase, None);
    assert_eq!(row.row().unwrap().refreshed_at, None);
}

/// Hashes of tokens stay in the projection: queries do not get them.
#[test]
fn rows_that_leave_the_projection_have_no_hash_of_a_token() {
    let mut world = World::new();
    let created = world.record("session.created", "s", &json!({"agent_id": "a"}));
    world.fold(with_private(
        created,
        &Private {
            tokens: Some(tokens(0xAB, 0xCD)),
            ..Private::default()
        },
    ));
    let snapshot = world.store.snapshot().unwrap();
    let row = sessions::get(&snapshot, Sight::of_tenant(&acme()), &id("s"))
        .unwrap()
        .unwrap();
    let debug = format!("{row:?}");
    assert!(!debug.contains("171, 171, 171"), "{debug}");
    assert!(!debug.contains("205, 205, 205"), "{debug}");
}
