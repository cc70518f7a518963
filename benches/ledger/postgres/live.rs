//! What a backend on PostgreSQL would do for clients that follow listings: it reads the page and the total of each
//! listing again, as soon as it has read them.
//!
//! That is also what it would do after a notification (`LISTEN`), because under this load there always is one. It does
//! not have to compare the rows, nor to send them to a thousand clients.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::cluster::Cluster;
use crate::paced::{self, PACE};
use crate::stats::{float, sorted};
use crate::subjects::live::followed::{Followed, LISTINGS};
use crate::workload::{Stamped, StampedEvent, StampedStep};

/// Connections that read, each of them some of the listings.
const READERS: usize = 4;
/// Events of a transaction.
const BATCH: u64 = 20;
const FILL: u64 = 10_000;

const TABLE: &str = r#"
CREATE TABLE followed (
    id text COLLATE "C" PRIMARY KEY, agent text COLLATE "C" NOT NULL, project text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL, parent text COLLATE "C", status smallint NOT NULL DEFAULT 0,
    phase smallint, created_at bigint NOT NULL, metadata text) WITH (fillfactor = 80);
CREATE INDEX followed_all ON followed (created_at DESC, id);
CREATE INDEX followed_status ON followed (status, created_at DESC, id);
CREATE INDEX followed_roots ON followed (created_at DESC, id) WHERE parent IS NULL;
CREATE INDEX followed_agent ON followed (agent, created_at DESC, id);
CREATE INDEX followed_project ON followed (project, created_at DESC, id);
CREATE INDEX followed_user ON followed (user_id, created_at DESC, id);
"#;
const OPEN: &str = "
INSERT INTO followed (id, agent, project, user_id, parent, created_at, metadata)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[])";
const REFRESH: &str = "UPDATE followed SET phase = 1 WHERE id = ANY($1)";
const TERMINATE: &str = "UPDATE followed SET status = 2 WHERE id = ANY($1)";

/// When rows were seen.
pub(crate) struct Shown {
    /// The milliseconds from each publish until a page shows the session, sorted.
    pub(crate) times_ms: Vec<f64>,
}

/// A table with as many sessions as the ledger.
pub(crate) struct ListTable {
    cluster: Cluster,
    started: Instant,
}

impl ListTable {
    /// Publishes and reads for this long, or returns `None` if there is no PostgreSQL.
    pub(crate) async fn shown(sessions: u64, time: Duration) -> Option<Shown> {
        let table = Self {
            cluster: Cluster::start().await?,
            started: Instant::now(),
        };
        let mut stamped = Stamped::new();
        let writer = table.cluster.connect().await;
        writer.client.batch_execute(TABLE).await.unwrap();
        let mut left = sessions;
        while left != 0 {
            let count = left.min(FILL);
            left -= count;
            let events: Vec<StampedEvent> = (0..count).map(|_| stamped.before()).collect();
            table.write(&writer.client, &events).await;
        }
        let vacuum = writer.client.batch_execute("VACUUM ANALYZE followed");
        vacuum.await.unwrap();
        let go_on = Cell::new(true);
        let write = async {
            let began = tokio::time::Instant::now();
            let mut number = 0;
            while go_on.get() {
                let due = Duration::from_micros(number * BATCH * 1_000_000 / PACE);
                tokio::time::sleep_until(began + due).await;
                number += 1;
                let at_us = table.now_us();
                let events: Vec<StampedEvent> = (0..BATCH).map(|_| stamped.next(at_us)).collect();
                table.write(&writer.client, &events).await;
            }
        };
        let readers = (0..READERS).map(|number| table.read(number, &go_on));
        let reading = join_all(readers);
        let (times, (), ()) = tokio::join!(reading, write, paced::stop_after(&go_on, time));
        let times_ms = sorted(times.concat());
        Some(Shown { times_ms })
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).expect("a short time")
    }

    /// Writes events in one transaction.
    async fn write(&self, client: &tokio_postgres::Client, events: &[StampedEvent]) {
        let of = |step: StampedStep| events.iter().filter(move |event| event.step == step);
        let opened: Vec<&StampedEvent> = of(StampedStep::Created).collect();
        let texts = |text: &dyn Fn(&StampedEvent) -> String| -> Vec<String> {
            opened.iter().map(|event| text(event)).collect()
        };
        let parents: Vec<Option<&str>> =
            opened.iter().map(|event| event.parent.as_deref()).collect();
        let now = i64::try_from(self.now_us()).expect("a short time");
        let sessions = |step: StampedStep| -> Vec<&str> {
            of(step).map(|event| event.session.as_str()).collect()
        };
        client.batch_execute("BEGIN").await.unwrap();
        let values = (
            texts(&|event| event.session.clone()),
            texts(&|event| format!("a{}", event.agent)),
            texts(&|event| format!("p{}", event.project)),
            texts(&|event| format!("u{}", event.user)),
            vec![now; opened.len()],
            texts(&StampedEvent::metadata),
        );
        let (ids, agents, projects, users, times, metadata) = &values;
        client
            .execute(
                OPEN,
                &[ids, agents, projects, users, &parents, times, metadata],
            )
            .await
            .unwrap();
        for (statement, step) in [
            (REFRESH, StampedStep::Refreshed),
            (TERMINATE, StampedStep::Terminated),
        ] {
            let ids = sessions(step);
            client.execute(statement, &[&ids]).await.unwrap();
        }
        client.batch_execute("COMMIT").await.unwrap();
    }

    /// Reads some of the listings again and again. Returns the milliseconds until each new row.
    async fn read(&self, reader: usize, go_on: &Cell<bool>) -> Vec<f64> {
        let connection = self.cluster.connect().await;
        let client = &connection.client;
        let mut statements = Vec::new();
        for Followed {
            window, condition, ..
        } in LISTINGS.iter().skip(reader).step_by(READERS)
        {
            let page = format!(
                "SELECT * FROM followed WHERE {condition} ORDER BY created_at DESC, id LIMIT {window}"
            );
            let count =
                format!("SELECT status, count(*) FROM followed WHERE {condition} GROUP BY status");
            let page = client.prepare(&page).await.unwrap();
            statements.push((page, client.prepare(&count).await.unwrap()));
        }
        let mut last_seen: HashMap<usize, u64> = HashMap::new();
        let mut times = Vec::new();
        while go_on.get() {
            for (number, (page, count)) in statements.iter().enumerate() {
                let rows = client.query(page, &[]).await.unwrap();
                client.query(count, &[]).await.unwrap();
                let now_us = self.now_us();
                let seen = last_seen.entry(number).or_default();
                let before = *seen;
                for row in rows {
                    let id: &str = row.get("id");
                    let stamp = id.split_once('-').and_then(|(at, number)| {
                        Some((at.parse::<u64>().ok()?, number.parse::<u64>().ok()?))
                    });
                    if let Some((at_us, number)) = stamp.filter(|(_, number)| before < *number) {
                        times.push(float(now_us - at_us) / 1e3);
                        *seen = number.max(*seen);
                    }
                }
            }
        }
        times
    }
}
