//! The names a script takes from modules: `import { a } from "…"`, `export { a } from "…"`, and `m.a()` where `m` is a
//! whole module. And the names that a module exports.

use std::collections::HashMap;

use oxc_allocator::Allocator;
use oxc_ast::ast::{
    BindingIdentifier, CallExpression, Expression, ImportDeclarationSpecifier, Program, Statement,
};
use oxc_ast_visit::{Visit, walk};
use oxc_parser::Parser;
use oxc_span::SourceType;
use oxc_syntax::module_record::ExportExportName;

use super::{place, start_of};

/// A name that a script takes from a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TakenName {
    /// The module, as the script writes it.
    pub(crate) module: String,
    /// The name.
    pub(crate) name: String,
    /// Line and column.
    pub(crate) place: (u32, u32),
}

#[derive(Default)]
struct Found {
    /// Local names of whole modules.
    modules: HashMap<String, String>,
    /// How often a name is declared: one that a function declares again may be another.
    declared: HashMap<String, usize>,
    /// Local name of a module, what is called of it, and where.
    calls: Vec<(String, String, usize)>,
}

impl<'a> Visit<'a> for Found {
    fn visit_binding_identifier(&mut self, identifier: &BindingIdentifier<'a>) {
        let count = self.declared.entry(identifier.name.to_string());
        *count.or_default() += 1;
    }

    fn visit_call_expression(&mut self, call: &CallExpression<'a>) {
        if let Expression::StaticMemberExpression(member) = &call.callee
            && let Expression::Identifier(object) = &member.object
            && self.modules.contains_key(object.name.as_str())
        {
            let name = member.property.name.to_string();
            let at = start_of(&member.property);
            self.calls.push((object.name.to_string(), name, at));
        }
        walk::walk_call_expression(self, call);
    }
}

/// What is taken, in order.
pub(super) fn taken(program: &Program<'_>, source: &str) -> Vec<TakenName> {
    let mut all = Vec::new();
    let mut found = Found::default();
    let mut add = |module: &str, name: &str, offset: usize| {
        all.push(TakenName {
            module: module.to_owned(),
            name: name.to_owned(),
            place: place(source, offset),
        });
    };
    for statement in &program.body {
        match statement {
            Statement::ImportDeclaration(import) => {
                let module = import.source.value.as_str();
                for specifier in import.specifiers.iter().flatten() {
                    match specifier {
                        ImportDeclarationSpecifier::ImportSpecifier(one) => {
                            let name = one.imported.name();
                            add(module, name.as_str(), start_of(&one.imported));
                        }
                        whole => {
                            let local = whole.local().name.to_string();
                            found.modules.insert(local, module.to_owned());
                        }
                    }
                }
            }
            Statement::ExportFromDeclaration(export) => {
                for one in &export.specifiers {
                    let module = export.source.value.as_str();
                    add(module, one.local.name().as_str(), start_of(&one.local));
                }
            }
            _ => {}
        }
    }
    found.visit_program(program);
    for (local, name, offset) in &found.calls {
        if found.declared.get(local) == Some(&1) {
            add(&found.modules[local], name, *offset);
        }
    }
    all
}

/// The names that a module of our own exports.
pub(crate) fn exported(source: &str) -> Vec<String> {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, source, SourceType::mjs()).parse();
    let entries = parsed.module_record.local_export_entries.iter();
    entries
        .filter_map(|entry| match &entry.export_name {
            ExportExportName::Name(name) => Some(name.name.to_string()),
            ExportExportName::Default(_) => Some("default".to_owned()),
            ExportExportName::Null => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::compile;
    use super::*;

    #[test]
    fn names_taken_from_modules_are_found() {
        let source = "import { a as b, type C, unused } from 'one';\nimport * as two from 'two';\n\
                      import three, { default as d } from 'three';\nexport { e as f } from 'four';\n\
                      export function main(x: C) {\n  b(two.g(), three.h?.(), two.kept, d);\n\
                      const inner = (three) => three.i(); }";
        let found = compile(source).unwrap().taken;
        let names: Vec<_> = found
            .iter()
            .map(|one| format!("{}.{} {:?}", one.module, one.name, one.place))
            .collect();
        assert_eq!(
            names,
            [
                "one.a (1, 10)",
                "three.default (3, 17)",
                "four.e (4, 10)",
                "two.g (6, 9)",
            ]
        );
    }

    #[test]
    fn exports_are_listed() {
        let source = "export const a = 1; export function b() {} class D {} export { D as c }; export default 1;";
        assert_eq!(exported(source), ["a", "b", "c", "default"]);
    }
}
