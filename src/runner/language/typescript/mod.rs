//! Reads TypeScript (or JavaScript): strips the types, finds `main` and `preprocessor`, lists the imports.
//!
//! Pure: source text in, [`Compiled`] or [`SyntaxError`] out. Used when a script is saved (errors, schema) and
//! when it is run (`nativets` runs the JavaScript, `bun` and `deno` need the signature and the imports).
//! Nothing is ever executed here.

mod dynamic;
mod names;
mod schema;
mod types;
mod values;

use std::{path::Path, thread};

use oxc_allocator::Allocator;
use oxc_ast::ast::{BindingPattern, Declaration, Expression, FormalParameters, Program, Statement};
use oxc_codegen::{Codegen, CodegenOptions, CodegenReturn};
use oxc_diagnostics::OxcDiagnostic;
use oxc_parser::{Parser, ParserReturn};
use oxc_semantic::SemanticBuilder;
use oxc_span::{GetSpan, SourceType};
use oxc_syntax::module_record::{ExportExportName, ModuleRecord};
use oxc_transformer::{TransformOptions, Transformer};

pub(crate) use names::{TakenName, exported};
pub use schema::{Param, Signature};

/// Longest source: a hundred times a long script. Together with `COMPILER_STACK_BYTES` it is what keeps a
/// source made of nothing but nesting from overflowing the compiler's stack, which would end the process.
pub const MAX_SOURCE_BYTES: usize = 256 * 1024;

/// Deepest nesting of brackets; people stay below 20.
const MAX_BRACKETS: usize = 256;

/// Stack of the thread a source is compiled on. Only touched pages cost memory: a normal script uses some kB.
const COMPILER_STACK_BYTES: usize = 256 * 1024 * 1024;

/// Why a source cannot be used, and where. Lines and columns count from 1; a column counts characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct SyntaxError {
    /// Line of the first bad character.
    pub line: u32,
    /// Column of the first bad character.
    pub column: u32,
    /// What is wrong and, for windsock's own rules, what to do.
    pub message: String,
}

/// Which arguments a preprocessor takes (windmill-facts §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreprocessorVersion {
    /// The message's arguments and `wm_trigger`.
    V1,
    /// One `event` object.
    V2,
}

/// A source that can be run.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// An ES module without types.
    pub javascript: String,
    /// The parameters of the exported `main`.
    pub signature: Signature,
    /// The argument format of the exported `preprocessor`; `None` without one.
    pub preprocessor: Option<PreprocessorVersion>,
    /// The parameters of the exported `preprocessor`.
    pub preprocessor_signature: Option<Signature>,
    /// The modules imported as values, in order, each once. Type-only imports are not among them.
    pub imports: Vec<String>,
    /// Modules named in `import("…")` and `require("…")`, each once.
    pub dynamic_imports: Vec<String>,
    /// The names taken from modules.
    pub(crate) taken: Vec<TakenName>,
    /// Where each of `imports` is first asked for: line and column.
    pub(crate) import_places: Vec<(u32, u32)>,
    /// Which line of the source each place of the JavaScript comes from.
    pub(crate) lines: LineMap,
}

/// Leads from a place in the JavaScript to a place in the source.
#[derive(Debug, Clone, Default)]
pub(crate) struct LineMap(Vec<[u32; 4]>);

impl LineMap {
    /// The source's line and column for the JavaScript's; all count from 1.
    pub(crate) fn source(&self, line: u32, column: u32) -> Option<(u32, u32)> {
        let (line, column) = (line.checked_sub(1)?, column.saturating_sub(1));
        let after = self
            .0
            .partition_point(|at| (at[0], at[1]) <= (line, column));
        let same_line = |at: &&[u32; 4]| at[0] == line;
        let found = after
            .checked_sub(1)
            .and_then(|before| self.0.get(before))
            .filter(same_line)
            .or_else(|| self.0.get(after).filter(same_line))?;
        Some((found[2] + 1, found[3] + 1))
    }
}

