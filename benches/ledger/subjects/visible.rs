//! How soon a listing shows an event, while events arrive at a steady pace.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use crate::filled::Filled;
use crate::http::{self, Connection};
use crate::node::Node;
use crate::paced::{self, PACE, Sample};
use crate::report::{Report, Row, Section};
use crate::stats::{Figure, ms, percentile, sorted};
use crate::targets;

const TIME: Duration = Duration::from_secs(20);
const ONE_IN: u64 = 10;
const SAMPLES_WAITING_MAX: usize = 8_192;
/// The histogram of batches with a durable commit.
const DURABLE: &str = "session_ledger_fold_batch_seconds";

/// Milliseconds since just before the publish.
#[derive(Default)]
struct Times {
    acked: Vec<f64>,
    shown: Vec<f64>,
}

pub(crate) async fn run(report: &mut Report, filled: &mut Filled, node: &Node) {
    settle_disk();
    let before = Stalls::read(node).await;
    let times = measure(filled, node).await;
    let after = Stalls::read(node).await;
    let title = format!(
        "{PACE} events a second for {} s on top of {} sessions; one in {ONE_IN} watched",
        TIME.as_secs(),
        filled.sessions
    );
    let mut section = Section::new("visible", title);
    rows(
        &mut section,
        "from publish until a listing shows it",
        times.shown,
        true,
    );
    rows(
        &mut section,
        "from publish to acknowledgement",
        times.acked,
        false,
    );
    after.rows(&mut section, &before);
    report.add(section);
}

/// Writes the gigabytes that the fill left in memory to the disk, because they would delay every
/// commit.
fn settle_disk() {
    let synced = std::process::Command::new("sync").status();
    assert!(synced.is_ok_and(|status| status.success()), "sync failed");
}

async fn measure(filled: &mut Filled, node: &Node) -> Times {
    let go_on = Cell::new(true);
    let (sender, receiver) = mpsc::channel(SAMPLES_WAITING_MAX);
    let publish = paced::publish(
        &filled.publisher,
        &mut filled.workload,
        &go_on,
        (ONE_IN, Some(sender)),
    );
    let watch = watch(receiver, &filled.key, node);
    let ((), (), times) = tokio::join!(publish, paced::stop_after(&go_on, TIME), watch);
    times
}

/// Watches all samples at the same time.
async fn watch(mut samples: mpsc::Receiver<Sample>, key: &str, node: &Node) -> Times {
    let free = RefCell::new(Vec::new());
    let mut watched = FuturesUnordered::new();
    let mut times = Times::default();
    let mut open = true;
    while open || !watched.is_empty() {
        tokio::select! {
            sample = samples.recv(), if open => match sample {
                Some(sample) => watched.push(watch_one(sample, key, node, &free)),
                None => open = false,
            },
            Some((acked, shown)) = watched.next() => {
                times.acked.push(ms(acked));
                times.shown.push(ms(shown));
            }
        }
    }
    times
}

async fn watch_one(
    sample: Sample,
    key: &str,
    node: &Node,
    free: &RefCell<Vec<Connection>>,
) -> (Duration, Duration) {
    let since = |published: Instant| published.elapsed();
    let position = sample.ack.await.unwrap().sequence;
    let acked = since(sample.published);
    let kept = free.borrow_mut().pop();
    let mut connection = match kept {
        Some(connection) => connection,
        None => node.connect().await,
    };
    let target = format!("/v1/agent-sessions?limit=1&min_position={position}");
    connection.ok(&http::get(&target, key)).await;
    let shown = since(sample.published);
    free.borrow_mut().push(connection);
    (acked, shown)
}

fn rows(section: &mut Section, what: &str, times: Vec<f64>, with_target: bool) {
    let times = sorted(times);
    for (name, percent) in [("p50", 50), ("p95", 95), ("p99", 99), ("max", 100)] {
        let row = Row::new(
            format!("{what}: {name}"),
            "ms",
            Figure::one(percentile(&times, percent)),
        );
        section.row(match name {
            "p95" if with_target => row.must(targets::VISIBLE_P95_MS),
            "p99" if with_target => row.must(targets::VISIBLE_P99_MS),
            _ => row,
        });
    }
}

/// The server's figures about batches with a durable commit, during which nothing else is folded.
struct Stalls {
    count: f64,
    seconds: f64,
    /// Upper bounds in seconds, and the number of batches within each.
    buckets: Vec<(f64, f64)>,
}

impl Stalls {
    async fn read(node: &Node) -> Self {
        let text = node.metrics_text().await;
        let value = |name: &str| {
            let start = format!("{DURABLE}_{name}{{durable=\"true\"}} ");
            let mut found = text.lines().filter_map(|line| line.strip_prefix(&start));
            found
                .next()
                .and_then(|value| value.parse().ok())
                .unwrap_or(0.0)
        };
        let bucket = |line: &str| {
            let (labels, count) = line
                .strip_prefix(DURABLE)?
                .strip_prefix("_bucket{")?
                .split_once("} ")?;
            let (_, bound) = labels
                .split_once("le=\"")
                .filter(|_| labels.contains("durable=\"true\""))?;
            let bound = bound.split('"').next()?.parse().unwrap_or(f64::INFINITY);
            Some((bound, count.parse().ok()?))
        };
        Self {
            count: value("count"),
            seconds: value("sum"),
            buckets: text.lines().filter_map(bucket).collect(),
        }
    }

    fn rows(&self, section: &mut Section, before: &Self) {
        let count = self.count - before.count;
        section.row(Row::new("durable batches", "", Figure::one(count)));
        if count < 1.0 {
            return;
        }
        let mean = (self.seconds - before.seconds) * 1e3 / count;
        section.row(Row::new(
            "  mean time of one, in which nothing else is folded",
            "ms",
            Figure::one(mean),
        ));
        let earlier = |bound: f64| {
            let same = before
                .buckets
                .iter()
                .find(|(other, _)| other.total_cmp(&bound).is_eq());
            same.map_or(0.0, |(_, count)| *count)
        };
        let all = self
            .buckets
            .iter()
            .find(|(bound, seen)| count <= seen - earlier(*bound));
        let longest = all.map_or(f64::NAN, |(bound, _)| bound * 1e3);
        section.row(Row::new(
            "  the longest took at most",
            "ms",
            Figure::one(longest),
        ));
    }
}
