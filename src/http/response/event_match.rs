//! Events whose own attributes a filter names. No index has these, so the bodies are compared.

use crate::domain::Source;
use crate::query::{EventFilter, LedgerEvent};
use crate::wire::Attributes;

/// Whether an event has the attributes that a filter names.
pub(crate) fn has_attributes(filter: &EventFilter, event: &LedgerEvent) -> bool {
    if !filter.names_attributes() {
        return true;
    }
    let Attributes { source, actor } = Attributes::of(&event.body);
    let is = |wanted: Option<&str>, found: Option<&str>| wanted.is_none() || wanted == found;
    is(
        filter.source.as_ref().map(Source::as_str),
        source.as_deref(),
    ) && is(filter.actor.as_deref(), actor.as_deref())
}

/// Keeps the first events that have the attributes. If there are more than `events_max`, returns the position of
/// the last that it kept: the next page starts there.
pub(crate) fn keep(
    filter: &EventFilter,
    events: &mut Vec<LedgerEvent>,
    events_max: usize,
) -> Option<u64> {
    events.retain(|event| has_attributes(filter, event));
    let has_more = events_max < events.len();
    events.truncate(events_max);
    let last = events.last().filter(|_| has_more)?;
    Some(last.record.position.get())
}
