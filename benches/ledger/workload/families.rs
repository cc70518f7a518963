//! Sessions with parents: two tenants with many conversations, and one with the extremes.
//!
//! One session in two of tenant 0 is a root, and has one child. One in a hundred of tenant 1 is a root; the other 99
//! of its conversation are below it, three below each. Tenant 2 has a chain of 200 sessions below a root, each opened
//! by the one before, and a parent with up to 10,000 children, which open in equal distances over the whole log. One
//! session in four is terminated soon after it has opened.

use std::collections::VecDeque;

use fastrand::Rng;
use session_ledger::log::Record;

use super::{SEED, record, time_us, timestamp};

/// The sessions of a conversation of the tenants 0 and 1.
const CONVERSATIONS: [usize; 2] = [2, 100];
const CHILDREN_OF_ONE: usize = 3;
const EXTREMES: u32 = 2;
pub(crate) const CHAIN: u64 = 200;
const CHILDREN: u64 = 10_000;
/// The sessions that open before an earlier one ends.
const ENDS_AFTER: usize = 50;
const AGENTS: u64 = 20;
pub(crate) const ROOTS: [&str; 2] = ["one in 2 is a root", "one in 100 is a root"];

/// A session that opens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening {
    pub(crate) tenant: u32,
    number: u64,
    parent: Option<u64>,
}

impl Opening {
    pub(crate) fn id(&self) -> String {
        id(self.number)
    }

    pub(crate) fn parent(&self) -> Option<String> {
        self.parent.map(id)
    }

    pub(crate) fn agent(&self) -> String {
        format!("agent-{}", Rng::with_seed(self.number).u64(..AGENTS))
    }

    /// Some 200 bytes.
    pub(crate) fn metadata(&self) -> String {
        format!(r#"{{"task":"{:0180x}"}}"#, self.number)
    }
}

/// What happens next.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Opened(Opening),
    Terminated(Opening),
}

/// The events of so many sessions.
pub(crate) struct Families {
    sessions: u64,
    opened: u64,
    /// The distance of the children of one parent.
    stride: u64,
    conversations: [Vec<u64>; 2],
    latest: VecDeque<Opening>,
    ends: Option<Opening>,
}

impl Families {
    pub(crate) fn new(sessions: u64) -> Self {
        Self {
            sessions,
            opened: 0,
            stride: (sessions / CHILDREN).max(2),
            conversations: Default::default(),
            latest: VecDeque::new(),
            ends: None,
        }
    }

    /// The first session of the chain.
    pub(crate) fn chain() -> String {
        id(0)
    }

    /// The parent with the many children.
    pub(crate) fn parent() -> String {
        id(CHAIN + 1)
    }

    fn open(&mut self) -> Opening {
        let number = self.opened;
        self.opened += 1;
        let (tenant, parent) = match number {
            0..=CHAIN => (EXTREMES, number.checked_sub(1)),
            _ if number == CHAIN + 1 => (EXTREMES, None),
            _ if number.is_multiple_of(self.stride) => (EXTREMES, Some(CHAIN + 1)),
            _ => self.open_in_conversation(number),
        };
        Opening {
            tenant,
            number,
            parent,
        }
    }

    fn open_in_conversation(&mut self, number: u64) -> (u32, Option<u64>) {
        // Spread like a hash, so that no tenant takes the places that the stride leaves.
        let tenant = Rng::with_seed(number ^ SEED).u32(..2);
        let place = tenant as usize;
        let members = &mut self.conversations[place];
        if members.len() == CONVERSATIONS[place] {
            members.clear();
        }
        let above = members.len().checked_sub(1);
        let parent = above.map(|before| members[before / CHILDREN_OF_ONE]);
        members.push(number);
        (tenant, parent)
    }
}

impl Iterator for Families {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if let Some(ended) = self.ends.take() {
            return Some(Step::Terminated(ended));
        }
        if self.opened == self.sessions {
            return None;
        }
        let opening = self.open();
        self.latest.push_back(opening);
        if ENDS_AFTER < self.latest.len() {
            self.ends = self.latest.pop_front().filter(|old| old.number % 4 == 3);
        }
        Some(Step::Opened(opening))
    }
}

impl Step {
    /// Returns the record at this position.
    pub(crate) fn record(&self, position: u64) -> Record {
        let at = (position, timestamp(time_us(position)));
        match self {
            Self::Opened(opening) => {
                let parent = opening.parent().map_or_else(String::new, |parent| {
                    format!(r#""parent_session_id":"{parent}","#)
                });
                let data = format!(
                    r#"{{"agent_id":"{}",{parent}"metadata":{}}}"#,
                    opening.agent(),
                    opening.metadata()
                );
                record(at, "session.created", opening.tenant, &opening.id(), &data)
            }
            Self::Terminated(ended) => {
                let data = r#"{"reason":"done"}"#;
                record(at, "session.terminated", ended.tenant, &ended.id(), data)
            }
        }
    }
}

fn id(number: u64) -> String {
    format!("s-{:032x}", Rng::with_seed(number ^ SEED).u128(..))
}
