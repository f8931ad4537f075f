//! Imports within a script: `import("…")` and `require("…")` with a text that stands there.

use oxc_ast::ast::{Argument, CallExpression, Expression, ImportExpression, Program};
use oxc_ast_visit::{Visit, walk};

#[derive(Default)]
struct Found(Vec<String>);

impl Found {
    fn add(&mut self, name: &str) {
        if !self.0.iter().any(|known| known == name) {
            self.0.push(name.to_owned());
        }
    }
}

impl<'a> Visit<'a> for Found {
    fn visit_import_expression(&mut self, import: &ImportExpression<'a>) {
        if let Expression::StringLiteral(name) = &import.source {
            self.add(name.value.as_str());
        }
        walk::walk_import_expression(self, import);
    }

    fn visit_call_expression(&mut self, call: &CallExpression<'a>) {
        if let Expression::Identifier(function) = &call.callee
            && function.name == "require"
            && let [Argument::StringLiteral(name)] = call.arguments.as_slice()
        {
            self.add(name.value.as_str());
        }
        walk::walk_call_expression(self, call);
    }
}

/// The modules, in order, each once.
pub(super) fn imports(program: &Program<'_>) -> Vec<String> {
    let mut found = Found::default();
    found.visit_program(program);
    found.0
}

#[cfg(test)]
mod tests {
    #[test]
    fn imports_within_functions_are_found() {
        let source = "export async function main() {\n  const a = await import(\"lodash\");\n  \
                      const b = require('fs'); const c = await import(\"lodash\"); await import(a.name);\n}";
        let compiled = super::super::compile(source).unwrap();
        assert_eq!(compiled.dynamic_imports, ["lodash", "fs"]);
        assert!(compiled.imports.is_empty());
    }
}
