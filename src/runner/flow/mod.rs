//! Running flows.

mod check;
#[cfg_attr(not(test), expect(dead_code, reason = "evaluating comes next"))]
mod engine;

pub use self::check::{FlowFacts, check_flow};
