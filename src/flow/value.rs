//! [`FlowValue`]: what a flow is made of. Every value here has been checked by `read`.

use crate::types::Language;

/// A JavaScript expression, its syntax checked by whoever saves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expr(pub String);

/// What a parameter gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// This JSON.
    Static(String),
    /// What the expression comes to.
    Javascript(Expr),
}

/// Parameters by name, in the order they were written.
pub type Inputs = Vec<(String, Input)>;

/// A flow.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowValue {
    /// The steps, one after the other.
    pub modules: Vec<Module>,
    /// Runs when a step has failed for good.
    pub failure: Option<Module>,
    /// Makes the arguments from a trigger's event.
    pub preprocessor: Option<Module>,
    /// The top-level module whose result is the answer to whoever waits; the flow goes on behind it.
    pub early_return: Option<String>,
    /// Nothing runs when this holds for the arguments.
    pub skip_expr: Option<Expr>,
    /// Of the jobs of its steps; larger runs first.
    pub priority: i32,
    /// So many seconds after its end what it and its steps got, came to and printed goes.
    pub delete_after_secs: Option<u64>,
}

/// A step of a flow.
#[derive(Debug, Clone, PartialEq)]
pub struct Module {
    /// Unique in the flow.
    pub id: String,
    /// What it does.
    pub step: Step,
    /// Ends the flow (in a loop: the loop) behind this step; on a loop: looked at after each iteration, ends the loop.
    pub stop_after_if: Option<StopIf>,
    /// On loops and branches: looked at when all is done, ends the flow.
    pub stop_after_all_iters_if: Option<StopIf>,
    /// The step is left out when this holds.
    pub skip_if: Option<Expr>,
    /// Seconds between this step and the next.
    pub sleep: Option<Input>,
    /// Longest run in seconds.
    pub timeout: Option<Input>,
    /// When it is tried again.
    pub retry: Option<Retry>,
    /// The flow goes on with the error as result.
    pub continue_on_error: bool,
    /// Instead of the flow's.
    pub priority: Option<i32>,
    /// So many seconds after its end, and that of its flow, what it got, came to and printed goes.
    pub delete_after_secs: Option<u64>,
}

/// What a module does.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Runs a script that is part of the flow.
    RawScript {
        /// Its language.
        language: Language,
        /// Its text.
        content: String,
        /// The versions that are pinned of what it imports.
        lock: Option<String>,
        /// Its arguments.
        inputs: Inputs,
        /// A label for the workers.
        tag: Option<String>,
    },
    /// Runs a saved script.
    Script {
        /// Where it is saved.
        path: String,
        /// A version of it.
        hash: Option<i64>,
        /// Its arguments.
        inputs: Inputs,
        /// A label for the workers.
        tag: Option<String>,
    },
    /// Runs a saved flow.
    Flow {
        /// Where it is saved.
        path: String,
        /// Its arguments.
        inputs: Inputs,
    },
    /// Passes the previous result on.
    Identity,
    /// Runs its modules for every item of a list.
    ForLoop {
        /// The list.
        iterator: Input,
        /// The steps of an iteration.
        modules: Vec<Module>,
        /// A failed iteration is `null` in the result.
        skip_failures: bool,
        /// Iterations at the same time.
        parallel: bool,
        /// At most so many.
        parallelism: Option<Input>,
    },
    /// Runs its modules until something stops it.
    WhileLoop {
        /// The steps of an iteration.
        modules: Vec<Module>,
        /// A failed iteration is `null` in the result.
        skip_failures: bool,
        /// Where it fails if nothing has stopped it.
        limits: WhileLimits,
    },
    /// Runs the first branch whose condition holds.
    BranchOne {
        /// Conditions and steps.
        branches: Vec<(Expr, Vec<Module>)>,
        /// When none holds.
        default: Vec<Module>,
    },
    /// Runs every branch.
    BranchAll {
        /// The branches.
        branches: Vec<Branch>,
        /// At the same time.
        parallel: bool,
    },
}

/// A branch of [`Step::BranchAll`].
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// Its steps.
    pub modules: Vec<Module>,
    /// Its failure does not fail the step.
    pub skip_failure: bool,
}

/// Where a while loop fails with `LoopExhausted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WhileLimits {
    /// After so many iterations.
    pub iterations: Option<usize>,
    /// After so many seconds, looked at between iterations.
    pub secs: Option<u64>,
}

/// When a flow stops early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopIf {
    /// The condition, on `result`.
    pub expr: Expr,
    /// The flow counts as skipped.
    pub skip: bool,
    /// The flow fails with this text; an empty one stands for a text of windsock's.
    pub error: Option<String>,
    /// The error carries the step's result.
    pub include_result: bool,
}

