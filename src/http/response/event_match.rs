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
