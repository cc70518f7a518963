//! The fold against a naive model: random histories, every filter, any page size, any batch size.

mod agents;
mod bounds;
mod crash;
mod guards;
mod history;
mod large;
mod listing;
mod model;
mod model_agents;
mod properties;
mod rules;
mod world;
