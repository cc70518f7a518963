//! Routes for operators: health, metrics, counts, and a page for browsers.

pub(crate) mod health;
pub(super) mod home;
pub(super) mod status;
