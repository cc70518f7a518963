//! What dialects are made of.

pub(crate) mod calls;
pub(super) mod change;
pub(super) mod cors;
pub(super) mod definition;
pub(super) mod fields;
pub(super) mod millis;
mod pieces;
pub(super) mod whole_list;
