//! A function's parameters as JSON Schema, in the shape Windmill stores with a script (windmill-facts §2.2).
//!
//! Reads oxc's syntax tree only: types are resolved within the file, never across imports. A type that is not
//! declared in the file is taken as a resource type, as Windmill does.

use std::collections::BTreeSet;

use oxc_ast::ast::{
    BindingPattern, Declaration, Expression, FormalParameter, FormalParameters, Program, Statement,
    TSSignature, TSType, TSTypeReference,
};
use serde_json::{Map, Value, json};

use super::values::{
    enum_members, enumeration, last_name, literal, of_enum, of_literal_type, of_value, resource,
    string,
};
use super::{SyntaxError, error_at, start_of};

/// How deep types are followed: enough for forms people fill in, and an end for types that contain themselves.
const MAX_TYPE_DEPTH: usize = 8;

/// The parameters of a function, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Signature {
    /// One entry per parameter.
    pub params: Vec<Param>,
}

/// One parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// The name by which its argument is passed.
    pub name: String,
    /// Its JSON Schema, `{}` for `any`.
    pub property: Value,
    /// Its default, when that is a literal.
    pub default: Option<Value>,
    /// Whether it may be left out.
    pub optional: bool,
}

impl Param {
    /// Whether the parameter is declared as a `Date`: its argument, an ISO text, then becomes one.
    #[must_use]
    pub fn is_date(&self) -> bool {
        self.property.get("format").and_then(Value::as_str) == Some("date-time")
    }
}

impl Signature {
    /// The signature as a JSON Schema object. `order` keeps the order of the parameters, which `properties`
    /// cannot.
    #[must_use]
    pub fn schema(&self) -> Value {
        let property = |param: &Param| {
            let mut property = param.property.clone();
            if let Value::Object(fields) = &mut property {
                fields.insert("description".to_owned(), json!(""));
                if let Some(default) = &param.default {
                    fields.insert("default".to_owned(), default.clone());
                }
            }
            (param.name.clone(), property)
        };
        let properties: Map<String, Value> = self.params.iter().map(property).collect();
        let names = self.params.iter();
        let required = names.clone().filter(|param| !param.optional);
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": properties,
            "required": required.map(|param| &param.name).collect::<Vec<_>>(),
            "order": names.map(|param| &param.name).collect::<Vec<_>>(),
        })
    }
}

/// Reads the parameters of one function.
pub(super) fn signature(
    program: &Program<'_>,
    params: &FormalParameters<'_>,
    source: &str,
) -> Result<Signature, SyntaxError> {
    if let Some(rest) = &params.rest {
        let message = "arguments are passed by name, so a rest parameter gets none; \
                       name each parameter, or take one object";
        return Err(error_at(source, start_of(&**rest), message.to_owned()));
    }
    let types = Types { program };
    let mut seen = BTreeSet::new();
    let mut read = Vec::new();
    for (index, item) in params.items.iter().enumerate() {
        let param = types.param(item).ok_or_else(|| {
            let message = format!(
                "parameter {} is destructured, and arguments are passed by name; \
                 give it a name and destructure inside the function",
                index + 1
            );
            error_at(source, start_of(item), message)
        })?;
        if seen.insert(param.name.clone()) {
            read.push(param);
        }
    }
    Ok(Signature { params: read })
}

/// A type's schema, and whether it also allows null or undefined.
struct Reading {
    schema: Value,
    optional: bool,
}

impl From<Value> for Reading {
    fn from(schema: Value) -> Self {
        Self {
            schema,
            optional: false,
        }
    }
}

/// The types declared in one file.
struct Types<'p, 'a> {
    program: &'p Program<'a>,
}

