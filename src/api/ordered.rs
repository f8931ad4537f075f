//! JSON whose objects keep the order of their keys, for what people write by hand: a flow is shown as it was written.
//!
//! [`serde_json::Value`] sorts keys, and stays what everything else reads; this only passes through.

use std::{borrow::Cow, fmt};

use indexmap::IndexMap;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

/// A JSON value in the order in which it was written; of equal keys the last counts, in the place of the first.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ordered {
    /// Neither a list nor an object.
    Leaf(Value),
    List(Vec<Ordered>),
    Object(IndexMap<String, Ordered>),
}

impl Ordered {
    pub(super) fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    pub(super) fn is_null(&self) -> bool {
        *self == Self::Leaf(Value::Null)
    }

    /// The same for those who do not care for the order.
    pub(super) fn plain(&self) -> Value {
        match self {
            Self::Leaf(value) => value.clone(),
            Self::List(list) => list.iter().map(Self::plain).collect(),
            Self::Object(fields) => {
                let fields = fields.iter();
                Value::Object(
                    fields
                        .map(|(key, one)| (key.clone(), one.plain()))
                        .collect(),
                )
            }
        }
    }
}

impl fmt::Display for Ordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

/// In the API's description it is what it stands for.
impl PartialSchema for Ordered {
    fn schema() -> RefOr<Schema> {
        Value::schema()
    }
}

impl ToSchema for Ordered {
    fn name() -> Cow<'static, str> {
        Value::name()
    }
}

impl Serialize for Ordered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Leaf(value) => value.serialize(serializer),
            Self::List(list) => list.serialize(serializer),
            Self::Object(fields) => fields.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Ordered;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Ordered, E> {
        Ok(Ordered::Leaf(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Ordered, E> {
        Ok(Ordered::Leaf(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Ordered, D::Error> {
        Ordered::deserialize(inner)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Ordered, E> {
        Ok(Ordered::Leaf(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Ordered, E> {
        Ok(Ordered::Leaf(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Ordered, E> {
        Ok(Ordered::Leaf(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Ordered, E> {
        Ok(Ordered::Leaf(value.into()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Ordered, E> {
        Ok(Ordered::Leaf(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Ordered, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Ordered::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Ordered, A::Error> {
        let mut fields = IndexMap::new();
        while let Some((key, value)) = entries.next_entry()? {
            fields.insert(key, value);
        }
        Ok(Ordered::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_stays_in_its_order() {
        for text in [
            r#"{"summary":"s","modules":[{"value":{"type":"identity"},"id":"b"},{"id":"a"}],"also":{}}"#,
            r#"[null,true,-1,18446744073709551615,1.5,"é\n",{"b":[],"a":null}]"#,
            "null",
        ] {
            let read: Ordered = serde_json::from_str(text).unwrap();
            assert_eq!(read.to_string(), text);
            let plain: Value = serde_json::from_str(text).unwrap();
            assert_eq!(read.plain(), plain);
            // A body with other fields around is read through serde's own buffer.
            #[derive(Deserialize)]
            struct Around {
                value: Ordered,
                #[serde(flatten)]
                _rest: serde_json::Map<String, Value>,
            }
            let around: Around = serde_json::from_str(&format!(r#"{{"value":{text}}}"#)).unwrap();
            assert_eq!(around.value, read);
        }
    }

    #[test]
    fn equal_keys_count_as_everywhere() {
        let text = r#"{"b":1,"a":2,"b":3}"#;
        let read: Ordered = serde_json::from_str(text).unwrap();
        assert_eq!(read.to_string(), r#"{"b":3,"a":2}"#);
        assert_eq!(read.plain(), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn what_is_nested_too_deep_is_refused() {
        let text = "[".repeat(200) + &"]".repeat(200);
        assert!(serde_json::from_str::<Ordered>(&text).is_err());
    }
}
