//! Dialects: clients of other APIs, and requests as their documents have them.

mod agi;
mod mounts;
mod truthlocks;
mod unread;
