//! Makes the history file from the read model: one pass takes the changes of some positions.
//!
//! The verdicts name the sessions and agents that the records of these positions changed. Their rows, and
//! what their changes replaced, say what they were before and after. An event that had been parked takes
//! effect when its session opens, so a pass finds it with the session.
//!
//! ```text
//! meta: trail  ->  position (8) | tenant of its record (4) | recorded_at (8) | body hash (16)
//! ```

use std::collections::BTreeSet;

use redb::ReadableTable;

use crate::domain::{Position, SessionStatus, Timestamp, Verdict};
use crate::projection::agent_row::{AgentPartitions, AgentRow, StoredAgent};
use crate::projection::before::SessionBefore;
use crate::projection::bytes::{Reader, Writer};
use crate::projection::error::StoreError;
use crate::projection::history::History;
use crate::projection::keys::{self, Entity, SortKey, State};
use crate::projection::numbers::{AgentNumber, Ordinal, TenantNumber};
use crate::projection::past::spans::{self, Move, Partitions};
use crate::projection::past::tables::Tables;
use crate::projection::past::times;
use crate::projection::session_row::StoredSession;
use crate::projection::snapshot::Snapshot;
use crate::projection::verdict_row::{BodyHash, VerdictRow};

const KEY_TRAIL: &str = "trail";

/// How far the history file has come, and the record there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Trail {
    pub(super) position: Position,
    last: Option<Last>,
}

/// What identifies a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Last {
    tenant: TenantNumber,
    recorded_at: Timestamp,
    body_hash: BodyHash,
}

impl Trail {
    pub(super) fn load(
        meta: &impl ReadableTable<&'static str, &'static [u8]>,
    ) -> Result<Self, StoreError> {
        let Some(stored) = meta.get(KEY_TRAIL)? else {
            return Ok(Self::default());
        };
        let mut from = Reader::new(stored.value(), "progress of the history");
        let position = Position::new(from.u64()?);
        let last = Last {
            tenant: TenantNumber::new(from.u32()?),
            recorded_at: Timestamp::from_micros_clamped(from.i64()?),
            body_hash: from.array()?,
        };
        from.end()?;
        let last = Some(last);
        Ok(Self { position, last })
    }

    fn save(
        &self,
        meta: &mut redb::Table<'_, &'static str, &'static [u8]>,
    ) -> Result<(), StoreError> {
        let Some(last) = self.last else {
            return Ok(());
        };
        let mut out = Writer::default();
        out.u64(self.position.get());
        out.u32(last.tenant.get());
        out.i64(last.recorded_at.micros());
        out.raw(&last.body_hash);
        meta.insert(KEY_TRAIL, &*out.finish())?;
        Ok(())
    }

    /// Whether the record at this position is the one of a read model that has come as far.
    pub(super) fn is_of(&self, now: &Snapshot) -> Result<bool, StoreError> {
        let Some(last) = self.last else {
            return Ok(true);
        };
        let key = keys::verdict(last.tenant, self.position);
        let Some(row) = now.tables.verdicts.get(&key)? else {
            return Ok(false);
        };
        let row = VerdictRow::decode(row.value())?;
        Ok((row.recorded_at, row.body_hash) == (last.recorded_at, last.body_hash))
    }
}

/// Takes the changes after the trail up to a position, which the read model must have reached.
pub(super) fn advance(
    tables: &mut Tables<'_>,
    now: &Snapshot,
    until: Position,
) -> Result<Position, StoreError> {
    let trail = Trail::load(&tables.meta)?;
    if until <= trail.position {
        return Ok(trail.position);
    }
    let mut pass = Pass {
        now,
        after: trail.position,
        until,
        sessions: BTreeSet::new(),
        agents: BTreeSet::new(),
        times: Vec::new(),
        moves: Vec::new(),
    };
    let last = pass.read_verdicts()?;
    while let Some(ordinal) = pass.sessions.pop_first() {
        pass.session(ordinal)?;
    }
    while let Some(number) = pass.agents.pop_first() {
        pass.agent(number)?;
    }
    let Pass {
        mut times,
        mut moves,
        after,
        ..
    } = pass;
    times.sort_unstable();
    let times: Vec<Timestamp> = times.into_iter().map(|(_, time)| time).collect();
    times::append(&mut tables.times, after.next(), &times)?;
    // Stable: of the moves at one position, none depends on another.
    moves.sort_by_key(|one| one.at);
    spans::write(tables, &moves)?;
    let last = Some(last);
    let position = until;
    Trail { position, last }.save(&mut tables.meta)?;
    Ok(until)
}

/// The changes after one position and up to another.
struct Pass<'a> {
    now: &'a Snapshot,
    after: Position,
    until: Position,
    /// Still to be looked at.
    sessions: BTreeSet<Ordinal>,
    agents: BTreeSet<AgentNumber>,
    times: Vec<(Position, Timestamp)>,
    moves: Vec<Move>,
}

