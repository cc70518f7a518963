//! Random histories with few sessions, few ids and coarse times, so that events often interact.

use proptest::prelude::*;
use serde_json::{Value, json};
use session_ledger::domain::{Position, Timestamp};
use session_ledger::log::Record;
use session_ledger::wire::Headers;

/// Times are multiples of this, so that deadlines, refreshes and expiries coincide.
pub(crate) const TICK_US: i64 = 600 * 1_000_000;
/// The time at which histories begin.
pub(crate) const START_US: i64 = 1_700_000_000 * 1_000_000;

/// A tick before the year 2000.
const BEFORE_2000: i64 = -1_300_000;
const SWITCH: &str = "ledger.rules";

pub(crate) const TENANTS: [&str; 2] = ["acme", "globex"];
/// The last two are one UUID, in the canonical spelling and in another.
pub(crate) const PROJECTS: [&str; 4] = [
    "p0",
    "P0",
    "2489e9ad-2ee2-8e00-8ec9-32d5f69181c0",
    "2489E9AD-2ee2-8e00-8ec9-32d5f69181C0",
];

pub(crate) const AGENT_TYPES: [&str; 3] = ["worker", "unknown", ""];
pub(crate) const TRUST_LEVELS: [&str; 2] = ["low", "high"];

/// An event as its emitter knows it, and its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) tenant: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) subject: String,
    pub(crate) source: String,
    pub(crate) id: String,
    pub(crate) time: Option<i64>,
    pub(crate) data: Value,
    /// Set if the ledger writes the event because of a command.
    pub(crate) command: Option<Command>,
    /// Set if the body is not a valid event: the reason that the ledger must give.
    pub(crate) broken: Option<&'static str>,
    pub(crate) body: String,
}

/// The private part that the ledger adds to the event of a command. Tokens are numbers here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Command {
    pub(crate) existing: bool,
    pub(crate) agent_registered: bool,
    pub(crate) agent: Option<String>,
    pub(crate) presented: Option<u8>,
    pub(crate) given: Option<u8>,
}

