//! A page of one tenant's sessions at an offset, and its total.

use std::time::Instant;

use super::cluster::Cluster;
use super::schema;
use crate::stats::{Figure, us};

const PAGES: usize = 5;

/// Inserts rows like the ledger's, half a millisecond apart.
const FILL: &str = "
INSERT INTO sessions (tenant, id, agent, status, created_at, updated_at, last_activity_at, position, metadata)
    SELECT 't0', md5(n::text), 'agent-' || n % 1000, 0, n * 500, n * 500, n * 500, n,
        '{\"task\":\"' || repeat(md5(n::text), 6) || '\"}'
    FROM generate_series(1, $1::bigint) AS n";
const PAGE: &str =
    "SELECT * FROM sessions WHERE tenant = 't0' ORDER BY created_at DESC, id LIMIT 50 OFFSET $1";
const COUNT: &str = "SELECT count(*) FROM sessions WHERE tenant = 't0'";

/// Returns median microseconds by offset, or `None` if there is no PostgreSQL.
pub(crate) async fn deep_pages(sessions: u64, offsets: &[u64]) -> Option<Vec<f64>> {
    let cluster = Cluster::start().await?;
    let connection = cluster.connect().await;
    let client = &connection.client;
    client.batch_execute(schema::TABLES).await.unwrap();
    let number = |number: u64| i64::try_from(number).expect("a number of sessions");
    client.execute(FILL, &[&number(sessions)]).await.unwrap();
    client.batch_execute(schema::SESSION_INDEXES).await.unwrap();
    client
        .batch_execute("VACUUM ANALYZE sessions")
        .await
        .unwrap();
    let page = client.prepare(PAGE).await.unwrap();
    let count = client.prepare(COUNT).await.unwrap();
    let mut medians = Vec::new();
    for offset in offsets {
        let mut times = Vec::new();
        for _ in 0..PAGES {
            let asked = Instant::now();
            client.query(&page, &[&number(*offset)]).await.unwrap();
            client.query_one(&count, &[]).await.unwrap();
            times.push(us(asked.elapsed()));
        }
        medians.push(Figure::of(times).median);
    }
    Some(medians)
}
