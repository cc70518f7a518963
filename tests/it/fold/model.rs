//! A naive model of the ledger: lists, loops, and the transition tables again.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use session_ledger::domain::Timestamp;

use crate::fold::history::{Command, Logged, Sent};
use crate::fold::model_agents::ModelAgent;

const MINUTE_US: i64 = 60 * 1_000_000;
const YEAR_2000_US: i64 = 946_684_800 * 1_000_000;
const DAY_US: i64 = 24 * 60 * MINUTE_US;

/// A verdict: `applied`, `parked`, `duplicate 7` or a reason.
pub(crate) type Verdict = String;

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) sessions: Vec<ModelSession>,
    /// The agents, in the order in which they became known.
    pub(crate) agents: Vec<ModelAgent>,
    parked: Vec<Logged>,
    /// By position: the verdict, and the position at which it was settled if the event was parked.
    pub(crate) verdicts: BTreeMap<u64, (Verdict, Option<u64>)>,
}

#[derive(Debug, Clone)]
pub(crate) struct ModelSession {
    pub(crate) tenant: String,
    pub(crate) id: String,
    pub(crate) agent: String,
    pub(crate) status: &'static str,
    pub(crate) created: i64,
    pub(crate) recorded: i64,
    pub(crate) updated: i64,
    pub(crate) activity: i64,
    pub(crate) refreshed: Option<i64>,
    pub(crate) expires: Option<i64>,
    pub(crate) terminated: Option<i64>,
    pub(crate) deleted: Option<i64>,
    pub(crate) adjusted: bool,
    pub(crate) scopes: Vec<String>,
    pub(crate) metadata: Value,
    pub(crate) parent: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) phase: Option<String>,
    pub(crate) outcome: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) child: Option<String>,
    /// The positions of its events, in the order in which they were applied.
    pub(crate) events: Vec<u64>,
    ttl: Option<i64>,
    refresh_token: Option<u8>,
    seen: Vec<Logged>,
}

pub(crate) struct At {
    pub(crate) time: i64,
    adjusted: bool,
    recorded: i64,
    pub(crate) rules: u32,
}

impl At {
    /// From the second rules on, no event takes effect before its session or agent was created.
    pub(crate) fn since(&self, created: i64) -> i64 {
        match self.rules {
            1 => self.time,
            _ => self.time.max(created),
        }
    }
}

impl Model {
    pub(crate) fn fold(&mut self, recorded: &Logged) {
        self.drop_overdue(recorded);
        let verdict = match recorded.sent.broken {
            _ if recorded.sent.is_switch() => "applied".to_owned(),
            Some(reason) => reason.to_owned(),
            None => self.apply(recorded),
        };
        self.verdicts
            .insert(recorded.position, (verdict.clone(), None));
        if verdict == "parked" {
            self.parked.push(recorded.clone());
        }
        self.release(recorded);
    }

    fn drop_overdue(&mut self, by: &Logged) {
        for _ in 0..64 {
            let Some(first) = self.parked.first() else {
                break;
            };
            if by.recorded_at - first.recorded_at <= DAY_US {
                break;
            }
            let verdict = ("parking_expired".to_owned(), Some(by.position));
            self.verdicts.insert(first.position, verdict);
            self.parked.remove(0);
        }
    }

    /// Applies parked events whose session has opened: session by session, and for each the oldest first.
    fn release(&mut self, by: &Logged) {
        let mut checked = 0;
        let opened_by: Vec<u64> = vec![by.position];
        while checked < self.sessions.len() {
            let (tenant, id) = (
                self.sessions[checked].tenant.clone(),
                self.sessions[checked].id.clone(),
            );
            checked += 1;
            let matches =
                |parked: &Logged| parked.sent.tenant == tenant && parked.sent.subject == id;
            let waiting: Vec<Logged> = self
                .parked
                .iter()
                .filter(|parked| matches(parked))
                .cloned()
                .collect();
            self.parked.retain(|parked| !matches(parked));
            for parked in waiting {
                let verdict = if DAY_US < by.recorded_at - parked.recorded_at {
                    "parking_expired".to_owned()
                } else {
                    self.apply(&parked)
                };
                self.verdicts
                    .insert(parked.position, (verdict, opened_by.first().copied()));
            }
        }
    }

