//! Verdicts: what the fold decided about a record, and the reason codes.

use crate::domain::ids::Position;

/// The decision of the fold about an event.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    strum::EnumDiscriminants,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
#[strum_discriminants(
    name(VerdictKind),
    derive(Hash, strum::EnumString, strum::VariantNames),
    strum(serialize_all = "snake_case"),
    doc = "A verdict without its reason or position."
)]
pub enum Verdict {
    /// It changed the read model.
    Applied,
    /// It is a copy of the event at this position and changed nothing.
    Duplicate(Position),
    /// It changed nothing, for this reason.
    Rejected(Reason),
    /// It waits for its session to open. Provisional: it ends as applied or rejected.
    Parked,
}

impl Verdict {
    /// The word for the kind of verdict.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $number:literal $code:literal $advice:literal;)*) => {
        /// Why an event was rejected. The numbers are stored and never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[$doc])* $name = $number,)*
        }

        impl Reason {
            /// Every reason, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable code.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// One sentence for people: what is wrong, and what to do about it.
            pub fn advice(self) -> &'static str {
                match self {
                    $(Self::$name => $advice,)*
                }
            }

            /// The reason with this number.
            pub fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

reasons! {
    /// The body is not JSON text.
    NotJson = 1 "not_json" "the body is not JSON text in UTF-8";
    /// The envelope or its data breaks the schema.
    Invalid = 2 "invalid" "the event breaks its schema; `errors` names the fields";
    /// The type is none of the ledger's.
    UnknownType = 3 "unknown_type" "the type is not one of the ledger's event types";
    /// The type does not match the subject that it came on.
    SubjectMismatch = 4 "subject_mismatch" "the type does not match the NATS subject that the event was published on";
    /// The event names another tenant than its subject or credential.
    TenantMismatch = 5 "tenant_mismatch" "tenantid differs from the tenant of the subject or credential";
    /// An earlier event has the same source and id, but another body.
    IdReused = 6 "id_reused" "this source and id were used for another event; give every event its own id";
    /// The session or agent exists already.
    AlreadyExists = 7 "already_exists" "a session or agent with this id exists already; choose another id";
    /// There is no such session or agent.
    NotFound = 8 "not_found" "there is no such session or agent";
    /// The session has ended in another way.
    NotActive = 9 "not_active" "the session has ended and cannot change any more";
    /// The session has ended in the same way before.
    AlreadyEnded = 10 "already_ended" "the session was terminated before; the first termination counts";
    /// The event happened at or after the session's deadline.
    SessionExpired = 11 "session_expired" "the event's time is not before the session's deadline";
    /// A later refresh was applied before.
    Superseded = 12 "superseded" "a refresh with a later time was applied before";
    /// The deadline that passed is no longer that of the session.
    RefreshedSince = 13 "refreshed_since" "the deadline of the session has changed since";
    /// The deadline has not passed on the log's clock.
    NotDue = 14 "not_due" "the deadline has not passed yet";
    /// The agent is suspended.
    AgentSuspended = 15 "agent_suspended" "the agent is suspended; reinstate it first";
    /// The agent is revoked.
    AgentRevoked = 16 "agent_revoked" "the agent is revoked for good; register another one";
    /// The scopes go beyond those of the agent or the parent session.
    ScopeExceeded = 17 "scope_exceeded" "the scopes go beyond those of the agent or the parent session";
    /// The parent session has not opened in this tenant.
    UnknownParent = 18 "unknown_parent" "parent_session_id names no session that has opened in this tenant";
    /// Too many events wait for this session.
    ParkingFull = 19 "parking_full" "too many events wait for this session to open; send its session.created, then send this again";
    /// The session did not open in time.
    ParkingExpired = 20 "parking_expired" "the session did not open within 24 hours of this event";
    /// The presented refresh token is not the session's.
    TokenStale = 21 "token_stale" "the refresh token was used before or is not this session's";
    /// A command asked for an agent that is known.
    AgentNotRegistered = 22 "agent_not_registered" "the agent is not known: it is not registered, and no event names it; register it first";
    /// The metadata would be too large after the merge.
    MetadataTooLarge = 23 "metadata_too_large" "the metadata would be too large or too deep after the merge";
    /// The deadline is not after the event's time.
    DeadlineNotAfterTime = 24 "deadline_not_after_time" "expires_at must be later than the event's time";
    /// The agent is suspended already.
    AlreadySuspended = 25 "already_suspended" "the agent is suspended already";
    /// The agent is not suspended.
    NotSuspended = 26 "not_suspended" "the agent is not suspended, so there is nothing to reinstate";
    /// The agent is revoked already.
    AlreadyRevoked = 27 "already_revoked" "the agent was revoked before; the first revocation counts";
    /// The body is longer than the limit.
    TooLarge = 28 "too_large" "the event's body is longer than 65536 bytes";
    /// The credential speaks for another agent.
    OtherAgent = 29 "other_agent" "the credential is bound to an agent, and this is a session of another agent";
    /// The agent's own deadline has passed.
    AgentExpired = 30 "agent_expired" "the agent's expires_at has passed; update it to a later time first";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_codes_are_unique_and_lead_back() {
        let mut codes: Vec<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        for reason in Reason::ALL {
            assert_eq!(Reason::from_number(*reason as u8), Some(*reason));
        }
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Reason::ALL.len());
    }
}
