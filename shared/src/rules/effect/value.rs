//! The values of operations that depend on the event.

use serde_json::{Map, Value, value::RawValue};

use super::{
    super::{evaluate::Evaluator, field::Field, template::Template},
    ComputedValue,
};
use crate::{
    channel::Channel,
    event::{Event, generic},
    model::{
        Entity,
        lookup::{FieldValue, PathStep},
    },
    operation::OperationValue,
};

/// A JSON value whose texts may have placeholders.
#[derive(Debug)]
pub(in crate::rules) enum ValueTemplate {
    Fixed(Value),
    Text(Template),
    List(Vec<ValueTemplate>),
    Object(Vec<(String, ValueTemplate)>),
}

impl ValueTemplate {
    /// Parses a value. Values without placeholders become [`Self::Fixed`].
    pub(super) fn parse<C: Channel>(value: &Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) if text.contains('{') => {
                let template = Template::parse::<C>(text)
                    .map_err(|why| format!("the value {:?} {why}", shortened(text)))?;
                match template.as_literal() {
                    Some(literal) => Self::Fixed(literal.into()),
                    None => Self::Text(template),
                }
            }
            Value::Array(list) => {
                let list: Result<Vec<_>, _> = list.iter().map(Self::parse::<C>).collect();
                let list = list?;
                match list.iter().map(Self::fixed).collect::<Option<Vec<_>>>() {
                    Some(fixed) => Self::Fixed(fixed.into()),
                    None => Self::List(list),
                }
            }
            Value::Object(map) => {
                let members = map
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), Self::parse::<C>(value)?)));
                let members = members.collect::<Result<Vec<_>, String>>()?;
                match object(&members, &Self::fixed) {
                    Some(fixed) => Self::Fixed(fixed),
                    None => Self::Object(members),
                }
            }
            fixed => Self::Fixed(fixed.clone()),
        })
    }

    fn fixed(&self) -> Option<Value> {
        match self {
            Self::Fixed(value) => Some(value.clone()),
            _ => None,
        }
    }

    /// Returns the value for an event. `None` if the event lacks a value for a placeholder.
    fn render<E: Entity>(&self, evaluator: &Evaluator<'_, '_, E>) -> Option<Value> {
        match self {
            Self::Fixed(value) => Some(value.clone()),
            Self::Text(template) => template
                .render_all(evaluator.event, &evaluator.meter)
                .map(Value::from),
            Self::List(list) => list.iter().map(|value| value.render(evaluator)).collect(),
            Self::Object(members) => object(members, &|value| value.render(evaluator)),
        }
    }
}

/// Returns an object. `None` if a member has no value.
fn object(
    members: &[(String, ValueTemplate)],
    value_of: &dyn Fn(&ValueTemplate) -> Option<Value>,
) -> Option<Value> {
    // To collect a map needs a sort, which is a lot of code.
    let mut map = Map::new();
    for (name, value) in members {
        map.insert(name.clone(), value_of(value)?);
    }
    Some(map.into())
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

impl ComputedValue {
    /// Returns the value for an event. `None` if the event lacks it, or if it has more than
    /// `bytes_left` bytes.
    pub(super) fn render<E: Entity>(
        &self,
        evaluator: &Evaluator<'_, '_, E>,
        bytes_left: &mut usize,
    ) -> Option<OperationValue> {
        let json = match self {
            Self::Template(template) => {
                let text = template.render(evaluator)?.to_string();
                RawValue::from_string(text).ok()?
            }
            Self::Copy(field) => copy(field, evaluator)?,
        };
        *bytes_left = bytes_left.checked_sub(json.get().len())?;
        Some(json.into())
    }
}

/// Returns the value of a field as the shop sent it. A field that the shop sends in another place
/// is copied as the contract has it.
fn copy<E: Entity>(field: &Field, evaluator: &Evaluator<'_, '_, E>) -> Option<Box<RawValue>> {
    let event = evaluator.event;
    let Some((root, path)) = field.clone().into_sent() else {
        let name = Value::from(event.shop?.name.as_str());
        return RawValue::from_string(name.to_string()).ok();
    };
    let entity = root.json(event)?;
    if !evaluator.meter.allows_step(entity.get().len()) {
        return None;
    }
    let sent = generic::find(entity, &pointer(&path)).filter(|raw| raw.get() != "null");
    match (sent, field) {
        (Some(raw), _) => Some(raw.to_owned()),
        (None, Field::Contract(path, _)) => copy_of_contract(event, path),
        (None, Field::Sent(..) | Field::Shop) => None,
    }
}

fn copy_of_contract<E: Entity>(event: &Event<'_, E>, path: &[PathStep]) -> Option<Box<RawValue>> {
    let mut json = None;
    event.entity.visit(path, &mut |value| {
        json = match value {
            FieldValue::Number(number) => Some(number.to_string()),
            FieldValue::Text(text) => Some(Value::from(text.into_owned()).to_string()),
            FieldValue::Absent | FieldValue::Structure { .. } => None,
        };
    });
    RawValue::from_string(json?).ok()
}

/// Returns the JSON pointer of a path of names.
fn pointer(path: &[PathStep]) -> String {
    path.iter().fold(String::new(), |pointer, step| match step {
        PathStep::Name(name) => {
            format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
        }
        PathStep::Each => pointer,
    })
}
