//! Dialects: published clients, and requests from the vendors' documents.

mod agi;
mod apphandoff;
mod apphandoff_activity;
mod mounts;
mod otas;
mod truthlocks;
mod views;
