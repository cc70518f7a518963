//! What the tests stand on.

pub(crate) mod clock;
pub(crate) mod events;
pub(crate) mod nats;
