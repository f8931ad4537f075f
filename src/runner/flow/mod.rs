//! Running flows.

mod check;
mod condition;
mod engine;

pub use self::check::{FlowFacts, check_flow};
pub use self::condition::check_condition;
pub(super) use self::condition::holds;