    fn apply(&mut self, recorded: &Logged) -> Verdict {
        let sent = &recorded.sent;
        let ahead = |time: &i64| recorded.recorded_at + 5 * MINUTE_US < *time;
        let ancient = |time: &i64| recorded.rules == 2 && *time < YEAR_2000_US;
        let adjusted = sent.time.is_some_and(|time| ahead(&time) || ancient(&time));
        let time = sent
            .time
            .filter(|_| !adjusted)
            .unwrap_or(recorded.recorded_at);
        let at = At {
            time,
            adjusted,
            recorded: recorded.recorded_at,
            rules: recorded.rules,
        };
        if sent.kind.starts_with("agent") {
            return self.on_agent(recorded, &at);
        }
        let index = self.find(sent.tenant, &sent.subject);
        let seen: Vec<&Logged> = if let Some(index) = index {
            self.sessions[index].seen.iter().collect()
        } else {
            let same = |parked: &&Logged| {
                parked.sent.tenant == sent.tenant && parked.sent.subject == sent.subject
            };
            self.parked.iter().filter(same).collect()
        };
        if let Some(verdict) = copy_of(&seen, sent) {
            return verdict;
        }
        let waiting = seen.len();
        match (index, sent.kind) {
            (None, "session.created") => self.create(recorded, &at),
            (None, "session.expired") => "not_found".to_owned(),
            (None, _) if sent.asked().existing => "not_found".to_owned(),
            (None, _) if waiting == 64 => "parking_full".to_owned(),
            (None, _) => "parked".to_owned(),
            (Some(_), "session.created") => "already_exists".to_owned(),
            (Some(index), "session.handed_off") => self.hand_off(index, recorded, &at),
            (Some(index), _) => self.change(index, recorded, &at),
        }
    }

    pub(crate) fn find(&self, tenant: &str, id: &str) -> Option<usize> {
        self.sessions
            .iter()
            .position(|session| session.tenant == tenant && session.id == id)
    }

    fn create(&mut self, recorded: &Logged, at: &At) -> Verdict {
        let sent = &recorded.sent;
        let data = &sent.data;
        let agent = text(data, "agent_id").unwrap();
        if let Some(reason) = other_agent(sent, &agent) {
            return reason;
        }
        let scopes = list(data, "scopes").or_else(|| {
            let known = self.agent(sent.tenant, &agent);
            known.and_then(|known| known.scopes.clone())
        });
        let scopes = scopes.unwrap_or_default();
        if let Some(reason) = self.refuses(sent, &agent, &scopes, at.time) {
            return reason;
        }
        let mut expires = deadline(data, at.time);
        if expires.is_some_and(|deadline| deadline <= at.time) {
            return "deadline_not_after_time".to_owned();
        }
        let parent = text(data, "parent_session_id");
        if let Some(parent) = &parent {
            let Some(parent) = self.find(sent.tenant, parent) else {
                return "unknown_parent".to_owned();
            };
            let (limit, of) = (self.sessions[parent].expires, &self.sessions[parent].agent);
            if at.rules == 2 && other_agent(sent, of).is_some() {
                return "unknown_parent".to_owned();
            }
            if limit.is_some_and(|limit| limit <= at.time) {
                return "session_expired".to_owned();
            }
            expires = [expires, limit].into_iter().flatten().min();
        }
        self.know_agent(recorded, &agent, at);
        self.sessions.push(ModelSession {
            tenant: sent.tenant.to_owned(),
            id: sent.subject.clone(),
            agent,
            status: "active",
            created: at.time,
            recorded: recorded.recorded_at,
            updated: at.time,
            activity: at.time,
            refreshed: None,
            expires,
            terminated: None,
            deleted: None,
            adjusted: at.adjusted,
            scopes,
            metadata: object(data),
            parent,
            project: text(data, "project_id").map(|id| match id.len() {
                36 => id.to_ascii_lowercase(),
                _ => id,
            }),
            user: text(data, "user_id"),
            phase: text(data, "phase"),
            outcome: None,
            to: None,
            child: None,
            events: vec![recorded.position],
            ttl: expires.map(|deadline| deadline - at.time),
            refresh_token: sent.asked().given,
            seen: vec![recorded.clone()],
        });
        "applied".to_owned()
    }