/// Strips the types from `source` and reads its signature.
///
/// Takes some 10 µs for a usual script, plus starting a thread; for hostile sources up to a second: not for an
/// async thread.
///
/// # Errors
/// The first syntax error, or the first of windsock's own rules that is broken: an exported `main` whose
/// parameters have names, a source within [`MAX_SOURCE_BYTES`].
pub fn compile(source: &str) -> Result<Compiled, SyntaxError> {
    check_size(source)?;
    let failed = |what: &str| SyntaxError {
        line: 1,
        column: 1,
        message: what.to_owned(),
    };
    thread::scope(|scope| {
        thread::Builder::new()
            .name("compile".to_owned())
            .stack_size(COMPILER_STACK_BYTES)
            .spawn_scoped(scope, || compile_here(source))
            .map_err(|error| failed(&format!("cannot start the compiler: {error}; try again")))?
            .join()
            .unwrap_or_else(|_| Err(failed("the compiler cannot read this source; simplify it")))
    })
}

/// Refuses what could exhaust the compiler's stack: it is recursive and has no bound of its own.
fn check_size(source: &str) -> Result<(), SyntaxError> {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(SyntaxError {
            line: 1,
            column: 1,
            message: format!(
                "the source has {} bytes, at most {MAX_SOURCE_BYTES} are allowed",
                source.len()
            ),
        });
    }
    let mut depth = 0_usize;
    for (offset, byte) in source.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_BRACKETS {
            let message = format!("brackets are nested deeper than {MAX_BRACKETS}");
            return Err(error_at(source, offset, message));
        }
    }
    Ok(())
}

/// [`compile`] on the present stack.
fn compile_here(source: &str) -> Result<Compiled, SyntaxError> {
    let allocator = Allocator::default();
    let ParserReturn {
        mut program,
        module_record,
        diagnostics,
        panicked,
        ..
    } = Parser::new(&allocator, source, SourceType::ts().with_module(true)).parse();
    refuse(source, diagnostics.iter())?;
    if panicked {
        return Err(error_at(source, 0, "the script cannot be read".to_owned()));
    }
    let semantic = SemanticBuilder::new()
        .with_check_syntax_error(true)
        .with_enum_eval(true)
        .with_excess_capacity(2.0)
        .build(&program);
    refuse(source, semantic.diagnostics.iter())?;

    let signature = match exported_params(&program, &module_record, "main", source)? {
        Some(params) => schema::signature(&program, params, source)?,
        None => return Err(missing_main(source)),
    };
    let preprocessor_signature = exported_params(&program, &module_record, "preprocessor", source)?
        .map(|params| schema::signature(&program, params, source))
        .transpose()?;

    let options = TransformOptions::default();
    let transformed = Transformer::new(&allocator, Path::new("script.ts"), &options)
        .build_with_scoping(semantic.semantic.into_scoping(), &mut program);
    refuse(source, transformed.diagnostics.iter())?;
    let (imports, import_places) = value_imports(&program, source);
    let CodegenReturn { code, map, .. } = Codegen::new()
        .with_options(CodegenOptions {
            source_map_path: Some("script.ts".into()),
            ..CodegenOptions::default()
        })
        .build(&program);
    let lines = map.map_or_else(Vec::new, |map| {
        map.get_tokens()
            .map(|token| {
                [
                    token.get_dst_line(),
                    token.get_dst_col(),
                    token.get_src_line(),
                    token.get_src_col(),
                ]
            })
            .collect()
    });
    Ok(Compiled {
        javascript: code,
        preprocessor: preprocessor_signature.as_ref().map(version),
        signature,
        preprocessor_signature,
        dynamic_imports: dynamic::imports(&program),
        taken: names::taken(&program, source),
        imports,
        import_places,
        lines: LineMap(lines),
    })
}

/// Windmill's rule (facts §3): `wm_trigger`, or parameters none of which is `event`, mean v1.
fn version(signature: &Signature) -> PreprocessorVersion {
    let has = |name: &str| signature.params.iter().any(|param| param.name == name);
    if has("wm_trigger") || (!signature.params.is_empty() && !has("event")) {
        PreprocessorVersion::V1
    } else {
        PreprocessorVersion::V2
    }
}

