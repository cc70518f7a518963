//! Proves the read model: its chain against the log, its totals against what they count.

use std::collections::{BTreeMap, BTreeSet};

use redb::{ReadOnlyTable, ReadableTable, ReadableTableMetadata};

use crate::domain::limits::LOG_READ_RECORDS_MAX;
use crate::domain::{AgentStatus, Position, Rules, WithCauses};
use crate::log::chain::{self, ChainHead};
use crate::log::{EventLog, LogError, Record};
use crate::projection::agent_row::StoredAgent;
use crate::projection::error::StoreError;
use crate::projection::keys::{self, ListingKey, Partition, SortKey};
use crate::projection::meta::Progress;
use crate::projection::numbers::{AgentNumber, Ordinal};
use crate::projection::prepare::rules_after;
use crate::projection::row_sum::{RowSum, RowSums};
use crate::projection::session_row::StoredSession;
use crate::projection::snapshot::Snapshot;
use crate::projection::tables::ReadTables;
use crate::projection::tally::{self, Counter};

/// One in so many listed rows has its rank compared with its place.
const RANK_EVERY: u64 = 997;

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// The log jumps.
    #[error("the log jumps from position {after} to {found}")]
    Gap {
        /// The last position that was there.
        after: Position,
        /// The position that followed it.
        found: Position,
    },
    /// The log cannot be read to its end.
    #[error("the log cannot be read after position {after}: {error}")]
    Unreadable {
        /// The last position that was read.
        after: Position,
        /// The error of the log, with its causes.
        error: String,
    },
    /// The log ends before the read model does.
    #[error("the log ends at position {head}, but the read model was built up to {position}")]
    Short {
        /// The last position of the log.
        head: Position,
        /// The read model's.
        position: Position,
    },
    /// The records up to the read model's position are not those that it was built from.
    #[error(
        "the hash chain of the log up to position {at} is {log}, but the read model was built from \
         {model}: a record was changed"
    )]
    Chain {
        /// The read model's position.
        at: Position,
        /// Head of the chain over the log, in hexadecimal digits.
        log: String,
        /// The read model's.
        model: String,
    },
    /// A table has other entries than a new fold of the log gives.
    #[error("the table {0} is not what the log gives: run `session-ledger rebuild`")]
    Table(String),
    /// A total is not the number of what it counts.
    #[error("{what}: the total says {total}, but there are {counted}")]
    Total {
        /// What is counted.
        what: String,
        /// The stored total.
        total: u64,
        /// What is there.
        counted: u64,
    },
    /// A session or agent is not listed as its row says.
    #[error("{count} sessions or agents are missing in a listing, the first one is {first:?}")]
    Unlisted {
        /// How many.
        count: u64,
        /// The id of one.
        first: String,
    },
    /// The digest of a tenant is not that of its rows.
    #[error("the digest of tenant number {0} is not that of its sessions and agents")]
    Digest(u32),
    /// The index of revoked agents with active sessions does not have those and no others.
    #[error("the index of revoked agents is not what agents and totals say")]
    Revoked,
}

/// What reading the log came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChecked {
    /// The last position that was read.
    pub position: Position,
    /// Head of the chain over everything that was read.
    pub chain: ChainHead,
    /// The rules that hold after what was read.
    rules: Rules,
    /// What is wrong.
    pub differences: Vec<Difference>,
}

/// Reads the log from its start to `head` and compares it with what a read model was built from.
/// Calls `read` with the last position after each chunk.
pub async fn log(
    log: &dyn EventLog,
    head: Position,
    model: &Progress,
    mut read: impl FnMut(Position),
) -> LogChecked {
    let mut checked = LogChecked {
        position: Position::ZERO,
        chain: chain::EMPTY,
        rules: Rules::V1,
        differences: Vec::new(),
    };
    if head < model.position {
        let position = model.position;
        checked
            .differences
            .push(Difference::Short { head, position });
    }
    if let Err(error) = walk(log, head, model, &mut checked, &mut read).await {
        let (after, error) = (checked.position, WithCauses(&error).to_string());
        checked
            .differences
            .push(Difference::Unreadable { after, error });
    }
    checked
}

