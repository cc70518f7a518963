//! The fold against a naive model: random histories, every filter, any page size, any batch size.
//!
//! The program `examples/simulate` uses the model too, without the tests.

pub(crate) mod agents;
#[cfg(test)]
mod bounds;
#[cfg(test)]
mod chains;
pub(crate) mod checks;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod guards;
pub(crate) mod history;
#[cfg(test)]
mod large;
pub(crate) mod listing;
pub(crate) mod model;
mod model_agents;
#[cfg(test)]
mod past;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod world;
