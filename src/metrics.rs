//! The metrics of the ledger, for Prometheus. Only this module knows their names and units.

mod plain;
pub mod trace;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::domain::time::SECOND_US;
use crate::domain::{Position, Timestamp, Verdict};

/// Upper bounds of the latency buckets, in seconds. A page takes tens of microseconds, and an
/// append on a busy disk can take a second.
const LATENCY_BUCKETS: [f64; 12] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0,
];

/// Every metric of one ledger.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    position: Gauge,
    head: Gauge,
    lag: Gauge,
    log_available: Gauge,
    log_refuses_writes: Gauge,
    verdicts: Family<VerdictLabels, Counter>,
    commits: Family<CommitLabels, Histogram, fn() -> Histogram>,
    requests: Family<RequestLabels, Histogram, fn() -> Histogram>,
    refused: Family<RefusedLabels, Counter>,
    history_position: Gauge,
    read_model_mended: Counter,
    expiries_due: Gauge,
    expiries_soon: Gauge,
    reactor_failures: Family<ReactorLabels, Counter>,
    writes: Family<WriteLabels, Gauge>,
    connections: Gauge,
    connections_resting: Gauge,
    streams: Gauge,
    closed: Family<ClosedLabels, Counter>,
    unsent: Gauge,
    handshakes_failed: Family<HandshakeLabels, Counter>,
    /// Without a time series while the server has no certificate.
    certificate_expires: Family<NoLabels, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    verdict: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CommitLabels {
    durable: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    code: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReactorLabels {
    reactor: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClosedLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandshakeLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NoLabels {}

impl Default for Metrics {
    fn default() -> Self {
        let latency: fn() -> Histogram = || Histogram::new(LATENCY_BUCKETS);
        let metrics = Self {
            registry: Mutex::default(),
            position: Gauge::default(),
            head: Gauge::default(),
            lag: Gauge::default(),
            log_available: Gauge::default(),
            log_refuses_writes: Gauge::default(),
            verdicts: Family::default(),
            commits: Family::new_with_constructor(latency),
            requests: Family::new_with_constructor(latency),
            refused: Family::default(),
            history_position: Gauge::default(),
            read_model_mended: Counter::default(),
            expiries_due: Gauge::default(),
            expiries_soon: Gauge::default(),
            reactor_failures: Family::default(),
            writes: Family::default(),
            connections: Gauge::default(),
            connections_resting: Gauge::default(),
            streams: Gauge::default(),
            closed: Family::default(),
            unsent: Gauge::default(),
            handshakes_failed: Family::default(),
            certificate_expires: Family::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&self) {
        let mut registry = self
            .registry
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let registry = registry.sub_registry_with_prefix("session_ledger");
        registry.register(
            "position",
            "Last log position that was folded",
            self.position.clone(),
        );
        registry.register(
            "log_head",
            "Last log position known to exist",
            self.head.clone(),
        );
        registry.register(
            "lag_records",
            "Records on the log that are not folded yet",
            self.lag.clone(),
        );
        registry.register(
            "log_available",
            "1 while the log can be reached, else 0",
            self.log_available.clone(),
        );
        registry.register(
            "log_refuses_writes",
            "1 while the log can be reached but refuses writes, else 0",
            self.log_refuses_writes.clone(),
        );
        registry.register(
            "verdicts",
            "Folded events by verdict and reason",
            self.verdicts.clone(),
        );
        registry.register_with_unit(
            "fold_batch",
            "Time to fold and commit one batch",
            Unit::Seconds,
            self.commits.clone(),
        );
        registry.register(
            "history_position",
            "The last position whose changes are in the history file",
            self.history_position.clone(),
        );
        registry.register(
            "read_model_mended",
            "Times that the file of the read model failed and was opened again or replaced",
            self.read_model_mended.clone(),
        );
        registry.register(
            "expiries_due",
            "Active sessions whose deadline has passed, of all tenants, at most 1000",
            self.expiries_due.clone(),
        );
        registry.register(
            "expiries_soon",
            "Active sessions whose deadline passes within ten minutes, of all tenants, at most 1000",
            self.expiries_soon.clone(),
        );
        registry.register(
            "reactor_failures",
            "Times that a reactor could not find the events that are due, by reactor",
            self.reactor_failures.clone(),
        );
        self.register_http(registry);
    }

    fn register_http(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "http_request",
            "Time to answer a request, by route template",
            Unit::Seconds,
            self.requests.clone(),
        );
        registry.register(
            "refused",
            "Requests rejected because of the caller, by code and, for bad credentials, by reason",
            self.refused.clone(),
        );
        registry.register(
            "writes",
            "Writes that wait for the verdicts of their events (running), or for their turn (queued)",
            self.writes.clone(),
        );
        registry.register(
            "streams",
            "Streams of sessions and events that clients follow",
            self.streams.clone(),
        );
        registry.register(
            "connections",
            "Connections that are open",
            self.connections.clone(),
        );
        registry.register(
            "connections_resting",
            "Open connections that keep no buffers, because no request has been under way for a while",
            self.connections_resting.clone(),
        );
        registry.register(
            "connections_closed",
            "Connections that the server closed to make room or after a timeout, by reason",
            self.closed.clone(),
        );
        registry.register_with_unit(
            "unsent",
            "Size of answers that are not sent yet",
            Unit::Bytes,
            self.unsent.clone(),
        );
        registry.register(
            "tls_handshakes_failed",
            "TLS connections that ended before a request was possible, by reason",
            self.handshakes_failed.clone(),
        );
        registry.register_with_unit(
            "tls_certificate_expires_timestamp",
            "When the TLS certificate of the server expires, since 1970",
            Unit::Seconds,
            self.certificate_expires.clone(),
        );
    }

    /// Counts a TLS handshake that failed.
    pub fn tls_handshake_failed(&self, reason: &'static str) {
        let labels = HandshakeLabels { reason };
        self.handshakes_failed.get_or_create(&labels).inc();
    }

    /// Sets when the TLS certificate expires; `None` if that is unknown.
    pub fn tls_certificate(&self, until: Option<Timestamp>) {
        match until {
            Some(until) => {
                let gauge = self.certificate_expires.get_or_create(&NoLabels {});
                gauge.set(until.micros() / SECOND_US);
            }
            None => self.certificate_expires.clear(),
        }
    }

    /// Counts a stream as open.
    pub fn stream_opened(&self) {
        self.streams.inc();
    }

    /// Counts a stream as ended.
    pub fn stream_ended(&self) {
        self.streams.dec();
    }

    /// Counts a connection as open.
    pub fn connection_opened(&self) {
        self.connections.inc();
    }

    /// Counts a connection as ended.
    pub fn connection_ended(&self) {
        self.connections.dec();
    }

    /// Counts a connection as resting.
    pub fn connection_rests(&self) {
        self.connections_resting.inc();
    }

    /// Counts a connection as resting no more.
    pub fn connection_wakes(&self) {
        self.connections_resting.dec();
    }

    /// Counts a connection that the server closes before its client does.
    pub fn connection_closed(&self, reason: &'static str) {
        self.closed.get_or_create(&ClosedLabels { reason }).inc();
    }

    /// Adds bytes of answers that are not sent yet.
    pub fn unsent_more(&self, bytes: usize) {
        self.unsent.inc_by(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Subtracts bytes of answers that were sent or dropped.
    pub fn unsent_less(&self, bytes: usize) {
        self.unsent.dec_by(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Sets the position of the fold and the head of the log.
    pub fn progress(&self, position: Position, head: Position) {
        let gauge = |position: u64| i64::try_from(position).unwrap_or(i64::MAX);
        let head = head.max(position);
        self.position.set(gauge(position.get()));
        self.head.set(gauge(head.get()));
        self.lag.set(gauge(head.get() - position.get()));
    }

    /// Sets how many sessions are past their deadline, and how many will be soon.
    pub fn expiries(&self, due: usize, soon: usize) {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.expiries_due.set(gauge(due));
        self.expiries_soon.set(gauge(soon));
    }

    /// Sets how many writes are under way.
    pub fn writes(&self, running: usize, queued: usize) {
        for (state, count) in [("running", running), ("queued", queued)] {
            let gauge = self.writes.get_or_create(&WriteLabels { state });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Sets whether the log can be reached, and whether it refuses writes.
    pub fn log(&self, available: bool, refuses_writes: bool) {
        self.log_available.set(available.into());
        self.log_refuses_writes.set(refuses_writes.into());
    }

    /// Counts verdicts.
    pub fn verdicts(&self, verdicts: &[Verdict]) {
        let mut counts = HashMap::new();
        for verdict in verdicts {
            let reason = match verdict {
                Verdict::Rejected(reason) => reason.code(),
                Verdict::Applied | Verdict::Duplicate(_) | Verdict::Parked => "",
            };
            *counts.entry((verdict.as_str(), reason)).or_insert(0) += 1;
        }
        for ((verdict, reason), count) in counts {
            let labels = VerdictLabels { verdict, reason };
            self.verdicts.get_or_create(&labels).inc_by(count);
        }
    }

    /// Records how long a batch took.
    pub fn fold_batch(&self, durable: bool, took: Duration) {
        let labels = CommitLabels {
            durable: if durable { "true" } else { "false" },
        };
        self.commits
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// Records how far the history file has come.
    pub fn history(&self, position: Position) {
        let position = i64::try_from(position.get()).unwrap_or(i64::MAX);
        self.history_position.set(position);
    }

    /// Counts a failure of the read model's file that was mended.
    pub fn read_model_mended(&self) {
        self.read_model_mended.inc();
    }

    /// Records how long a request took. `route` is a template, so that ids make no new time series.
    pub fn request(&self, route: &str, method: &'static str, status: u16, took: Duration) {
        let labels = RequestLabels {
            route: route.to_owned(),
            method,
            status,
        };
        self.requests
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// Counts a request that was rejected because of its caller. Neither label comes from the
    /// request.
    pub fn refused(&self, code: &'static str, reason: &'static str) {
        let labels = RefusedLabels { code, reason };
        self.refused.get_or_create(&labels).inc();
    }

    /// Counts that a reactor could not find the events that are due.
    pub fn reactor_failed(&self, reactor: &'static str) {
        let labels = ReactorLabels { reactor };
        self.reactor_failures.get_or_create(&labels).inc();
    }

    /// All metrics in the Prometheus text format 0.0.4, which every scraper reads.
    pub fn text(&self) -> String {
        plain::from_open_metrics(&self.open_metrics())
    }

    /// All metrics in the `OpenMetrics` 1.0 format.
    pub fn open_metrics(&self) -> String {
        let registry = self
            .registry
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut out = String::new();
        text::encode(&mut out, &registry).expect("writing to a string does not fail");
        out
    }
}