async fn walk(
    log: &dyn EventLog,
    head: Position,
    model: &Progress,
    checked: &mut LogChecked,
    read: &mut impl FnMut(Position),
) -> Result<(), LogError> {
    if head == Position::ZERO {
        return Ok(());
    }
    let mut tail = log.tail(Position::ZERO).await?;
    while checked.position < head {
        for record in &tail.next(LOG_READ_RECORDS_MAX).await? {
            checked.take(record, model);
        }
        read(checked.position);
    }
    Ok(())
}

impl LogChecked {
    fn take(&mut self, record: &Record, model: &Progress) {
        let (after, found) = (self.position, record.position);
        if found != after.next() {
            self.differences.push(Difference::Gap { after, found });
        }
        self.position = found;
        self.chain = chain::next(&self.chain, self.rules, record);
        self.rules = rules_after(self.rules, record);
        if found == model.position && self.chain != model.chain {
            self.differences.push(Difference::Chain {
                at: found,
                log: hex::encode(self.chain),
                model: hex::encode(model.chain),
            });
        }
    }
}

/// Counts what the read model's totals say they count. Reads every listing, session and agent.
pub fn totals(snapshot: &Snapshot) -> Result<Vec<Difference>, StoreError> {
    let mut differences = Vec::new();
    listings(snapshot, &mut differences)?;
    rows(snapshot, &mut differences)?;
    rejections(snapshot, &mut differences)?;
    let verdicts = snapshot.tables.verdicts.len()?;
    let position = snapshot.progress().position.get();
    compare(
        "events with a verdict",
        position,
        verdicts,
        &mut differences,
    );
    Ok(differences)
}

fn listings(snapshot: &Snapshot, differences: &mut Vec<Difference>) -> Result<(), StoreError> {
    let ReadTables {
        listing,
        tallies,
        totals,
        ..
    } = &*snapshot.tables;
    let counter = Counter {
        listing,
        tallies,
        totals,
    };
    let mut counted: BTreeMap<Partition, u64> = BTreeMap::new();
    for entry in listing.iter()? {
        let key: ListingKey = *entry?.0.value();
        let partition = keys::partition_of(&key);
        let place = counted.entry(partition).or_default();
        if *place % RANK_EVERY == RANK_EVERY - 1 {
            let rank = counter.rank(partition, keys::sort_key_of(&key))?;
            let what = format!(
                "rows before place {place} of the listing {}",
                name(partition)
            );
            compare(&what, rank, *place, differences);
        }
        *place += 1;
    }
    for entry in totals.iter()? {
        let (partition, total) = entry?;
        let counted = counted.remove(partition.value()).unwrap_or(0);
        let what = format!("rows of the listing {}", name(*partition.value()));
        compare(&what, total.value(), counted, differences);
    }
    for (partition, counted) in counted {
        let what = format!("rows of the listing {}", name(partition));
        compare(&what, 0, counted, differences);
    }
    Ok(())
}

/// Compares every table of a read model with one that was folded from the log again.
pub fn tables(model: &Snapshot, expected: &Snapshot) -> Result<Vec<Difference>, StoreError> {
    let (model, expected) = (model.digests()?, expected.digests()?);
    let tables: BTreeSet<&String> = model.keys().chain(expected.keys()).collect();
    let differing = tables
        .into_iter()
        .filter(|table| model.get(*table) != expected.get(*table));
    Ok(differing.cloned().map(Difference::Table).collect())
}

