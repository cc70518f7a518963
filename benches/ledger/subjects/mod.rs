//! The subjects of measurement, one file each.

pub(crate) mod agents;
pub(crate) mod append;
pub(crate) mod depth;
pub(crate) mod fold;
pub(crate) mod fold_batches;
pub(crate) mod lineage;
pub(crate) mod live;
pub(crate) mod overload;
pub(crate) mod page;
pub(crate) mod restart;
pub(crate) mod then;
pub(crate) mod visible;
