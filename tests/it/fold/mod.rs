//! The fold against a naive model: random histories, every filter, any page size, any batches.

mod bounds;
mod history;
mod listing;
mod model;
mod properties;
