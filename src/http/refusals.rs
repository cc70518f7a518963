//! Requests that are refused because of the caller (401, 403): counted, and told in the server's log, of each
//! kind one in a while. An attack or a broken client must show there and must not fill it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::response::Response;

use crate::auth::Refused;
use crate::domain::limits::REFUSALS_TOLD_MS;
use crate::domain::{Reason, TenantId};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::metrics::Metrics;

/// The kinds of refusals that were told: a code and the reason, both from short lists.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<(&'static str, &'static str), Told>>);

#[derive(Debug)]
struct Told {
    at: Instant,
    /// How many came since.
    untold: u64,
}

/// A request that was refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal<'a> {
    pub(crate) problem: &'a Problem,
    /// Why its credential stands for nobody.
    pub(crate) why: Option<&'a Refused>,
    /// Names the credential, if it is good.
    pub(crate) by: Option<&'a str>,
    /// The tenant, if the credential is for it.
    pub(crate) tenant: Option<&'a TenantId>,
}

/// The problem of a response, if it refuses who asks.
pub(crate) fn problem_of(response: &Response) -> Option<&Problem> {
    let problem = response.extensions().get::<Problem>()?;
    let code = problem.code();
    (code.rejects_caller() && is_about_the_caller(code)).then_some(problem)
}

/// Whether a refusal says something of the caller. Most verdicts say it of a session or an agent.
fn is_about_the_caller(code: Code) -> bool {
    match code {
        Code::Event(reason) => matches!(reason, Reason::OtherAgent | Reason::TenantMismatch),
        _ => true,
    }
}

impl Refusals {
    /// Counts a refusal, and tells it.
    pub(crate) fn note(&self, refusal: &Refusal<'_>, metrics: &Metrics) {
        let code = refusal.problem.code();
        let reason = refusal.why.map_or("", Refused::kind);
        metrics.refused(code.as_str(), reason);
        // Who shows no credential has not failed with one: scanners and probes do that all day.
        let due = match code {
            Code::CredentialRequired => None,
            _ => self.due((code.as_str(), reason), Instant::now()),
        };
        refusal.tell(due);
    }

    /// How many of a kind came untold since the last one that was told; `None` if that was just now.
    fn due(&self, kind: (&'static str, &'static str), now: Instant) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = kinds.get_mut(&kind);
        let first = told.is_none();
        let told = match told {
            Some(told) => told,
            None => kinds.entry(kind).or_insert(Told { at: now, untold: 0 }),
        };
        let every = Duration::from_millis(REFUSALS_TOLD_MS);
        if !first && now.saturating_duration_since(told.at) < every {
            told.untold += 1;
            return None;
        }
        told.at = now;
        Some(std::mem::take(&mut told.untold))
    }
}

impl Refusal<'_> {
    /// At level `warn` if it is due, else at `debug`.
    fn tell(&self, due: Option<u64>) {
        let code = self.problem.code();
        let (status, word) = (code.status().as_u16(), code.as_str());
        let why = match self.why {
            Some(why) => why.to_string(),
            None => self.problem.detail().to_owned(),
        };
        let (tenant, principal) = (self.tenant.map(TenantId::as_str), self.by);
        let Some(untold) = due else {
            return tracing::debug!(
                tenant.id = tenant,
                principal.id = principal,
                "refused with {status} {word}: {why}"
            );
        };
        let more = match untold {
            0 => String::new(),
            more => format!("; {more} more of this kind since the last such line"),
        };
        tracing::warn!(
            tenant.id = tenant,
            principal.id = principal,
            "refused with {status} {word}: {why}{more}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_kind_one_is_told_in_a_while_with_the_number_of_the_others() {
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
