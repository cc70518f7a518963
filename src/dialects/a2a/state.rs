//! The state of a task: a function of the status and the outcome of its session.
//!
//! | session | state |
//! |---|---|
//! | active, in any phase | working |
//! | terminated, outcome `completed`; handed off (the child is a task of its own) | completed |
//! | terminated, outcome `error`; expired | failed |
//! | terminated, outcome `deleted` or `revoked`, or without an outcome | canceled |
//!
//! A session that somebody ended without an outcome did not say that it completed or failed. So A2A's word
//! for it is canceled, also for what a cancellation over A2A leaves.
//!
//! No session is submitted, rejected, or waiting for input or authentication: the ledger does not know what
//! an agent waits for. The metadata of a task has its phase.

use crate::domain::session::{Outcome, Status};
use crate::domain::{OutcomeSet, StatusSet};

/// The state of a task.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
pub(super) enum TaskState {
    /// As a filter: any state.
    #[strum(serialize = "TASK_STATE_UNSPECIFIED")]
    Unspecified,
    #[strum(serialize = "TASK_STATE_SUBMITTED")]
    Submitted,
    #[strum(serialize = "TASK_STATE_WORKING")]
    Working,
    #[strum(serialize = "TASK_STATE_COMPLETED")]
    Completed,
    #[strum(serialize = "TASK_STATE_FAILED")]
    Failed,
    #[strum(serialize = "TASK_STATE_CANCELED")]
    Canceled,
    #[strum(serialize = "TASK_STATE_INPUT_REQUIRED")]
    InputRequired,
    #[strum(serialize = "TASK_STATE_REJECTED")]
    Rejected,
    #[strum(serialize = "TASK_STATE_AUTH_REQUIRED")]
    AuthRequired,
}

impl TaskState {
    /// The state of a session's task.
    pub(super) fn of(status: Status, outcome: Option<Outcome>) -> Self {
        match (status, outcome) {
            (Status::Active, _) => Self::Working,
            (Status::Terminated, Some(Outcome::Completed)) | (Status::HandedOff, _) => {
                Self::Completed
            }
            (Status::Terminated, Some(Outcome::Error)) | (Status::Expired, _) => Self::Failed,
            (Status::Terminated, Some(Outcome::Deleted | Outcome::Revoked) | None) => {
                Self::Canceled
            }
        }
    }

    /// The sessions whose tasks have this state: their statuses, and the outcomes of the terminated ones.
    /// `None` if no session has it.
    pub(super) fn sessions(self) -> Option<(StatusSet, OutcomeSet)> {
        if self == Self::Unspecified {
            return Some((StatusSet::ALL, OutcomeSet::ALL));
        }
        let with_any = |status: Status| outcomes().any(|it| Self::of(status, it) == self);
        let statuses = Status::ALL.iter().copied().filter(|it| with_any(*it));
        let fitting = outcomes().filter(|it| Self::of(Status::Terminated, *it) == self);
        let outcomes = OutcomeSet::of(&fitting.collect::<Vec<_>>());
        let statuses = StatusSet::of(&statuses.collect::<Vec<_>>())?;
        Some((statuses, outcomes.unwrap_or(OutcomeSet::ALL)))
    }

    /// The word for it.
    pub(super) fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Every outcome, and none.
fn outcomes() -> impl Iterator<Item = Option<Outcome>> {
    let some = Outcome::ALL.iter().copied().map(Some);
    std::iter::once(None).chain(some)
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;

    #[test]
    fn a_filter_by_a_state_has_the_sessions_whose_tasks_have_it() {
        for state in TaskState::VARIANTS {
            for status in Status::ALL {
                for outcome in outcomes() {
                    let has = state.sessions().is_some_and(|(statuses, outcomes)| {
                        let terminated = *status == Status::Terminated;
                        statuses.has(*status) && (!terminated || outcomes.has(outcome))
                    });
                    let of = TaskState::of(*status, outcome) == *state;
                    let expected = of || *state == TaskState::Unspecified;
                    assert_eq!(has, expected, "{status:?}, {outcome:?} in {state:?}");
                }
            }
        }
    }

    #[test]
    fn every_session_has_a_state() {
        let every = Status::ALL
            .iter()
            .flat_map(|status| outcomes().map(move |outcome| TaskState::of(*status, outcome)));
        let mut every = every;
        assert!(every.all(|state| state != TaskState::Unspecified));
    }
}