impl<'p, 'a> Types<'p, 'a> {
    /// One parameter; `None` when it has no name.
    fn param(&self, item: &FormalParameter<'a>) -> Option<Param> {
        let (pattern, inner_default) = match &item.pattern {
            BindingPattern::AssignmentPattern(assigned) => (&assigned.left, Some(&assigned.right)),
            pattern => (pattern, None),
        };
        let BindingPattern::BindingIdentifier(id) = pattern else {
            return None;
        };
        let initializer = item.initializer.as_deref().or(inner_default);
        let member = initializer.and_then(|value| self.enum_member(value));
        let literal = initializer.and_then(literal);
        let (of_member, default) = match member {
            Some((schema, value)) => (Some(schema), Some(value)),
            None => (None, literal),
        };
        let reading = match (&item.type_annotation, of_member) {
            (Some(annotation), _) => self.read(&annotation.type_annotation, 0),
            (None, Some(schema)) => schema.into(),
            (None, None) => default.as_ref().map_or(json!({}), of_value).into(),
        };
        Some(Param {
            name: id.name.to_string(),
            property: reading.schema,
            default,
            optional: item.optional || initializer.is_some() || reading.optional,
        })
    }

    /// The schema of an enum of this file, and the value of its member that is meant by `Color.Red` or `Color["Red"]`.
    fn enum_member(&self, value: &Expression<'a>) -> Option<(Value, Value)> {
        let (object, name) = match value.get_inner_expression() {
            Expression::StaticMemberExpression(member) => {
                (&member.object, member.property.name.as_str())
            }
            Expression::ComputedMemberExpression(member) => match &member.expression {
                Expression::StringLiteral(name) => (&member.object, name.value.as_str()),
                _ => return None,
            },
            _ => return None,
        };
        let Expression::Identifier(of) = object else {
            return None;
        };
        self.declarations()
            .find_map(|declaration| match declaration {
                Declaration::TSEnumDeclaration(found) if found.id.name == of.name => {
                    let mut members = enum_members(found).into_iter();
                    let (_, value) = members.find(|(known, _)| known == name)?;
                    Some((of_enum(found), value))
                }
                _ => None,
            })
    }

    /// What the file declares at its top level.
    fn declarations(&self) -> impl Iterator<Item = &'p Declaration<'a>> {
        self.program
            .body
            .iter()
            .filter_map(|statement| match statement {
                Statement::ExportDeclaration(export) => Some(&export.declaration),
                other => other.as_declaration(),
            })
    }

    fn read(&self, ty: &TSType<'a>, depth: usize) -> Reading {
        if depth > MAX_TYPE_DEPTH {
            return json!({}).into();
        }
        match ty {
            TSType::TSStringKeyword(_) | TSType::TSTemplateLiteralType(_) => string().into(),
            TSType::TSNumberKeyword(_) => json!({ "type": "number" }).into(),
            TSType::TSBigIntKeyword(_) => json!({ "type": "integer" }).into(),
            TSType::TSBooleanKeyword(_) => json!({ "type": "boolean" }).into(),
            TSType::TSObjectKeyword(_) | TSType::TSMappedType(_) => {
                json!({ "type": "object" }).into()
            }
            TSType::TSNullKeyword(_) | TSType::TSUndefinedKeyword(_) | TSType::TSVoidKeyword(_) => {
                Reading {
                    schema: json!({}),
                    optional: true,
                }
            }
            TSType::TSLiteralType(literal) => of_literal_type(&literal.literal).into(),
            TSType::TSArrayType(array) => {
                let items = self.read(&array.element_type, depth + 1).schema;
                json!({ "type": "array", "items": items }).into()
            }
            TSType::TSTupleType(_) => json!({ "type": "array" }).into(),
            TSType::TSTypeLiteral(object) => self.object(object.members.iter(), depth).into(),
            TSType::TSParenthesizedType(inner) => self.read(&inner.type_annotation, depth + 1),
            TSType::TSTypeOperatorType(inner) => self.read(&inner.type_annotation, depth + 1),
            TSType::TSUnionType(union) => self.union(union.types.iter(), depth),
            TSType::TSIntersectionType(parts) => {
                self.intersection(parts.types.iter(), depth).into()
            }
            TSType::TSTypeReference(reference) => self.reference(reference, depth),
            _ => json!({}).into(),
        }
    }

