//! Measures streams: how soon 1,000 clients that follow 20 listings see an event, and how fast a history is read.
//!
//! `cargo run --release --example follow_speed` prints milliseconds. The clients run in the same process, so both
//! sides' cost is in the figures.
#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};
use session_ledger::app::{Config, start};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

/// Different listings, each of one agent.
const LISTINGS: usize = 20;
const WINDOW: usize = 20;
/// Events a second, and how often some of them are sent.
const RATE: usize = 2_000;
const EVERY: Duration = Duration::from_millis(10);
const TIME: Duration = Duration::from_secs(20);
/// Events of the history that is read.
const HISTORY: usize = 100_000;
/// What the ids of the last sessions begin with, instead of a time.
const END: u64 = u64::MAX;
const BATCH: usize = 1_000;
const BATCHES: &str = "application/cloudevents-batch+json";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // The client needs a TLS provider even for plain HTTP. Installing a second one has no effect.
    drop(rustls::crypto::ring::default_provider().install_default());
    let dir = tempfile::tempdir()?;
    let server = start(Config::local(dir.path().to_owned(), "127.0.0.1:0".parse()?)).await?;
    let url = Arc::<str>::from(server.url());
    history(&url).await?;
    println!(
        "| followers | until the answer has the verdict, p50; p99, ms | until a follower has the frame, p50; p99, ms | frames |\n|---|---|---|---|"
    );
    for followers in [20, 200, 1_000] {
        follow(&url, followers).await?;
    }
    server.stop().await
}

/// Reads a whole history in one answer.
async fn history(url: &str) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    for batch in 0..HISTORY / BATCH {
        let events = (0..BATCH).map(|number| opened(&format!("h{batch}-{number}"), number));
        post(&client, url, "history", events.collect()).await?;
    }
    let started = Instant::now();
    let path = format!("{url}/v1/events/stream?follow=false");
    let request = client.get(path).header("x-tenant-id", "history");
    let answer = request
        .header("accept", "application/x-ndjson")
        .send()
        .await?;
    let text = answer.bytes().await?;
    let lines = text.split(|byte| *byte == b'\n').count() - 1;
    ensure!(lines == HISTORY + 1, "{lines} frames");
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{HISTORY} events as NDJSON, {} MiB: {seconds:.2} s\n",
        text.len() >> 20
    );
    Ok(())
}

async fn follow(url: &Arc<str>, followers: usize) -> anyhow::Result<()> {
    let started = Instant::now();
    let over = Arc::new(AtomicBool::new(false));
    let (client, tenant) = (reqwest::Client::new(), format!("f{followers}"));
    let mut following = JoinSet::new();
    for number in 0..followers {
        let agent = number % LISTINGS;
        let path = format!("{url}/v1/agent-sessions/stream?agent_id=a{agent}&window={WINDOW}");
        let request = client.get(path).header("x-tenant-id", &tenant);
        let answer = request
            .header("accept", "application/x-ndjson")
            .send()
            .await?;
        let over = Arc::clone(&over);
        let follower = Follower {
            answer,
            started,
            over,
        };
        following.spawn(follower.frames());
    }
    sleep(Duration::from_secs(2)).await;
    let (mut ticks, mut number, mut answered) = (interval(EVERY), 0, Vec::new());
    let begun = Instant::now();
    let mut sending = JoinSet::new();
    while begun.elapsed() < TIME {
        ticks.tick().await;
        let at = started.elapsed().as_micros();
        let events = (0..RATE / 100).map(|_| {
            number += 1;
            opened(&format!("{at}-{number}"), number)
        });
        let (client, url, events) = (client.clone(), Arc::clone(url), events.collect());
        let tenant = tenant.clone();
        sending.spawn(async move {
            let sent = Instant::now();
            post(&client, &url, &tenant, events).await?;
            anyhow::Ok(sent.elapsed())
        });
        while let Some(sent) = sending.try_join_next() {
            answered.push(sent??.as_secs_f64() * 1e3);
        }
    }
    over.store(true, Ordering::Relaxed);
    let mut seen = Vec::new();
    // The last event ends the streams' wait for a frame.
    let last = (0..LISTINGS).map(|number| opened(&format!("{END}-{number}"), number));
    post(&client, url, &tenant, last.collect()).await?;
    while let Some(one) = following.join_next().await {
        seen.extend(one??);
    }
    let [answer, frame] = [&mut answered, &mut seen].map(|times| {
        times.sort_by(f64::total_cmp);
        let at = |share: usize| {
            times
                .get(times.len() * share / 100)
                .copied()
                .unwrap_or(f64::NAN)
        };
        format!("{:.1}; {:.1}", at(50), at(99))
    });
    println!("| {followers} | {answer} | {frame} | {} |", seen.len());
    Ok(())
}

/// A client that follows a listing.
struct Follower {
    answer: reqwest::Response,
    started: Instant,
    over: Arc<AtomicBool>,
}

impl Follower {
    /// Returns the milliseconds from each request with an event until its frame.
    async fn frames(mut self) -> anyhow::Result<Vec<f64>> {
        let (mut read, mut seen) = (Vec::new(), Vec::new());
        while let Some(chunk) = self.answer.chunk().await? {
            read.extend_from_slice(&chunk);
            let now = self.started.elapsed();
            while let Some(end) = read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = read.drain(..=end).collect();
                match sent_at(&line) {
                    Some(END) if self.over.load(Ordering::Relaxed) => return Ok(seen),
                    Some(sent) => {
                        let waited = now.saturating_sub(Duration::from_micros(sent));
                        seen.push(waited.as_secs_f64() * 1e3);
                    }
                    None => {}
                }
            }
        }
        Ok(seen)
    }
}

/// When the event of a row was sent, which its session's id says.
fn sent_at(line: &[u8]) -> Option<u64> {
    let line = std::str::from_utf8(line).ok()?;
    let (_, id) = line
        .strip_prefix("{\"frame\":\"upsert\"")?
        .split_once("\"session_id\":\"")?;
    id.split_once('-')?.0.parse().ok()
}

fn opened(session: &str, number: usize) -> Value {
    json!({
        "specversion": "1.0", "id": session, "source": "/follow", "type": "session.created",
        "subject": session, "data": {"agent_id": format!("a{}", number % LISTINGS)},
    })
}

async fn post(
    client: &reqwest::Client,
    url: &str,
    tenant: &str,
    events: Vec<Value>,
) -> anyhow::Result<()> {
    let request = client
        .post(format!("{url}/v1/events"))
        .header("x-tenant-id", tenant);
    let body = Value::from(events).to_string();
    let answer = request
        .header("content-type", BATCHES)
        .body(body)
        .send()
        .await?;
    ensure!(answer.status().is_success(), "{}", answer.text().await?);
    Ok(())
}
