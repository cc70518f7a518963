//! Reads of a past state: waits until the history file has it, and reads it on the blocking pool.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::limits::MIN_POSITION_WAIT_MS;
use crate::domain::{Position, Timestamp};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::as_of::AsOf;
use crate::http::request::params::AS_OF;
use crate::http::state::App;
use crate::projection::{Past, Projection, Snapshot, StoreError, Waited};
use crate::query::{self, QueryError, Sight};

/// A past state of the ledger, which the history file has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PastState {
    /// The position.
    pub(crate) position: Position,
    /// The time with which deadlines are compared; `None` if the caller may not know it.
    pub(crate) time: Option<Timestamp>,
}

impl App {
    /// The past state that a request asks for; `None` if it asks for none. Waits until the history file has
    /// it.
    pub(crate) async fn past(
        &self,
        as_of: Option<AsOf>,
        sight: Sight<'_>,
    ) -> Result<Option<PastState>, Problem> {
        let Some(as_of) = as_of else {
            return Ok(None);
        };
        let past = self.history_or_problem()?;
        if let AsOf::Time(time) = as_of {
            check_unbound(sight)?;
            let now = self.now();
            if now < time {
                let detail = format!("as_of is {time}, but the clock of the server says {now}");
                return Err(Problem::new(Code::PositionBeyondHead)
                    .with_detail(detail)
                    .with_error(AS_OF.name, "is later than the clock of the server"));
            }
        }
        let position = self.position_of(past, as_of).await?;
        let snapshot = snapshot_at(self.projection(), past, position)?;
        Ok(Some(match as_of {
            AsOf::Now => PastState {
                position,
                time: Some(self.now()),
            },
            AsOf::Position(_) => PastState {
                position,
                time: query::AsOf::of(&snapshot, sight)?.time,
            },
            // The state is the one after the tenant's own last record.
            AsOf::Time(time) => PastState {
                position: query::last_position(&snapshot, sight)?,
                time: Some(time),
            },
        }))
    }

    /// The last position that the log had before a time; the last of all for a time to come.
    pub(crate) async fn position_before(
        &self,
        time: Timestamp,
        sight: Sight<'_>,
    ) -> Result<Position, Problem> {
        let past = self.history_or_problem()?;
        check_unbound(sight)?;
        let time = time.plus_micros(-1);
        self.position_of(past, AsOf::Time(time)).await
    }

    fn history_or_problem(&self) -> Result<&Arc<Past>, Problem> {
        self.history().ok_or_else(|| Problem::new(Code::HistoryOff))
    }

    /// The position of a state. Waits until the history file has it.
    async fn position_of(&self, past: &Past, as_of: AsOf) -> Result<Position, Problem> {
        match self.known(past, as_of)? {
            Some(position) => Ok(position),
            None => self.wait_for_past(past, as_of).await,
        }
    }

    /// Reads a past state, on the blocking pool, or the present one if there is none.
    pub(crate) async fn read_at<R: Send + 'static>(
        &self,
        state: Option<PastState>,
        ask: impl FnOnce(&Snapshot) -> Result<R, Problem> + Send + 'static,
    ) -> Result<R, Problem> {
        let (Some(PastState { position, .. }), Some(past)) = (state, self.history()) else {
            return self.read(ask);
        };
        let (projection, past) = (Arc::clone(self.projection()), Arc::clone(past));
        let take = move || Ok(Arc::new(snapshot_at(&projection, &past, position)?));
        self.scan_of(take, ask).await
    }

    /// The position of a state that the history file has already.
    fn known(&self, past: &Past, as_of: AsOf) -> Result<Option<Position>, Problem> {
        let folded = self.projection().position();
        let known = past.position().min(folded);
        Ok(match as_of {
            AsOf::Now => Some(folded).filter(|position| *position <= known),
            AsOf::Position(position) => Some(position).filter(|position| *position <= known),
            AsOf::Time(time) => {
                let Ok(history) = past.snapshot() else {
                    return Ok(None);
                };
                // Later records may be of this time too, unless there is one of a later time.
                let latest = history.time_of(history.position())?;
                if latest.is_none_or(|latest| latest <= time) {
                    return Ok(None);
                }
                Some(history.position_at(time)?).filter(|position| *position <= known)
            }
        })
    }

    /// Waits until the history file has a state. Returns its position.
    async fn wait_for_past(&self, past: &Past, as_of: AsOf) -> Result<Position, Problem> {
        // The number of requests that query the log is bounded, and so is their time.
        let _waiting = self.waiting()?;
        let waited = async {
            let position = match as_of {
                AsOf::Now => self.projection().position(),
                AsOf::Position(position) => {
                    self.check_on_log(AS_OF.name, position).await?;
                    position
                }
                // All records so far may count.
                AsOf::Time(_) => self.log().head().await.map_err(Problem::of_read)?,
            };
            if self.projection().reach(position).await == Waited::Stopped {
                return Err(Problem::new(Code::FoldStopped));
            }
            past.reach(position).await;
            match as_of {
                AsOf::Now | AsOf::Position(_) => Ok(position),
                AsOf::Time(time) => Ok(past.snapshot()?.position_at(time)?),
            }
        };
        let at_most = Duration::from_millis(MIN_POSITION_WAIT_MS);
        let waited = tokio::time::timeout(at_most, waited).await;
        waited.unwrap_or_else(|_elapsed| {
            let (at, folded) = (past.position(), self.projection().position());
            Err(Problem::new(Code::NotCaughtUp).with_detail(format!(
                "the history file has come to position {at}, and the read model to {folded}; try again"
            )))
        })
    }
}

/// Rejects a caller that may see one agent only. When the records of others were written is none of its
/// business.
fn check_unbound(sight: Sight<'_>) -> Result<(), Problem> {
    match sight.agent {
        Some(_) => Err(QueryError::OneAgent.into()),
        None => Ok(()),
    }
}

/// The read model as of a position.
fn snapshot_at(
    projection: &Projection,
    past: &Past,
    position: Position,
) -> Result<Snapshot, StoreError> {
    projection.snapshot()?.at(past.snapshot()?, position)
}
