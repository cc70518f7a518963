//! Decides which events the spans of a request mean, from what is known of their sessions.

use crate::domain::limits::{OTLP_EVENTS_MAX, OTLP_LOOKS_MAX};
use crate::domain::{SessionId, Timestamp};
use crate::hooks::Emission;
use crate::otlp::conversation::{Conversation, Family};
use crate::otlp::event::Options;
use crate::otlp::rejected::Rejected;
use crate::otlp::span::Spans;
use crate::otlp::walk::Walk;

/// What is known of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// When it opened.
    pub opened_at: Timestamp,
    /// The time of its latest sign of life.
    pub active_at: Timestamp,
    /// Whether it goes on.
    pub state: State,
}

/// Whether a session goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is open, until a deadline if it has one.
    Open {
        /// The deadline.
        deadline: Option<Timestamp>,
    },
    /// It has ended, or its deadline has passed.
    Ended {
        /// When.
        at: Timestamp,
    },
    /// Another agent took over.
    HandedOff {
        /// When.
        at: Timestamp,
        /// The session of that agent.
        child: SessionId,
    },
}

/// The events that the spans of a request mean.
#[derive(Debug)]
pub struct Plan {
    /// The events of each conversation, in their order. A conversation that says nothing new has none.
    pub conversations: Vec<Planned>,
    /// The spans that mean nothing, because something in them is wrong.
    pub rejected: Rejected,
}

/// The events of a conversation.
#[derive(Debug)]
pub struct Planned {
    /// The conversation.
    pub conversation: SessionId,
    /// How many spans of it are in the request.
    pub spans: u64,
    /// Its events, in their order.
    pub events: Vec<Emission>,
}

/// Why a conversation is not planned.
enum Stop<E> {
    /// Looking up a session failed.
    Failed(E),
    /// The request needs too much work.
    TooMuch,
}

/// Plans the events of a request. `look` looks a session up in the ledger.
///
/// The order of the spans in the request does not matter, nor that a span is in it twice. A request that the
/// ledger has folded already means no events. One that it has not folded yet means the same events again,
/// with the same ids.
pub fn plan<E>(
    spans: &Spans,
    options: &Options,
    mut look: impl FnMut(&SessionId) -> Result<Option<Known>, E>,
) -> Result<Plan, E> {
    let family = Family::of(spans);
    let (mut looks, mut events) = (0, 0);
    let mut plan = Plan {
        conversations: Vec::new(),
        rejected: spans.rejected.clone(),
    };
    for conversation in Conversation::all(spans) {
        let count = conversation.spans.len() as u64;
        let look = |session: &SessionId| {
            looks += 1;
            if OTLP_LOOKS_MAX < looks {
                return Err(Stop::TooMuch);
            }
            look(session).map_err(Stop::Failed)
        };
        let mut walk = Walk {
            conversation: &conversation,
            family: &family,
            options,
            look,
            events: Vec::new(),
            room: OTLP_EVENTS_MAX.saturating_sub(events),
        };
        let walked = walk.walk();
        let planned = walk.events;
        match walked {
            Err(Stop::Failed(error)) => return Err(error),
            Ok(()) if events + planned.len() <= OTLP_EVENTS_MAX => {
                events += planned.len();
                plan.conversations.push(Planned {
                    conversation: conversation.id.clone(),
                    spans: count,
                    events: planned,
                });
            }
            Ok(()) | Err(Stop::TooMuch) => {
                let reason = "the request is about too many sessions; export smaller batches";
                plan.rejected.add(count, reason);
            }
        }
    }
    Ok(plan)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
