//! Dialects: clients of other APIs, and requests as their documents have them.

mod agi;
mod apphandoff;
mod apphandoff_activity;
mod mounts;
mod otas;
mod truthlocks;
mod views;
