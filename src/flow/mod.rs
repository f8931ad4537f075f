//! OpenFlow as windsock understands it (contract section 7, windmill-facts §2.2): what a flow is made of, and what
//! is kept of a run. Pure: JSON in, checked types out. `runner` runs it, `api` saves it, `queue` stores the runs.
//!
//! - `value.rs` a flow: modules, what they do, when they stop, skip, wait and are tried again
//! - `read.rs`, `steps.rs`, `inputs.rs`, `fields.rs` from JSON, every field checked: what has an effect and is not supported is refused by name
//! - `status.rs` where a run is, in Windmill's shape · `restart.rs` what a run takes over from one that has ended

mod fields;
mod inputs;
#[cfg(test)]
mod mutated;
mod read;
mod restart;
mod status;
mod steps;
#[cfg(test)]
mod tests;
mod value;
mod walk;

pub use self::{
    restart::{Kept, RestartedFrom},
    status::{
        BranchAll, BranchChosen, FlowStatus, Iteration, ModuleState, ModuleStatus, RetryStatus,
    },
    value::{
        Branch, Expr, FlowValue, Input, Inputs, Module, Nest, Retry, Step, StopIf, WhileLimits,
    },
};

/// The id of the module that runs when a flow fails.
pub const FAILURE: &str = "failure";
/// The id of the module that makes the arguments of a flow from an event.
pub const PREPROCESSOR: &str = "preprocessor";