    fn hand_off(&mut self, index: usize, recorded: &Logged, at: &At) -> Verdict {
        let (sent, parent) = (&recorded.sent, self.sessions[index].clone());
        let data = &sent.data;
        if parent.status != "active" {
            return "not_active".to_owned();
        }
        if parent.expires.is_some_and(|deadline| deadline <= at.time) {
            return "session_expired".to_owned();
        }
        if let Some(reason) = other_agent(sent, &parent.agent) {
            return reason;
        }
        if let Some(reason) = self.sleeps(sent.tenant, &parent.agent, at.time) {
            return reason;
        }
        let child = text(data, "session_id").unwrap();
        if self.find(sent.tenant, &child).is_some() {
            return "already_exists".to_owned();
        }
        let agent = text(data, "to_agent_id").unwrap();
        let scopes = list(data, "scopes").unwrap_or_else(|| {
            let mut inherited = parent.scopes.clone();
            let to = self.agent(sent.tenant, &agent);
            let bound = to.and_then(|to| to.scopes.clone());
            if let Some(bound) = bound.filter(|_| at.rules == 2) {
                inherited.retain(|scope| bound.contains(scope));
            }
            inherited
        });
        if let Some(reason) = self.refuses(sent, &agent, &scopes, at.time) {
            return reason;
        }
        if !scopes.iter().all(|scope| parent.scopes.contains(scope)) {
            return "scope_exceeded".to_owned();
        }
        let time = at.since(parent.created);
        let wanted = deadline(data, time);
        if wanted.is_some_and(|deadline| deadline <= time) {
            return "deadline_not_after_time".to_owned();
        }
        self.know_agent(recorded, &agent, at);
        let expires = [wanted, parent.expires].into_iter().flatten().min();
        let session = &mut self.sessions[index];
        session.status = "handed_off";
        session.updated = session.updated.max(time);
        session.adjusted |= at.rules == 2 && (at.adjusted || time != at.time);
        session.to = Some(agent.clone());
        session.child = Some(child.clone());
        session.events.push(recorded.position);
        session.seen.push(recorded.clone());
        self.sessions.push(ModelSession {
            id: child,
            agent,
            created: time,
            recorded: recorded.recorded_at,
            updated: time,
            activity: time,
            refreshed: None,
            expires,
            ttl: expires.map(|deadline| deadline - time),
            refresh_token: sent.asked().given,
            adjusted: at.adjusted || time != at.time,
            scopes,
            metadata: object(data),
            parent: Some(parent.id.clone()),
            phase: None,
            events: vec![recorded.position],
            seen: Vec::new(),
            ..parent
        });
        "applied".to_owned()
    }

    /// Returns why a refresh token of a session is not accepted.
    fn may_not_present(&self, index: usize, sent: &Sent, time: i64) -> Option<Verdict> {
        let session = &self.sessions[index];
        let presents = sent.kind == "session.refreshed" && sent.asked().presented.is_some();
        let reason = self.sleeps(&session.tenant, &session.agent, time);
        reason.filter(|_| presents)
    }

    fn change(&mut self, index: usize, recorded: &Logged, at: &At) -> Verdict {
        if let Some(reason) = self.may_not_present(index, &recorded.sent, at.time) {
            return reason;
        }
        let (sent, session) = (&recorded.sent, &mut self.sessions[index]);
        let data = &sent.data;
        let due = session.expires;
        let time = at.since(session.created);
        let mut updated = session.updated.max(time);
        match sent.kind {
            "session.refreshed" => {
                if let Some(reason) = session.refresh(sent, at) {
                    return reason;
                }
            }
            "session.terminated" => {
                if let Some(reason) = other_agent(sent, &session.agent) {
                    return reason;
                }
                let outcome = text(data, "outcome");
                let is_deletion = outcome.as_deref() == Some("deleted");
                let deletes = is_deletion && session.deleted.is_none();
                let in_time = due.is_some_and(|due| at.time < due);
                let early = session.status == "expired" && in_time && !is_deletion;
                if session.status == "active" || early {
                    session.status = "terminated";
                    session.terminated = Some(time);
                    session.outcome = outcome;
                } else if deletes && at.rules == 1 {
                    updated = session.updated;
                } else if deletes {
                } else {
                    let again = session.status == "terminated";
                    return if again { "already_ended" } else { "not_active" }.to_owned();
                }
                if deletes {
                    session.deleted = Some(time);
                }
                session.adjusted |= at.rules == 2 && (at.adjusted || time != at.time);
            }
            "session.expired" => {
                let passed = instant(data, "expires_at");
                if session.status != "active" {
                    return "not_active".to_owned();
                }
                if passed != due {
                    return "refreshed_since".to_owned();
                }
                if due.is_some_and(|due| recorded.recorded_at < due) {
                    return "not_due".to_owned();
                }
                session.status = "expired";
            }
            other => panic!("no such kind: {other}"),
        }
        session.updated = updated;
        session.events.push(recorded.position);
        session.seen.push(recorded.clone());
        "applied".to_owned()
    }
}

