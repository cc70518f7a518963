//! Shapes of the frames of streams.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::common::AsOf;
use super::event::Event;
use super::session::Session;

/// A frame of a stream of sessions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "frame", rename_all = "snake_case")]
pub enum SessionFrame {
    /// The rows that the client has are not valid. All rows follow.
    Reset,
    /// A row is new or has changed. The client removes the row of that session, and inserts this one.
    Upsert {
        /// The index of the row among the rows of the client, from 0.
        index: u64,
        /// The row.
        session: Box<Session>,
    },
    /// A row is not among the newest ones of the listing any more.
    Leave {
        /// The session of the row.
        session_id: String,
    },
    /// The client now has the rows and totals of this position.
    Synced {
        /// The number of all sessions that match.
        total: u64,
        /// The number of sessions for each status that the filter allows.
        by_status: BTreeMap<String, u64>,
        /// The state that the client has.
        as_of: AsOf,
    },
    /// The stream ends.
    Bye(Bye),
}

/// A frame of a stream of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "frame", rename_all = "snake_case")]
pub enum EventFrame {
    /// The log does not have the position that the client asked to continue after. The events from the
    /// beginning of the log follow.
    Reset,
    /// An event.
    Event(Box<Event>),
    /// No event matches up to this position. The search goes on.
    Searched {
        /// Give it as `after` to continue from here.
        position: u64,
    },
    /// The client now has every event up to this position.
    Synced {
        /// The state that the client has. Its time is null.
        as_of: AsOf,
    },
    /// The stream ends.
    Bye(Bye),
}

/// A frame as a Server-Sent Event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerSentEvent {
    /// The position up to which the client has everything. Not every frame has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// The name of the frame.
    #[schema(example = "synced")]
    pub event: String,
    /// The frame as JSON.
    pub data: String,
    /// How long to wait before connecting again, in milliseconds. Only the last frame may have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub retry: Option<u64>,
}

/// The end of a stream. The client connects again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Bye {
    /// `restart` if the server stops, and `renew` if the stream has lasted long enough.
    #[schema(example = "renew")]
    pub reason: String,
    /// How long to wait before connecting again, in milliseconds.
    pub retry_ms: u64,
}
