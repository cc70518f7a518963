//! How fast a server catches up with a log from nothing, compared with the bare log and PostgreSQL.

use std::time::{Duration, Instant};

use crate::filled::Filled;
use crate::node::Node;
use crate::postgres::Applied;
use crate::report::{Report, Row, Section};
use crate::run::Size;
use crate::stats::{Figure, MIB, float, ms, per_second, slice_rates};
use crate::targets;

/// The number of events in a slice. The report has the spread over slices.
const SLICE: u64 = 100_000;

/// The results of the ledger.
struct CaughtUp {
    took: Duration,
    stopping: Duration,
    memory_most: u64,
    slices: Vec<f64>,
    nats_bytes: u64,
}

/// Measures the fold, and returns its rate. `postgres` has the rates of PostgreSQL with equal events, and
/// `earlier` the rates at other sizes.
pub(crate) async fn run(
    report: &mut Report,
    filled: &Filled,
    postgres: Option<&Applied>,
    earlier: &[Size],
) -> f64 {
    let Filled {
        sessions, events, ..
    } = *filled;
    let title = format!("{events} events of {sessions} sessions, by events");
    let mut section = Section::new("fold", title);
    let (raw_took, raw_slices) = filled.publisher.consume(events, slice(events)).await;
    let raw = per_second(events, raw_took);
    let caught_up = catch_up(filled).await;

    log_rows(&mut section, filled, (raw, raw_slices));
    fold_rows(&mut section, filled, (&caught_up, raw), (postgres, earlier));
    disk(&mut section, filled, &caught_up, postgres);
    if let Some(applied) = postgres {
        section.row(Row::new("PostgreSQL, by batch", "events/s", applied.plain));
        section.row(Row::new(
            "PostgreSQL, counts by trigger, by batch",
            "events/s",
            applied.counted,
        ));
    }
    section.note("every event has the verdict `applied`");
    report.add(section);
    per_second(events, caught_up.took)
}

/// Adds the figures of the log itself.
fn log_rows(section: &mut Section, filled: &Filled, (raw, raw_slices): (f64, Vec<f64>)) {
    let events = filled.events;
    let published = Figure::one(per_second(events, filled.publishing));
    section.row(Row::new(
        "publishing the events on NATS",
        "events/s",
        published,
    ));
    section.row(Row::new(
        "reading the bare log",
        "events/s",
        Figure::one(raw),
    ));
    section.row(Row::new(
        by_slice(events),
        "events/s",
        Figure::of(raw_slices),
    ));
}

/// Adds the figures of the ledger, compared with PostgreSQL.
fn fold_rows(
    section: &mut Section,
    filled: &Filled,
    (caught_up, raw): (&CaughtUp, f64),
    (postgres, earlier): (Option<&Applied>, &[Size]),
) {
    let events = filled.events;
    let overall = Figure::one(per_second(events, caught_up.took));
    let row = Row::new(
        "catching up from nothing, start included",
        "events/s",
        overall,
    )
    .must(targets::FOLD_RATE)
    .against("the bare log", Some(raw));
    section.row(beside(row, earlier));
    section.row(Row::new(
        by_slice(events),
        "events/s",
        Figure::of(caught_up.slices.clone()),
    ));
    let durable = caught_up.took + caught_up.stopping;
    section.row(Row::new(
        "  until all of it is durable and the server stopped",
        "events/s",
        Figure::one(per_second(events, durable)),
    ));
    let stored = Figure::one(per_second(events, filled.publishing + durable));
    let row = Row::new(
        "publishing and then that, one after the other",
        "events/s",
        stored,
    )
    .against("PostgreSQL", postgres.map(|applied| applied.plain.median))
    .ratio_must(targets::FOLD_TO_POSTGRES)
    .against(
        "PostgreSQL, counts by trigger",
        postgres.map(|applied| applied.counted.median),
    )
    .ratio_must(targets::FOLD_TO_POSTGRES);
    section.row(row);
    section.row(Row::new(
        "  stopping",
        "ms",
        Figure::one(ms(caught_up.stopping)),
    ));
    let memory = Figure::one(float(caught_up.memory_most / MIB));
    let row = Row::new("  server's resident memory at most", "MiB", memory);
    section.row(row.must(targets::MEMORY_MIB));
}

/// Reports the rate of a server that caught up before another subject was measured.
pub(crate) fn by_size(report: &mut Report, measured: &Size, earlier: &[Size]) {
    let title = format!(
        "catching up with {} sessions before that",
        measured.sessions
    );
    let mut section = Section::new("fold", title);
    let rate = Figure::one(measured.fold.unwrap_or(f64::NAN));
    let row = Row::new("catching up from nothing, start included", "events/s", rate);
    section.row(beside(row.must(targets::FOLD_RATE), earlier));
    report.add(section);
}

fn beside(row: Row, earlier: &[Size]) -> Row {
    earlier.iter().fold(row, |row, size| {
        row.against(
            format!("the same with {} sessions", size.sessions),
            size.fold,
        )
        .ratio_must(targets::FOLD_BY_SIZE)
    })
}

fn slice(events: u64) -> u64 {
    SLICE.min(events / 10)
}

fn by_slice(events: u64) -> String {
    format!("  by slices of {}", slice(events))
}

async fn catch_up(filled: &Filled) -> CaughtUp {
    let started = Instant::now();
    let node: Node = filled.ledger.start();
    let samples = node.caught_up(filled.events, started).await;
    filled.check_verdicts(&node).await;
    let [_, memory_most] = node.memory();
    let stopped = Instant::now();
    node.stop();
    CaughtUp {
        took: samples.last().map_or(Duration::ZERO, |(took, _)| *took),
        stopping: stopped.elapsed(),
        memory_most,
        slices: slice_rates(&samples, slice(filled.events)),
        nats_bytes: filled.nats.disk_bytes(),
    }
}

fn disk(section: &mut Section, filled: &Filled, caught_up: &CaughtUp, postgres: Option<&Applied>) {
    let each = |bytes: u64| float(bytes) / float(filled.sessions);
    let model = Figure::one(each(filled.ledger.model_bytes()));
    let log = Figure::one(each(caught_up.nats_bytes));
    let theirs =
        postgres.map(|applied| float(applied.disk.sessions_bytes) / float(applied.sessions));
    let row = Row::new("disk: read model", "B/session", model);
    section.row(row.against("PostgreSQL, sessions", theirs));
    let theirs = postgres.map(|applied| float(applied.disk.events_bytes) / float(applied.sessions));
    let row = Row::new("disk: log", "B/session", log);
    section.row(row.against("PostgreSQL, events", theirs));
}
