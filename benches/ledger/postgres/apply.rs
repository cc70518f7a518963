//! Stores events and applies them to sessions, one batch per transaction.

use std::pin::pin;
use std::time::{Duration, Instant};

use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Statement, Transaction};

use super::cluster::{Client, Cluster};
use super::schema;
use crate::stats::{Figure, per_second};
use crate::workload::{Ages, Event, Step, Workload, agent_id};

const BATCH: usize = 5_000;
/// The events are divided into this many parts. Triggers keep counts for the last part.
const PARTS: u64 = 4;
const COPY: &str = "COPY stage FROM STDIN BINARY";
const STAGE_TYPES: [Type; 14] = [
    Type::INT8,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::INT2,
    Type::TEXT,
    Type::INT8,
    Type::TEXT,
    Type::TEXT,
    Type::INT8,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
];

/// Stores the events. A duplicate changes nothing.
const KEEP: &str = "
INSERT INTO events
    SELECT position, tenant, source, id, kind, session, time, body FROM stage
ON CONFLICT (tenant, source, id) DO NOTHING";

const DROP_COPIES: &str = "
DELETE FROM stage USING events
    WHERE (events.tenant, events.source, events.id) = (stage.tenant, stage.source, stage.id)
    AND events.position <> stage.position";

const OPEN: &str = "
INSERT INTO sessions (tenant, id, agent, status, created_at, updated_at, last_activity_at,
        expires_at, position, scopes, metadata, user_id)
    SELECT tenant, session, agent, 0, time, time, time, expires_at, position, scopes, metadata, user_id
    FROM stage WHERE kind = 0
ON CONFLICT (tenant, id) DO NOTHING";

const OPEN_CHILDREN: &str = "
INSERT INTO sessions (tenant, id, agent, status, created_at, updated_at, last_activity_at,
        expires_at, position, scopes, metadata, user_id, parent)
    SELECT h.tenant, h.child, h.agent, 0, h.time, h.time, h.time, p.expires_at, h.position, p.scopes,
        h.metadata, p.user_id, h.session
    FROM stage h LEFT JOIN sessions p ON p.tenant = h.tenant AND p.id = h.session
    WHERE h.kind = 3
ON CONFLICT (tenant, id) DO NOTHING";

/// Applies all events of a batch for a session at once, so that its row is written once.
const CHANGE: &str = "
UPDATE sessions s SET
    status = coalesce(c.ending, s.status),
    refreshed_at = coalesce(c.refreshed_at, s.refreshed_at),
    expires_at = coalesce(c.expires_at, s.expires_at),
    phase = CASE WHEN c.refreshed_at IS NULL THEN s.phase ELSE 3 END,
    outcome = CASE WHEN c.ending = 2 THEN 1 ELSE s.outcome END,
    terminated_at = CASE WHEN c.ending = 2 THEN c.changed_at ELSE s.terminated_at END,
    last_activity_at = greatest(s.last_activity_at, c.refreshed_at),
    updated_at = greatest(s.updated_at, c.changed_at),
    handed_off_to = c.handed_off_to, child = c.child
FROM (
    SELECT tenant, session,
        max(time) FILTER (WHERE kind = 1) AS refreshed_at,
        max(expires_at) FILTER (WHERE kind = 1) AS expires_at,
        max(kind) FILTER (WHERE 1 < kind) AS ending,
        max(time) AS changed_at, max(agent) AS handed_off_to, max(child) AS child
    FROM stage WHERE 0 < kind GROUP BY tenant, session) c
WHERE s.tenant = c.tenant AND s.id = c.session AND s.status = 0";

const ANALYZE: &str = "ANALYZE events, sessions";
const DISK: &str = "SELECT pg_total_relation_size('sessions'), pg_total_relation_size('events')";

/// A cluster with applied events.
pub(crate) struct Applied {
    pub(crate) cluster: Cluster,
    /// Events per second: the overall rate, and the spread over batches; without counts.
    pub(crate) plain: Figure,
    /// That figure with counts by triggers, for the last quarter of the events.
    pub(crate) counted: Figure,
    pub(crate) sessions: u64,
    pub(crate) disk: Disk,
}

/// The bytes of tables and their indexes.
pub(crate) struct Disk {
    pub(crate) sessions_bytes: u64,
    pub(crate) events_bytes: u64,
}

struct Applier {
    client: Client,
    batches: u64,
    statements: [Statement; 4],
}

/// The rates of batches.
#[derive(Default)]
struct Pace {
    events: u64,
    took: Duration,
    rates: Vec<f64>,
}

impl Applied {
    /// Applies the events of this many sessions. Returns `None` if there is no PostgreSQL.
    pub(crate) async fn fill(sessions: u64, events: u64, ages: Ages) -> Option<Self> {
        let cluster = Cluster::start().await?;
        let mut applier = Applier::new(cluster.connect().await).await;
        let mut workload = Workload::new(ages);
        let plain = applier
            .apply(&mut workload, sessions, events - events / PARTS)
            .await;
        applier
            .client
            .client
            .batch_execute(schema::COUNTS)
            .await
            .unwrap();
        let counted = applier.apply(&mut workload, sessions, events).await;
        let client = &applier.client.client;
        client.batch_execute("VACUUM ANALYZE").await.unwrap();
        let disk = client.query_one(DISK, &[]).await.unwrap();
        let bytes = |index: usize| u64::try_from(disk.get::<_, i64>(index)).expect("a size");
        let disk = Disk {
            sessions_bytes: bytes(0),
            events_bytes: bytes(1),
        };
        Some(Self {
            cluster,
            plain: plain.figure(),
            counted: counted.figure(),
            sessions: workload.sessions(),
            disk,
        })
    }
}

