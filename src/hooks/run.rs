//! The run of a runtime's session that the ledger shows as one session.
//!
//! A session of a runtime may end and be resumed later, but a session of the ledger that has ended stays
//! ended. So the ledger has one session for each run of it. The first has the runtime's id, and later ones
//! have a number behind it.

use crate::domain::ids::IdError;
use crate::domain::limits::HOOK_RUNS_MAX;
use crate::domain::{SessionId, Timestamp};

/// A run, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// 1 for the first.
    pub number: u32,
    /// Whether it goes on, at the time of the call that is planned.
    pub standing: Standing,
    /// When it was opened, resumed last or ended, if that is known.
    pub since: Option<Timestamp>,
}

/// Whether a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is known of it, or it is not certain that the event that opens it is kept.
    New,
    /// It goes on.
    Open,
    /// The runtime ended it.
    Ended,
    /// Its deadline has passed, or the ledger has ended it.
    Expired,
}

impl Run {
    /// The first run of a session, before anything is known of it.
    pub const FIRST: Self = Self {
        number: 1,
        standing: Standing::New,
        since: None,
    };

    /// The run with a number, before anything is known of it.
    pub fn numbered(number: u32) -> Self {
        Self {
            number,
            ..Self::FIRST
        }
    }

    /// The run after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self::numbered(self.number.saturating_add(1))
    }

    /// Finds the latest run of a session, and what `look` knows of it by its number. The runs have no
    /// gaps, so it is searched in steps that double.
    pub fn latest<T, E>(
        mut look: impl FnMut(u32) -> Result<Option<T>, E>,
    ) -> Result<Option<(u32, T)>, E> {
        let Some(first) = look(Self::FIRST.number)? else {
            return Ok(None);
        };
        let mut latest = (Self::FIRST.number, first);
        let mut step = 1;
        while 0 < step {
            let number = latest.0 + step;
            match look(number)? {
                Some(later) if number < HOOK_RUNS_MAX => {
                    latest = (number, later);
                    step *= 2;
                }
                Some(_) | None => step /= 2,
            }
        }
        Ok(Some(latest))
    }

    /// This run with another standing.
    #[must_use]
    pub fn now(self, standing: Standing) -> Self {
        Self { standing, ..self }
    }

    /// The id of the ledger's session for this run.
    pub fn session(self, of: &SessionId) -> Result<SessionId, IdError> {
        match self.number {
            1 => Ok(of.clone()),
            number => SessionId::parse(&format!("{of}.{number}")),
        }
    }
}
