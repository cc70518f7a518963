//! Walks through the spans of a conversation, and notes what is new to the ledger.

use crate::domain::limits::{OTLP_HAND_OFFS_MAX, OTLP_REFRESH_US};
use crate::domain::{SessionId, Timestamp};
use crate::hooks::{Emission, Run};
use crate::otlp::conversation::{Conversation, Edge, Family, Step};
use crate::otlp::event::{self, Options};
use crate::otlp::plan::{Known, State};
use crate::otlp::span::Agent;

/// Why the ids of its sessions are ids.
const ROOM: &str = "the id of a conversation leaves room for a number or the id of a span";

/// A walk through a conversation.
pub(super) struct Walk<'a, L> {
    pub(super) conversation: &'a Conversation<'a>,
    pub(super) family: &'a Family<'a>,
    pub(super) options: &'a Options,
    /// Looks a session up in the ledger.
    pub(super) look: L,
    pub(super) events: Vec<Emission>,
    /// How many events the request may still mean.
    pub(super) room: usize,
}

/// The session that a conversation is in.
struct Current {
    session: SessionId,
    run: Run,
    opened_at: Timestamp,
    /// The latest sign of life that the ledger knows, or will know.
    active_at: Timestamp,
    standing: Standing,
}

enum Standing {
    Open { deadline: Option<Timestamp> },
    Ended { at: Timestamp },
}

impl Current {
    /// When it ended, or will end if there is no other sign of life.
    fn end(&self) -> Option<Timestamp> {
        match self.standing {
            Standing::Open { deadline } => deadline,
            Standing::Ended { at } => Some(at),
        }
    }

    /// Whether the ledger takes a change of the session at a time.
    fn is_open_at(&self, time: Timestamp) -> bool {
        match self.standing {
            Standing::Open { deadline } => deadline.is_none_or(|deadline| time < deadline),
            Standing::Ended { .. } => false,
        }
    }
}

impl<E, L: FnMut(&SessionId) -> Result<Option<Known>, E>> Walk<'_, L> {
    /// Notes the events that the ledger does not have.
    pub(super) fn walk(&mut self) -> Result<(), E> {
        let mut current = self.find()?;
        for step in self.conversation.steps() {
            if self.room < self.events.len() {
                // The plan drops them all.
                break;
            }
            let Some(now) = &mut current else {
                current = Some(self.open(Run::FIRST, step));
                continue;
            };
            let after_end = now.end().is_some_and(|end| end < step.at);
            match step.edge {
                // Only what begins after the end shows that the conversation goes on. Everything else is late.
                Edge::Begins if after_end => current = Some(self.open(now.run.next(), step)),
                Edge::Begins => self.begin(now, step)?,
                Edge::Ends => self.end(now, step),
            }
        }
        Ok(())
    }

    /// The session that the conversation is in, as the ledger knows it.
    fn find(&mut self) -> Result<Option<Current>, E> {
        let (id, look) = (self.conversation.id, &mut self.look);
        let latest = Run::latest(|number| {
            let session = Run::numbered(number).session(id).expect(ROOM);
            Ok(look(&session)?.map(|known| (session, known)))
        })?;
        let Some((number, (mut session, mut known))) = latest else {
            return Ok(None);
        };
        for _ in 0..OTLP_HAND_OFFS_MAX {
            let State::HandedOff { child, .. } = &known.state else {
                break;
            };
            let Some(of_child) = (self.look)(child)? else {
                break;
            };
            session = child.clone();
            known = of_child;
        }
        let standing = match known.state {
            State::Open { deadline } => Standing::Open { deadline },
            State::Ended { at } | State::HandedOff { at, .. } => Standing::Ended { at },
        };
        Ok(Some(Current {
            session,
            run: Run::numbered(number),
            opened_at: known.opened_at,
            active_at: known.active_at,
            standing,
        }))
    }

    fn open(&mut self, run: Run, step: Step<'_>) -> Current {
        let first = self.conversation.id;
        let session = run.session(first).expect(ROOM);
        let agent = self.conversation.agent(step.span);
        let resumes = (run != Run::FIRST).then_some((first, run));
        let opened = self.options.opened(&session, step, agent, resumes);
        self.events.push(opened);
        Current {
            session,
            run,
            opened_at: step.at,
            active_at: step.at,
            standing: Standing::Open {
                deadline: Some(self.options.deadline(step.span.end)),
            },
        }
    }

    fn begin(&mut self, now: &mut Current, step: Step<'_>) -> Result<(), E> {
        if let Some(agent) = self.family.taking_over(step.span) {
            self.hand_off(now, step, &agent)?;
        }
        self.touch(now, step);
        Ok(())
    }

    /// The span's agent takes over, unless it has done so already, or another agent has since.
    fn hand_off(&mut self, now: &mut Current, step: Step<'_>, to: &Agent) -> Result<(), E> {
        if !now.is_open_at(step.at) || step.at < now.opened_at {
            return Ok(());
        }
        let child = format!("{}:{}", self.conversation.id, step.span.id.name());
        let child = SessionId::parse(&child).expect(ROOM);
        if (self.look)(&child)?.is_some() {
            return Ok(());
        }
        // The child's deadline cannot be later than that of its parent.
        self.touch(now, step);
        let event = self.options.handed_off(&now.session, step, to, &child);
        self.events.push(event);
        let own = self.options.deadline(step.at);
        let deadline = now.end().map_or(own, |parents| parents.min(own));
        *now = Current {
            session: child,
            run: now.run,
            opened_at: step.at,
            active_at: step.at,
            standing: Standing::Open {
                deadline: Some(deadline),
            },
        };
        Ok(())
    }

    fn end(&mut self, now: &mut Current, step: Step<'_>) {
        let is_root = step.span.parent.is_none();
        // A root that ended before the last sign of life is an earlier one: the conversation went on.
        let counts = now.active_at <= step.at && now.is_open_at(step.at);
        if is_root && step.span.failed && counts {
            self.events.push(event::failed(&now.session, step));
            now.standing = Standing::Ended { at: step.at };
        } else {
            self.touch(now, step);
        }
    }

    /// A sign of life, unless it is too close to the one before, or earlier, or would bring the end nearer.
    fn touch(&mut self, now: &mut Current, step: Step<'_>) {
        let is_due = now.active_at.plus_micros(OTLP_REFRESH_US) <= step.at;
        let Standing::Open { deadline } = now.standing else {
            return;
        };
        let next = self.options.deadline(step.at);
        let shortens = deadline.is_some_and(|deadline| next < deadline);
        if !is_due || shortens || !now.is_open_at(step.at) {
            return;
        }
        let has_deadline = deadline.is_some();
        let event = self.options.refreshed(&now.session, step, has_deadline);
        self.events.push(event);
        now.active_at = step.at;
        now.standing = Standing::Open {
            deadline: deadline.map(|_| next),
        };
    }
}
