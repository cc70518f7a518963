//! The latest run of each session, as far as the calls of hooks on one machine know it.
//!
//! A hook must not wait for the ledger, so it decides from these which session a call is about. They follow
//! the ledger: a run ends with its end or its deadline, and only the events that extend its session in the
//! ledger move the deadline here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;
use crate::domain::limits::HOOK_SESSIONS_MAX;
use crate::hooks::{Call, Options, Plan, Run, Standing};

/// The latest run of each session. If they are lost, the next call of a hook opens the first run again,
/// which changes nothing.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs {
    /// By the runtime's id of the session.
    sessions: BTreeMap<String, Known>,
}

/// What is known of a session. Times are in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// The number of the run.
    number: u32,
    state: State,
    /// The last call that changed the run.
    called_us: i64,
    /// When the run expires.
    expires_us: i64,
    /// The time to live with which the run was opened: the ledger extends by it.
    ttl_us: i64,
    /// When the run opened, if that is known.
    opened_us: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// A call is about to open it. If the call is lost or killed, the next one opens it.
    Opening,
    Open,
    Ended,
}

impl Runs {
    /// Reads them. A file that is damaged counts as empty.
    pub fn decode(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }

    /// Writes them.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("runs are JSON")
    }

    /// The latest run of a call's session, as it stands at the time of the call.
    pub fn known(&self, call: &Call) -> Run {
        let Some(known) = self.sessions.get(call.session().as_str()) else {
            return Run::FIRST;
        };
        let standing = match known.state {
            State::Ended => Standing::Ended,
            State::Opening | State::Open if known.expires_us <= call.at().micros() => {
                Standing::Expired
            }
            State::Opening => Standing::New,
            State::Open => Standing::Open,
        };
        Run {
            number: known.number,
            standing,
            opened_at: known.opened_us.and_then(Timestamp::from_micros),
        }
    }

    /// Notes a plan before its events are written: they may be lost, because the spool is full, or the
    /// process may be killed. Returns whether this changes anything.
    ///
    /// A run that is about to open is not open yet. An end counts at once: a session that seems to go on
    /// could not be resumed. A refresh is not noted, because it may not have moved the deadline.
    pub fn prepare(&mut self, call: &Call, plan: &Plan, options: &Options) -> bool {
        let Some(run) = plan.run else {
            return false;
        };
        let before = self.of(call, run);
        let state = match run.standing {
            Standing::Ended => State::Ended,
            _ if before.is_some_and(|known| known.state == State::Open) => return false,
            _ => State::Opening,
        };
        self.set(call, run, state, options);
        true
    }

    /// Remembers what the events of a plan did to the run. Returns whether this changes anything.
    pub fn remember(&mut self, call: &Call, plan: &Plan, options: &Options) -> bool {
        let Some(run) = plan.run else {
            return false;
        };
        let state = match run.standing {
            Standing::Ended => State::Ended,
            _ => State::Open,
        };
        self.set(call, run, state, options);
        true
    }

    /// What is known of a run of a call's session.
    fn of(&self, call: &Call, run: Run) -> Option<Known> {
        let known = self.sessions.get(call.session().as_str()).copied();
        known.filter(|known| known.number == run.number)
    }

    fn set(&mut self, call: &Call, run: Run, state: State, options: &Options) {
        let ttl_us = i64::try_from(options.ttl_seconds.saturating_mul(1_000_000));
        let ttl_us = ttl_us.unwrap_or(i64::MAX);
        let called_us = call.at().micros();
        let due = |ttl_us: i64| called_us.saturating_add(ttl_us);
        let (ttl_us, expires_us) = match self.of(call, run) {
            None => (ttl_us, due(ttl_us)),
            Some(known) if known.state == State::Opening => {
                // Each of the two calls may be the one that opens the run.
                let ttl_us = known.ttl_us.min(ttl_us);
                let due = due(ttl_us);
                let is_certain = state != State::Opening;
                (
                    ttl_us,
                    if is_certain {
                        due
                    } else {
                        due.min(known.expires_us)
                    },
                )
            }
            // A call that arrives late does not shorten the time.
            Some(known) => (known.ttl_us, due(known.ttl_us).max(known.expires_us)),
        };
        let known = Known {
            number: run.number,
            state,
            called_us,
            expires_us,
            ttl_us,
            opened_us: run.opened_at.map(Timestamp::micros),
        };
        self.sessions
            .insert(call.session().as_str().to_owned(), known);
        self.forget_quiet_ones();
    }

    fn forget_quiet_ones(&mut self) {
        while HOOK_SESSIONS_MAX < self.sessions.len() {
            let sessions = self.sessions.iter();
            let quiet = sessions.min_by_key(|(_, known)| known.called_us);
            let Some(id) = quiet.map(|(id, _)| id.clone()) else {
                return;
            };
            self.sessions.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::Runtime;

    const OPTIONS: Options = Options {
        agent: None,
        project: None,
        ttl_seconds: 60,
    };

    fn call(session: &str, seconds: i64) -> Call {
        let input = format!(r#"{{"hook_event_name": "Stop", "session_id": "{session}"}}"#);
        let now = Timestamp::from_micros(seconds * 1_000_000).unwrap();
        Call::read(Runtime::Codex, input.as_bytes(), now).unwrap()
    }

    fn after(run: Run) -> Plan {
        Plan {
            run: Some(run),
            ..Plan::default()
        }
    }

    #[test]
    fn a_run_is_known_until_its_deadline_and_its_end() {
        let mut runs = Runs::default();
        let first = Run::FIRST.now(Standing::Open);
        assert!(runs.remember(&call("a", 100), &after(first), &OPTIONS));
        let ended = after(Run::FIRST.next().now(Standing::Ended));
        assert!(runs.remember(&call("b", 100), &ended, &OPTIONS));
        assert!(!runs.remember(&call("a", 150), &Plan::default(), &OPTIONS));
        let runs = Runs::decode(&runs.encode());
        let standing = |id, now| runs.known(&call(id, now)).standing;
        assert_eq!(standing("a", 159), Standing::Open);
        assert_eq!(standing("a", 160), Standing::Expired);
        assert_eq!(standing("b", 160), Standing::Ended);
        assert_eq!(runs.known(&call("b", 0)).number, 2);
        assert_eq!(standing("c", 100), Standing::New);
        assert_eq!(Runs::decode(b"{\"sessions\":"), Runs::default());
    }

    #[test]
    fn the_sessions_that_were_quiet_longest_are_forgotten() {
        let mut runs = Runs::default();
        let open = after(Run::FIRST.now(Standing::Open));
        for number in 0..=HOOK_SESSIONS_MAX {
            let second = i64::try_from(number).unwrap();
            runs.remember(&call(&format!("s-{number}"), second), &open, &OPTIONS);
        }
        assert_eq!(runs.sessions.len(), HOOK_SESSIONS_MAX);
        assert_eq!(runs.known(&call("s-0", 0)), Run::FIRST);
        assert_eq!(runs.known(&call("s-1", 0)).standing, Standing::Open);
    }
}
