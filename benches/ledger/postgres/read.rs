//! Pages and their totals from PostgreSQL. Each connection sends both queries at once.

use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use super::cluster::{Client, Cluster};
use crate::http::Load;
use crate::stats::us;

const CONNECTIONS: usize = 8;

/// How totals are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    /// By counting rows.
    Plain,
    /// From the table that triggers keep, if it has them.
    Kept,
}

/// A page and its total in SQL.
pub(crate) struct PageQueries {
    pub(crate) page: Option<String>,
    pub(crate) count: String,
    /// The total from the kept counts. `None` if they do not have it.
    pub(crate) kept: Option<String>,
    /// Values for the two parameters of both queries, if they have parameters.
    pub(crate) ranges: Vec<(i64, i64)>,
}

/// Repeats the queries for this long.
pub(crate) async fn page_load(
    cluster: &Cluster,
    queries: &PageQueries,
    counts: Counts,
    time: Duration,
) -> Load {
    let count = match (counts, &queries.kept) {
        (Counts::Kept, Some(kept)) => kept,
        _ => &queries.count,
    };
    let mut ready = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = cluster.connect().await;
        let page = match &queries.page {
            Some(page) => Some(client.client.prepare(page).await.unwrap()),
            None => None,
        };
        let count = client.client.prepare(count).await.unwrap();
        ready.push((client, page, count));
    }
    let started = Instant::now();
    let one = async |(number, (client, page, count)): (
        usize,
        &(Client, Option<Statement>, Statement),
    )| {
        let mut latencies = Vec::new();
        let mut turn = number * queries.ranges.len() / CONNECTIONS;
        while latencies.is_empty() || started.elapsed() < time {
            let asked = Instant::now();
            let range = queries.ranges.get(turn % queries.ranges.len().max(1));
            let mut parameters: Vec<&(dyn ToSql + Sync)> = Vec::new();
            if let Some((after, before)) = range {
                parameters.extend([after as &(dyn ToSql + Sync), before]);
            }
            ask(client, page.as_ref(), count, &parameters).await;
            latencies.push(us(asked.elapsed()));
            turn += 1;
        }
        latencies
    };
    let latencies = join_all(ready.iter().enumerate().map(one)).await.concat();
    Load::new(latencies, started.elapsed())
}

/// Returns the totals of the first variant, by both ways of counting.
pub(crate) async fn totals(cluster: &Cluster, queries: &PageQueries) -> Vec<u64> {
    let connection = cluster.connect().await;
    let client = &connection.client;
    let mut parameters: Vec<&(dyn ToSql + Sync)> = Vec::new();
    if let Some((after, before)) = queries.ranges.first() {
        parameters.extend([after as &(dyn ToSql + Sync), before]);
    }
    let mut totals = Vec::new();
    for query in [Some(&queries.count), queries.kept.as_ref()]
        .into_iter()
        .flatten()
    {
        let query = format!("SELECT ({query})::bigint");
        let row = client.query_one(&query, &parameters).await.unwrap();
        totals.push(u64::try_from(row.get::<_, i64>(0)).expect("a total"));
    }
    totals
}

async fn ask(
    client: &Client,
    page: Option<&Statement>,
    count: &Statement,
    range: &[&(dyn ToSql + Sync)],
) {
    let rows = async {
        if let Some(page) = page {
            client.client.query(page, range).await.unwrap();
        }
    };
    let ((), total) = join(rows, client.client.query_one(count, range)).await;
    total.unwrap();
}
