//! Literals and simple types as JSON Schema and JSON values: what `schema.rs` is built from.

use oxc_ast::ast::{
    ArrayExpressionElement, Expression, ObjectPropertyKind, TSEnumDeclaration, TSLiteral,
    TSTypeName, UnaryOperator,
};
use serde_json::{Map, Number, Value, json};

pub(super) fn string() -> Value {
    json!({ "type": "string", "originalType": "string" })
}

pub(super) fn enumeration(ty: &Value, choices: &Value) -> Value {
    let mut schema = json!({ "type": ty, "enum": choices });
    if ty == "string" {
        schema["originalType"] = json!("enum");
    }
    schema
}

/// A type that is declared elsewhere: an object of that resource type.
pub(super) fn resource(name: &str) -> Value {
    let mut snake = String::new();
    for (index, c) in name.chars().enumerate() {
        if c.is_uppercase() && index > 0 && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    json!({ "type": "object", "format": format!("resource-{snake}") })
}

pub(super) fn last_name(name: &TSTypeName<'_>) -> String {
    match name {
        TSTypeName::IdentifierReference(id) => id.name.to_string(),
        TSTypeName::QualifiedName(qualified) => qualified.right.name.to_string(),
        TSTypeName::ThisExpression(_) => "this".to_owned(),
    }
}

/// The members of an enum, except those that have to be computed.
pub(super) fn enum_members(found: &TSEnumDeclaration<'_>) -> Vec<(String, Value)> {
    let (mut members, mut next) = (Vec::new(), Some(0.0));
    for member in &found.body.members {
        let value = match &member.initializer {
            Some(initializer) => literal(initializer),
            None => next.map(number),
        };
        next = value.as_ref().and_then(Value::as_f64).map(|n| n + 1.0);
        members.extend(value.map(|value| (member.id.static_name().to_string(), value)));
    }
    members
}

pub(super) fn of_enum(found: &TSEnumDeclaration<'_>) -> Value {
    let members = enum_members(found).into_iter();
    let choices: Vec<Value> = members.map(|(_, value)| value).collect();
    match choices.first() {
        Some(Value::String(_)) if choices.iter().all(Value::is_string) => {
            enumeration(&json!("string"), &json!(choices))
        }
        Some(_) if choices.iter().all(Value::is_number) => {
            enumeration(&json!("number"), &json!(choices))
        }
        _ => json!({}),
    }
}

pub(super) fn of_literal_type(found: &TSLiteral<'_>) -> Value {
    match found {
        TSLiteral::StringLiteral(text) => {
            enumeration(&json!("string"), &json!([text.value.as_str()]))
        }
        TSLiteral::NumericLiteral(n) => enumeration(&json!("number"), &json!([number(n.value)])),
        TSLiteral::BooleanLiteral(_) => json!({ "type": "boolean" }),
        TSLiteral::TemplateLiteral(_) => string(),
        TSLiteral::UnaryExpression(_) => json!({ "type": "number" }),
        TSLiteral::BigIntLiteral(_) => json!({ "type": "integer" }),
    }
}

/// What a parameter without a type is, told by its default.
pub(super) fn of_value(value: &Value) -> Value {
    match value {
        Value::String(_) => string(),
        Value::Number(_) => json!({ "type": "number" }),
        Value::Bool(_) => json!({ "type": "boolean" }),
        Value::Array(items) => {
            let items = items.first().map_or(json!({}), of_value);
            json!({ "type": "array", "items": items })
        }
        Value::Object(_) => json!({ "type": "object" }),
        Value::Null => json!({}),
    }
}

/// A number as JSON writes it: whole ones without a fraction.
pub(super) fn number(n: f64) -> Value {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and within 2^53, where the cast is exact"
    )]
    if n.fract() == 0.0 && n.abs() < 9_007_199_254_740_992.0 {
        return json!(n as i64);
    }
    Number::from_f64(n).map_or(Value::Null, Value::Number)
}

/// The value of an expression that is written out; `None` when it has to be computed.
pub(super) fn literal(expression: &Expression<'_>) -> Option<Value> {
    match expression.get_inner_expression() {
        Expression::StringLiteral(text) => Some(json!(text.value.as_str())),
        Expression::NumericLiteral(n) => Some(number(n.value)),
        Expression::BooleanLiteral(b) => Some(json!(b.value)),
        Expression::NullLiteral(_) => Some(Value::Null),
        Expression::TemplateLiteral(text) => Some(json!(text.single_quasi()?.as_str())),
        Expression::UnaryExpression(unary) => {
            let inner = literal(&unary.argument)?;
            match unary.operator {
                UnaryOperator::UnaryNegation => inner.as_f64().map(|n| number(-n)),
                UnaryOperator::UnaryPlus => inner.is_number().then_some(inner),
                _ => None,
            }
        }
        Expression::ArrayExpression(array) => {
            let item = |element: &ArrayExpressionElement<'_>| literal(element.as_expression()?);
            let items: Option<Vec<Value>> = array.elements.iter().map(item).collect();
            items.map(Value::Array)
        }
        Expression::ObjectExpression(object) => {
            let field = |property: &ObjectPropertyKind<'_>| match property {
                ObjectPropertyKind::ObjectProperty(property) if !property.computed => {
                    let name = property.key.static_name()?.into_owned();
                    Some((name, literal(&property.value)?))
                }
                _ => None,
            };
            let fields: Option<Map<String, Value>> = object.properties.iter().map(field).collect();
            fields.map(Value::Object)
        }
        _ => None,
    }
}