impl Pace {
    fn figure(self) -> Figure {
        let overall = per_second(self.events, self.took);
        Figure {
            median: overall,
            ..Figure::of(self.rates)
        }
    }
}

impl Applier {
    async fn new(client: Client) -> Self {
        let sql = &client.client;
        sql.batch_execute(schema::TABLES).await.unwrap();
        sql.batch_execute(schema::EVENT_INDEXES).await.unwrap();
        sql.batch_execute(schema::SESSION_INDEXES).await.unwrap();
        sql.batch_execute(schema::STAGE).await.unwrap();
        let mut statements = Vec::new();
        for text in [KEEP, OPEN, OPEN_CHILDREN, CHANGE] {
            statements.push(sql.prepare(text).await.unwrap());
        }
        let statements = <[Statement; 4]>::try_from(statements).expect("four statements");
        Self {
            client,
            batches: 0,
            statements,
        }
    }

    /// Applies the events up to this number. The time to generate them does not count.
    async fn apply(&mut self, workload: &mut Workload, sessions: u64, up_to: u64) -> Pace {
        let mut pace = Pace::default();
        while workload.events() < up_to {
            let left = usize::try_from(up_to - workload.events()).expect("fits");
            let events = std::iter::from_fn(|| workload.fill(sessions));
            let batch: Vec<Row> = events
                .take(BATCH.min(left))
                .map(|event| Row::new(&event))
                .collect();
            if batch.is_empty() {
                break;
            }
            self.analyze().await;
            let started = Instant::now();
            self.batch(&batch).await;
            pace.took += started.elapsed();
            pace.events += batch.len() as u64;
            pace.rates
                .push(per_second(batch.len() as u64, started.elapsed()));
        }
        pace
    }

    /// Runs ANALYZE whenever the tables have doubled, because a plan for empty tables uses the wrong index.
    /// The time does not count.
    async fn analyze(&mut self) {
        self.batches += 1;
        if self.batches.is_power_of_two() {
            self.client.client.batch_execute(ANALYZE).await.unwrap();
        }
    }

    async fn batch(&mut self, rows: &[Row]) {
        let [keep, open, open_children, change] = &self.statements;
        let transaction = self.client.client.transaction().await.unwrap();
        copy(&transaction, rows).await;
        let kept = transaction.execute(keep, &[]).await.unwrap();
        if kept < rows.len() as u64 {
            transaction.execute(DROP_COPIES, &[]).await.unwrap();
        }
        for statement in [open, open_children, change] {
            transaction.execute(statement, &[]).await.unwrap();
        }
        transaction.commit().await.unwrap();
    }
}

async fn copy(transaction: &Transaction<'_>, rows: &[Row]) {
    let sink = transaction.copy_in(COPY).await.unwrap();
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &STAGE_TYPES));
    for row in rows {
        writer.as_mut().write(&row.columns()).await.unwrap();
    }
    assert_eq!(writer.finish().await.unwrap(), rows.len() as u64);
}

/// An event as columns, which are read from it before the measurement.
struct Row {
    position: i64,
    tenant: String,
    source: String,
    id: String,
    kind: i16,
    session: String,
    time: i64,
    body: String,
    agent: Option<String>,
    expires_at: Option<i64>,
    scopes: Option<&'static str>,
    metadata: Option<String>,
    user_id: Option<String>,
    child: Option<String>,
}

impl Row {
    fn new(event: &Event) -> Self {
        let tenant = event.session.tenant;
        let (kind, agent) = match event.step {
            Step::Created { agent, .. } => (0, Some(agent)),
            Step::Refreshed => (1, None),
            Step::Terminated => (2, None),
            Step::HandedOff { to } => (3, Some(to)),
            Step::Expired => (4, None),
        };
        let opens = agent.is_some();
        let created = kind == 0;
        Self {
            position: i64::try_from(event.number).expect("a position"),
            tenant: format!("t{tenant}"),
            source: event.source(),
            id: event.id(),
            kind,
            session: event.session.id().hyphenated().to_string(),
            time: event.time_us(),
            body: event.body(),
            agent: agent.map(|agent| agent_id(tenant, agent)),
            expires_at: event.deadline_us(),
            scopes: created.then_some("files:read files:write"),
            metadata: opens.then(|| event.metadata()),
            user_id: created.then(|| format!("user-{}", event.number % 1000)),
            child: (kind == 3).then(|| {
                event
                    .session
                    .child(event.number)
                    .id()
                    .hyphenated()
                    .to_string()
            }),
        }
    }

    fn columns(&self) -> [&(dyn ToSql + Sync); 14] {
        [
            &self.position,
            &self.tenant,
            &self.source,
            &self.id,
            &self.kind,
            &self.session,
            &self.time,
            &self.body,
            &self.agent,
            &self.expires_at,
            &self.scopes,
            &self.metadata,
            &self.user_id,
            &self.child,
        ]
    }
}
