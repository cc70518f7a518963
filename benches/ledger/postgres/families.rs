//! Roots, children and trees in PostgreSQL: partial indexes on roots, an index by parent, and a recursive query.

use std::pin::pin;
use std::time::Instant;

use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;

use super::cluster::{Client, Cluster};
use crate::stats::{Figure, us};
use crate::workload::{Families, FamilyStep, time_us};

const ROUNDS: usize = 5;
const TABLE: &str = r#"
CREATE TABLE families (
    tenant text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, agent text COLLATE "C" NOT NULL,
    status smallint NOT NULL, created_at bigint NOT NULL, parent text COLLATE "C", metadata text);
"#;
const TYPES: [Type; 7] = [
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::INT2,
    Type::INT8,
    Type::TEXT,
    Type::TEXT,
];
const INDEXES: &str = "
ALTER TABLE families ADD PRIMARY KEY (tenant, id);
CREATE INDEX families_all ON families (tenant, created_at DESC, id);
CREATE INDEX families_roots ON families (tenant, created_at DESC, id) WHERE parent IS NULL;
CREATE INDEX families_status ON families (tenant, status, created_at DESC, id) WHERE parent IS NULL;
CREATE INDEX families_agent ON families (tenant, agent, created_at DESC, id) WHERE parent IS NULL;
CREATE INDEX families_parent ON families (tenant, parent, created_at DESC, id) WHERE parent IS NOT NULL;
VACUUM ANALYZE families;
";

/// A table with the sessions of the ledger.
pub(crate) struct FamilyTable {
    client: Client,
    _cluster: Cluster,
}

impl FamilyTable {
    /// Copies the sessions, or returns `None` if there is no PostgreSQL.
    pub(crate) async fn fill(sessions: u64) -> Option<Self> {
        let cluster = Cluster::start().await?;
        let connection = cluster.connect().await;
        let client = &connection.client;
        client.batch_execute(TABLE).await.unwrap();
        let sink = client.copy_in("COPY families FROM STDIN BINARY").await;
        let mut writer = pin!(BinaryCopyInWriter::new(sink.unwrap(), &TYPES));
        let mut ended = Vec::new();
        for (position, step) in (1..).zip(Families::new(sessions)) {
            let opening = match step {
                FamilyStep::Opened(opening) => opening,
                FamilyStep::Terminated(opening) => {
                    ended.push(opening.id());
                    continue;
                }
            };
            let row = (
                format!("t{}", opening.tenant),
                opening.id(),
                opening.agent(),
            );
            writer
                .as_mut()
                .write(&[
                    &row.0,
                    &row.1,
                    &row.2,
                    &0_i16,
                    &time_us(position),
                    &opening.parent(),
                    &opening.metadata(),
                ])
                .await
                .unwrap();
        }
        writer.finish().await.unwrap();
        let end = "UPDATE families SET status = 2 WHERE id = ANY($1)";
        client.execute(end, &[&ended]).await.unwrap();
        for statement in INDEXES.split_inclusive(';') {
            client.batch_execute(statement).await.unwrap();
        }
        Some(Self {
            client: connection,
            _cluster: cluster,
        })
    }

    /// The median microseconds of a page that matches a condition, with its total.
    pub(crate) async fn page(&self, condition: &str, offset: u64) -> f64 {
        let page = format!(
            "SELECT * FROM families WHERE {condition} ORDER BY created_at DESC, id LIMIT 50 OFFSET {offset}"
        );
        let count = format!("SELECT count(*) FROM families WHERE {condition}");
        self.median(&[&page, &count]).await
    }

    /// The median microseconds of the totals by status.
    pub(crate) async fn count(&self, condition: &str) -> f64 {
        let count =
            format!("SELECT status, count(*) FROM families WHERE {condition} GROUP BY status");
        self.median(&[&count]).await
    }

    /// The median microseconds of the first descendants of a session, each before those that it opened.
    pub(crate) async fn tree(&self, tenant: u32, root: &str, rows: usize) -> f64 {
        let tree = format!(
            "WITH RECURSIVE tree AS (
                SELECT f.*, 1 AS depth FROM families f WHERE tenant = 't{tenant}' AND parent = '{root}'
                UNION ALL SELECT f.*, depth + 1 FROM families f
                    JOIN tree ON f.tenant = tree.tenant AND f.parent = tree.id
            ) SEARCH DEPTH FIRST BY created_at, id SET place
            SELECT * FROM tree ORDER BY place LIMIT {rows}"
        );
        self.median(&[&tree]).await
    }

    async fn median(&self, queries: &[&str]) -> f64 {
        let mut prepared = Vec::new();
        for query in queries {
            prepared.push(self.client.client.prepare(query).await.unwrap());
        }
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let asked = Instant::now();
            for query in &prepared {
                self.client.client.query(query, &[]).await.unwrap();
            }
            times.push(us(asked.elapsed()));
        }
        Figure::of(times).median
    }
}