impl Pass<'_> {
    /// Notes the times of all records, and the sessions and agents that they changed. Returns the last
    /// record.
    fn read_verdicts(&mut self) -> Result<Last, StoreError> {
        let mut last = None;
        let mut tenants = vec![TenantNumber::NONE];
        for tenant in self.now.tables.tenant_ids.iter()? {
            tenants.push(TenantNumber::new(tenant?.0.value()));
        }
        for tenant in tenants {
            let low = keys::verdict(tenant, self.after.next());
            let high = keys::verdict(tenant, self.until);
            for entry in self.now.tables.verdicts.range::<&[u8; 12]>(&low..=&high)? {
                let (key, row) = entry?;
                let (_, position) = keys::verdict_parts(*key.value());
                let row = VerdictRow::decode(row.value())?;
                self.times.push((position, row.recorded_at));
                if position == self.until {
                    last = Some(Last {
                        tenant,
                        recorded_at: row.recorded_at,
                        body_hash: row.body_hash,
                    });
                }
                match (row.verdict, row.subject) {
                    (Verdict::Applied, Some(Entity::Session(ordinal))) => {
                        self.sessions.insert(ordinal);
                    }
                    (Verdict::Applied, Some(Entity::Agent(number))) => {
                        self.agents.insert(number);
                    }
                    _ => {}
                }
            }
        }
        let expected = self.until.get() - self.after.get();
        match last {
            Some(last) if self.times.len() as u64 == expected => Ok(last),
            _ => Err(StoreError::Damaged("verdicts")),
        }
    }

    fn session(&mut self, ordinal: Ordinal) -> Result<(), StoreError> {
        let row = self.now.tables.sessions.get(ordinal.get())?;
        let row = row.ok_or(StoreError::Damaged("session ids"))?;
        let stored = StoredSession::decode(row.value())?;
        if self.until < stored.opened {
            // An event that was still parked at `until`.
            return Ok(());
        }
        let partitions = |status: &SessionStatus| stored.partitions(status);
        let present = partitions(&stored.session.status);
        let before = |at: Position| {
            let verdict = self
                .now
                .tables
                .verdicts
                .get(&keys::verdict(stored.tenant, at))?;
            let verdict = verdict.ok_or(StoreError::Damaged("verdicts"))?;
            let state = SessionBefore::decode(VerdictRow::replaced(verdict.value())?)?;
            Ok(partitions(&state.status))
        };
        let of = Lived {
            entity: Entity::Session(ordinal),
            opened: stored.opened,
            history: &stored.history,
        };
        let states = self.states(of, present, before)?;
        let is_new = self.after < stored.opened;
        if let SessionStatus::HandedOff { child, .. } = &stored.session.status
            && (is_new || states.first != stored.partitions_of(State::HANDED_OFF))
        {
            let key = keys::named(stored.tenant, child.as_str());
            let child = self.now.tables.session_ids.get(&*key)?;
            let child = child.ok_or(StoreError::Damaged("session ids"))?;
            // A child has a greater number than its parent, so its turn comes later, and once.
            self.sessions.insert(Ordinal::new(child.value()));
        }
        if is_new {
            self.agents.insert(stored.agent);
        }
        let sort_key = keys::session_sort_key(stored.session.created_at, ordinal);
        self.moves(sort_key, stored.opened, states);
        Ok(())
    }

    fn agent(&mut self, number: AgentNumber) -> Result<(), StoreError> {
        let row = self.now.tables.agents.get(number.get())?;
        let row = row.ok_or(StoreError::Damaged("agent ids"))?;
        let stored = StoredAgent::decode(row.value())?;
        if self.until < stored.opened {
            return Ok(());
        }
        // Agents have fewer kinds of owners.
        let padded = |[tenant, by_type, by_level, both]: AgentPartitions| {
            [tenant, by_type, by_level, both, None]
        };
        let present = padded(stored.partitions());
        let before = |at: Position| {
            let key = keys::agent_change(number, at);
            let public = self.now.tables.before_agents.get(&key)?;
            let public = public.ok_or(StoreError::Damaged("replaced states"))?;
            AgentRow::partitions(public.value()).map(padded)
        };
        let of = Lived {
            entity: Entity::Agent(number),
            opened: stored.opened,
            history: &stored.history,
        };
        let states = self.states(of, present, before)?;
        let sort_key = keys::agent_sort_key(stored.agent.created_at, number);
        self.moves(sort_key, stored.opened, states);
        Ok(())
    }

    /// Notes the moves of something with these states.
    fn moves(&mut self, sort_key: SortKey, opened: Position, states: States) {
        let is_new = self.after < opened;
        let opening = Some((opened, states.first)).filter(|_| is_new);
        let mut from = if is_new {
            Partitions::default()
        } else {
            states.first
        };
        for (at, to) in opening.into_iter().chain(states.later) {
            if from != to {
                self.moves.push(Move {
                    at,
                    sort_key,
                    from,
                    to,
                });
            }
            from = to;
        }
    }

    /// The states of an entity: the one at `after`, or after its opening, and those of the changes since
    /// then up to `until`.
    fn states(
        &self,
        Lived {
            entity,
            opened,
            history,
        }: Lived<'_>,
        present: Partitions,
        read: impl Fn(Position) -> Result<Partitions, StoreError>,
    ) -> Result<States, StoreError> {
        let tables = &self.now.tables;
        let known = self.after.max(opened);
        let mut number = history.number_after(entity, known, &tables.history)?;
        let mut first = None;
        let mut later = Vec::new();
        let mut changed = None;
        while let [at] = history.page(entity, (number, 1), &tables.history)?[..] {
            let state = read(at)?;
            match changed {
                None => first = Some(state),
                Some(at) => later.push((at, state)),
            }
            changed = Some(at).filter(|at| *at <= self.until);
            if changed.is_none() {
                break;
            }
            number += 1;
        }
        Ok(match (first, changed) {
            (None, _) => States {
                first: present,
                later,
            },
            (Some(first), None) => States { first, later },
            (Some(first), Some(at)) => {
                later.push((at, present));
                States { first, later }
            }
        })
    }
}

/// A session or an agent, and where it changed.
struct Lived<'a> {
    entity: Entity,
    opened: Position,
    history: &'a History,
}

/// The states of an entity in some positions.
struct States {
    first: Partitions,
    later: Vec<(Position, Partitions)>,
}
