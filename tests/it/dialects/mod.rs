//! Dialects: published clients, and requests from the vendors' documents.

mod a2a;
mod agi;
mod apphandoff;
mod apphandoff_activity;
mod handoffs;
mod mounts;
mod otas;
mod truthlocks;
mod views;
