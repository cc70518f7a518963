//! The chain of each tenant, at its end and at any position.

use std::sync::Arc;

use proptest::prelude::*;
use session_ledger::domain::limits::CHAIN_MARK_EVENTS;
use session_ledger::domain::{Position, Rules, TenantId};
use session_ledger::log::chain::TenantChain;
use session_ledger::log::{EmbeddedLog, EventLog, NewRecord, Record};
use session_ledger::projection::{Commit, Prepared, Store};
use session_ledger::query::QueryError;
use session_ledger::query::export::{chain, stretch};
use sha2::{Digest as _, Sha256};

use crate::support::clock::ManualClock;

const TENANTS: [&str; 3] = ["acme", "globex", "acme_2"];
/// What stands for no tenant in a history.
const NOBODY: usize = TENANTS.len();

/// Makes a log in which the records belong to these tenants. Every tenth body is an event.
async fn log(dir: &std::path::Path, tenants: &[usize]) -> (EmbeddedLog, Vec<Record>) {
    let clock = Arc::<ManualClock>::default();
    let log = EmbeddedLog::open(&dir.join("log.redb"), clock).unwrap();
    let record = |(number, tenant): (usize, &usize)| NewRecord {
        subject: match TENANTS.get(*tenant) {
            Some(tenant) if number % 3 == 0 => {
                format!("ledger.sys.v1.{tenant}.session.created").into()
            }
            Some(tenant) => format!("ledger.v1.{tenant}.session.created").into(),
            None if number % 2 == 0 => "ledger.sys.v1.rules".into(),
            None => "ledger.v1.acme.session.unknown".into(),
        },
        private: vec![b'x'; number % 3].into(),
        body: if number % 10 == 0 {
            let event = serde_json::json!({
                "specversion": "1.0", "id": number.to_string(), "source": "/t", "type": "session.created",
                "subject": format!("s{number}"), "data": {"agent_id": "a1"},
            });
            event.to_string().into()
        } else {
            format!("{number}").into()
        },
    };
    let records = tenants.iter().enumerate().map(record).collect();
    for appended in log.append(records).await {
        appended.unwrap();
    }
    let mut tail = log.tail(Position::ZERO).await.unwrap();
    let mut stored = Vec::new();
    while stored.len() < tenants.len() {
        stored.extend(tail.next(4096).await.unwrap());
    }
    (log, stored)
}

/// The chain by its definition, over the records of a tenant up to a position.
fn naive(records: &[Record], tenants: &[usize], tenant: usize, until: u64) -> TenantChain {
    let mut chain = TenantChain::EMPTY;
    for (record, of) in records.iter().zip(tenants) {
        if *of != tenant || until < record.position.get() {
            continue;
        }
        let parts: [&[u8]; 7] = [
            &chain.head,
            &record.position.get().to_be_bytes(),
            &record.recorded_at.micros().to_be_bytes(),
            &(record.subject.len() as u64).to_be_bytes(),
            record.subject.as_bytes(),
            &Sha256::digest(&record.private),
            &Sha256::digest(&record.payload),
        ];
        chain = TenantChain {
            events: chain.events + 1,
            position: record.position,
            head: Sha256::digest(parts.concat()).into(),
        };
    }
    chain
}

/// Folds records in batches of these lengths, again and again.
fn fold(dir: &std::path::Path, records: &[Record], lengths: &[usize]) -> Store {
    let store = Store::open(&dir.join("model.redb")).unwrap();
    let (mut rest, mut lengths) = (records, lengths.iter().cycle());
    while !rest.is_empty() {
        let (batch, later) = rest.split_at((*lengths.next().unwrap()).min(rest.len()));
        let batch: Vec<_> = batch
            .iter()
            .map(|record| Prepared::new(Rules::V1, record.clone()))
            .collect();
        store.fold(&batch, Commit::Visible).unwrap();
        rest = later;
    }
    store
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_chain_of_a_tenant_is_that_of_its_records_on_the_log(
        tenants in prop::collection::vec(prop_oneof![5 => Just(0), 1 => 1..=NOBODY], 0..1_200),
        lengths in prop::collection::vec(1_usize..400, 1..5),
        places in prop::collection::vec(any::<prop::sample::Index>(), 8),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (log, records) = log(dir.path(), &tenants).await;
            let store = fold(dir.path(), &records, &lengths);
            let snapshot = store.snapshot().unwrap();
            let rules = snapshot.progress().rules;
            for (number, tenant) in TENANTS.iter().enumerate() {
                let id = TenantId::parse(tenant).unwrap();
                let whole = naive(&records, &tenants, number, u64::MAX);
                assert_eq!(chain(&snapshot, &id).unwrap(), whole);
                let mut at: Vec<u64> = places.iter().map(|at| at.index(records.len() + 1) as u64).collect();
                // The places of marks, and those beside them.
                let of = tenants.iter().enumerate().filter(|(_, of)| **of == number);
                let every = usize::try_from(CHAIN_MARK_EVENTS).unwrap();
                let marks = of.skip(every - 1).step_by(every);
                for (index, _) in marks {
                    at.extend([index, index + 1, index + 2].map(|at| at as u64));
                }
                for until in at.into_iter().filter(|at| *at <= records.len() as u64) {
                    let part = stretch(&snapshot, &id, Position::new(until)).unwrap();
                    let found = part.chain(&log, &rules).await.unwrap();
                    assert_eq!(found, naive(&records, &tenants, number, until), "{until}");
                }
            }
        });
    }
}

/// A server whose log was changed must not vouch for the changed records.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chain_between_two_marks_is_not_made_of_other_records_than_were_folded() {
    let [one, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let tenants = vec![0; 600];
    let (_log, mut records) = log(one.path(), &tenants).await;
    let (real, _same) = log(other.path(), &tenants).await;
    records[300].payload = "folded".into();
    let store = fold(one.path(), &records, &[100]);
    let snapshot = store.snapshot().unwrap();
    let acme = TenantId::parse("acme").unwrap();
    let rules = snapshot.progress().rules;
    let at = async |position: u64| {
        let part = stretch(&snapshot, &acme, Position::new(position)).unwrap();
        part.chain(&real, &rules).await
    };
    for position in [290, 301, 400] {
        let found = at(position).await;
        let is_found = matches!(found, Err(QueryError::OtherRecords { .. }));
        assert!(is_found, "{position}: {found:?}");
    }
    assert_eq!(at(200).await.unwrap().events, 200);
    // At a mark, the chain is the one that was folded.
    assert_eq!(at(512).await.unwrap(), naive(&records, &tenants, 0, 512));
}
