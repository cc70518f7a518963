//! Histories large enough for tallies to have inner nodes, in batches of any size.

use proptest::prelude::*;
use serde_json::{Value, json};
use session_ledger::domain::Rules;
use session_ledger::domain::Timestamp;
use session_ledger::log::Record;
use session_ledger::projection::{Commit, Prepared, Store, verify};

use crate::fold::world::{START_US, World};

#[derive(Debug, Clone, Copy)]
enum Step {
    Create {
        session: u16,
        agent: u8,
        millis: i64,
    },
    Terminate {
        session: u16,
    },
    HandOff {
        session: u16,
        child: u16,
    },
    Agent {
        kind: &'static str,
        agent: u16,
        agent_type: u8,
        millis: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..600_u16, 0..3_u8, 0..40_i64)
            .prop_map(|(session, agent, millis)| Step::Create { session, agent, millis }),
        4 => (0..600_u16).prop_map(|session| Step::Terminate { session }),
        1 => (0..600_u16, 600..900_u16)
            .prop_map(|(session, child)| Step::HandOff { session, child }),
        8 => agent_step(),
    ]
}

/// Most agents are registered once, and many change their type or status.
fn agent_step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        6 => Just("agent.registered"),
        3 => Just("agent.updated"),
        1 => Just("agent.suspended"),
        1 => Just("agent.reinstated"),
        1 => Just("agent.revoked"),
    ];
    (kind, 10..600_u16, 0..2_u8, 0..40_i64).prop_map(|(kind, agent, agent_type, millis)| {
        Step::Agent {
            kind,
            agent,
            agent_type,
            millis,
        }
    })
}

/// Sets the time of a record. Hundreds of sessions or agents begin within forty milliseconds.
fn at(mut record: Record, millis: i64) -> Record {
    let time = Timestamp::from_micros(START_US + millis * 1000).unwrap();
    let mut body: Value = serde_json::from_slice(&record.payload).unwrap();
    body["time"] = json!(time);
    record.payload = body.to_string().into();
    record
}

impl Step {
    fn record(self, world: &mut World) -> Record {
        let (kind, session, data) = match self {
            Self::Create {
                session,
                agent,
                millis,
            } => {
                let agent = format!("a{agent}");
                let data = json!({"agent_id": agent, "project_id": "p"});
                let session = format!("s{session}");
                return at(world.record("session.created", &session, &data), millis);
            }
            Self::Agent {
                kind,
                agent,
                agent_type,
                millis,
            } => {
                let data = match kind {
                    "agent.registered" | "agent.updated" => {
                        json!({"agent_type": format!("t{agent_type}"), "trust_level": "high"})
                    }
                    _ => json!({}),
                };
                return at(world.record(kind, &format!("a{agent}"), &data), millis);
            }
            Self::Terminate { session } => ("session.terminated", session, json!({})),
            Self::HandOff { session, child } => {
                let data = json!({"to_agent_id": "a9", "session_id": format!("s{child}")});
                ("session.handed_off", session, data)
            }
        };
        world.record(kind, &format!("s{session}"), &data)
    }
}

/// Folds the records in batches that end where `cuts` say.
fn fold(records: &[Record], cuts: &[prop::sample::Index]) -> (Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("model.redb")).unwrap();
    let mut ends: Vec<usize> = cuts
        .iter()
        .map(|cut| cut.index(records.len() + 1))
        .collect();
    ends.push(records.len());
    ends.sort_unstable();
    let mut done = 0;
    for end in ends {
        let batch: Vec<Prepared> = records[done..end]
            .iter()
            .cloned()
            .map(|record| Prepared::new(Rules::LATEST, record))
            .collect();
        store.fold(&batch, Commit::Visible).unwrap();
        done = end;
    }
    (store, dir)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn batches_of_any_size_give_the_same_bytes_and_sound_totals(
        steps in prop::collection::vec(step(), 2000..3000),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..60),
    ) {
        let mut world = World::new();
        let records: Vec<Record> = steps.into_iter().map(|step| step.record(&mut world)).collect();
        let (at_once, _dir) = fold(&records, &[]);
        let (in_parts, _other_dir) = fold(&records, &cuts);
        let (at_once, in_parts) = (at_once.snapshot().unwrap(), in_parts.snapshot().unwrap());
        prop_assert_eq!(at_once.digest().unwrap(), in_parts.digest().unwrap());
        prop_assert_eq!(verify::totals(&in_parts).unwrap(), vec![]);
    }
}
