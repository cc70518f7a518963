//! The progress of the fold, and the next free numbers.
//!
//! ```text
//! layout  ->  4 bytes
//! fold    ->  position | recorded_at (8 each) | chain head | chain head before (32 each)
//!             | rules version (4) | last expiry (8) | next session (8)
//!             | next agent | project | tenant | group of agents | session with children | user (4 each)
//!             | where each version of the rules after the first was switched on (8 each)
//! ```

use redb::{ReadTransaction, ReadableTable, TableError};

use crate::domain::{Position, Rules, RulesHistory, Timestamp};
use crate::log::chain::{self, ChainHead};
use crate::projection::bytes::{Reader, Writer};
use crate::projection::error::StoreError;
use crate::projection::numbers::{
    AgentNumber, GroupNumber, Ordinal, ParentNumber, ProjectNumber, TenantNumber, UserNumber,
};
use crate::projection::tables::meta;

const KEY_LAYOUT: &str = "layout";
const KEY_FOLD: &str = "fold";

/// The progress of the fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The last record that was folded.
    pub position: Position,
    /// The log's time stamp of that record.
    pub recorded_at: Timestamp,
    /// Chain over all records up to it.
    pub chain: ChainHead,
    /// Chain over all records before it. It allows a check of that one record against `chain`.
    pub chain_before: ChainHead,
    /// The current rules, and the earlier ones.
    pub rules: RulesHistory,
    /// The last record of an expiry, whatever its verdict.
    pub last_expiry: Position,
    pub(crate) next_session: Ordinal,
    pub(crate) next_agent: AgentNumber,
    pub(crate) next_project: ProjectNumber,
    pub(crate) next_tenant: TenantNumber,
    pub(crate) next_group: GroupNumber,
    pub(crate) next_parent: ParentNumber,
    pub(crate) next_user: UserNumber,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            position: Position::ZERO,
            recorded_at: Timestamp::from_micros_clamped(0),
            chain: chain::EMPTY,
            chain_before: chain::EMPTY,
            rules: RulesHistory::default(),
            last_expiry: Position::ZERO,
            next_session: Ordinal::FIRST,
            next_agent: AgentNumber::FIRST,
            next_project: ProjectNumber::FIRST,
            next_tenant: TenantNumber::FIRST,
            next_group: GroupNumber::FIRST,
            next_parent: ParentNumber::FIRST,
            next_user: UserNumber::FIRST,
        }
    }
}

impl Progress {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u64(self.position.get());
        out.i64(self.recorded_at.micros());
        out.raw(&self.chain);
        out.raw(&self.chain_before);
        out.u32(self.rules.current().number());
        out.u64(self.last_expiry.get());
        out.u64(self.next_session.get());
        out.u32(self.next_agent.get());
        out.u32(self.next_project.get());
        out.u32(self.next_tenant.get());
        out.u32(self.next_group.get());
        out.u32(self.next_parent.get());
        out.u32(self.next_user.get());
        for switched in self.rules.switches() {
            out.u64(switched.get());
        }
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut from = Reader::new(bytes, "progress");
        let (position, recorded_at) = (from.u64()?, from.i64()?);
        let (chain, chain_before) = (from.array()?, from.array()?);
        let version = from.u32()?;
        let current = Rules::from_number(version).ok_or(StoreError::Rules {
            at: Position::new(position),
            asked: version,
            known: Rules::LATEST.number(),
        })?;
        let mut progress = Self {
            position: Position::new(position),
            recorded_at: Timestamp::from_micros_clamped(recorded_at),
            chain,
            chain_before,
            rules: RulesHistory::default(),
            last_expiry: Position::new(from.u64()?),
            next_session: Ordinal::new(from.u64()?),
            next_agent: AgentNumber::new(from.u32()?),
            next_project: ProjectNumber::new(from.u32()?),
            next_tenant: TenantNumber::new(from.u32()?),
            next_group: GroupNumber::new(from.u32()?),
            next_parent: ParentNumber::new(from.u32()?),
            next_user: UserNumber::new(from.u32()?),
        };
        for rules in Rules::ALL
            .into_iter()
            .skip(1)
            .filter(|rules| *rules <= current)
        {
            let switched = Position::new(from.u64()?);
            if switched == Position::ZERO || progress.position < switched {
                return Err(from.damaged());
            }
            progress.rules.switch(rules, switched);
        }
        from.end()?;
        Ok(progress)
    }

    pub(crate) fn load(
        table: &impl ReadableTable<&'static str, &'static [u8]>,
    ) -> Result<Self, StoreError> {
        table
            .get(KEY_FOLD)?
            .map_or_else(|| Ok(Self::default()), |bytes| Self::decode(bytes.value()))
    }

    pub(crate) fn save(
        &self,
        table: &mut redb::Table<'_, &'static str, &'static [u8]>,
    ) -> Result<(), StoreError> {
        table.insert(KEY_FOLD, &*self.encode())?;
        Ok(())
    }
}

/// Whether a file has this layout. A new file has none yet, and any other layout is an error.
pub(crate) fn has_layout(txn: &ReadTransaction, layout: u32) -> Result<bool, StoreError> {
    let table = match txn.open_table(meta) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let Some(bytes) = table.get(KEY_LAYOUT)? else {
        return Ok(false);
    };
    match Reader::new(bytes.value(), "layout").u32()? {
        found if found == layout => Ok(true),
        found => Err(StoreError::Layout {
            found,
            expected: layout,
        }),
    }
}

/// Writes a layout into a new file.
pub(crate) fn write_layout(
    table: &mut redb::Table<'_, &'static str, &'static [u8]>,
    layout: u32,
) -> Result<(), StoreError> {
    table.insert(KEY_LAYOUT, &layout.to_be_bytes()[..])?;
    Ok(())
}
