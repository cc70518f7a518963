//! A NATS server whose log is filled with events, and a ledger on it.

use std::time::{Duration, Instant};

use crate::nats::{NatsServer, Preset};
use crate::node::{self, Ledger, Node};
use crate::publish::Publisher;
use crate::workload::{Ages, Workload};

/// The tenant with the most sessions.
pub(crate) const LARGEST: &str = "t0";

/// The servers and events that the subjects measure.
pub(crate) struct Filled {
    pub(crate) nats: NatsServer,
    pub(crate) publisher: Publisher,
    pub(crate) ledger: Ledger,
    /// A key of the largest tenant.
    pub(crate) key: String,
    pub(crate) workload: Workload,
    pub(crate) ages: Ages,
    pub(crate) sessions: u64,
    /// The number of events of the fill, which have the positions from 1.
    pub(crate) events: u64,
    /// How long publishing took.
    pub(crate) publishing: Duration,
}

impl Filled {
    /// Publishes the events of this many sessions on a new server.
    pub(crate) async fn publish(sessions: u64, ages: Ages) -> Self {
        let nats = NatsServer::start(Preset::Fast).await;
        let publisher = Publisher::connect(nats.url()).await;
        let ledger = Ledger::new(Some(nats.url()));
        let key = ledger.issue_key(LARGEST);
        let mut workload = Workload::new(ages);
        let publishing = publisher.publish_all(|| workload.fill(sessions)).await;
        let events = workload.events();
        assert_eq!(
            publisher.head().await,
            events,
            "the log holds the events of the fill"
        );
        Self {
            nats,
            publisher,
            ledger,
            key,
            workload,
            ages,
            sessions,
            events,
            publishing,
        }
    }

    /// Starts a ledger and waits until it has folded the log. Returns it and the time that this took.
    pub(crate) async fn serve(&self) -> (Node, Duration) {
        let started = Instant::now();
        let node = self.ledger.start();
        let head = self.publisher.head().await;
        node.caught_up(head, started).await;
        (node, started.elapsed())
    }

    /// Checks that the ledger applied every event.
    pub(crate) async fn check_verdicts(&self, node: &Node) {
        let verdicts = node::verdicts(&node.metrics_text().await);
        let applied = verdicts
            .iter()
            .find(|(labels, _)| labels.contains("\"applied\""));
        let applied = applied.map_or(0, |(_, count)| *count);
        assert_eq!(
            applied, self.events,
            "every event must be applied: {verdicts:?}"
        );
    }
}
