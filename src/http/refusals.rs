//! Counts and logs requests that the server rejects because of their caller (401, 403).
//!
//! The log has at most one warning of each kind per interval: an attack or a broken client must
//! show in the log and must not fill it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::response::Response;

use crate::auth::CredentialError;
use crate::domain::limits::REFUSALS_TOLD_MS;
use crate::domain::{Reason, TenantId};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::metrics::Metrics;

/// The last warning of each kind. A kind is a problem code and a reason, both from short lists.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<(&'static str, &'static str), LastWarning>>);

#[derive(Debug)]
struct LastWarning {
    at: Instant,
    /// The number of rejected requests since then, which had no warning.
    suppressed: u64,
}

/// A request that the server rejected.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal<'a> {
    pub(crate) problem: &'a Problem,
    /// Why the credential is invalid.
    pub(crate) why: Option<&'a CredentialError>,
    /// The identity of a valid credential.
    pub(crate) by: Option<&'a str>,
    /// The tenant, if the credential may act for it.
    pub(crate) tenant: Option<&'a TenantId>,
}

/// The problem of a response, if the response rejects the caller.
pub(crate) fn problem_of(response: &Response) -> Option<&Problem> {
    let problem = response.extensions().get::<Problem>()?;
    let code = problem.code();
    (code.rejects_caller() && is_about_the_caller(code)).then_some(problem)
}

/// Whether a 401 or 403 is about the caller. Most verdicts are about a session or an agent.
fn is_about_the_caller(code: Code) -> bool {
    match code {
        Code::Event(reason) => matches!(reason, Reason::OtherAgent | Reason::TenantMismatch),
        _ => true,
    }
}

impl Refusals {
    /// Counts a rejected request and logs it.
    pub(crate) fn record(&self, refusal: &Refusal<'_>, metrics: &Metrics) {
        let code = refusal.problem.code();
        let reason = refusal.why.map_or("", CredentialError::kind);
        metrics.refused(code.as_str(), reason);
        // No warning for a request without a credential: scanners send those all day.
        let due = match code {
            Code::CredentialRequired => None,
            _ => self.due((code.as_str(), reason), Instant::now()),
        };
        refusal.log(due);
    }

    /// Returns how many requests of this kind were suppressed since the last warning, if a warning
    /// is due now. Returns `None` if the last warning is too recent.
    fn due(&self, kind: (&'static str, &'static str), now: Instant) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = kinds.get_mut(&kind);
        let first = last.is_none();
        let last = match last {
            Some(last) => last,
            None => kinds.entry(kind).or_insert(LastWarning {
                at: now,
                suppressed: 0,
            }),
        };
        let every = Duration::from_millis(REFUSALS_TOLD_MS);
        if !first && now.saturating_duration_since(last.at) < every {
            last.suppressed += 1;
            return None;
        }
        last.at = now;
        Some(std::mem::take(&mut last.suppressed))
    }
}

impl Refusal<'_> {
    /// Logs the request: at level `warn` if a warning is due, otherwise at `debug`.
    fn log(&self, due: Option<u64>) {
        let code = self.problem.code();
        let (status, word) = (code.status().as_u16(), code.as_str());
        let why = match self.why {
            Some(why) => why.to_string(),
            None => self.problem.detail().to_owned(),
        };
        let (tenant, principal) = (self.tenant.map(TenantId::as_str), self.by);
        let Some(suppressed) = due else {
            return tracing::debug!(
                tenant.id = tenant,
                principal.id = principal,
                "rejected a request with {status} {word}: {why}"
            );
        };
        let more = match suppressed {
            0 => String::new(),
            more => format!("; {more} more since the last warning of this kind"),
        };
        tracing::warn!(
            tenant.id = tenant,
            principal.id = principal,
            "rejected a request with {status} {word}: {why}{more}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_one_warning_per_interval_that_counts_the_suppressed_requests() {
        let refusals = Refusals::default();
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let (one, other) = (("role_required", ""), ("invalid_credential", "key_revoked"));
        assert_eq!(refusals.due(one, at(0)), Some(0));
        assert_eq!(refusals.due(one, at(1)), None);
        assert_eq!(refusals.due(one, at(REFUSALS_TOLD_MS - 1)), None);
        assert_eq!(refusals.due(other, at(2)), Some(0));
        assert_eq!(refusals.due(one, at(REFUSALS_TOLD_MS)), Some(2));
        assert_eq!(refusals.due(one, at(REFUSALS_TOLD_MS + 1)), None);
        assert_eq!(refusals.due(one, at(3 * REFUSALS_TOLD_MS)), Some(1));
    }
}
