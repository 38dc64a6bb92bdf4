//! The macro that declares an entity: the struct, the table of its fields, and one `match` for each
//! way to access them. All generic code is in `entity.rs`.

/// Declares an entity of the spec: the struct and the access to its fields. Any field can be
/// absent; each channel defines the fields that it needs.
///
/// `reads { … }` declares read-only fields: a shop sends them, but the spec does not have them. The
/// function after `normalize` moves their values to the fields of the spec after `as`. The text
/// after `unknown_field` explains why rules cannot use fields outside the contract. The part
/// `computes` declares values for rules and the fields from which they are computed.
macro_rules! entity {
    (
        $(#[doc = $about:literal])*
        $vis:vis struct $Entity:ident {
            $($(#[doc = $doc:literal])* $field:ident: $Type:ty,)*
        }
        $(reads { $($extra:ident: $Extra:ty $(as $($spec:ident)|+)?,)* })?
        $(normalize $normalize:ident)?
        $(unknown_field $unknown_field:literal)?
        $(computes {
            $($computed:ident: $Computed:ty = $compute:path, from $($part:ident)+;)*
        })?
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        $vis struct $Entity {
            $($(#[doc = $doc])* pub $field: Option<$Type>,)*
            $($(pub(super) $extra: Option<$Extra>,)*)?
        }

        const _: () = {
            use $crate::model::{
                decode::{Computed, Decode, Field, Fields, Seed, entity},
                diagnostics::Diagnostics,
                lookup::{
                    FieldKind, FieldPath, FieldValue, Lookup, PathError, visit_optional,
                },
            };

            #[allow(
                non_camel_case_types,
                clippy::allow_attributes,
                reason = "each variant has the name of its field"
            )]
            #[derive(Clone, Copy)]
            pub(in $crate::model) enum FieldKey { $($field,)* $($($extra,)*)? }

            impl Fields for $Entity {
                type Key = FieldKey;

                const KEYS: &'static [FieldKey] = &[$(FieldKey::$field),*];

                #[cfg(feature = "schema")]
                const READ_ONLY_KEYS: &'static [FieldKey] = &[$($(FieldKey::$extra),*)?];

                const COMPUTED: &'static [Computed<Self>] = &[$($(Computed {
                    name: stringify!($computed),
                    from: &[$(stringify!($part)),+],
                    kind: <$Computed>::kind,
                    visit: |entity, path, visit| {
                        visit_optional($compute(entity).as_ref(), path, visit);
                    },
                }),*)?];

                const UNKNOWN_FIELD_REASON: Option<&'static str> =
                    entity!(@optional $($unknown_field)?);

                #[cfg(feature = "schema")]
                const DESCRIPTION: &'static str = concat!($($about),*);

                fn key(name: &str) -> Option<FieldKey> {
                    Some(match name {
                        $(stringify!($field) => FieldKey::$field,)*
                        $($(stringify!($extra) => FieldKey::$extra,)*)?
                        _ => return None,
                    })
                }

                fn field(key: FieldKey) -> &'static Field {
                    match key {
                        $(FieldKey::$field => const {
                            let index = FieldKey::$field as u32;
                            &Field::new(index, stringify!($field), concat!($($doc),*))
                        },)*
                        $($(FieldKey::$extra => const {
                            let index = FieldKey::$extra as u32;
                            let stored_as = &[$($(stringify!($spec)),+)?];
                            &Field::read_only(index, stringify!($extra), stored_as)
                        },)*)?
                    }
                }

                fn read_value<'de, A: serde::de::MapAccess<'de>>(
                    &mut self,
                    key: FieldKey,
                    object: &mut A,
                    diagnostics: &mut Diagnostics<'de>,
                ) -> Result<(), A::Error> {
                    match key {
                        $(FieldKey::$field => {
                            self.$field = object.next_value_seed(Seed::new(diagnostics))?;
                        })*
                        $($(FieldKey::$extra => {
                            self.$extra = object.next_value_seed(Seed::new(diagnostics))?;
                        })*)?
                    }
                    Ok(())
                }

                $(fn normalize(&mut self, diagnostics: &mut Diagnostics<'_>) {
                    $normalize(self, diagnostics);
                })?

                fn lacks_value(&self, key: FieldKey) -> bool {
                    match key {
                        $(FieldKey::$field => {
                            self.$field.as_ref().is_none_or(Decode::is_empty)
                        })*
                        $($(FieldKey::$extra)|+ => true,)?
                    }
                }

                fn value_kind(key: FieldKey, path: &FieldPath) -> Result<FieldKind, PathError> {
                    match key {
                        $(FieldKey::$field => <$Type>::kind(path),)*
                        $($(FieldKey::$extra)|+ => Err(entity::unknown_field::<Self>()),)?
                    }
                }

                fn value_field_names(key: FieldKey, path: &FieldPath) -> Vec<&'static str> {
                    match key {
                        $(FieldKey::$field => <$Type>::field_names(path),)*
                        $($(FieldKey::$extra)|+ => Vec::new(),)?
                    }
                }

                fn visit_value(
                    &self,
                    key: FieldKey,
                    path: &FieldPath,
                    visit: &mut dyn FnMut(FieldValue<'_>),
                ) {
                    match key {
                        $(FieldKey::$field => visit_optional(self.$field.as_ref(), path, visit),)*
                        $($(FieldKey::$extra)|+ => visit(FieldValue::Absent),)?
                    }
                }

                fn write_value<M: serde::ser::SerializeMap>(
                    &self,
                    key: FieldKey,
                    object: &mut M,
                ) -> Result<(), M::Error> {
                    match key {
                        $(FieldKey::$field => match &self.$field {
                            Some(value) => object.serialize_entry(stringify!($field), value),
                            None => Ok(()),
                        },)*
                        $($(FieldKey::$extra)|+ => Ok(()),)?
                    }
                }

                #[cfg(feature = "schema")]
                fn value_schema(
                    key: FieldKey,
                    generator: &mut schemars::SchemaGenerator,
                ) -> Option<schemars::Schema> {
                    match key {
                        $(FieldKey::$field => Some(generator.subschema_for::<$Type>()),)*
                        $($(FieldKey::$extra)|+ => None,)?
                    }
                }

                #[cfg(feature = "schema")]
                fn value_hook_fields(
                    key: FieldKey,
                    sample: &serde_json::Value,
                    path: &str,
                    fields: &mut Vec<String>,
                ) {
                    match key {
                        $(FieldKey::$field => <$Type>::hook_fields(sample, path, fields),)*
                        $($(FieldKey::$extra => <$Extra>::hook_fields(sample, path, fields),)*)?
                    }
                }
            }

            impl Decode for $Entity {
                fn decode<'de, D: serde::Deserializer<'de>>(
                    from: D,
                    diagnostics: &mut Diagnostics<'de>,
                ) -> Result<Option<Self>, D::Error> {
                    entity::decode(from, diagnostics)
                }

                fn lacks(&self, field: &str) -> bool {
                    entity::lacks(self, field)
                }

                #[cfg(feature = "schema")]
                fn hook_fields(sample: &serde_json::Value, path: &str, fields: &mut Vec<String>) {
                    entity::hook_fields::<Self>(sample, path, fields);
                }
            }

            impl Lookup for $Entity {
                fn kind(path: &FieldPath) -> Result<FieldKind, PathError> {
                    entity::kind::<Self>(path)
                }

                fn field_names(path: &FieldPath) -> Vec<&'static str> {
                    entity::field_names::<Self>(path)
                }

                fn computed_from(name: &str) -> &'static [&'static str] {
                    entity::computed_from::<Self>(name)
                }

                fn stored_as(sent: &str) -> &'static [&'static str] {
                    entity::stored_as::<Self>(sent)
                }

                fn visit(&self, path: &FieldPath, visit: &mut dyn FnMut(FieldValue<'_>)) {
                    entity::visit(self, path, visit);
                }
            }

            impl serde::Serialize for $Entity {
                fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                    entity::serialize(self, to)
                }
            }

            #[cfg(feature = "schema")]
            impl schemars::JsonSchema for $Entity {
                fn schema_name() -> std::borrow::Cow<'static, str> {
                    stringify!($Entity).into()
                }

                fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                    entity::json_schema::<Self>(generator)
                }
            }
        };
    };
    (@optional) => { None };
    (@optional $value:literal) => { Some($value) };
}
pub(in crate::model) use entity;
