use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{
    decode::{Decode, entity},
    diagnostics::Diagnostics,
    lookup::{FieldKind, FieldValue, Lookup, PathError, PathStep, leaf_kind, visit_optional},
    scalar::{Code, Country, Email, Text, scalar_from_raw},
};

entity! {
    /// An address of an order.
    pub struct Address {
        /// First name of the recipient.
        firstname: Text,
        /// Last name of the recipient.
        lastname: Text,
        /// Email address.
        email: Email,
        /// The lines of the street.
        street: Street,
        /// City.
        city: Text,
        /// Name of the state or region.
        region: Region,
        /// Code of the state or region.
        region_code: Text,
        /// ISO 3166-1 alpha-2 code of the country.
        country_id: Country,
        /// Postal code.
        postcode: Text,
        /// Phone number.
        telephone: Text,
    }
    reads {
        address_type: Code,
    }
    settle settle_region
    // A shop does not name the addresses, so below the names there is nothing but the contract.
    elsewhere "is not in the contract; the shop sends it as in order.addresses[].company"
}

/// The types of an order's addresses.
pub(super) const BILLING: &str = "billing";
pub(super) const SHIPPING: &str = "shipping";

/// An address in the list of an order, of which the contract knows two types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListedAddress(pub(super) Address);

impl Address {
    /// Whether nothing of it is there.
    pub(super) fn is_blank(&self) -> bool {
        let blank = Self {
            address_type: self.address_type.clone(),
            ..Self::default()
        };
        *self == blank
    }
}

impl Decode for ListedAddress {
    fn decode<'de, D: Deserializer<'de>>(
        from: D,
        at: &mut Diagnostics<'de>,
    ) -> Result<Option<Self>, D::Error> {
        let mark = at.mark();
        let address = Address::decode(from, at)?;
        let kind = address.as_ref().map(|address| {
            let kind = address.address_type.as_ref();
            kind.map(|Code(kind)| kind.as_str())
        });
        let field = match kind {
            None => return Ok(None),
            Some(Some(BILLING)) => "order.billing_address",
            Some(Some(SHIPPING)) => "order.shipping_address",
            Some(Some(_)) => {
                at.replace_with_skipped(mark, "has another type than billing and shipping", false);
                return Ok(address.map(Self));
            }
            // It may be the one or the other.
            Some(None) => {
                at.replace_with_skipped(mark, "must have the type billing or shipping", true);
                return Ok(address.map(Self));
            }
        };
        at.rename_fields(mark, |below| Some(format!("{field}{below}")));
        Ok(address.map(Self))
    }

    #[cfg(feature = "schema")]
    fn hook_fields(sample: &serde_json::Value, path: &str, fields: &mut Vec<String>) {
        Address::hook_fields(sample, path, fields);
    }
}

/// The region's code belongs beside its name, wherever the shop wrote it.
fn settle_region(address: &mut Address, _: &mut Diagnostics<'_>) {
    if let Some(region) = &mut address.region {
        let code = region.code.take();
        address.region_code = address.region_code.take().or(code);
        if region.name.is_none() {
            address.region = None;
        }
    }
}

/// Name and code of a state or region. An order's address has the name alone, a customer's has both in one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// The name, as in `Oregon`.
    pub name: Option<Text>,
    code: Option<Text>,
}

entity! {
    /// A region as a customer's address has it.
    pub(super) struct RegionObject {
        /// The name.
        region: Text,
        /// The code.
        region_code: Text,
    }
}

impl Decode for Region {
    fn decode<'de, D: Deserializer<'de>>(
        from: D,
        at: &mut Diagnostics<'de>,
    ) -> Result<Option<Self>, D::Error> {
        let raw = <&RawValue>::deserialize(from)?;
        if raw.get().starts_with('{') {
            let mark = at.mark();
            let object = RegionObject::decode(raw, at).map_err(serde::de::Error::custom)?;
            let (name, code) = (at.sibling_field("region"), at.sibling_field("region_code"));
            at.rename_fields(mark, |below| match below {
                ".region" => Some(name.clone()),
                ".region_code" => Some(code.clone()),
                _ => None,
            });
            return Ok(object.map(|object| Self {
                name: object.region,
                code: object.region_code,
            }));
        }
        let name = scalar_from_raw(raw.get(), at);
        Ok(name.map(|name| Self {
            name: Some(name),
            code: None,
        }))
    }
}

impl Serialize for Region {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.name.serialize(to)
    }
}

impl Lookup for Region {
    fn kind(path: &[PathStep]) -> Result<FieldKind, PathError> {
        leaf_kind(FieldKind::Text, path)
    }

    fn visit(&self, path: &[PathStep], see: &mut dyn FnMut(FieldValue<'_>)) {
        visit_optional(self.name.as_ref(), path, see);
    }
}

/// The lines of a street, read from a list of lines or from one string with line breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Street(pub Vec<Text>);

impl Decode for Street {
    fn decode<'de, D: Deserializer<'de>>(
        from: D,
        at: &mut Diagnostics<'de>,
    ) -> Result<Option<Self>, D::Error> {
        let raw = <&RawValue>::deserialize(from)?;
        let mut lines: Vec<Text> = if raw.get().starts_with(['{', '[']) {
            let lines = Vec::<Line>::decode(raw, at).map_err(serde::de::Error::custom)?;
            let lines = lines.unwrap_or_default().into_iter();
            lines.map(|Line(line)| line).collect()
        } else {
            let whole: Option<Text> = scalar_from_raw(raw.get(), at);
            let Text(whole) = whole.unwrap_or_else(|| Text(String::new()));
            at.count_elements(whole.lines().count())?;
            whole.lines().map(|line| Text(line.to_owned())).collect()
        };
        // The place of a line means something: number, complement, district. Only behind the last one nothing stands.
        let used = lines.iter().rposition(|Text(line)| !line.is_empty());
        lines.truncate(used.map_or(0, |last| last + 1));
        Ok((!lines.is_empty()).then_some(Self(lines)))
    }
}

impl Lookup for Street {
    fn kind(path: &[PathStep]) -> Result<FieldKind, PathError> {
        Vec::<Text>::kind(path)
    }

    fn visit(&self, path: &[PathStep], see: &mut dyn FnMut(FieldValue<'_>)) {
        self.0.visit(path, see);
    }
}

/// One line of a street, empty where none can be read.
struct Line(Text);

impl Decode for Line {
    fn decode<'de, D: Deserializer<'de>>(
        from: D,
        at: &mut Diagnostics<'de>,
    ) -> Result<Option<Self>, D::Error> {
        let raw = <&RawValue>::deserialize(from)?;
        let line = scalar_from_raw(raw.get(), at);
        Ok(Some(Self(line.unwrap_or_else(|| Text(String::new())))))
    }
}

#[cfg(feature = "schema")]
mod schema {
    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    impl JsonSchema for super::Region {
        fn inline_schema() -> bool {
            true
        }

        fn schema_name() -> Cow<'static, str> {
            "Region".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "type": "string" })
        }
    }

    impl JsonSchema for super::Street {
        fn inline_schema() -> bool {
            true
        }

        fn schema_name() -> Cow<'static, str> {
            "Street".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "type": "array", "items": { "type": "string" } })
        }
    }
}