impl ModelSession {
    /// Applies a refresh, or returns why it is rejected.
    fn refresh(&mut self, sent: &Sent, at: &At) -> Option<Verdict> {
        let (data, due) = (&sent.data, self.expires);
        if self.status != "active" {
            return Some("not_active".to_owned());
        }
        if due.is_some_and(|due| due <= at.time) {
            return Some("session_expired".to_owned());
        }
        if let Some(reason) = other_agent(sent, &self.agent) {
            return Some(reason);
        }
        let asked = sent.asked();
        if asked.presented.is_some() && asked.presented != self.refresh_token {
            return Some("token_stale".to_owned());
        }
        let time = at.since(self.created);
        let late = self.refreshed.is_some_and(|latest| time < latest);
        if late && asked.presented.is_none() && !asked.existing {
            return Some("superseded".to_owned());
        }
        let wanted = deadline(data, time);
        if wanted.is_some_and(|deadline| deadline <= time) {
            return Some("deadline_not_after_time".to_owned());
        }
        let extended = self.ttl.map(|ttl| time + ttl);
        let mut renewed = wanted.or(extended.filter(|_| data["extend"] == true));
        if at.rules == 2 {
            let ends_at_once = renewed.is_some_and(|renewed| renewed <= at.recorded);
            let shortens = match (renewed, due) {
                (Some(renewed), Some(due)) => renewed < due,
                (_, None) => true,
                (None, _) => false,
            };
            if ends_at_once && shortens {
                renewed = None;
                self.adjusted = true;
            }
            self.adjusted |= at.adjusted || time != at.time;
        }
        self.expires = renewed.or(due);
        self.refresh_token = asked.given.or(self.refresh_token);
        self.phase = text(data, "phase").or(self.phase.clone());
        if let Some(patch) = data.get("metadata").filter(|patch| !patch.is_null()) {
            merge(&mut self.metadata, patch);
        }
        self.refreshed = self.refreshed.max(Some(time));
        self.activity = self.activity.max(time);
        None
    }
}

impl Sent {
    pub(crate) fn asked(&self) -> Command {
        self.command.clone().unwrap_or_default()
    }
}

fn other_agent(sent: &Sent, agent: &str) -> Option<Verdict> {
    let only = sent.asked().agent?;
    (only != agent).then(|| "other_agent".to_owned())
}

pub(crate) fn copy_of(seen: &[&Logged], sent: &Sent) -> Option<Verdict> {
    let key = |sent: &Sent| (sent.by_ledger(), sent.source.clone(), sent.id.clone());
    let first = seen.iter().find(|first| key(&first.sent) == key(sent))?;
    Some(if first.sent.body == sent.body {
        format!("duplicate {}", first.position)
    } else {
        "id_reused".to_owned()
    })
}

pub(crate) fn text(data: &Value, name: &str) -> Option<String> {
    data.get(name)?.as_str().map(ToOwned::to_owned)
}

pub(crate) fn list(data: &Value, name: &str) -> Option<Vec<String>> {
    let list = data.get(name)?.as_array()?;
    Some(
        list.iter()
            .map(|scope| scope.as_str().unwrap().to_owned())
            .collect(),
    )
}

fn object(data: &Value) -> Value {
    match data.get("metadata") {
        Some(Value::Object(members)) => Value::Object(members.clone()),
        _ => Value::Object(Map::new()),
    }
}

pub(crate) fn instant(data: &Value, name: &str) -> Option<i64> {
    Timestamp::parse(data.get(name)?.as_str()?).map(Timestamp::micros)
}

fn deadline(data: &Value, time: i64) -> Option<i64> {
    let ttl = data.get("ttl_seconds").and_then(Value::as_i64);
    ttl.map(|seconds| time + seconds * 1_000_000)
        .or_else(|| instant(data, "expires_at"))
}

/// The pseudo code of RFC 7396, section 2.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    for (name, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut target[name.as_str()], value);
        }
    }
}
