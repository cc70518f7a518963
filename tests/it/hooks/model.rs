//! What the hooks of a machine know of a session, compared with the ledger: any calls at any times, also
//! calls whose events are lost, whose process is killed, or that find the ledger away.

use std::collections::BTreeSet;

use proptest::prelude::*;
use redb::backends::InMemoryBackend;
use serde_json::{Value, json};
use session_ledger::domain::session::Status;
use session_ledger::domain::{Position, Rules, SessionId, TenantId, Timestamp, Verdict};
use session_ledger::hooks::{Call, Emission, Options, Run, Runs, Runtime, Standing, plan};
use session_ledger::log::Record;
use session_ledger::projection::{Commit, Prepared, Store};
use session_ledger::query::{Sight, sessions};
use session_ledger::wire::Headers;

const START_US: i64 = 1_700_000_000_000_000;
const SECOND_US: i64 = 1_000_000;
const TTLS: [u64; 2] = [60, 600];

/// The names of hooks of Claude Code, each with its `source`.
const HOOKS: [(&str, &str); 8] = [
    ("SessionStart", "startup"),
    ("SessionStart", "resume"),
    ("SessionStart", "compact"),
    ("UserPromptSubmit", ""),
    ("Stop", ""),
    ("SubagentStart", ""),
    ("SubagentStop", ""),
    ("SessionEnd", ""),
];

/// What disturbs a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The process is killed before it does anything.
    Unstarted,
    /// The spool is full, or the process is killed before it writes to it.
    Lost,
    /// The process is killed after it has written to the spool.
    Killed,
    /// The ledger does not answer.
    Away,
}

const FAULTS: &[Fault] = &[
    Fault::None,
    Fault::Unstarted,
    Fault::Lost,
    Fault::Killed,
    Fault::Away,
];

/// A call of a hook.
#[derive(Debug, Clone)]
struct Step {
    hook: usize,
    /// Seconds since the call before.
    after: i64,
    ttl: usize,
    fault: Fault,
}

fn steps(fault: impl Strategy<Value = Fault> + 'static) -> impl Strategy<Value = Vec<Step>> {
    // Calls that nothing tells apart count as one within ten seconds.
    let step = (0..HOOKS.len(), 1..30_i64, 0..TTLS.len(), fault);
    let step = step.prop_map(|(hook, after, ttl, fault)| Step {
        hook,
        after: after * 10,
        ttl,
        fault,
    });
    let steps = prop::collection::vec(step, 1..40);
    // A runtime starts a session once, if the hooks are installed by then.
    let starts = |step: &Step| HOOKS[step.hook].1 == "startup";
    steps.prop_map(move |mut steps| {
        let first = steps[..1].to_vec();
        steps.retain(|step| !starts(step));
        [first, steps].concat()
    })
}

/// A machine with hooks, and its ledger.
struct World {
    store: Store,
    position: u64,
    now: i64,
    runs: Runs,
    spool: Vec<Emission>,
    /// The sessions of the ledger.
    sessions: BTreeSet<SessionId>,
}

impl World {
    fn new() -> Self {
        let store = Store::open_on(InMemoryBackend::new()).unwrap();
        let mut world = Self {
            store,
            position: 0,
            now: START_US,
            runs: Runs::default(),
            spool: Vec::new(),
            sessions: BTreeSet::new(),
        };
        let rules = json!({"specversion": "1.0", "id": "rules", "source": "/test",
            "type": "ledger.rules", "subject": "rules",
            "data": {"version": Rules::LATEST.number()}});
        let verdict = world.fold("ledger.sys.v1.rules", &rules.to_string());
        assert_eq!(verdict, Verdict::Applied);
        world
    }

    fn fold(&mut self, subject: &str, body: &str) -> Verdict {
        self.position += 1;
        let record = Record {
            position: Position::new(self.position),
            recorded_at: self.at(0),
            subject: subject.into(),
            private: bytes::Bytes::new(),
            headers: Headers::default(),
            payload: body.to_owned().into(),
        };
        let batch = [Prepared::new(Rules::LATEST, record)];
        self.store.fold(&batch, Commit::Visible).unwrap().verdicts[0]
    }

    /// The time in so many seconds.
    fn at(&self, seconds: i64) -> Timestamp {
        Timestamp::from_micros(self.now + seconds * SECOND_US).unwrap()
    }

    fn call(&self, hook: usize, number: usize, seconds: i64) -> Call {
        let (name, source) = HOOKS[hook];
        let input = json!({"hook_event_name": name, "session_id": "s", "source": source,
            "prompt_id": number, "agent_id": format!("a{number}"), "reason": "other"});
        let input = input.to_string();
        Call::read(Runtime::ClaudeCode, input.as_bytes(), self.at(seconds)).unwrap()
    }

