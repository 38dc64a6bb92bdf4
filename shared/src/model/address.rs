//! An address of an order, in each form in which a shop sends it.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{
    decode::{Decode, entity},
    diagnostics::Diagnostics,
    lookup::{FieldKind, FieldPath, FieldValue, Lookup, PathError, leaf_kind, visit_optional},
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
    normalize normalize_region
    // A shop sends the addresses as a list, so other fields exist only there.
    unknown_field "is not in the contract; the shop sends it as in order.addresses[].company"
}

/// The types of addresses in the contract.
pub(super) const BILLING: &str = "billing";
pub(super) const SHIPPING: &str = "shipping";

/// An address in the list `addresses` of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListedAddress(pub(super) Address);

impl Address {
    /// Whether no field of the contract is present.
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
        diagnostics: &mut Diagnostics<'de>,
    ) -> Result<Option<Self>, D::Error> {
        let mark = diagnostics.mark();
        let address = Address::decode(from, diagnostics)?;
        let kind = address.as_ref().map(|address| {
            let kind = address.address_type.as_ref();
            kind.map(|Code(kind)| kind.as_str())
        });
        let field = match kind {
            None => return Ok(None),
            Some(Some(BILLING)) => "order.billing_address",
            Some(Some(SHIPPING)) => "order.shipping_address",
            Some(Some(_)) => {
                diagnostics.replace_with_skipped(
                    mark,
                    "has another type than billing and shipping",
                    false,
                );
                return Ok(address.map(Self));
            }
            // It may be the billing or the shipping address.
            Some(None) => {
                diagnostics.replace_with_skipped(
                    mark,
                    "must have the type billing or shipping",
                    true,
                );
                return Ok(address.map(Self));
            }
        };
        diagnostics.rename_fields(mark, |below| Some(format!("{field}{below}")));
        Ok(address.map(Self))
    }

    #[cfg(feature = "schema")]
    fn hook_fields(sample: &serde_json::Value, path: &str, fields: &mut Vec<String>) {
        Address::hook_fields(sample, path, fields);
    }
}

/// Moves the code of the region object to `region_code`, unless the shop also sent that field.
fn normalize_region(address: &mut Address, _: &mut Diagnostics<'_>) {
    if let Some(region) = &mut address.region {
        let code = region.code.take();
        address.region_code = address.region_code.take().or(code);
        if region.name.is_none() {
            address.region = None;
        }
    }
}

/// Name and code of a state or region. An order's address has only the name, a customer's address
/// an object with both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// The name, as in `Oregon`.
    pub name: Option<Text>,
    code: Option<Text>,
}

entity! {
    /// The region object of a customer's address.
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
        diagnostics: &mut Diagnostics<'de>,
    ) -> Result<Option<Self>, D::Error> {
        let raw = <&RawValue>::deserialize(from)?;
        if raw.get().starts_with('{') {
            let mark = diagnostics.mark();
            let object =
                RegionObject::decode(raw, diagnostics).map_err(serde::de::Error::custom)?;
            let (name, code) = (
                diagnostics.sibling_field("region"),
                diagnostics.sibling_field("region_code"),
            );
            diagnostics.rename_fields(mark, |below| match below {
                ".region" => Some(name.clone()),
                ".region_code" => Some(code.clone()),
                _ => None,
            });
            return Ok(object.map(|object| Self {
                name: object.region,
                code: object.region_code,
            }));
        }
        let name = scalar_from_raw(raw.get(), diagnostics);
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
    fn kind(path: &FieldPath) -> Result<FieldKind, PathError> {
        leaf_kind(FieldKind::Text, path)
    }

    fn visit(&self, path: &FieldPath, visit: &mut dyn FnMut(FieldValue<'_>)) {
        visit_optional(self.name.as_ref(), path, visit);
    }
}

/// The lines of a street, read from a list of lines or from a string with line breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Street(pub Vec<Text>);

impl Decode for Street {
    fn decode<'de, D: Deserializer<'de>>(
        from: D,
        diagnostics: &mut Diagnostics<'de>,
    ) -> Result<Option<Self>, D::Error> {
        let raw = <&RawValue>::deserialize(from)?;
        let mut lines: Vec<Text> = if raw.get().starts_with(['{', '[']) {
            let lines =
                Vec::<StreetLine>::decode(raw, diagnostics).map_err(serde::de::Error::custom)?;
            let lines = lines.unwrap_or_default().into_iter();
            lines.map(|StreetLine(line)| line).collect()
        } else {
            let whole: Option<Text> = scalar_from_raw(raw.get(), diagnostics);
            let Text(whole) = whole.unwrap_or_else(|| Text(String::new()));
            diagnostics.count_elements(whole.lines().count())?;
            whole.lines().map(|line| Text(line.to_owned())).collect()
        };
        // The position of a line has a meaning: number, complement, district. So only empty lines
        // at the end are removed.
        let used = lines.iter().rposition(|Text(line)| !line.is_empty());
        lines.truncate(used.map_or(0, |last| last + 1));
        Ok((!lines.is_empty()).then_some(Self(lines)))
    }
}

impl Lookup for Street {
    fn kind(path: &FieldPath) -> Result<FieldKind, PathError> {
        Vec::<Text>::kind(path)
    }

    fn visit(&self, path: &FieldPath, visit: &mut dyn FnMut(FieldValue<'_>)) {
        self.0.visit(path, visit);
    }
}

/// A line of a street; empty if it cannot be read.
struct StreetLine(Text);

impl Decode for StreetLine {
    fn decode<'de, D: Deserializer<'de>>(
        from: D,
        diagnostics: &mut Diagnostics<'de>,
    ) -> Result<Option<Self>, D::Error> {
        let raw = <&RawValue>::deserialize(from)?;
        let line = scalar_from_raw(raw.get(), diagnostics);
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
