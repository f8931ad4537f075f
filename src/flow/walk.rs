//! Going through a flow: every module with its place, every expression with its field.

use super::value::{Expr, FlowValue, Input, Inputs, Module, Step};

impl FlowValue {
    /// Every module with the place that refusals name it by, as `modules[1].branches[0].modules[2] (id b)`.
    #[must_use]
    pub fn places(&self) -> Vec<(String, &Module)> {
        let mut found = Vec::new();
        list("modules", &self.modules, &mut found);
        for (name, module) in [
            ("failure_module", &self.failure),
            ("preprocessor_module", &self.preprocessor),
        ] {
            if let Some(module) = module {
                found.push((format!("{name} (id {})", module.id), module));
            }
        }
        found
    }
}

fn list<'a>(name: &str, modules: &'a [Module], found: &mut Vec<(String, &'a Module)>) {
    for (index, module) in modules.iter().enumerate() {
        let place = format!("{name}[{index}]");
        found.push((format!("{place} (id {})", module.id), module));
        for (branch, modules) in module.step.nested() {
            let inside = match (branch, &module.step) {
                (Some(branch), _) => format!("{place}.branches[{branch}].modules"),
                (None, Step::BranchOne { .. }) => format!("{place}.default"),
                (None, _) => format!("{place}.modules"),
            };
            list(&inside, modules, found);
        }
    }
}

impl Module {
    /// The module's own expressions, with the fields they stand in; not those of modules inside it.
    #[must_use]
    pub fn exprs(&self) -> Vec<(String, &Expr)> {
        let mut found: Vec<(String, &Expr)> = Vec::new();
        for (name, stop) in [
            ("stop_after_if", &self.stop_after_if),
            ("stop_after_all_iters_if", &self.stop_after_all_iters_if),
        ] {
            found.extend(stop.iter().map(|stop| (format!("{name}.expr"), &stop.expr)));
        }
        found.extend(
            self.skip_if
                .iter()
                .map(|expr| ("skip_if.expr".to_owned(), expr)),
        );
        let retry_if = self
            .retry
            .iter()
            .filter_map(|retry| retry.retry_if.as_ref());
        found.extend(retry_if.map(|expr| ("retry.retry_if.expr".to_owned(), expr)));
        let secs = [("sleep", &self.sleep), ("timeout", &self.timeout)];
        for (name, input) in secs {
            found.extend(input.iter().filter_map(|input| of(name, input)));
        }
        match &self.step {
            Step::RawScript { inputs, .. }
            | Step::Script { inputs, .. }
            | Step::Flow { inputs, .. } => found.extend(of_inputs(inputs)),
            Step::ForLoop {
                iterator,
                parallelism,
                ..
            } => {
                found.extend(of("iterator", iterator));
                found.extend(
                    parallelism
                        .iter()
                        .filter_map(|input| of("parallelism", input)),
                );
            }
            Step::BranchOne { branches, .. } => {
                let numbered = branches.iter().enumerate();
                found.extend(
                    numbered.map(|(index, (expr, _))| (format!("branches[{index}].expr"), expr)),
                );
            }
            Step::Identity | Step::WhileLoop { .. } | Step::BranchAll { .. } => {}
        }
        found
    }
}

fn of<'a>(name: &str, input: &'a Input) -> Option<(String, &'a Expr)> {
    match input {
        Input::Static(_) => None,
        Input::Javascript(expr) => Some((format!("{name}.expr"), expr)),
    }
}

fn of_inputs(inputs: &Inputs) -> impl Iterator<Item = (String, &Expr)> {
    inputs
        .iter()
        .filter_map(|(name, input)| of(&format!("input_transforms.{name}"), input))
}