/// Every session and agent must stand in the listings that its row names, and in no other.
fn rows(snapshot: &Snapshot, differences: &mut Vec<Difference>) -> Result<(), StoreError> {
    let tables = &snapshot.tables;
    let mut listed = Listed {
        listing: &tables.listing,
        places: 0,
        missing: 0,
        first: None,
    };
    let mut sums = RowSums::default();
    let sessions = &tables.sessions;
    for entry in sessions.iter()? {
        let (ordinal, row) = entry?;
        let stored = StoredSession::decode(row.value())?;
        let sum = RowSum::of_session(Ordinal::new(ordinal.value()), row.value());
        sums.replace(stored.tenant, RowSum::EMPTY, sum);
        let session = &stored.session;
        let sort_key = keys::session_sort_key(session.created_at, Ordinal::new(ordinal.value()));
        let partitions = stored.partitions(&session.status);
        listed.check(stored.id.as_str(), sort_key, &partitions)?;
    }
    let agents = &tables.agents;
    let totals = &tables.totals;
    let mut revoked = Vec::new();
    for entry in agents.iter()? {
        let (number, row) = entry?;
        let stored = StoredAgent::decode(row.value())?;
        let number = AgentNumber::new(number.value());
        let sum = RowSum::of_agent(number, row.value());
        sums.replace(stored.tenant, RowSum::EMPTY, sum);
        let sort_key = keys::agent_sort_key(stored.agent.created_at, number);
        listed.check(stored.id.as_str(), sort_key, &stored.partitions())?;
        let is_revoked = stored.agent.status == AgentStatus::Revoked;
        if is_revoked && tally::has_active(totals, number)? {
            revoked.push(number);
        }
    }
    if let Some(tenant) = sums.first_difference(&tables.row_sums)? {
        differences.push(Difference::Digest(tenant.get()));
    }
    if snapshot.revoked_agents(usize::MAX)? != revoked {
        differences.push(Difference::Revoked);
    }
    if let Some(first) = listed.first {
        let count = listed.missing;
        differences.push(Difference::Unlisted { count, first });
    }
    let places = listed.listing.len()?;
    compare("places in listings", listed.places, places, differences);
    let ids = tables.session_ids.len()?;
    compare("session ids", sessions.len()?, ids, differences);
    let ids = tables.agent_ids.len()?;
    compare("agent ids", agents.len()?, ids, differences);
    Ok(())
}

/// Looks rows up in the listings.
struct Listed<'a> {
    listing: &'a ReadOnlyTable<&'static ListingKey, ()>,
    /// Places that rows ought to have.
    places: u64,
    missing: u64,
    /// The id of the first row that is missing somewhere.
    first: Option<String>,
}

impl Listed<'_> {
    fn check(
        &mut self,
        id: &str,
        sort_key: SortKey,
        on: &[Option<Partition>],
    ) -> Result<(), StoreError> {
        for partition in on.iter().flatten() {
            self.places += 1;
            if self
                .listing
                .get(&keys::listing(*partition, sort_key))?
                .is_none()
            {
                self.missing += 1;
                self.first.get_or_insert_with(|| id.to_owned());
            }
        }
        Ok(())
    }
}

fn rejections(snapshot: &Snapshot, differences: &mut Vec<Difference>) -> Result<(), StoreError> {
    let mut counted: BTreeMap<[u8; 5], u64> = BTreeMap::new();
    let listed = &snapshot.tables.rejections;
    for entry in listed.iter()? {
        let [a, b, c, d, code, ..] = *entry?.0.value();
        *counted.entry([a, b, c, d, code]).or_default() += 1;
    }
    let totals = &snapshot.tables.rejection_totals;
    for entry in totals.iter()? {
        let (key, total) = entry?;
        let counted = counted.remove(key.value()).unwrap_or(0);
        compare(
            "rejected or parked events",
            total.value(),
            counted,
            differences,
        );
    }
    for counted in counted.into_values() {
        compare("rejected or parked events", 0, counted, differences);
    }
    Ok(())
}

fn compare(what: &str, total: u64, counted: u64, differences: &mut Vec<Difference>) {
    if total != counted {
        differences.push(Difference::Total {
            what: what.to_owned(),
            total,
            counted,
        });
    }
}

/// A listing's key as people can look it up.
fn name(partition: Partition) -> String {
    hex::encode(partition)
}
