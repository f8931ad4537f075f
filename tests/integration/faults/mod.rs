//! What breaks around windsock: the database, the network, its own processes. Nothing is lost, nothing is done twice.

mod away;
mod unanswered;
