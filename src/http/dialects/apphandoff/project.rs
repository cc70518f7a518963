//! A project as clients name it, and whose sessions of the ledger that means.
//!
//! Ids of projects are UUIDs, which are the same in any case. The ledger's ids are opaque, and stay
//! as they were emitted: so a UUID is looked up as it is given, in lower case and in upper case.

use std::borrow::Cow;

use utoipa::openapi::schema::Type;
use uuid::Uuid;

use crate::domain::filter::Owner;
use crate::domain::ids::IdError;
use crate::domain::{ProjectId, Reason, SessionFilter, TenantId};
use crate::http::app::App;
use crate::http::error::Code;
use crate::http::extract::PathParam;
use crate::http::problem::Problem;
use crate::query;

/// Stands for all sessions of the tenant: those that are in no project can be seen nowhere else.
const EVERY_PROJECT: Uuid = Uuid::nil();

/// A project that a client asks for.
#[derive(Debug)]
pub(super) struct Project {
    /// Whose sessions it may mean.
    owners: Vec<Owner>,
}

impl Project {
    pub(super) fn parse(text: &str) -> Result<Self, IdError> {
        let spellings = match uuid(text) {
            Some(EVERY_PROJECT) => {
                let owners = vec![Owner::Tenant];
                return Ok(Self { owners });
            }
            Some(_) => vec![
                text.to_owned(),
                text.to_ascii_lowercase(),
                text.to_ascii_uppercase(),
            ],
            None => vec![text.to_owned()],
        };
        let mut owners = Vec::with_capacity(spellings.len());
        for spelling in spellings {
            let owner = Owner::Project(ProjectId::parse(&spelling)?);
            if !owners.contains(&owner) {
                owners.push(owner);
            }
        }
        Ok(Self { owners })
    }

    /// Those of its owners that have sessions; that there are none is a problem.
    pub(super) fn owners(self, app: &App, tenant: &TenantId) -> Result<Vec<Owner>, Problem> {
        if self.owners == [Owner::Tenant] {
            return Ok(self.owners);
        }
        let known = app.read(|snapshot| {
            let mut known = Vec::with_capacity(self.owners.len());
            for owner in self.owners {
                let filter = SessionFilter {
                    owner,
                    ..SessionFilter::default()
                };
                let counted = query::sessions::count(snapshot, tenant, &filter)?;
                known.extend((0 < counted.total).then_some(filter.owner));
            }
            Ok(known)
        })?;
        if known.is_empty() {
            return Err(missing());
        }
        Ok(known)
    }
}

impl PathParam for Project {
    const NAME: &'static str = "id";
    const ABOUT: &'static str = "The project's id.";
    const TYPE: Type = Type::String;

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }
}

/// No such project, or another tenant's: nobody can tell which.
pub(super) fn missing() -> Problem {
    Problem::new(Code::Event(Reason::NotFound))
}

/// An id as answers have it: UUIDs in lower case.
pub(super) fn canonical(id: &str) -> Cow<'_, str> {
    match uuid(id) {
        Some(_) => Cow::Owned(id.to_ascii_lowercase()),
        None => Cow::Borrowed(id),
    }
}

/// A UUID in its usual form, with hyphens.
pub(super) fn uuid(text: &str) -> Option<Uuid> {
    let uuid = Uuid::try_parse(text).ok()?;
    (text.len() == uuid::fmt::Hyphenated::LENGTH).then_some(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(asked: &str, expected: &[&str]) {
        let owners = Project::parse(asked).unwrap().owners;
        let names: Vec<&str> = owners
            .iter()
            .map(|owner| match owner {
                Owner::Project(id) => id.as_str(),
                Owner::Tenant => "all",
                Owner::Agent(_) => "agent",
            })
            .collect();
        assert_eq!(names, expected, "{asked}");
    }

    #[test]
    fn a_uuid_is_the_same_in_any_case_and_another_id_is_not() {
        let lower = "2489e9ad-2ee2-8e00-8ec9-32d5f69181c0";
        let upper = "2489E9AD-2EE2-8E00-8EC9-32D5F69181C0";
        let mixed = "2489e9AD-2ee2-8e00-8ec9-32d5f69181c0";
        check(lower, &[lower, upper]);
        check(upper, &[upper, lower]);
        check(mixed, &[mixed, lower, upper]);
        check("Shop", &["Shop"]);
        // The same number, in forms that are no id of theirs.
        for other in [&lower.replace('-', ""), &*format!("urn:uuid:{lower}")] {
            check(other, &[other]);
        }
        let digits = "01234567-0123-0123-0123-012345678901";
        check(digits, &[digits]);
        check("00000000-0000-0000-0000-000000000000", &["all"]);
        assert_eq!(canonical(upper), lower);
        assert_eq!(canonical("Shop"), "Shop");
    }
}