fn missing_main(source: &str) -> SyntaxError {
    error_at(
        source,
        0,
        "no exported function main; write `export async function main(…) { … }`".to_owned(),
    )
}

/// The first error among a stage's findings; warnings do not count, nor does what is only wrong with types.
fn refuse<'d>(
    source: &str,
    diagnostics: impl IntoIterator<Item = &'d OxcDiagnostic>,
) -> Result<(), SyntaxError> {
    let is_error = |found: &&OxcDiagnostic| {
        found.severity == oxc_diagnostics::Severity::Error && !types::is_about_types(found)
    };
    match diagnostics.into_iter().find(is_error) {
        None => Ok(()),
        Some(found) => {
            let offset = found
                .labels
                .first()
                .map_or(0, |label| usize::try_from(label.offset()).unwrap_or(0));
            let mut message = found.message.to_string();
            if let Some(help) = &found.help {
                message.push_str("; ");
                message.push_str(help);
            }
            Err(error_at(source, offset, message))
        }
    }
}

/// An error at a byte offset of the source.
fn error_at(source: &str, offset: usize, message: String) -> SyntaxError {
    let (line, column) = place(source, offset);
    SyntaxError {
        line,
        column,
        message,
    }
}

/// Line and column, from 1, of a byte offset.
fn place(source: &str, offset: usize) -> (u32, u32) {
    let offset = source.floor_char_boundary(offset.min(source.len()));
    let before = source.get(..offset).unwrap_or("");
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (
        u32::try_from(line).unwrap_or(u32::MAX),
        u32::try_from(column).unwrap_or(u32::MAX),
    )
}

/// The modules that are still imported (or re-exported from) once the types are gone.
fn value_imports(program: &Program<'_>, source: &str) -> (Vec<String>, Vec<(u32, u32)>) {
    let mut found: Vec<(String, (u32, u32))> = Vec::new();
    for statement in &program.body {
        let from = match statement {
            Statement::ImportDeclaration(import) => Some(&import.source),
            Statement::ExportAllDeclaration(export) => Some(&export.source),
            Statement::ExportFromDeclaration(export) => Some(&export.source),
            _ => None,
        };
        if let Some(from) = from
            && !found.iter().any(|(name, _)| name == from.value.as_str())
        {
            let offset = usize::try_from(from.span.start).unwrap_or(0);
            found.push((from.value.to_string(), place(source, offset)));
        }
    }
    found.into_iter().unzip()
}

/// The parameters of the exported function `name`; `None` when nothing of that name is exported.
fn exported_params<'p, 'a>(
    program: &'p Program<'a>,
    record: &ModuleRecord<'a>,
    name: &str,
    source: &str,
) -> Result<Option<&'p FormalParameters<'a>>, SyntaxError> {
    let is_wanted = |export: &ExportExportName<'_>| matches!(export, ExportExportName::Name(n) if n.name == name);
    let local = record
        .local_export_entries
        .iter()
        .find(|entry| !entry.is_type && is_wanted(&entry.export_name));
    let unreadable = |offset: u32| {
        let message = format!(
            "{name} is exported, but not as a function whose parameters can be read; \
             write `export async function {name}(…) {{ … }}`"
        );
        error_at(source, usize::try_from(offset).unwrap_or(0), message)
    };
    let Some(entry) = local else {
        let indirect = record.indirect_export_entries.iter();
        return match indirect
            .into_iter()
            .find(|entry| is_wanted(&entry.export_name))
        {
            Some(entry) => Err(unreadable(entry.statement_span.start)),
            None => Ok(None),
        };
    };
    let wanted = entry.local_name.name();
    wanted
        .and_then(|wanted| function_params(program, wanted.as_str()))
        .map(Some)
        .ok_or_else(|| unreadable(entry.statement_span.start))
}

