//! Decides which events a call of a hook means, from what is known of the session.

use crate::domain::SessionId;
use crate::domain::session::Phase;
use crate::hooks::call::{Call, Unread};
use crate::hooks::event::{Emission, Options, Writer};
use crate::hooks::run::{Run, Standing};
use crate::hooks::runtime::Means;

/// The events that a call of a hook means, in their order, and the run that they are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The events; none if the call says nothing new.
    pub events: Vec<Emission>,
    /// The run as it is after the events; `None` if there is none.
    pub run: Option<Run>,
}

/// Plans the events of a call. `known` is the latest run of the session that the caller knows of.
///
/// If a call is made twice with the same knowledge, its events have the same ids. A runtime whose hooks
/// were installed while it ran begins with any hook, so every hook opens a session that is not known.
pub fn plan(call: &Call, known: Option<Run>, options: &Options) -> Result<Plan, Unread> {
    Planner { call, options }.plan(known)
}

struct Planner<'a> {
    call: &'a Call,
    options: &'a Options,
}

impl Planner<'_> {
    fn plan(&self, known: Option<Run>) -> Result<Plan, Unread> {
        match self.call.hook.means {
            Means::Starts if self.says(self.call.table.resumes) => self.resume(known),
            Means::Starts if self.says(self.call.table.goes_on) => self.live(known, Phase::Running),
            // A runtime starts a session once. If it seems to start it again, its hooks are called again,
            // and their events are copies.
            Means::Starts => self.open(Run::FIRST, None),
            Means::Works => self.live(known, Phase::Running),
            Means::Rests => match known.map(|run| run.standing) {
                // A turn that ended late says nothing of a session that has ended.
                Some(Standing::Ended | Standing::Expired) => Ok(Plan::nothing(known)),
                Some(Standing::Open) | None => self.live(known, Phase::Ready),
            },
            Means::Ends => self.end(known),
            Means::ChildStarts => self.child(known, true),
            Means::ChildEnds => self.child(known, false),
        }
    }

    /// The session goes on, after its end or without one.
    fn resume(&self, known: Option<Run>) -> Result<Plan, Unread> {
        match known {
            None => self.open(Run::FIRST, None),
            // The call that opened this run is made again: its event is a copy.
            Some(run) if self.has_opened(run) => self.open(run, None),
            Some(run) if run.standing == Standing::Open => self.live(known, Phase::Ready),
            Some(run) => self.open(run.next(), None),
        }
    }

    /// Whether this call opened the run.
    fn has_opened(&self, run: Run) -> bool {
        let at = run.opened_at.filter(|_| self.call.is_timed);
        at.is_some_and(|at| self.call.at <= at)
    }

    /// The agent does something. After the end of a session, only a resumption opens another run: an agent
    /// whose calls arrive late has not resumed anything.
    fn live(&self, known: Option<Run>, phase: Phase) -> Result<Plan, Unread> {
        match known {
            None => self.open(Run::FIRST, Some(phase)),
            Some(run) => match run.standing {
                Standing::Open => {
                    let session = self.session(run)?;
                    let events = vec![self.writer().refreshed(&session, phase)];
                    Ok(Plan { events, run: known })
                }
                Standing::Expired => self.open(run.next(), Some(phase)),
                Standing::Ended => Ok(Plan::nothing(known)),
            },
        }
    }

    fn open(&self, run: Run, phase: Option<Phase>) -> Result<Plan, Unread> {
        let session = self.session(run)?;
        let mut events = vec![self.writer().opened(&session, run)];
        events.extend(phase.map(|phase| self.writer().refreshed(&session, phase)));
        let run = Some(Run {
            opened_at: Some(self.call.at),
            ..run
        });
        Ok(Plan { events, run })
    }

    fn end(&self, known: Option<Run>) -> Result<Plan, Unread> {
        let run = known.unwrap_or(Run::FIRST);
        if run.standing != Standing::Open {
            return Ok(Plan::nothing(known));
        }
        let session = self.session(run)?;
        let mut events = Vec::new();
        if known.is_none() {
            events.push(self.writer().opened(&session, run));
        }
        events.push(self.writer().ended(&session));
        let opened_at = run.opened_at.or(Some(self.call.at));
        let run = Some(Run { opened_at, ..run }.ended());
        Ok(Plan { events, run })
    }

    fn child(&self, known: Option<Run>, starts: bool) -> Result<Plan, Unread> {
        let run = known.unwrap_or(Run::FIRST);
        let parent = self.session(run)?;
        let child = self.child_of(&parent)?;
        let writer = self.writer();
        let mut events = Vec::new();
        match (known, starts) {
            (None, false) => return Ok(Plan::nothing(None)),
            // The subagent may end after its session, but not start then.
            (Some(_), false) => events.push(writer.child_ended(&child)),
            (Some(run), true) if run.standing != Standing::Open => {}
            (Some(_), true) => events.push(writer.child_opened(&child, &parent)),
            (None, true) => {
                events.push(writer.opened(&parent, run));
                events.push(writer.child_opened(&child, &parent));
            }
        }
        let run = Some(run);
        Ok(Plan { events, run })
    }

    fn session(&self, run: Run) -> Result<SessionId, Unread> {
        let id = run.session(&self.call.session);
        id.map_err(|_too_long| Unread::Session(self.call.table.session))
    }

    fn child_of(&self, parent: &SessionId) -> Result<SessionId, Unread> {
        let child = self.call.child.as_deref().ok_or(Unread::Child)?;
        SessionId::parse(&format!("{parent}:{child}")).map_err(|_not_an_id| Unread::Child)
    }

    fn says(&self, words: &[&str]) -> bool {
        let source = self.call.source.as_deref();
        source.is_some_and(|source| words.contains(&source))
    }

    fn writer(&self) -> Writer<'_> {
        Writer {
            call: self.call,
            options: self.options,
        }
    }
}

impl Plan {
    fn nothing(run: Option<Run>) -> Self {
        Self {
            events: Vec::new(),
            run,
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
