//! windsock connects to WebSocket servers as a client and runs a script or a flow whenever a message arrives.

pub mod types;
