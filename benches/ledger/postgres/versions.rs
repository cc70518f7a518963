//! A table of versions: each change of a session adds a row that says from which position until which it holds.
//!
//! The versions are computed beforehand and copied, so writing them costs PostgreSQL less than it would in use.

use std::collections::HashMap;
use std::pin::pin;
use std::time::Instant;

use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;

use super::cluster::Cluster;
use crate::filled::LARGEST;
use crate::stats::{Figure, us};
use crate::workload::{Ages, Event, Step, Workload, agent_id};

const ROUNDS: usize = 5;

const TABLE: &str = r#"
CREATE TABLE versions (
    tenant text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, agent text COLLATE "C" NOT NULL,
    status smallint NOT NULL, created_at bigint NOT NULL, updated_at bigint NOT NULL, metadata text,
    valid_from bigint NOT NULL, valid_to bigint NOT NULL);
"#;
const TYPES: [Type; 9] = [
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::INT2,
    Type::INT8,
    Type::INT8,
    Type::TEXT,
    Type::INT8,
    Type::INT8,
];
const INDEXES: &str = "
CREATE INDEX versions_all ON versions (tenant, created_at DESC, id) INCLUDE (valid_from, valid_to);
CREATE INDEX versions_status ON versions (tenant, status, created_at DESC, id)
    INCLUDE (valid_from, valid_to);
CREATE INDEX versions_count ON versions (tenant, valid_from, valid_to, status);
VACUUM ANALYZE versions;
";
const COUNT: &str = "SELECT status, count(*) FROM versions
    WHERE tenant = $1 AND valid_from <= $2 AND $2 < valid_to GROUP BY status";
const PAGE: &str = "SELECT * FROM versions
    WHERE tenant = $1 AND valid_from <= $2 AND $2 < valid_to ORDER BY created_at DESC, id LIMIT 50";
const ACTIVE: &str = "SELECT * FROM versions
    WHERE tenant = $1 AND status = 0 AND valid_from <= $2 AND $2 < valid_to
    ORDER BY created_at DESC, id LIMIT 50";

/// Median microseconds at a position.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) count: f64,
    /// A page alone, without a total.
    pub(crate) page: f64,
    /// A page of active sessions alone, without a total.
    pub(crate) active: f64,
}

/// Asks at each of these positions, or returns `None` if there is no PostgreSQL.
pub(crate) async fn ask(sessions: u64, ages: Ages, positions: &[u64]) -> Option<Vec<Asked>> {
    let cluster = Cluster::start().await?;
    let connection = cluster.connect().await;
    let client = &connection.client;
    client.batch_execute(TABLE).await.unwrap();
    let sink = client.copy_in("COPY versions FROM STDIN BINARY").await;
    let mut writer = pin!(BinaryCopyInWriter::new(sink.unwrap(), &TYPES));
    let versions = versions(sessions, ages);
    for one in &versions {
        writer
            .as_mut()
            .write(&[
                &one.tenant,
                &one.id,
                &one.agent,
                &one.status,
                &one.created_at,
                &one.updated_at,
                &one.metadata,
                &one.valid_from,
                &one.valid_to,
            ])
            .await
            .unwrap();
    }
    let copied = writer.finish().await.unwrap();
    assert_eq!(copied, versions.len() as u64);
    drop(versions);
    for index in INDEXES.split_inclusive(';') {
        client.batch_execute(index).await.unwrap();
    }
    let mut asked = Vec::new();
    for position in positions {
        let position = i64::try_from(*position).expect("a position");
        let mut medians = Vec::new();
        for query in [COUNT, PAGE, ACTIVE] {
            let query = client.prepare(query).await.unwrap();
            let mut times = Vec::new();
            for _ in 0..ROUNDS {
                let started = Instant::now();
                client.query(&query, &[&LARGEST, &position]).await.unwrap();
                times.push(us(started.elapsed()));
            }
            medians.push(Figure::of(times).median);
        }
        let [count, page, active] = medians[..] else {
            unreachable!("three queries");
        };
        asked.push(Asked {
            count,
            page,
            active,
        });
    }
    Some(asked)
}

/// What a session was from one position until another.
#[derive(Clone)]
struct Version {
    tenant: String,
    id: String,
    agent: String,
    status: i16,
    created_at: i64,
    updated_at: i64,
    metadata: String,
    valid_from: i64,
    valid_to: i64,
}

fn versions(sessions: u64, ages: Ages) -> Vec<Version> {
    let mut workload = Workload::new(ages);
    let mut all: Vec<Version> = Vec::new();
    let mut last = HashMap::new();
    while let Some(event) = workload.fill(sessions) {
        let session = (event.session.tenant, event.session.opened);
        match event.step {
            Step::Created { agent, .. } => {
                last.insert(session, all.len());
                all.push(opened(&event, event.session.id().to_string(), agent));
                continue;
            }
            Step::HandedOff { to } => {
                let child = event.session.child(event.number);
                last.insert((child.tenant, child.opened), all.len());
                all.push(opened(&event, child.id().to_string(), to));
            }
            Step::Refreshed | Step::Terminated | Step::Expired => {}
        }
        let status = match event.step {
            Step::Created { .. } | Step::Refreshed => 0,
            Step::Terminated => 2,
            Step::HandedOff { .. } => 3,
            Step::Expired => 4,
        };
        let before = last[&session];
        let at = i64::try_from(event.number).expect("a position");
        all[before].valid_to = at;
        let next = Version {
            status,
            updated_at: event.time_us(),
            valid_from: at,
            valid_to: i64::MAX,
            ..all[before].clone()
        };
        last.insert(session, all.len());
        all.push(next);
    }
    all
}

fn opened(event: &Event, id: String, agent: u32) -> Version {
    let tenant = event.session.tenant;
    Version {
        tenant: format!("t{tenant}"),
        id,
        agent: agent_id(tenant, agent),
        status: 0,
        created_at: event.time_us(),
        updated_at: event.time_us(),
        metadata: event.metadata(),
        valid_from: i64::try_from(event.number).expect("a position"),
        valid_to: i64::MAX,
    }
}