    /// Makes a call, as the command does.
    fn take(&mut self, number: usize, step: &Step) {
        self.now += step.after * SECOND_US;
        if step.fault == Fault::Unstarted {
            return;
        }
        let call = self.call(step.hook, number, 0);
        let options = Options {
            agent: None,
            project: None,
            ttl_seconds: TTLS[step.ttl],
        };
        let (mut run, mut opens) = self.record(&call, &options, step.fault);
        if step.fault != Fault::None {
            return;
        }
        self.expire();
        for _ in 0..8 {
            self.send();
            if !self.runs.refute(&call, run, opens) {
                break;
            }
            (run, opens) = self.record(&call, &options, Fault::None);
        }
    }

    fn record(&mut self, call: &Call, options: &Options, fault: Fault) -> (Option<Run>, bool) {
        let plan = plan(call, self.runs.known(call), options).unwrap();
        let opens = self.runs.prepare(call, &plan, options);
        if fault != Fault::Lost {
            self.spool.extend(plan.events.iter().cloned());
        }
        if !matches!(fault, Fault::Lost | Fault::Killed) {
            self.runs.remember(call, &plan, options);
        }
        self.runs = Runs::decode(&self.runs.encode());
        (plan.run, opens)
    }

    fn send(&mut self) {
        for event in std::mem::take(&mut self.spool) {
            let body: Value = serde_json::from_str(&event.json).unwrap();
            let kind = body["type"].as_str().unwrap();
            let verdict = self.fold(&format!("ledger.v1.acme.{kind}"), &event.json);
            if kind == "session.refreshed" {
                let reason = match verdict {
                    Verdict::Rejected(reason) => Some(reason.code()),
                    _ => None,
                };
                self.runs.judged(&event.session, verdict.as_str(), reason);
            }
            self.sessions.insert(event.session);
        }
    }

    /// Writes what the ledger writes when a deadline has passed.
    fn expire(&mut self) {
        for session in self.sessions.clone() {
            let Some(due) = self.deadline(&session).filter(|due| *due <= self.at(0)) else {
                continue;
            };
            let expired = json!({"specversion": "1.0", "id": format!("expired-{}", due.micros()),
                "source": "urn:session-ledger:expiry", "type": "session.expired", "subject": session,
                "time": due, "data": {"expires_at": due}});
            self.fold("ledger.sys.v1.acme.session.expired", &expired.to_string());
        }
    }

    fn deadline(&self, session: &SessionId) -> Option<Timestamp> {
        let snapshot = self.store.snapshot().unwrap();
        let acme = TenantId::parse("acme").unwrap();
        let found = sessions::get(&snapshot, Sight::of_tenant(&acme), session).unwrap()?;
        let row = found.row().unwrap();
        row.expires_at.filter(|_| row.status == Status::Active)
    }

    /// The latest run that the machine knows, as it will stand in so many seconds.
    fn known(&self, seconds: i64) -> Run {
        self.runs.known(&self.call(0, 0, seconds))
    }

    /// The status of a run in the ledger, in so many seconds.
    fn status(&self, run: Run, seconds: i64) -> Option<Status> {
        let id = run.session(&SessionId::parse("s").unwrap()).unwrap();
        let snapshot = self.store.snapshot().unwrap();
        let acme = TenantId::parse("acme").unwrap();
        let found = sessions::get(&snapshot, Sight::of_tenant(&acme), &id).unwrap();
        found.map(|found| found.row().unwrap().status_at(self.at(seconds)))
    }
}

proptest! {
    /// A hook that counted on another deadline than the ledger would refresh a session that has expired.
    #[test]
    fn the_hooks_know_what_the_ledger_has(
        steps in steps(Just(Fault::None)),
        later in 0..700_i64,
    ) {
        let mut world = World::new();
        for (number, step) in steps.iter().enumerate() {
            world.take(number, step);
            for seconds in [0, later] {
                let run = world.known(seconds);
                let expected = match run.standing {
                    Standing::New => None,
                    Standing::Open => Some(Status::Active),
                    Standing::Ended => Some(Status::Terminated),
                    Standing::Expired => Some(Status::Expired),
                };
                prop_assert_eq!(world.status(run, seconds), expected, "{}: {:?}", number, step);
            }
        }
    }

    /// Whatever happened before, a session that goes on shows.
    #[test]
    fn a_resumption_or_prompt_that_is_not_disturbed_shows_an_active_session(
        steps in steps(prop::sample::select(FAULTS)),
    ) {
        let mut world = World::new();
        for (number, step) in steps.iter().enumerate() {
            world.take(number, step);
            let (hook, source) = HOOKS[step.hook];
            let resumes = source == "resume";
            let shows = resumes || hook == "UserPromptSubmit";
            if shows && step.fault == Fault::None {
                let run = world.known(0);
                prop_assert_eq!(world.status(run, 0), Some(Status::Active), "{}: {:?}", number, step);
            }
        }
    }
}