    fn object<'t>(&self, members: impl Iterator<Item = &'t TSSignature<'a>>, depth: usize) -> Value
    where
        'a: 't,
    {
        let (mut properties, mut required, mut order) = (Map::new(), Vec::new(), Vec::new());
        for member in members {
            let TSSignature::TSPropertySignature(property) = member else {
                continue;
            };
            let Some(name) = property.key.static_name().filter(|_| !property.computed) else {
                continue;
            };
            let annotation = property.type_annotation.as_ref();
            let reading = annotation.map_or(json!({}).into(), |annotation| {
                self.read(&annotation.type_annotation, depth + 1)
            });
            if !property.optional && !reading.optional {
                required.push(json!(name));
            }
            order.push(json!(name));
            properties.insert(name.into_owned(), reading.schema);
        }
        if properties.is_empty() {
            return json!({ "type": "object" });
        }
        json!({ "type": "object", "properties": properties, "required": required, "order": order })
    }

    /// One type with null, one set of literals, or anything.
    fn union<'t>(&self, types: impl Iterator<Item = &'t TSType<'a>>, depth: usize) -> Reading
    where
        'a: 't,
    {
        let (mut schemas, mut optional) = (Vec::<Value>::new(), false);
        for ty in types {
            let reading = self.read(ty, depth + 1);
            optional |= reading.optional;
            let is_null = reading.optional && reading.schema == json!({});
            if !is_null && !schemas.contains(&reading.schema) {
                schemas.push(reading.schema);
            }
        }
        let all_enums = schemas.iter().all(|schema| schema.get("enum").is_some());
        let same_type = schemas
            .windows(2)
            .all(|two| two[0]["type"] == two[1]["type"]);
        let schema = match schemas.len() {
            0 => json!({}),
            1 => schemas.swap_remove(0),
            _ if all_enums && same_type => {
                let choices: Vec<&Value> = schemas
                    .iter()
                    .filter_map(|schema| schema["enum"].as_array())
                    .flatten()
                    .collect();
                enumeration(&schemas[0]["type"], &json!(choices))
            }
            _ if schemas.iter().all(|schema| schema["type"] == "object") => {
                json!({ "type": "object", "oneOf": schemas })
            }
            _ => json!({}),
        };
        Reading { schema, optional }
    }

    fn intersection<'t>(&self, parts: impl Iterator<Item = &'t TSType<'a>>, depth: usize) -> Value
    where
        'a: 't,
    {
        let (mut properties, mut required, mut order) = (Map::new(), Vec::new(), Vec::new());
        for part in parts {
            let mut schema = self.read(part, depth + 1).schema;
            if let Value::Object(fields) = schema["properties"].take() {
                properties.extend(fields);
            }
            if let Value::Array(names) = schema["required"].take() {
                required.extend(names);
            }
            if let Value::Array(names) = schema["order"].take() {
                order.extend(names);
            }
        }
        json!({ "type": "object", "properties": properties, "required": required, "order": order })
    }

    fn reference(&self, reference: &TSTypeReference<'a>, depth: usize) -> Reading {
        let name = last_name(&reference.type_name);
        if let Some(declared) = self.declared(&name, depth) {
            return declared;
        }
        let argument = reference
            .type_arguments
            .as_ref()
            .and_then(|arguments| arguments.params.first());
        let inner = |depth| argument.map_or(json!({}).into(), |ty| self.read(ty, depth + 1));
        match name.as_str() {
            "String" => string().into(),
            "Number" => json!({ "type": "number" }).into(),
            "Boolean" => json!({ "type": "boolean" }).into(),
            "Date" => json!({ "type": "string", "format": "date-time" }).into(),
            "Base64" => json!({ "type": "string", "contentEncoding": "base64" }).into(),
            "Email" => json!({ "type": "string", "format": "email" }).into(),
            "Sql" => json!({ "type": "string", "format": "sql" }).into(),
            "Array" | "ReadonlyArray" | "Set" => {
                json!({ "type": "array", "items": inner(depth).schema }).into()
            }
            "Partial" => {
                let mut schema = inner(depth).schema;
                if let Value::Object(fields) = &mut schema {
                    fields.remove("required");
                }
                schema.into()
            }
            "Readonly" | "Required" | "NonNullable" | "Awaited" | "Promise" => inner(depth),
            "Record" | "Map" | "Object" | "Pick" | "Omit" => json!({ "type": "object" }).into(),
            "Uint8Array" | "ArrayBuffer" | "Function" | "RegExp" | "Error" => json!({}).into(),
            other => resource(other).into(),
        }
    }

