//! Which findings of the parser are about types alone. Types are stripped, so a script with such a fault runs as if it had
//! none; TypeScript finds them when it checks types, not when it makes JavaScript.

use oxc_diagnostics::OxcDiagnostic;

/// TypeScript's own numbers of such errors.
const CODES: [&str; 43] = [
    // Parameters: optional before required ones, optional with a default, `...rest?`.
    "1015", "1016", "1047", "1051",
    // Modifiers: twice, in another order, where they mean nothing.
    "1024", "1028", "1029", "1030", "1031", "1040", "1042", "1044", "1070", "1071", "1089", "1243",
    "1273", "1274", "1277", "18010", "18019", // Index signatures.
    "1019", "1021", "1096", "1268", "1337", // What is declared but not there.
    "1035", "1036", "1038", "1039", "1183",
    // Annotations of constructors and accessors, definite assignment.
    "1092", "1093", "1094", "1095", "1255", "1263", "1264",
    // Tuples, `readonly`, abstract members.
    "1244", "1257", "1265", "1266", "1354",
];

/// Whether the script's JavaScript is the same without the fault.
pub(super) fn is_about_types(found: &OxcDiagnostic) -> bool {
    let code = &found.code;
    code.scope.as_deref() == Some("TS")
        && code
            .number
            .as_deref()
            .is_some_and(|number| CODES.contains(&number))
}

#[cfg(test)]
mod tests {
    use super::super::compile;

    #[test]
    fn faults_in_types_alone_are_no_syntax_errors() {
        for source in [
            "export function main(a?: string, b: string) { return b }",
            "export function main(a?: string = 'x') { return a }",
            "export function main(x: [a?: string, b: number]) { return x }",
            "class A { public public x = 1; readonly static y = 2 }\nexport function main() { return new A() }",
            "interface I { [key?: string]: number }\nexport function main(x: I) { return x }",
            "export function main(x: readonly string) { return x }",
        ] {
            let compiled = compile(source);
            assert!(compiled.is_ok(), "{source}: {compiled:?}");
        }
        let signature = compile("export function main(a?: string, b: string) {}")
            .unwrap()
            .signature;
        assert_eq!(signature.schema()["required"], serde_json::json!(["b"]));
    }

    #[test]
    fn other_faults_are_still_found() {
        for (source, place) in [
            (
                "export function main(a?: string, b: string) {\n  let = 1 }",
                "line 2",
            ),
            (
                "export function main() {}\nclass A extends B extends C {}",
                "line 2",
            ),
            (
                "export function main() {}\nenum E { [`a${1}`] = 1 }",
                "line 2",
            ),
        ] {
            let error = compile(source).unwrap_err().to_string();
            assert!(error.starts_with(place), "{source}: {error}");
        }
    }
}
