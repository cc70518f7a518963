//! A project in a request, and the sessions of the ledger that belong to it.

use crate::domain::filter::Owner;
use crate::domain::ids::IdError;
use crate::domain::{ProjectId, Reason, SessionFilter};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::extract::PathParam;
use crate::http::state::App;
use crate::query::{self, Sight};

/// The id for all sessions of the tenant. Only there do clients see sessions without a project.
const EVERY_PROJECT: &str = "00000000-0000-0000-0000-000000000000";

/// A project that a client names. It may not exist.
#[derive(Debug)]
pub(super) struct Project(Owner);

impl Project {
    pub(super) fn parse(text: &str) -> Result<Self, IdError> {
        if text == EVERY_PROJECT {
            return Ok(Self(Owner::Tenant));
        }
        ProjectId::parse(text).map(|id| Self(Owner::Project(id)))
    }

    /// Returns the owner of the project's sessions. A problem if the project never had a session.
    pub(super) fn owner(self, app: &App, sight: Sight<'_>) -> Result<Owner, Problem> {
        let owner = self.0;
        if owner == Owner::Tenant {
            return Ok(owner);
        }
        let filter = SessionFilter {
            owner,
            ..SessionFilter::default()
        };
        let counted = app.read(|snapshot| Ok(query::sessions::count(snapshot, sight, &filter)?))?;
        if counted.total == 0 {
            return Err(missing());
        }
        Ok(filter.owner)
    }
}

impl PathParam for Project {
    const NAME: &'static str = "id";
    const ABOUT: &'static str = "The project's id.";

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }
}

/// The problem for a missing project and for another tenant's: callers cannot tell them apart.
pub(super) fn missing() -> Problem {
    Problem::new(Code::Event(Reason::NotFound))
}
