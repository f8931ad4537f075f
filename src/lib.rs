//! windsock connects to WebSocket servers as a client and runs a script or a flow whenever a message arrives.

pub mod access;
pub mod api;
pub mod config;
pub mod db;
pub mod identity;
pub mod queue;
pub mod runner;
pub mod trigger;
pub mod types;
pub mod wire;
