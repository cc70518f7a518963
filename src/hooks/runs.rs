//! The latest run of each session, as far as the calls of hooks on one machine know it.
//!
//! A hook must not wait for the ledger, so it decides from these which session a call is about. They are a
//! guess: while the ledger is away, it does not learn that a session goes on, and expires it. The verdict on a
//! refresh shows that ([`Runs::judged`]), and the call is planned again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::limits::HOOK_SESSIONS_MAX;
use crate::domain::{Reason, SessionId, Timestamp, Verdict};
use crate::hooks::{Call, Options, Plan, Run, Standing};

/// The latest run of each session. If they are lost, prompts and resumptions find them again by the verdicts.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Runs {
    /// By the runtime and its id of the session.
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
    /// When the run was opened, resumed last or ended, if that is known.
    since_us: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// A call is about to open it. If the call is lost or killed, the next one opens it.
    Opening,
    Open,
    Ended,
    /// The ledger has ended it, or its deadline has passed there.
    Over,
}

impl Runs {
    /// Reads them. What is damaged counts as lost.
    pub fn decode(bytes: &[u8]) -> Self {
        let read = serde_json::from_slice::<BTreeMap<String, BTreeMap<String, Value>>>(bytes);
        let sessions = read.ok().and_then(|mut read| read.remove("sessions"));
        let known = sessions.unwrap_or_default().into_iter();
        let known = known.filter_map(|(id, known)| Some((id, serde_json::from_value(known).ok()?)));
        Self {
            sessions: known.collect(),
        }
    }

    /// Writes them.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("runs are JSON")
    }

    /// The latest run of a call's session, as it stands at the time of the call.
    pub fn known(&self, call: &Call) -> Run {
        let Some(known) = self.sessions.get(&key(call)) else {
            return Run::FIRST;
        };
        let standing = match known.state {
            State::Opening => Standing::New,
            State::Ended => Standing::Ended,
            State::Open if call.at().micros() < known.expires_us => Standing::Open,
            State::Open | State::Over => Standing::Expired,
        };
        Run {
            number: known.number,
            standing,
            since: known.since_us.and_then(Timestamp::from_micros),
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
        let is_open = |known: Known| known.state == State::Open;
        let state = match run.standing {
            Standing::Ended => State::Ended,
            _ if self.of(call, run).is_some_and(is_open) => return false,
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

    /// Whether the verdicts show that a call was planned from a wrong guess. `run` is the run of its plan, and
    /// `opens` whether the plan opens or ends it.
    pub fn refute(&self, call: &Call, run: Option<Run>, opens: bool) -> bool {
        let known = self.known(call);
        let is_wrong = match known.standing {
            Standing::Expired => true,
            // If this call has opened it already, the ledger has refused that.
            Standing::New => !opens,
            Standing::Open | Standing::Ended => false,
        };
        is_wrong && run == Some(known.now(Standing::Open))
    }

    /// Learns from the verdict on a refresh of a session: the session may be over, or the ledger may not have
    /// it. Returns whether this changes anything.
    pub fn judged(&mut self, session: &SessionId, verdict: &str, reason: Option<&str>) -> bool {
        let over = [Reason::NotActive, Reason::SessionExpired];
        if over.iter().any(|over| reason == Some(over.code())) {
            return self.learn(session, State::Over);
        }
        verdict == Verdict::Parked.as_str() && self.learn(session, State::Opening)
    }

    fn learn(&mut self, session: &SessionId, state: State) -> bool {
        let goes_on = |known: &Known| matches!(known.state, State::Opening | State::Open);
        let is_of = |id: &str, known: &Known| {
            let of = id
                .split_once('/')
                .and_then(|(_, id)| SessionId::parse(id).ok());
            let run = Run::numbered(known.number);
            of.is_some_and(|of| run.session(&of).as_ref() == Ok(session))
        };
        let mut known = self.sessions.iter_mut();
        let found = known.find(|(id, known)| goes_on(known) && is_of(id, known));
        let is_found = found.is_some();
        if let Some((_, known)) = found {
            known.state = state;
        }
        is_found
    }

    /// What is known of a run of a call's session.
    fn of(&self, call: &Call, run: Run) -> Option<Known> {
        let known = self.sessions.get(&key(call)).copied();
        known.filter(|known| known.number == run.number)
    }

    fn set(&mut self, call: &Call, run: Run, state: State, options: &Options) {
        let ttl_us = i64::try_from(options.ttl_seconds.saturating_mul(1_000_000));
        let called_us = call.at().micros();
        let before = self.of(call, run);
        let before = before.filter(|known| known.state != State::Opening);
        let ttl_us = before.map_or(ttl_us.unwrap_or(i64::MAX), |known| known.ttl_us);
        let expires_us = called_us.saturating_add(ttl_us);
        let known = Known {
            number: run.number,
            state,
            called_us,
            // A call that arrives late does not shorten the time.
            expires_us: before.map_or(expires_us, |known| known.expires_us.max(expires_us)),
            ttl_us,
            since_us: run.since.map(Timestamp::micros),
        };
        self.sessions.insert(key(call), known);
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

/// Two runtimes may use the same id.
fn key(call: &Call) -> String {
    format!("{}/{}", call.runtime().as_str(), call.session())
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
    }

    #[test]
    fn a_damaged_entry_costs_only_itself() {
        let mut runs = Runs::default();
        let open = after(Run::FIRST.now(Standing::Open));
        runs.remember(&call("a", 100), &open, &OPTIONS);
        let text = String::from_utf8(runs.encode()).unwrap();
        let damaged = text.replacen(
            r#"{"sessions":{"#,
            r#"{"sessions":{"codex/b":{"number":7},"#,
            1,
        );
        assert_eq!(Runs::decode(damaged.as_bytes()), runs);
        assert_eq!(Runs::decode(b"{\"sessions\":"), Runs::default());
    }

    #[test]
    fn a_session_that_is_over_in_the_ledger_is_over_here() {
        let mut runs = Runs::default();
        let second = after(Run::numbered(2).now(Standing::Open));
        runs.remember(&call("a", 100), &second, &OPTIONS);
        let id = |text: &str| SessionId::parse(text).unwrap();
        let over = |runs: &mut Runs, session| {
            let reason = Reason::NotActive.code();
            runs.judged(&id(session), "rejected", Some(reason))
        };
        assert!(!over(&mut runs, "a"));
        assert!(over(&mut runs, "a.2"));
        assert_eq!(runs.known(&call("a", 100)).standing, Standing::Expired);
        assert!(!over(&mut runs, "a.2"));
        runs.remember(&call("a", 100), &second, &OPTIONS);
        assert!(!runs.judged(&id("a.2"), "applied", None));
        assert!(runs.judged(&id("a.2"), "parked", None));
        assert_eq!(runs.known(&call("a", 100)).standing, Standing::New);
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
