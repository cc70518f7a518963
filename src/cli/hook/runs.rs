//! The runs of sessions that the calls of hooks on this machine know of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;
use crate::domain::limits::HOOK_SESSIONS_MAX;
use crate::hooks::{Call, Run, Standing};

/// The latest run of each session. If they are lost, the next call of a hook opens the first run again,
/// which changes nothing.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Runs {
    /// By the runtime's id of the session.
    sessions: BTreeMap<String, Known>,
}

/// What is known of a session.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    number: u32,
    ended: bool,
    /// The last call, in microseconds since 1970.
    called_us: i64,
    /// When the run expires, in microseconds since 1970.
    expires_us: i64,
    /// When the run opened, in microseconds since 1970, if that is known.
    opened_us: Option<i64>,
}

impl Runs {
    /// Reads them. A file that is damaged counts as empty.
    pub(super) fn decode(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("runs are JSON")
    }

    /// The latest run of a call's session, as it stands at the time of the call.
    pub(super) fn known(&self, call: &Call) -> Option<Run> {
        let known = self.sessions.get(call.session().as_str())?;
        let standing = match known {
            Known { ended: true, .. } => Standing::Ended,
            Known { expires_us, .. } if *expires_us <= call.at().micros() => Standing::Expired,
            Known { .. } => Standing::Open,
        };
        Some(Run {
            number: known.number,
            standing,
            opened_at: known.opened_us.and_then(Timestamp::from_micros),
        })
    }

    /// Remembers the run of a call's session after the call.
    pub(super) fn remember(&mut self, call: &Call, run: Option<Run>, ttl_seconds: u64) {
        let Some(run) = run else {
            return;
        };
        let ttl_us = i64::try_from(ttl_seconds.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
        let called_us = call.at().micros();
        let expires_us = match run.standing {
            // It stays expired.
            Standing::Expired => called_us,
            Standing::Open | Standing::Ended => called_us.saturating_add(ttl_us),
        };
        let known = Known {
            number: run.number,
            ended: run.standing == Standing::Ended,
            called_us,
            expires_us,
            opened_us: run.opened_at.map(Timestamp::micros),
        };
        self.sessions
            .insert(call.session().as_str().to_owned(), known);
        while HOOK_SESSIONS_MAX < self.sessions.len() {
            let oldest = self
                .sessions
                .iter()
                .min_by_key(|(_, known)| known.called_us);
            let Some(id) = oldest.map(|(id, _)| id.clone()) else {
                return;
            };
            self.sessions.remove(&id);
        }
    }

    /// Forgets a call's session.
    pub(super) fn forget(&mut self, call: &Call) {
        self.sessions.remove(call.session().as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::Runtime;

    fn call(session: &str, seconds: i64) -> Call {
        let input = format!(r#"{{"hook_event_name": "Stop", "session_id": "{session}"}}"#);
        let now = Timestamp::from_micros(seconds * 1_000_000).unwrap();
        Call::read(Runtime::Codex, input.as_bytes(), now).unwrap()
    }

    #[test]
    fn a_run_is_known_until_its_deadline_and_its_end() {
        let mut runs = Runs::default();
        runs.remember(&call("a", 100), Some(Run::FIRST), 60);
        runs.remember(&call("b", 100), Some(Run::FIRST.next().ended()), 60);
        let runs = Runs::decode(&runs.encode());
        let standing = |id, now| runs.known(&call(id, now)).map(|run| run.standing);
        assert_eq!(standing("a", 159), Some(Standing::Open));
        assert_eq!(standing("a", 160), Some(Standing::Expired));
        assert_eq!(standing("b", 160), Some(Standing::Ended));
        assert_eq!(runs.known(&call("b", 0)).unwrap().number, 2);
        assert_eq!(standing("c", 100), None);
        assert_eq!(Runs::decode(b"{\"sessions\":").sessions.len(), 0);
    }

    #[test]
    fn the_sessions_that_were_quiet_longest_are_forgotten() {
        let mut runs = Runs::default();
        for number in 0..=HOOK_SESSIONS_MAX {
            let second = i64::try_from(number).unwrap();
            let session = format!("s-{number}");
            runs.remember(&call(&session, second), Some(Run::FIRST), 60);
        }
        assert_eq!(runs.sessions.len(), HOOK_SESSIONS_MAX);
        assert!(runs.known(&call("s-0", 0)).is_none());
        assert!(runs.known(&call("s-1", 0)).is_some());
    }
}
