//! Support that several tests share.

pub(crate) mod app;
pub(crate) mod certs;
pub(crate) mod cli;
pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod connection;
pub(crate) mod documented;
pub(crate) mod events;
pub(crate) mod faulty_log;
pub(crate) mod fleet;
pub(crate) mod http2;
pub(crate) mod nats;
pub(crate) mod nats_cluster;
pub(crate) mod nats_jwt;
pub(crate) mod nats_ledger;
pub(crate) mod node;
pub(crate) mod proxy;
pub(crate) mod python;
pub(crate) mod shipped_nats;
pub(crate) mod stream;
pub(crate) mod tokens;
