//! Reads the sessions and agents of many records before the fold. It reads them in key order, because
//! neighbors share pages.

use redb::ReadableTable;

use crate::domain::Payload;
use crate::domain::SessionEvent;
use crate::projection::error::StoreError;
use crate::projection::keys;
use crate::projection::numbers::{AgentNumber, Ordinal};
use crate::projection::prepare::Prepared;
use crate::projection::working::Working;
use crate::wire::Decoded;

/// With fewer records, the fold reads each session and agent when it needs it.
const RECORDS_MIN: usize = 64;

impl Working<'_> {
    /// Reads the sessions and agents of some records, unless they are in memory.
    pub(crate) fn preload(&mut self, batch: &[Prepared]) -> Result<(), StoreError> {
        if batch.len() < RECORDS_MIN {
            return Ok(());
        }
        let (mut sessions, mut agents) = (Vec::new(), Vec::new());
        for prepared in batch {
            let Ok(Decoded {
                tenant: Some(tenant),
                event,
                ..
            }) = &prepared.decoded
            else {
                continue;
            };
            // A new tenant has no rows.
            let Some(tenant) = self.known_tenant(tenant)? else {
                continue;
            };
            match &event.payload {
                Payload::Session(id, happened) => {
                    sessions.push(keys::named(tenant, id.as_str()));
                    match happened {
                        SessionEvent::Created(created) => {
                            agents.push(keys::named(tenant, created.agent_id.as_str()));
                        }
                        SessionEvent::HandedOff(handed_off) => {
                            sessions.push(keys::named(tenant, handed_off.child.as_str()));
                            agents.push(keys::named(tenant, handed_off.to.as_str()));
                        }
                        SessionEvent::Refreshed(_)
                        | SessionEvent::Terminated(_)
                        | SessionEvent::Expired { .. } => {}
                    }
                }
                Payload::Agent(id, _) => agents.push(keys::named(tenant, id.as_str())),
                Payload::Rules { .. } => {}
            }
        }
        self.preload_sessions(sessions)?;
        self.preload_agents(agents)
    }

    fn preload_sessions(&mut self, mut keys: Vec<Vec<u8>>) -> Result<(), StoreError> {
        keys.sort_unstable();
        keys.dedup();
        let mut ordinals = Vec::new();
        self.session_ids.reserve(keys.len());
        for key in keys {
            if self.session_ids.contains_key(&key) {
                continue;
            }
            let found = self
                .tables
                .session_ids
                .get(&*key)?
                .map(|ordinal| Ordinal::new(ordinal.value()));
            ordinals.extend(found);
            self.session_ids.insert(key, found);
        }
        ordinals.sort_unstable();
        for ordinal in ordinals {
            self.load_session(ordinal)?;
        }
        Ok(())
    }

    fn preload_agents(&mut self, mut keys: Vec<Vec<u8>>) -> Result<(), StoreError> {
        keys.sort_unstable();
        keys.dedup();
        let mut numbers = Vec::new();
        for key in keys {
            if self.agent_ids.contains_key(&key) {
                continue;
            }
            let found = self
                .tables
                .agent_ids
                .get(&*key)?
                .map(|number| AgentNumber::new(number.value()));
            numbers.extend(found);
            self.agent_ids.insert(key, found);
        }
        numbers.sort_unstable();
        for number in numbers {
            self.load_agent(number)?;
        }
        Ok(())
    }
}
