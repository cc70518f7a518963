//! Which spans the ledger could not take, and why: what the exporter is told.

use crate::domain::limits::{OTLP_REASON_CHARS_MAX, OTLP_REASONS_MAX};

/// The rejected spans of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejected {
    spans: u64,
    reasons: Vec<String>,
    more: bool,
}

impl Rejected {
    /// Adds spans that were rejected for one reason. Some of the reasons are kept, each once.
    pub fn add(&mut self, spans: u64, reason: &str) {
        self.spans = self.spans.saturating_add(spans);
        let reason = shortened(reason);
        if self.reasons.iter().any(|known| known == reason) {
            return;
        }
        if self.reasons.len() < OTLP_REASONS_MAX {
            self.reasons.push(reason.to_owned());
        } else {
            self.more = true;
        }
    }

    /// How many spans were rejected.
    pub fn spans(&self) -> u64 {
        self.spans
    }

    /// The reasons as one text; empty if no span was rejected.
    pub fn message(&self) -> String {
        let mut message = self.reasons.join("; ");
        if self.more {
            message.push_str("; and others");
        }
        message
    }
}

/// The beginning of a text that may repeat what the exporter sent.
pub(super) fn shortened(text: &str) -> &str {
    if text.len() <= OTLP_REASON_CHARS_MAX {
        return text;
    }
    match text.char_indices().nth(OTLP_REASON_CHARS_MAX) {
        Some((end, _)) => text.get(..end).unwrap_or(text),
        None => text,
    }
}
