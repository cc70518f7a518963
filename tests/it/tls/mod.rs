//! TLS: of the server, of the commands that call it, and of the connections to NATS.

mod clients;
mod nats;
mod reload;
mod server;
mod start;