impl Command {
    fn private(&self) -> Vec<u8> {
        let hash = |token: u8| hex::encode([token; 32]);
        let mut members = Vec::new();
        if self.existing {
            members.push(r#""existing":true"#.to_owned());
        }
        if self.agent_registered {
            members.push(r#""agent_registered":true"#.to_owned());
        }
        if let Some(agent) = &self.agent {
            members.push(format!(r#""agent":"{agent}""#));
        }
        if let Some(token) = self.presented {
            members.push(format!(r#""refresh_token":"{}""#, hash(token)));
        }
        if let Some(token) = self.given {
            let (access, refresh) = (hash(100 + token), hash(token));
            let tokens = format!(r#""tokens":{{"access":"{access}","refresh":"{refresh}"}}"#);
            members.push(tokens);
        }
        if members.is_empty() {
            return Vec::new();
        }
        format!("{{{}}}", members.join(",")).into_bytes()
    }
}

/// A sent event, and what the log adds to it.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    pub(crate) position: u64,
    pub(crate) recorded_at: i64,
    /// The version of the rules at this position.
    pub(crate) rules: u32,
    pub(crate) sent: Sent,
}

impl Sent {
    pub(crate) fn by_ledger(&self) -> bool {
        self.kind == "session.expired" || self.command.is_some()
    }

    /// Returns the record that switches to the second version of the rules.
    pub(crate) fn switch() -> Self {
        let body = json!({
            "specversion": "1.0", "id": "rules-2", "source": "urn:session-ledger:rules",
            "type": SWITCH, "subject": "rules", "data": {"version": 2},
        });
        Self {
            tenant: "",
            kind: SWITCH,
            subject: String::new(),
            source: String::new(),
            id: String::new(),
            time: None,
            data: Value::Null,
            command: None,
            broken: None,
            body: body.to_string(),
        }
    }

    pub(crate) fn is_switch(&self) -> bool {
        self.kind == SWITCH
    }
}

impl Logged {
    pub(crate) fn new(position: u64, recorded_at: i64, rules: u32, sent: Sent) -> Self {
        Self {
            position,
            recorded_at,
            rules,
            sent,
        }
    }

    /// An event of the first tenant as its emitter sends it, one second after the event before it.
    #[cfg(test)]
    pub(crate) fn plain(position: u64, kind: &'static str, subject: &str, data: Value) -> Self {
        let id = format!("e{position}");
        let body = json!({
            "specversion": "1.0", "id": id, "source": "/plain", "type": kind, "subject": subject, "data": data,
        });
        let sent = Sent {
            tenant: TENANTS[0],
            kind,
            subject: subject.to_owned(),
            source: "/plain".to_owned(),
            id,
            time: None,
            data,
            command: None,
            broken: None,
            body: body.to_string(),
        };
        let recorded_at = START_US + i64::try_from(position).unwrap() * 1_000_000;
        Self::new(position, recorded_at, 1, sent)
    }

    pub(crate) fn record(&self) -> Record {
        let sent = &self.sent;
        let system = if sent.by_ledger() { "sys." } else { "" };
        let private = sent.command.as_ref().map(Command::private);
        let subject = if sent.is_switch() {
            "ledger.sys.v1.rules".to_owned()
        } else {
            format!("ledger.{system}v1.{}.{}", sent.tenant, sent.kind)
        };
        Record {
            position: Position::new(self.position),
            recorded_at: Timestamp::from_micros(self.recorded_at).unwrap(),
            subject: subject.into(),
            private: private.unwrap_or_default().into(),
            headers: Headers::default(),
            payload: sent.body.clone().into(),
        }
    }
}

/// A history of up to this many records, some of them duplicates.
#[cfg(test)]
pub(crate) fn history(records_max: usize) -> impl Strategy<Value = Vec<Logged>> {
    // A pause of 0 or 1 ticks, or rarely of more than a day.
    let pause = prop_oneof![24 => 0..2_i64, 1 => Just(150_i64)];
    let step = (
        sent(),
        proptest::option::weighted(0.15, any::<prop::sample::Index>()),
        pause,
    );
    // Most histories switch to newer rules, some of them in the first record.
    let switch = prop_oneof![
        1 => Just(None),
        1 => Just(Some(0)),
        3 => (0..records_max).prop_map(Some),
    ];
    let steps = prop::collection::vec(step, 1..records_max);
    (steps, switch).prop_map(|(steps, switch)| {
        let mut history: Vec<Logged> = Vec::with_capacity(steps.len() + 1);
        let (mut now, mut rules) = (START_US, 1);
        for (number, (sent, copy_of, pause)) in steps.into_iter().enumerate() {
            now += pause * TICK_US;
            if switch == Some(number) {
                history.push(Logged {
                    position: number as u64 + 1,
                    recorded_at: now,
                    rules,
                    sent: Sent::switch(),
                });
                rules = 2;
            }
            let sent = match copy_of {
                Some(index) if !history.is_empty() => {
                    history[index.index(history.len())].sent.clone()
                }
                _ => sent,
            };
            let position = history.len() as u64 + 1;
            history.push(Logged {
                position,
                recorded_at: now,
                rules,
                sent,
            });
        }
        history
    })
}

/// Any event, as a runtime or another ledger writes it.
pub(crate) fn sent() -> impl Strategy<Value = Sent> {
    let who = (0..TENANTS.len(), 0..12_u8, 0..2_u8, 0..60_u16);
    let tick = prop_oneof![40 => -3..40_i64, 1 => Just(BEFORE_2000)];
    let time = proptest::option::weighted(0.9, tick);
    let command = proptest::option::weighted(0.25, command());
    (who, time, happening(), command).prop_map(
        |((tenant, subject, source, id), time, (kind, data), command)| {
            let is_agent = kind.starts_with("agent");
            let subject = if is_agent {
                format!("a{}", subject % 6)
            } else {
                session(subject)
            };
            let mut sent = Sent {
                tenant: TENANTS[tenant],
                kind,
                subject,
                source: format!("/runtime/{source}"),
                id: format!("e{id}"),
                time: time.map(|ticks| START_US + ticks * TICK_US),
                data,
                command,
                broken: None,
                body: String::new(),
            };
            write_body(&mut sent);
            sent
        },
    )
}

fn command() -> impl Strategy<Value = Command> {
    let token = || proptest::option::weighted(0.4, 0..2_u8);
    let agent = proptest::option::weighted(0.15, (0..4_u8).prop_map(|n| format!("a{n}")));
    let flags = (
        proptest::bool::weighted(0.3),
        proptest::bool::weighted(0.15),
    );
    (flags, agent, token(), token()).prop_map(
        |((existing, agent_registered), agent, presented, given)| Command {
            existing,
            agent_registered,
            agent,
            presented,
            given,
        },
    )
}

fn happening() -> impl Strategy<Value = (&'static str, Value)> {
    prop_oneof![
        8 => created().prop_map(|data| ("session.created", data)),
        5 => refreshed().prop_map(|data| ("session.refreshed", data)),
        3 => handed_off().prop_map(|data| ("session.handed_off", data)),
        4 => terminated().prop_map(|data| ("session.terminated", data)),
        6 => (0..40_i64).prop_map(|tick| ("session.expired", json!({"expires_at": time(tick)}))),
        2 => agent().prop_map(|data| ("agent.registered", data)),
        2 => agent().prop_map(|data| ("agent.updated", data)),
        1 => Just(("agent.suspended", json!({}))),
        1 => Just(("agent.reinstated", json!({}))),
        1 => Just(("agent.revoked", json!({}))),
        1 => Just(("not json", Value::Null)),
        1 => Just(("unknown type", Value::Null)),
        1 => Just(("wrong tenant", Value::Null)),
        1 => Just(("no agent", Value::Null)),
    ]
}

/// One of twelve sessions.
pub(crate) fn session(number: u8) -> String {
    format!("s{number}")
}

/// Writes the body of an event. Some events are broken on purpose, as their kind says.
fn write_body(sent: &mut Sent) {
    let broken = match sent.kind {
        "not json" => Some("not_json"),
        "unknown type" => Some("unknown_type"),
        "wrong tenant" => Some("tenant_mismatch"),
        "no agent" => Some("invalid"),
        _ => None,
    };
    let how = sent.kind;
    if broken.is_some() {
        sent.kind = "session.created";
        sent.data = json!({});
    }
    sent.broken = broken;
    // An event whose session is its own parent or child would be invalid.
    for (member, other) in [
        ("session_id", json!("s12")),
        ("parent_session_id", Value::Null),
    ] {
        if sent.data[member] == json!(sent.subject) {
            sent.data[member] = other;
        }
    }
    let mut body = json!({
        "specversion": "1.0",
        "id": sent.id,
        "source": sent.source,
        "type": if how == "unknown type" { "session.paused" } else { sent.kind },
        "subject": sent.subject,
        "tenantid": if how == "wrong tenant" { "initech" } else { sent.tenant },
        "data": sent.data,
    });
    if let Some(us) = sent.time {
        body["time"] = json!(Timestamp::from_micros(us).unwrap());
    }
    sent.body = if how == "not json" {
        "{]".to_owned()
    } else {
        body.to_string()
    };
}

fn time(tick: i64) -> Timestamp {
    Timestamp::from_micros(START_US + tick * TICK_US).unwrap()
}

/// A change of the deadline by a refresh.
fn renewal() -> impl Strategy<Value = Option<(&'static str, Value)>> {
    prop_oneof![4 => deadline(), 1 => Just(Some(("extend", json!(true))))]
}

/// A deadline in one of its two spellings, or none.
fn deadline() -> impl Strategy<Value = Option<(&'static str, Value)>> {
    prop_oneof![
        2 => Just(None),
        3 => (1..12_i64).prop_map(|ticks| Some(("ttl_seconds", json!(ticks * TICK_US / 1_000_000)))),
        1 => (0..50_i64).prop_map(|tick| Some(("expires_at", json!(time(tick))))),
    ]
}

fn scopes() -> impl Strategy<Value = Option<Vec<&'static str>>> {
    proptest::option::of(prop::sample::subsequence(vec!["read", "write"], 0..=2))
}

fn metadata() -> impl Strategy<Value = Option<Value>> {
    let value = prop_oneof![
        Just(Value::Null),
        (0..3_u8).prop_map(|n| json!(n)),
        (0..3_u8).prop_map(|n| json!({"deep": n})),
    ];
    let members =
        prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c"]), value, 0..3);
    proptest::option::of(members.prop_map(|members| json!(members)))
}

fn phase() -> impl Strategy<Value = Option<&'static str>> {
    proptest::option::of(prop::sample::select(vec!["ready", "running", "paused"]))
}

fn created() -> impl Strategy<Value = Value> {
    let parent = proptest::option::weighted(0.2, 0..12_u8);
    let project = proptest::option::weighted(0.5, prop::sample::select(PROJECTS.to_vec()));
    (
        0..4_u8,
        deadline(),
        scopes(),
        metadata(),
        phase(),
        parent,
        project,
    )
        .prop_map(
            |(agent, deadline, scopes, metadata, phase, parent, project)| {
                let mut data = json!({
                    "agent_id": format!("a{agent}"),
                    "scopes": scopes,
                    "metadata": metadata,
                    "phase": phase,
                    "parent_session_id": parent.map(session),
                    "project_id": project,
                    "user_id": (0 < agent).then(|| format!("u{}", agent % 2)),
                });
                set(&mut data, deadline);
                data
            },
        )
}

fn refreshed() -> impl Strategy<Value = Value> {
    (renewal(), metadata(), phase()).prop_map(|(renewal, metadata, phase)| {
        let mut data = json!({"metadata": metadata, "phase": phase});
        set(&mut data, renewal);
        data
    })
}

fn handed_off() -> impl Strategy<Value = Value> {
    let deadline = proptest::option::of(0..50_i64);
    (0..4_u8, 0..12_u8, scopes(), metadata(), deadline).prop_map(
        |(agent, child, scopes, metadata, deadline)| {
            json!({
                "to_agent_id": format!("a{agent}"),
                "session_id": session(child),
                "scopes": scopes,
                "metadata": metadata,
                "expires_at": deadline.map(time),
            })
        },
    )
}

fn terminated() -> impl Strategy<Value = Value> {
    let outcome = prop::sample::select(vec!["completed", "error", "deleted"]);
    proptest::option::of(outcome).prop_map(|outcome| json!({"outcome": outcome}))
}

fn agent() -> impl Strategy<Value = Value> {
    let agent_type = proptest::option::of(prop::sample::select(AGENT_TYPES.to_vec()));
    let trust_level = proptest::option::of(prop::sample::select(TRUST_LEVELS.to_vec()));
    let expires_at = proptest::option::weighted(0.2, (0..50_i64).prop_map(time));
    let texts = (agent_type, trust_level);
    (scopes(), texts, expires_at).prop_map(|(scopes, (agent_type, trust_level), expires_at)| {
        json!({
            "scopes": scopes,
            "agent_type": agent_type,
            "trust_level": trust_level,
            "expires_at": expires_at,
        })
    })
}

fn set(data: &mut Value, member: Option<(&'static str, Value)>) {
    if let Some((name, value)) = member {
        data[name] = value;
    }
}
