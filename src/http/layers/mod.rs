//! Middleware around the routes: authentication, bounds, compression, logs and metrics.

pub(crate) mod around;
pub(crate) mod authenticate;
pub(crate) mod compress;
pub(crate) mod cors;
mod drain_body;
pub(crate) mod error_style;
pub(crate) mod hosts;
pub(crate) mod observe;
mod shed;
mod unsent;
