//! Events on NATS at a steady pace, as from a fleet of agents.

use std::cell::Cell;
use std::time::Duration;

use async_nats::jetstream::context::PublishAckFuture;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::publish::Publisher;
use crate::workload::Workload;

/// Events per second.
pub(crate) const PACE: u64 = 2_000;

/// A published event to watch.
pub(crate) struct Sample {
    pub(crate) published: std::time::Instant,
    pub(crate) ack: PublishAckFuture,
}

/// Publishes at the pace while `go_on` is true. Sends one event in `one_in` as a sample.
pub(crate) async fn publish(
    publisher: &Publisher,
    workload: &mut Workload,
    go_on: &Cell<bool>,
    (one_in, samples): (u64, Option<mpsc::Sender<Sample>>),
) {
    let started = Instant::now();
    let mut number = 0;
    while go_on.get() {
        let due = started + Duration::from_micros(number * 1_000_000 / PACE);
        tokio::time::sleep_until(due).await;
        number += 1;
        let event = workload.live();
        match &samples {
            Some(samples) if number.is_multiple_of(one_in) => {
                let published = std::time::Instant::now();
                let ack = publisher.publish(&event).await;
                let sample = Sample { published, ack };
                drop(samples.try_send(sample));
            }
            _ => publisher.publish_unheard(&event).await,
        }
    }
}

/// Sets a flag to false after this time.
pub(crate) async fn stop_after(go_on: &Cell<bool>, time: Duration) {
    tokio::time::sleep(time).await;
    go_on.set(false);
}