/// When a step is tried again (windmill-facts §5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retry {
    /// First: so many times, so many seconds apart.
    pub constant: (u32, u32),
    /// Then: so many times, at growing distance: multiplier, seconds, jitter in percent.
    pub exponential: (u32, u32, u32, u32),
    /// Only while this holds for `result` and `error`.
    pub retry_if: Option<Expr>,
}

impl Retry {
    /// The seconds before the next try after `failed` tries have failed; none when it was the last. `chance`
    /// is between 0 and 1.
    #[must_use]
    pub fn delay_secs(&self, failed: u32, chance: f64) -> Option<f64> {
        let (attempts, seconds) = self.constant;
        if failed <= attempts {
            return Some(seconds.into());
        }
        let (more, multiplier, seconds, jitter) = self.exponential;
        if failed - attempts > more {
            return None;
        }
        // The constant tries count, too: as in `RetryPolicy` of the queue, and in Windmill.
        let growth = f64::from(seconds).powi(i32::try_from(failed).unwrap_or(i32::MAX));
        let jittered = 1.0 + (chance * 2.0 - 1.0) * f64::from(jitter) / 100.0;
        Some((f64::from(multiplier) * growth * jittered).clamp(0.0, MAX_DELAY_SECS))
    }
}

/// Longest wait between two tries: a week.
const MAX_DELAY_SECS: f64 = 7.0 * 24.0 * 3600.0;

/// A list of modules inside a flow: that of a loop, or one of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nest {
    /// The loop or the branches.
    pub module: String,
    /// Which branch; none for loops and for the default.
    pub branch: Option<usize>,
}

impl Step {
    /// The lists of modules inside, with the number of their branch.
    #[must_use]
    pub fn nested(&self) -> Vec<(Option<usize>, &[Module])> {
        match self {
            Self::RawScript { .. } | Self::Script { .. } | Self::Flow { .. } | Self::Identity => {
                Vec::new()
            }
            Self::ForLoop { modules, .. } | Self::WhileLoop { modules, .. } => {
                vec![(None, modules)]
            }
            Self::BranchOne { branches, default } => {
                let numbered = branches.iter().enumerate();
                let numbered = numbered.map(|(at, (_, modules))| (Some(at), modules.as_slice()));
                numbered.chain([(None, default.as_slice())]).collect()
            }
            Self::BranchAll { branches, .. } => {
                let numbered = branches.iter().enumerate();
                numbered
                    .map(|(at, branch)| (Some(at), branch.modules.as_slice()))
                    .collect()
            }
        }
    }

    /// Whether it runs modules again and again.
    #[must_use]
    pub fn is_loop(&self) -> bool {
        matches!(self, Self::ForLoop { .. } | Self::WhileLoop { .. })
    }
}

impl FlowValue {
    /// The module of an id, however deep.
    #[must_use]
    pub fn module(&self, id: &str) -> Option<&Module> {
        self.all().into_iter().find(|module| module.id == id)
    }

    /// Every module, outer ones before those inside them.
    #[must_use]
    pub fn all(&self) -> Vec<&Module> {
        let mut found: Vec<&Module> = Vec::new();
        let ends = self.failure.iter().chain(&self.preprocessor);
        let mut left: Vec<&Module> = ends.chain(self.modules.iter().rev()).collect();
        while let Some(module) = left.pop() {
            found.push(module);
            for (_, modules) in module.step.nested().into_iter().rev() {
                left.extend(modules.iter().rev());
            }
        }
        found
    }

    /// The list of modules that a run goes through.
    #[must_use]
    pub fn list(&self, nest: Option<&Nest>) -> Option<&[Module]> {
        let Some(nest) = nest else {
            return Some(&self.modules);
        };
        let nested = self.module(&nest.module)?.step.nested();
        let mut same = nested
            .into_iter()
            .filter(|(branch, _)| *branch == nest.branch);
        same.next().map(|(_, modules)| modules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_constant_first_then_grow() {
        let retry = Retry {
            constant: (2, 5),
            exponential: (3, 2, 3, 0),
            retry_if: None,
        };
        let delays: Vec<Option<f64>> = (1..=6).map(|n| retry.delay_secs(n, 0.5)).collect();
        let wanted = [
            Some(5.0),
            Some(5.0),
            Some(54.0),
            Some(162.0),
            Some(486.0),
            None,
        ];
        assert_eq!(delays, wanted);
        assert_eq!(Retry::default().delay_secs(1, 0.5), None);
        let wild = Retry {
            exponential: (100, 10, 100, 100),
            ..Retry::default()
        };
        assert_eq!(wild.delay_secs(99, 1.0), Some(MAX_DELAY_SECS));
        assert_eq!(wild.delay_secs(1, 0.0), Some(0.0));
    }
}