/// The parameters of the top-level function `name`, declared or assigned to a variable.
fn function_params<'p, 'a>(
    program: &'p Program<'a>,
    name: &str,
) -> Option<&'p FormalParameters<'a>> {
    program.body.iter().find_map(|statement| {
        let declaration = match statement {
            Statement::ExportDeclaration(export) => Some(&export.declaration),
            other => other.as_declaration(),
        };
        match declaration? {
            // An overload has no body and says less than the implementation.
            Declaration::FunctionDeclaration(function) => {
                let named = function.id.as_ref().is_some_and(|id| id.name == name);
                (named && function.body.is_some()).then_some(&*function.params)
            }
            Declaration::VariableDeclaration(variables) => {
                variables.declarations.iter().find_map(|variable| {
                    let BindingPattern::BindingIdentifier(id) = &variable.id else {
                        return None;
                    };
                    match variable.init.as_ref().map(Expression::get_inner_expression) {
                        _ if id.name != name => None,
                        Some(Expression::ArrowFunctionExpression(arrow)) => Some(&*arrow.params),
                        Some(Expression::FunctionExpression(function)) => Some(&*function.params),
                        _ => None,
                    }
                })
            }
            _ => None,
        }
    })
}

/// Where something of the syntax tree starts, as a byte offset.
fn start_of(node: &impl GetSpan) -> usize {
    usize::try_from(node.span().start).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn javascript(source: &str) -> String {
        compile(source).unwrap().javascript
    }

    fn error(source: &str) -> String {
        compile(source).unwrap_err().to_string()
    }

    #[test]
    fn types_are_stripped_and_typescript_values_kept() {
        let source = r#"
import type { Foo } from "some-types";
import { type Bar, getVariable } from "windmill-client";
enum Color { Red = "r", Blue = "b" }
const enum Size { S = 1, M }
namespace Unit { export const kg = "kg" }
abstract class Box<T> { constructor(private readonly value: T, public n?: number) {} get(): T { return this.value } }
class Real extends Box<string> { declare hidden: string; }
const settings = { a: 1 } satisfies Record<string, number>;
export async function main(x: string, y?: number): Promise<Foo | Bar> {
  const z = <any>x as unknown as string; let w = y!;
  return [Color.Red, Size.M, Unit.kg, new Real(x).get(), settings.a, z, w, getVariable] as any;
}"#;
        let compiled = compile(source).unwrap();
        assert_eq!(compiled.imports, ["windmill-client"]);
        assert_eq!(compiled.import_places, [(3, 39)]);
        let js = compiled.javascript;
        for gone in [
            "some-types",
            ": string",
            "satisfies",
            "private",
            "declare",
            "enum ",
            "Bar",
        ] {
            assert!(!js.contains(gone), "{gone:?} is left in:\n{js}");
        }
        assert!(js.contains("this.value = value"), "{js}");
    }

    #[test]
    fn javascript_stays_what_it_is() {
        let js = javascript("export function main(a, b = 2) { return a + b }");
        assert!(js.contains("a + b"), "{js}");
    }

    #[test]
    fn errors_name_the_place() {
        for (source, wanted) in [
            ("export function main() {\n  let = ;\n}", "line 2, column 9"),
            ("export function main() { é @ }", "line 1"),
            (
                "export function main() { let a = 1; let a = 2; }",
                "already been declared",
            ),
            ("export function main() { return await 1 }", "line 1"),
            ("export function main() { break }", "line 1"),
            (
                "const x = 1;",
                "line 1, column 1: no exported function main",
            ),
            ("function main() {}", "no exported function main"),
            ("export type main = string;", "no exported function main"),
            ("", "no exported function main"),
            (
                "export const main = wrap((x) => x);",
                "column 1: main is exported, but not as a function",
            ),
            (
                "export { main } from \"./other\";",
                "main is exported, but not as a function",
            ),
            (
                "export function main({ a }) {}",
                "line 1, column 22: parameter 1 is destructured",
            ),
            (
                "export function main(a, [b] = [1]) {}",
                "parameter 2 is destructured",
            ),
            (
                "export function main(a, ...rest) {}",
                "a rest parameter gets none",
            ),
            (
                "export function preprocessor({ event }) {}\nexport function main() {}",
                "parameter 1 is destructured",
            ),
        ] {
            let text = error(source);
            assert!(text.contains(wanted), "{source:?}: {text}");
        }
    }

    #[test]
    fn hostile_sources_are_refused_or_read_but_never_overflow() {
        let main = "export function main() {}\n";
        // Two of them take the compiler time that grows with the square of their length.
        let fill = |unit: &str| {
            let slow = ["if(1)", "await "].contains(&unit);
            let bytes = if slow { 8000 } else { MAX_SOURCE_BYTES - 100 };
            unit.repeat(bytes / unit.len())
        };
        for unit in [
            "(", "[", "{", "`${", "!", "-", "a=>", "if(1)", "1+", "a?b:", "x=", "typeof ", "new ",
            "a:", "a.", "await ", "else ", "<T>", "while(1)", "a??", "a**", "...", "f`", "?.a",
            "async ",
        ] {
            let _ = compile(&format!("{main}x = {}1", fill(unit)));
            let _ = compile(&format!("{main}{}1", fill(unit)));
            let _ = compile(&format!("{main}type X = {}1", fill(unit)));
        }
        let _ = compile(&format!("{main}type X = {}1", fill("1|")));
        let _ = compile(&format!("{main}type X = {}1", fill("keyof ")));
        let _ = compile(&format!("{main}if (1) {} ;", fill("1; else if (1) ")));
        let deep = format!("{main}x = {}1{}", "(".repeat(300), ")".repeat(300));
        assert!(error(&deep).contains("nested deeper than 256"));
        let long = "x".repeat(MAX_SOURCE_BYTES + 1);
        assert!(error(&long).contains("at most 262144"));
    }

    #[test]
    fn preprocessor_versions() {
        for (params, wanted) in [
            ("", PreprocessorVersion::V2),
            ("event: any", PreprocessorVersion::V2),
            ("event, x", PreprocessorVersion::V2),
            ("event, wm_trigger", PreprocessorVersion::V1),
            ("wm_trigger", PreprocessorVersion::V1),
            ("msg: string", PreprocessorVersion::V1),
        ] {
            let source = format!(
                "export function main() {{}}\nexport async function preprocessor({params}) {{}}"
            );
            assert_eq!(
                compile(&source).unwrap().preprocessor,
                Some(wanted),
                "{params}"
            );
        }
        let without = compile("function preprocessor() {}\nexport const main = () => 1").unwrap();
        assert_eq!(without.preprocessor, None);
    }

    #[test]
    fn main_is_found_however_it_is_exported() {
        for source in [
            "export function main(x) {}",
            "export async function main(x) {}",
            "export const main = async (x) => x;",
            "export const main = function (x) {} as any;",
            "function main(x) {}\nexport { main };",
            "const run = (x) => x;\nexport { run as main };",
            "export function main(x: string): void;\nexport function main(x: any) {}",
        ] {
            let compiled = compile(source).unwrap();
            assert_eq!(compiled.signature.params[0].name, "x", "{source}");
        }
    }

    #[test]
    fn lines_lead_back_to_the_source() {
        let source = "type A = string;\n\n// why\n\nexport function main(x: A) {\n\n  throw new Error(x);\n}\n";
        let compiled = compile(source).unwrap();
        let line = compiled
            .javascript
            .lines()
            .position(|line| line.contains("throw"))
            .unwrap();
        let line = u32::try_from(line).unwrap() + 1;
        assert_ne!(
            line, 7,
            "the printer kept the line; this test shows nothing"
        );
        assert_eq!(compiled.lines.source(line, 2).map(|at| at.0), Some(7));
        assert_eq!(compiled.lines.source(1000, 1), None);
        assert_eq!(compiled.lines.source(0, 1), None);
    }
}
