//! Reads records that stand close together through a consumer, which is faster than a request for each: see
//! "Events from NATS" in `docs/performance.md`.
//!
//! It uses a connection of its own: a message whose delivery breaks the connection costs the tail nothing.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::Shared;
use super::open::{CREATE_MAX, create};
use super::pull::Pull;
use crate::domain::Position;
use crate::domain::limits::{
    LOG_RANGE_RECORDS_MIN, LOG_RANGE_SPAN_MAX, LOG_RANGE_WAIT_MS, LOG_READ_RECORDS_MAX,
};
use crate::log::Record;

/// How long the next records may take to arrive.
const WAIT_MAX: Duration = Duration::from_millis(LOG_RANGE_WAIT_MS.0);
/// How long a whole range may take: a server that lags may send a record now and then.
const READ_MAX: Duration = Duration::from_millis(LOG_RANGE_WAIT_MS.1);
/// How long the server keeps the consumer of a range that was given up, or that it may not delete.
const INACTIVE_MAX: Duration = Duration::from_secs(2);

/// The first and the last of some positions, if they are many and stand close together.
pub(super) fn around(positions: &[Position]) -> Option<(Position, Position)> {
    let (first, last) = (*positions.iter().min()?, *positions.iter().max()?);
    let (count, span) = (positions.len() as u64, last.get() - first.get() + 1);
    let is_worth_it = LOG_RANGE_RECORDS_MIN <= count && span <= count * LOG_RANGE_SPAN_MAX;
    is_worth_it.then_some((first, last))
}

/// Returns the records at these positions, from the first to the last, in the order of the log; fewer if the server
/// does not send the others soon. The caller reads those by position, and then learns why.
pub(super) async fn read(
    shared: &Shared,
    positions: &[Position],
    (first, last): (Position, Position),
) -> Vec<Record> {
    let mut records = Vec::new();
    let Some(mut pull) = open(shared, first, last).await else {
        return records;
    };
    let mut wanted = positions.to_vec();
    wanted.sort_unstable();
    let (until, mut reached) = (Instant::now() + READ_MAX, Position::ZERO);
    while reached < last {
        let soon = until.min(Instant::now() + WAIT_MAX);
        match timeout_at(soon, pull.next(LOG_READ_RECORDS_MAX)).await {
            Ok(Ok(more)) => {
                reached = more.last().map_or(reached, |record| record.position);
                // The others would fill the memory: a range has up to eight times as many.
                let asked = |record: &Record| wanted.binary_search(&record.position).is_ok();
                records.extend(more.into_iter().filter(asked));
            }
            Ok(Err(doubt)) => {
                tracing::debug!(?doubt, %first, %last, "a range was not read to its end");
                break;
            }
            Err(_elapsed) => break,
        }
    }
    pull.delete().await;
    records
}

async fn open(shared: &Shared, first: Position, last: Position) -> Option<Pull> {
    // While NATS is away, the reads by position say so at once. A new connection would take seconds to fail.
    if !shared.connections.writes.is_connected() {
        return None;
    }
    let link = shared.connections.ranges.alive().await.ok()?;
    if !link.is_connected() {
        return None;
    }
    let (opened_on, after) = (link.state(), Position::new(first.get().checked_sub(1)?));
    let inbox = link.client.new_inbox();
    let messages = link.client.subscribe(inbox.clone()).await.ok()?;
    let created = create(&link, &shared.stream, after, INACTIVE_MAX);
    let created = timeout(CREATE_MAX, created).await;
    let consumer = created.ok()?.ok()?;
    let inbox = (inbox, messages);
    let consumer = (shared.stream.as_str(), consumer.as_str());
    Some(Pull::new((link, opened_on), inbox, consumer, after).until(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_many_positions_that_stand_close_together_are_a_range() {
        let ends = |positions: Vec<u64>| {
            let positions: Vec<_> = positions.into_iter().map(Position::new).collect();
            around(&positions).map(|(first, last)| (first.get(), last.get()))
        };
        assert_eq!(ends(vec![]), None);
        assert_eq!(ends((1..LOG_RANGE_RECORDS_MIN).collect()), None);
        assert_eq!(
            ends((1..=LOG_RANGE_RECORDS_MIN).rev().collect()),
            Some((1, LOG_RANGE_RECORDS_MIN))
        );
        let every = |nth: u64| (1..=1_000).map(|number| number * nth).collect();
        assert!(ends(every(LOG_RANGE_SPAN_MAX)).is_some());
        assert_eq!(ends(every(LOG_RANGE_SPAN_MAX + 1)), None);
    }
}