    /// The schema of a type, interface or enum declared at the top level of this file.
    fn declared(&self, name: &str, depth: usize) -> Option<Reading> {
        self.declarations().find_map(|declaration| {
            match declaration {
                Declaration::TSTypeAliasDeclaration(alias) if alias.id.name == name => {
                    // `type Postgresql = object` is how a Windmill script names a resource type.
                    Some(match &alias.type_annotation {
                        TSType::TSObjectKeyword(_) => resource(name).into(),
                        ty => self.read(ty, depth + 1),
                    })
                }
                Declaration::TSInterfaceDeclaration(interface) if interface.id.name == name => {
                    Some(self.object(interface.body.body.iter(), depth).into())
                }
                Declaration::TSEnumDeclaration(found) if found.id.name == name => {
                    Some(of_enum(found).into())
                }
                Declaration::ClassDeclaration(class)
                    if class.id.as_ref().is_some_and(|id| id.name == name) =>
                {
                    Some(json!({ "type": "object" }).into())
                }
                _ => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::compile;
    use super::*;

    fn property(declaration: &str) -> Value {
        let (before, param) = declaration.rsplit_once("@@").unwrap_or(("", declaration));
        let source = format!("{before}\nexport function main({param}) {{}}");
        let signature = compile(&source).unwrap().signature;
        signature.params[0].property.clone()
    }

    #[test]
    fn types_become_schemas() {
        let text = string();
        for (declaration, wanted) in [
            ("x: string", text.clone()),
            ("x: number", json!({ "type": "number" })),
            ("x: boolean", json!({ "type": "boolean" })),
            ("x: bigint", json!({ "type": "integer" })),
            ("x: any", json!({})),
            ("x: unknown", json!({})),
            ("x", json!({})),
            ("x: object", json!({ "type": "object" })),
            (
                "x: Date",
                json!({ "type": "string", "format": "date-time" }),
            ),
            ("x: string[]", json!({ "type": "array", "items": text })),
            (
                "x: Array<number>",
                json!({ "type": "array", "items": { "type": "number" } }),
            ),
            (
                "x: readonly string[]",
                json!({ "type": "array", "items": text }),
            ),
            ("x: [string, number]", json!({ "type": "array" })),
            (
                "x: \"a\" | \"b\"",
                json!({ "type": "string", "enum": ["a", "b"], "originalType": "enum" }),
            ),
            (
                "x: 1 | 2 | null",
                json!({ "type": "number", "enum": [1, 2] }),
            ),
            (
                "x: (\"a\" | \"b\")[]",
                json!({ "type": "array", "items": { "type": "string", "enum": ["a", "b"], "originalType": "enum" } }),
            ),
            ("x: string | null", text.clone()),
            ("x: string | number", json!({})),
            ("x: Record<string, number>", json!({ "type": "object" })),
        ] {
            assert_eq!(property(declaration), wanted, "{declaration}");
        }
    }

    #[test]
    fn compound_types_and_defaults_become_schemas() {
        let text = string();
        for (declaration, wanted) in [
            (
                "x: { a: string; b?: number }",
                json!({ "type": "object", "properties": { "a": text, "b": { "type": "number" } }, "required": ["a"], "order": ["a", "b"] }),
            ),
            (
                "x: Partial<{ a: string }>",
                json!({ "type": "object", "properties": { "a": text }, "order": ["a"] }),
            ),
            (
                "x: { a: string } & { b: boolean }",
                json!({ "type": "object", "properties": { "a": text, "b": { "type": "boolean" } }, "required": ["a", "b"], "order": ["a", "b"] }),
            ),
            (
                "x: Postgresql",
                json!({ "type": "object", "format": "resource-postgresql" }),
            ),
            (
                "x: RT.CTiktok",
                json!({ "type": "object", "format": "resource-c_tiktok" }),
            ),
            (
                "type Slack = object;@@x: Slack",
                json!({ "type": "object", "format": "resource-slack" }),
            ),
            (
                "interface A { n: number }@@x: A",
                json!({ "type": "object", "properties": { "n": { "type": "number" } }, "required": ["n"], "order": ["n"] }),
            ),
            (
                "type C = \"r\" | \"g\";@@x: C",
                json!({ "type": "string", "enum": ["r", "g"], "originalType": "enum" }),
            ),
            (
                "enum E { A = \"a\", B = \"b\" }@@x: E",
                json!({ "type": "string", "enum": ["a", "b"], "originalType": "enum" }),
            ),
            (
                "enum E { A, B = 5, C }@@x: E",
                json!({ "type": "number", "enum": [0, 5, 6] }),
            ),
            ("x = \"a\"", text.clone()),
            ("x = 1.5", json!({ "type": "number" })),
            (
                "x = [1]",
                json!({ "type": "array", "items": { "type": "number" } }),
            ),
            ("x = compute()", json!({})),
        ] {
            assert_eq!(property(declaration), wanted, "{declaration}");
        }
    }

    #[test]
    fn members_of_enums_are_defaults() {
        let source = "export enum Color { Red = \"r\", Blue = \"b\" }\nconst enum Size { S, M = 5, 'X L', Odd = S }\n\
                      export function main(a: Color = Color.Blue, b: Size = Size[\"X L\"], c = Color.Red, \
                      d: Size = Size.Odd, e: Other = Other.Red, f: string = Color.Red) {}";
        let params = compile(source).unwrap().signature.params;
        let defaults: Vec<_> = params.iter().map(|param| param.default.clone()).collect();
        assert_eq!(
            defaults,
            [
                Some(json!("b")),
                Some(json!(6)),
                Some(json!("r")),
                None,
                None,
                Some(json!("r"))
            ]
        );
        assert_eq!(params[2].property["enum"], json!(["r", "b"]));
        assert!(params.iter().all(|param| param.optional));
    }

    #[test]
    fn types_that_contain_themselves_end() {
        property("type T = { next?: T; list: T[] };@@x: T");
        property("type A = B; type B = A;@@x: A");
        property("interface T extends T { a: T & T }@@x: T");
    }

    #[test]
    fn the_whole_schema() {
        let source = "export async function main(\n msg: string, limit = -3, at: Date | undefined, \
                      opts: { a: number } = { a: 1 }, last: any, mode?: \"x\") {}";
        let signature = compile(source).unwrap().signature;
        assert!(signature.params[2].is_date());
        assert_eq!(
            signature.schema(),
            json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "properties": {
                    "msg": { "type": "string", "originalType": "string", "description": "" },
                    "limit": { "type": "number", "default": -3, "description": "" },
                    "mode": { "type": "string", "enum": ["x"], "originalType": "enum", "description": "" },
                    "at": { "type": "string", "format": "date-time", "description": "" },
                    "opts": { "type": "object", "properties": { "a": { "type": "number" } }, "required": ["a"],
                              "order": ["a"], "default": { "a": 1 }, "description": "" },
                    "last": { "description": "" },
                },
                "required": ["msg", "last"],
                "order": ["msg", "limit", "at", "opts", "last", "mode"],
            })
        );
    }
}
