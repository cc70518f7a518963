//! Decides which events a call of a hook means, from what is known of the session.

use crate::domain::limits::HOOK_MARK_US;
use crate::domain::session::Phase;
use crate::domain::{SessionId, Timestamp};
use crate::hooks::call::{Call, Unread};
use crate::hooks::event::{Emission, Options, Writer};
use crate::hooks::run::{Run, Standing};
use crate::hooks::runtime::Means;

/// The events that a call of a hook means, in their order, and what they do to the run of its session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The events; none if the call says nothing new.
    pub events: Vec<Emission>,
    /// The run as it is after the events; `None` if they do not change it.
    pub run: Option<Run>,
}

/// Plans the events of a call. `known` is the latest run of the session, as far as the caller knows.
///
/// If a call is made twice with the same knowledge, its events have the same ids. A runtime whose hooks
/// were installed while it ran begins with any hook. So every hook opens a session that is not known, but that of
/// the end of a subagent.
pub fn plan(call: &Call, known: Run, options: &Options) -> Result<Plan, Unread> {
    Planner { call, options }.plan(known)
}

struct Planner<'a> {
    call: &'a Call,
    options: &'a Options,
}

impl Planner<'_> {
    fn plan(&self, run: Run) -> Result<Plan, Unread> {
        match self.call.hook.means {
            Means::Starts if self.says(self.call.table.resumes) => self.resume(run),
            Means::Starts if self.says(self.call.table.goes_on) => self.live(run, Phase::Running),
            Means::Starts => self.start(run),
            Means::Works if self.is_after_the_end(run) => {
                self.open(run.next(), Some(Phase::Running))
            }
            Means::Works => self.live(run, Phase::Running),
            // A turn that ended late says nothing of a session that has expired.
            Means::Rests if run.standing == Standing::Expired => Ok(Plan::default()),
            Means::Rests => self.live(run, Phase::Ready),
            Means::Ends => self.end(run),
            Means::ChildStarts => self.child_start(run),
            Means::ChildEnds => self.child_end(run),
        }
    }

    fn start(&self, run: Run) -> Result<Plan, Unread> {
        match run.standing {
            Standing::New if run.number == 1 => self.open(run, None),
            // A runtime starts a session once, so this call is made again.
            Standing::New | Standing::Open | Standing::Expired => self.copy(Run::FIRST),
            // The calls of the whole session may be made again, so the ones that follow are about its
            // first run, too.
            Standing::Ended => self.open(Run::FIRST, None),
        }
    }

    /// The session goes on, after its end or without one.
    fn resume(&self, run: Run) -> Result<Plan, Unread> {
        match run.standing {
            // The ledger may have this run or the next. If that is over, only a refresh shows it.
            Standing::New => self.open(run, Some(Phase::Ready)),
            // This call opened the run, or one after it resumed it.
            _ if self.since(run).is_some_and(|since| self.call.at <= since) => self.copy(run),
            Standing::Open => {
                let mut plan = self.live(run, Phase::Ready)?;
                plan.run = Some(Run {
                    since: Some(self.call.at),
                    ..run
                });
                Ok(plan)
            }
            Standing::Ended | Standing::Expired => self.open(run.next(), Some(Phase::Ready)),
        }
    }

    /// Whether the user goes on after the end of the run: its resumption was not seen.
    fn is_after_the_end(&self, run: Run) -> bool {
        let ended = run.since.filter(|_| run.standing == Standing::Ended);
        ended.is_some_and(|ended| ended.plus_micros(HOOK_MARK_US) <= self.call.at)
    }

    /// When the run was opened, resumed or ended, if the time of the call can be compared with it: the runtime must
    /// say when it made the call.
    fn since(&self, run: Run) -> Option<Timestamp> {
        run.since.filter(|_| self.call.is_timed)
    }

    /// The agent does something. Right after the end of a session, only a resumption opens another run: a call
    /// that arrives late has not resumed anything.
    fn live(&self, run: Run, phase: Phase) -> Result<Plan, Unread> {
        match run.standing {
            Standing::New => self.open(run, Some(phase)),
            Standing::Open => {
                let session = self.session(run)?;
                let events = vec![self.writer().refreshed(&session, phase)];
                let run = Some(run);
                Ok(Plan { events, run })
            }
            Standing::Expired => self.open(run.next(), Some(phase)),
            Standing::Ended => Ok(Plan::default()),
        }
    }

    fn open(&self, run: Run, phase: Option<Phase>) -> Result<Plan, Unread> {
        let session = self.session(run)?;
        let mut events = vec![self.writer().opened(&session, run)];
        // An earlier call may have opened it. Then only a refresh extends it.
        let phase = phase.or(run.since.map(|_| Phase::Ready));
        events.extend(phase.map(|phase| self.writer().refreshed(&session, phase)));
        let run = Some(Run {
            standing: Standing::Open,
            since: Some(self.call.at),
            ..run
        });
        Ok(Plan { events, run })
    }

    /// The call that opened the run is made again, so its event is a copy, which changes nothing.
    fn copy(&self, run: Run) -> Result<Plan, Unread> {
        let session = self.session(run)?;
        let events = vec![self.writer().opened(&session, run)];
        Ok(Plan { events, run: None })
    }

    fn end(&self, run: Run) -> Result<Plan, Unread> {
        let session = self.session(run)?;
        let (opened, ended) = (
            || self.writer().opened(&session, run),
            || self.writer().ended(&session),
        );
        let was_resumed = self.since(run).is_some_and(|since| self.call.at < since);
        let events = match run.standing {
            Standing::New => vec![opened(), ended()],
            // The end of the run before arrives late.
            Standing::Open if was_resumed => Vec::new(),
            // If the run has ended, the call is made again, and its event is a copy.
            Standing::Open | Standing::Ended => vec![ended()],
            Standing::Expired => Vec::new(),
        };
        let ends = !events.is_empty() && run.standing != Standing::Ended;
        let run = ends.then_some(Run {
            standing: Standing::Ended,
            since: Some(self.call.at),
            ..run
        });
        Ok(Plan { events, run })
    }

    /// A subagent starts, which does not extend the session of its parent.
    fn child_start(&self, run: Run) -> Result<Plan, Unread> {
        let mut plan = match run.standing {
            Standing::New => self.open(run, None)?,
            Standing::Open => Plan::default(),
            Standing::Ended | Standing::Expired => return Ok(Plan::default()),
        };
        let parent = self.session(run)?;
        let child = self.child_of(&parent)?;
        plan.events
            .push(self.writer().child_opened(&child, &parent));
        Ok(plan)
    }

    /// A subagent ends, maybe after the session of its parent.
    fn child_end(&self, run: Run) -> Result<Plan, Unread> {
        let child = self.child_of(&self.session(run)?)?;
        let is_known = run.standing != Standing::New || run.since.is_some();
        let events = is_known.then(|| self.writer().child_ended(&child));
        Ok(Plan {
            events: events.into_iter().collect(),
            run: None,
        })
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

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
