//! The four shapes in which a shop or the spec writes one event, read into one.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor},
};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    body::Verified,
    channel::Channel,
    error::Failure,
    model::{Entity, Violations},
};

/// Neither the envelope nor its `data` may have more members than this. A shop sends fewer than ten.
pub const MEMBERS_MAX: usize = 64;

/// A body may be nested this deep, its outermost object being the first level. A shop's has ten levels or so; of those who read
/// the queues, some give up and some fall over when there are many more.
pub const LEVELS_MAX: usize = 128;

/// The copy of the entity that some events carry in their `data`.
const COPY: &str = "data_object";

/// What JSON can write and nobody can read.
const UNREADABLE: &str =
    "cannot be read: a number is out of range, or a text or a name holds half a surrogate pair";

/// What the shop writes around an event's arguments.
pub(crate) const ENVELOPE: [&str; 8] = [
    "merchant_id",
    "environment_id",
    "event",
    "event_id",
    "eventName",
    "subject",
    "result",
    "data",
];

/// An event that keeps to the contract.
#[derive(Debug)]
pub struct Event<'a, E> {
    /// The envelope's `event_id`, or else derived from what was sent, so that a repeat has the same id.
    pub id: Uuid,
    /// The envelope's merchant, if it names one.
    pub merchant: Option<String>,
    /// The envelope's environment, if it names one.
    pub environment: Option<String>,
    /// What the event is about, in exact types.
    pub entity: E,
    /// The entity as it came.
    pub original: &'a RawValue,
    /// Fields of the entity that are absent because their value cannot be read (see [`Channel::EXPECTED`]).
    pub unreadable: Vec<&'static str>,
    /// The other arguments of the event, as they came: the customer before the change, the product of a cart's line.
    pub related: Members<'a>,
}

/// Members of a JSON object, in their order.
pub type Members<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

impl<'a, E: Entity> Event<'a, E> {
    /// Reads a body of the channel `C`, in any of its shapes. `shop_request_id` tells two events apart whose bytes do not.
    pub fn read<C: Channel<Entity = E>>(
        body: &'a Verified<'_>,
        shop_request_id: &str,
    ) -> Result<Self, Failure> {
        let json = body.json()?;
        let (mut top, data) = envelope(json).ok_or(Failure::NotJson)?;
        if is_deeper(json, LEVELS_MAX) {
            return Err(one_violation("", "must not have more than 128 levels"));
        }
        if top.len() > MEMBERS_MAX {
            return Err(too_many_members(""));
        }
        if !names_agree(C::NAME, &top) {
            return Err(Failure::WrongEvent);
        }
        each_once(&top, "", |name| {
            ENVELOPE.contains(&name) || E::KEYS.contains(&name)
        })?;
        let mut data = data.ok_or_else(|| one_violation("/data", "must be an object"))?;
        if data.len() > MEMBERS_MAX {
            return Err(too_many_members("/data"));
        }
        each_once(&data, "/data", |name| {
            name == COPY || E::KEYS.contains(&name)
        })?;
        let (original, pointer) = take_entity::<C>(&mut data, &mut top)?;

        let mut violations = Violations::requiring(&pointer, C::REQUIRED, C::EXPECTED);
        let Ok(entity) = E::decode(original, &mut violations) else {
            if violations.has_too_many_elements() {
                return Err(Failure::TooManyElements);
            }
            // It is JSON, but not all that JSON can write can be read.
            violations.add(UNREADABLE);
            return Err(invalid(violations));
        };
        let Some(entity) = entity else {
            violations.add_at("", "is required");
            return Err(invalid(violations));
        };
        violations.require_of_entity(&entity);
        C::check(&entity, &mut violations);

        let mut envelope = Violations::at("");
        let event_id = event_id(&top, &mut envelope);
        let merchant = text(&top, "merchant_id", &mut envelope);
        let environment = text(&top, "environment_id", &mut envelope);
        violations.extend(envelope);
        if !violations.is_empty() {
            return Err(invalid(violations));
        }

        // The same bytes can be two events: two shoppers put the same product into their carts, or an order's state goes there
        // and back and the hook sends little else. Then only the shop's request tells them apart.
        let told_apart = entity.subject().is_some() && (C::ONCE || !entity.lacks("updated_at"));
        let occurrence = if told_apart { "" } else { shop_request_id };
        let id = event_id.unwrap_or_else(|| derive_id(C::NAME, occurrence, body.bytes()));
        top.retain(|(name, _)| !ENVELOPE.contains(&&**name));
        if top.iter().any(|(name, _)| find(&data, name).is_some()) {
            return Err(one_violation(
                "/data",
                "must not hold what also stands beside it",
            ));
        }
        data.append(&mut top);
        Ok(Self {
            id,
            merchant,
            environment,
            entity,
            original,
            unreadable: violations.take_unreadable(),
            related: data,
        })
    }
}

/// Takes the entity out of the arguments, and its copy with it: `data.<name>`, else `data.data_object`, else `<name>` at the
/// top.
fn take_entity<'a, C: Channel>(
    data: &mut Members<'a>,
    top: &mut Members<'a>,
) -> Result<(&'a RawValue, String), Failure> {
    let keys = C::Entity::KEYS;
    let in_data = keys.iter().chain(&[COPY]).map(|key| (true, *key));
    let candidates = in_data.chain(keys.iter().map(|key| (false, *key)));
    for (inside, key) in candidates {
        let place = if inside { &mut *data } else { &mut *top };
        if let Some(raw) = find(place, key).filter(|raw| !is_nothing(raw.get())) {
            place.retain(|(name, other)| {
                let copy = name == COPY && other.get() == raw.get();
                let empty_place = keys.contains(&&**name) && other.get() == "null";
                name != key && !copy && !empty_place
            });
            return Ok((raw, pointer_to(inside, key)));
        }
    }
    Err(one_violation(
        &pointer_to(true, keys.first().copied().unwrap_or_default()),
        "is required",
    ))
}

/// Whether nothing stands there: null, or the empty list as which PHP writes an object without members.
fn is_nothing(json: &str) -> bool {
    let list = json
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    json == "null" || list.is_some_and(|inside| inside.trim().is_empty())
}

fn pointer_to(inside_data: bool, key: &str) -> String {
    if inside_data {
        format!("/data/{key}")
    } else {
        format!("/{key}")
    }
}

/// Whether the body names this event, with or without `observer.`, or none at all.
fn names_agree(event: &str, top: &Members<'_>) -> bool {
    let names = top
        .iter()
        .filter(|(key, _)| key == "event" || key == "eventName");
    let mut names = names.filter(|(_, raw)| raw.get() != "null");
    names.all(|(_, raw)| {
        let name: Option<String> = serde_json::from_str(raw.get()).ok();
        name.is_some_and(|name| name.strip_prefix("observer.").unwrap_or(&name) == event)
    })
}

fn event_id(top: &Members<'_>, violations: &mut Violations) -> Option<Uuid> {
    let text = text(top, "event_id", violations)?;
    let id = Uuid::try_parse(&text).ok();
    if id.is_none() {
        violations.add_at("/event_id", "must be a UUID");
    }
    id
}

/// A text of the envelope; null and nothing are both absent.
fn text(top: &Members<'_>, key: &str, violations: &mut Violations) -> Option<String> {
    let raw = find(top, key)?;
    let text: Result<Option<String>, _> = serde_json::from_str(raw.get());
    text.unwrap_or_else(|_| {
        violations.add_at(&format!("/{key}"), "must be a string");
        None
    })
    .filter(|text| !text.is_empty())
}

/// A UUID of version 8 (RFC 9562) out of the SHA-256 of all that tells this event from any other.
fn derive_id(channel: &str, occurrence: &str, body: &[u8]) -> Uuid {
    let mut hash = Sha256::new();
    for part in [channel.as_bytes(), occurrence.as_bytes()] {
        hash.update(part);
        hash.update([0]); // no name and no header value holds a zero byte, so no two lists of parts run together
    }
    hash.update(body);
    let mut id = [0; 16];
    id.iter_mut()
        .zip(hash.finalize())
        .for_each(|(to, from)| *to = from);
    uuid::Builder::from_custom_bytes(id).into_uuid()
}

fn invalid(violations: Violations) -> Failure {
    let (violations, unlisted) = violations.into_parts();
    Failure::Invalid {
        violations,
        unlisted,
    }
}

fn one_violation(pointer: &str, detail: &'static str) -> Failure {
    let mut violations = Violations::at(pointer);
    violations.add(detail);
    invalid(violations)
}

/// Refuses a name that is given twice: of two values, one reader takes the first and another the last.
fn each_once(
    members: &Members<'_>,
    place: &str,
    is_ours: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    let mut rest = members.as_slice();
    while let [(name, _), others @ ..] = rest {
        if others.iter().any(|(other, _)| other == name) {
            // A name that is not ours could be anything, so it does not come back.
            return Err(if is_ours(name) {
                one_violation(&format!("{place}/{name}"), "must not be given twice")
            } else {
                one_violation(place, "must not hold a name twice")
            });
        }
        rest = others;
    }
    Ok(())
}

/// Whether lists and objects are nested deeper than this in a text that is JSON.
fn is_deeper(json: &str, levels_max: usize) -> bool {
    // Most events have not even that many of them, which is seen much sooner.
    let mut opened = memchr::memchr2_iter(b'[', b'{', json.as_bytes());
    if opened.nth(levels_max).is_none() {
        return false;
    }
    let mut level = 0_usize;
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => pass_text(&mut bytes),
            b'[' | b'{' if level == levels_max => return true,
            b'[' | b'{' => level += 1,
            b']' | b'}' => level = level.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Goes to the end of a text, in which a bracket is no level.
fn pass_text(bytes: &mut impl Iterator<Item = u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => _ = bytes.next(),
            _ => {}
        }
    }
}

fn too_many_members(pointer: &str) -> Failure {
    one_violation(pointer, "must not have more than 64 members")
}

fn find<'a>(members: &Members<'a>, key: &str) -> Option<&'a RawValue> {
    members
        .iter()
        .find(|(name, _)| name == key)
        .map(|(_, raw)| *raw)
}

/// The members of the body, and those of its `data`: `None` when the body is no JSON object, or `data` neither one nor nothing.
fn envelope(json: &str) -> Option<(Members<'_>, Option<Members<'_>>)> {
    let mut data = Members::new();
    if let Some(top) = members(json, Some(&mut data)) {
        return Some((top, Some(data)));
    }
    // What is JSON and was not read has a `data` that is something else, or that cannot be read.
    members(json, None).map(|top| (top, None))
}

/// The members of a JSON object; `None` when the text is anything else. Those of its `data` are taken apart in the same pass, if
/// there is a place for them.
fn members<'a>(json: &'a str, data: Option<&mut Members<'a>>) -> Option<Members<'a>> {
    let mut from = serde_json::Deserializer::from_str(json);
    let members = from.deserialize_map(MembersVisitor { data }).ok()?;
    from.end().ok().map(|()| members)
}

/// Collects members. It stops collecting, but not reading, when there are more than [`MEMBERS_MAX`].
struct MembersVisitor<'v, 'a> {
    data: Option<&'v mut Members<'a>>,
}

impl<'de> Visitor<'de> for MembersVisitor<'_, 'de> {
    type Value = Members<'de>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut data = self.data;
        let mut members = Members::new();
        while let Some(Name(name)) = map.next_key()? {
            let raw = match &mut data {
                Some(data) if name == "data" => {
                    **data = map.next_value::<Data<'_>>()?.0;
                    RawValue::NULL
                }
                _ => map.next_value()?,
            };
            if members.len() <= MEMBERS_MAX {
                members.push((name, raw));
            }
        }
        Ok(members)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Members::new())
    }

    // PHP writes an object without members as an empty list.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        match list.next_element::<IgnoredAny>()? {
            None => Ok(Members::new()),
            Some(_) => Err(A::Error::invalid_type(Unexpected::Seq, &self)),
        }
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The members of `data`, none of them where nothing stands.
struct Data<'a>(Members<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Data<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(MembersVisitor { data: None })
            .map(Data)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        body::Unverified,
        model::{Customer, ELEMENTS_MAX, Order, QuoteItem, Violation},
        signature::{Keys, Signatures},
    };

    struct Placed;
    impl Channel for Placed {
        const NAME: &str = "sales_order_place_after";
        const REQUIRED: &[&str] = &["increment_id", "items[].sku", "items[].qty_ordered"];
        const ONCE: bool = true;
        type Entity = Order;
    }

    struct Saved;
    impl Channel for Saved {
        const NAME: &str = "sales_order_save_after";
        const REQUIRED: &[&str] = &[];
        type Entity = Order;
    }

    struct CustomerSaved;
    impl Channel for CustomerSaved {
        const NAME: &str = "customer_save_after_data_object";
        const REQUIRED: &[&str] = &["entity_id", "email"];
        type Entity = Customer;
    }

    struct Added;
    impl Channel for Added {
        const NAME: &str = "checkout_cart_product_add_after";
        const REQUIRED: &[&str] = &["sku"];
        type Entity = QuoteItem;
    }

    /// What an event gives: its id, its entity, its original and what came beside it.
    fn read<C: Channel>(
        body: &str,
        request: &str,
    ) -> Result<(Uuid, Value, String, Vec<String>), Failure> {
        let body = Unverified::new(body.as_bytes())?
            .verify(&Keys::AcceptUnsigned, Signatures::default())?;
        let event = Event::read::<C>(&body, request)?;
        let related = event
            .related
            .iter()
            .map(|(name, _)| name.to_string())
            .collect();
        Ok((
            event.id,
            serde_json::to_value(&event.entity).unwrap(),
            event.original.get().to_owned(),
            related,
        ))
    }

    fn entity<C: Channel>(body: &Value) -> Value {
        read::<C>(&body.to_string(), "").unwrap().1
    }

    fn wrong<C: Channel>(body: &Value) -> Vec<(String, &'static str)> {
        match read::<C>(&body.to_string(), "") {
            Err(Failure::Invalid { violations, .. }) => violations
                .into_iter()
                .map(|Violation { pointer, detail }| (pointer, detail))
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_four_shapes_hold_the_same_order() {
        let order = json!({ "increment_id": "000000123" });
        let shapes = [
            json!({ "merchant_id": "m", "environment_id": "e", "event": "observer.sales_order_place_after", "event_id": "3f1c1d8e-7b1a-4c55-9d3e-2f0a6b7c8d9e", "data": { "order": order } }),
            json!({ "order": order }),
            json!({ "eventName": "sales_order_place_after", "subject": [], "result": null, "data": { "order": order, "data_object": order } }),
            json!({ "data": { "order": order } }),
            json!({ "data": { "data_object": order } }),
            json!({ "data": { "order": null, "data_object": order } }),
            json!({ "data": [], "order": order }),
            json!({ "event": null, "order": order }),
        ];
        for shape in &shapes {
            let (_, entity, original, related) = read::<Placed>(&shape.to_string(), "").unwrap();
            assert_eq!(
                (entity, original),
                (order.clone(), order.to_string()),
                "{shape}"
            );
            assert_eq!(related, Vec::<String>::new(), "{shape}");
        }
    }

    #[test]
    fn the_original_is_untouched_and_what_came_beside_it_is_kept() {
        let body = r#"{"data":{"orig_customer_data_object":null,"customer_data_object":{"id":"57", "email":"zoe@shop.example","x":[1.50,"\u00eb\/"]},"delegate_data":[]},"extra":{"a":1}}"#;
        let (_, entity, original, related) = read::<CustomerSaved>(body, "").unwrap();
        assert_eq!(
            entity,
            json!({ "entity_id": 57, "email": "zoe@shop.example" })
        );
        assert_eq!(
            original,
            r#"{"id":"57", "email":"zoe@shop.example","x":[1.50,"\u00eb\/"]}"#
        );
        assert_eq!(
            related,
            ["orig_customer_data_object", "delegate_data", "extra"]
        );
    }

    #[test]
    fn a_second_copy_that_differs_is_kept() {
        let body = json!({ "data": { "order": { "increment_id": "1" }, "data_object": { "increment_id": "1", "more": 1 } } });
        assert_eq!(
            read::<Placed>(&body.to_string(), "").unwrap().3,
            ["data_object"]
        );
    }

    #[test]
    fn the_name_in_the_body_must_be_the_routes() {
        let named = |key: &str, name: Value| {
            let mut body = json!({ "order": { "increment_id": "1" } });
            body[key] = name;
            read::<Placed>(&body.to_string(), "").err()
        };
        for key in ["event", "eventName"] {
            assert_eq!(named(key, json!("observer.sales_order_place_after")), None);
            assert_eq!(named(key, json!("sales_order_place_after")), None);
            for other in [
                json!("observer.sales_order_save_after"),
                json!("plugin.sales_order_place_after"),
                json!(""),
                json!(7),
            ] {
                assert_eq!(named(key, other), Some(Failure::WrongEvent));
            }
        }
    }

    #[test]
    fn what_is_no_json_object_is_no_event() {
        for body in [
            "",
            " ",
            "null",
            "[]",
            "7",
            "\"x\"",
            "{",
            "{}}",
            "{'a':1}",
            "{\"a\":1,}",
            "{\"a\":NaN}",
            "\u{feff}{}",
            "{\"a\":\"\n\"}",
        ] {
            assert_eq!(
                read::<Placed>(body, "").unwrap_err(),
                Failure::NotJson,
                "{body:?}"
            );
        }
        let body = Unverified::new(&b"{\"order\":\"\xff\"}"[..]).unwrap();
        let body = body
            .verify(&Keys::AcceptUnsigned, Signatures::default())
            .unwrap();
        assert_eq!(
            Event::read::<Placed>(&body, "").unwrap_err(),
            Failure::NotJson
        );
    }

    #[test]
    fn an_event_without_its_entity_is_invalid() {
        for body in [
            json!({}),
            json!({ "data": null }),
            json!({ "data": { "order": [] } }),
            json!({ "data": {} }),
        ] {
            assert_eq!(
                wrong::<Placed>(&body),
                [("/data/order".to_owned(), "is required")],
                "{body}"
            );
        }
        assert_eq!(
            wrong::<Placed>(&json!({ "order": "x" })),
            [("/order".to_owned(), "must be an object")]
        );
        assert_eq!(
            wrong::<Placed>(&json!({ "order": [1] })),
            [("/order".to_owned(), "must be an object")]
        );
    }

    #[test]
    fn data_is_an_object_or_nothing() {
        let read = |data: &str| {
            let body = format!(r#"{{"data":{data},"order":{{"increment_id":"1"}}}}"#);
            read::<Placed>(&body, "").map(|(_, entity, ..)| entity)
        };
        for data in ["null", "{}", "[]", "[ \n]", r#"{"a":[1e999,"\ud800"]}"#] {
            assert_eq!(read(data), Ok(json!({ "increment_id": "1" })), "{data}");
        }
        // What is JSON but cannot be read is not an object, either.
        for data in [
            "7",
            "-7",
            "0.5",
            "true",
            "1e999",
            "[1]",
            "[1e999]",
            "[[]]",
            r#""order""#,
            r#""\ud800""#,
            r#"{"\ud800":1}"#,
        ] {
            let expected = one_violation("/data", "must be an object");
            assert_eq!(read(data), Err(expected), "{data}");
        }
        for data in ["", "nul", "{", "[1", "[1,]", r#"{"a":}"#, r#"{"a":1,}"#] {
            assert_eq!(read(data), Err(Failure::NotJson), "{data}");
        }
    }

    #[test]
    fn all_violations_come_at_once_and_without_values() {
        let body = json!({
            "event_id": "secret-1",
            "merchant_id": { "secret-2": 1 },
            "data": { "order": {
                "entity_id": "secret-3",
                "customer_email": "secret-4",
                "customer_is_guest": 2,
                "grand_total": "abc",
                "created_at": "secret-5",
                "order_currency_code": "secret-6",
                "items": [{ "sku": "A", "qty_ordered": "x" }, { "name": "B" }, null, "secret-7"],
                "addresses": { "998": { "address_type": "billing", "country_id": "USA" }, "secret-8": {} },
                "payment": 5,
            } },
        });
        let number = "must be a decimal number, or a string that holds one";
        let expected = [
            (
                "/data/order/addresses/998/country_id",
                "must be a country code of two letters (ISO 3166-1)",
            ),
            (
                "/data/order/addresses",
                "must be a list, or an object whose keys are ids",
            ),
            (
                "/data/order/created_at",
                "must be a date and time, as 2026-06-18 20:27:11 or in ISO 8601",
            ),
            ("/data/order/customer_email", "must be an email address"),
            ("/data/order/customer_is_guest", "must be 0 or 1"),
            (
                "/data/order/entity_id",
                "must be a whole number, not negative",
            ),
            ("/data/order/grand_total", number),
            ("/data/order/items/0/qty_ordered", number),
            ("/data/order/items/1/sku", "is required"),
            ("/data/order/items/1/qty_ordered", "is required"),
            ("/data/order/items/2", "must not be empty"),
            ("/data/order/items/3", "must be an object"),
            (
                "/data/order/order_currency_code",
                "must be a currency code of three letters (ISO 4217)",
            ),
            ("/data/order/payment", "must be an object"),
            ("/data/order/increment_id", "is required"),
            ("/event_id", "must be a UUID"),
            ("/merchant_id", "must be a string"),
        ];
        assert_eq!(
            wrong::<Placed>(&body),
            expected.map(|(pointer, detail)| (pointer.to_owned(), detail))
        );
    }

    #[test]
    fn a_field_that_is_given_twice_is_invalid() {
        let twice = |body: &str| match read::<Placed>(body, "") {
            Err(Failure::Invalid { violations, .. }) => violations
                .into_iter()
                .map(|violation| violation.pointer)
                .collect(),
            other => panic!("{other:?}"),
        };
        let order = r#""order":{"increment_id":"1"}"#;
        for (body, pointer) in [
            (
                r#"{"order":{"increment_id":"1","increment_id":"2"}}"#.to_owned(),
                "/order/increment_id",
            ),
            (format!(r#"{{"data":{{{order},{order}}}}}"#), "/data/order"),
            (
                format!(r#"{{"data":{{{order},"\u006frder":null}}}}"#),
                "/data/order",
            ),
            (format!(r#"{{{order},"order":[]}}"#), "/order"),
            (format!(r#"{{{order},"data":null,"data":{{}}}}"#), "/data"),
            (
                format!(r#"{{"event_id":"a","event_id":"b",{order}}}"#),
                "/event_id",
            ),
            // What is not ours does not come back.
            (format!(r#"{{{order},"zoe":1,"zoe":1}}"#), ""),
            (
                format!(r#"{{"data":{{"zoe":1,{order},"zoe":2}}}}"#),
                "/data",
            ),
        ] {
            let pointers: Vec<String> = twice(&body);
            assert_eq!(pointers, [pointer], "{body}");
        }
    }

    #[test]
    fn what_is_json_but_cannot_be_read_is_named_by_its_place() {
        for (body, pointer) in [
            (r#"{"data":{"order":1e999}}"#, "/data/order"),
            (r#"{"order":{"payment":-1e999}}"#, "/order/payment"),
            (
                r#"{"order":{"items":{"5":{"sku":"A","qty_ordered":1},"7":1e999}}}"#,
                "/order/items/7",
            ),
            (
                r#"{"order":{"billing_address":{"region":{"\ud800":1}}}}"#,
                "/order/billing_address/region",
            ),
        ] {
            match read::<Placed>(body, "") {
                Err(Failure::Invalid { violations, .. }) => {
                    let [Violation { pointer: found, .. }] = &violations[..] else {
                        panic!("{violations:?}");
                    };
                    assert_eq!(found, pointer, "{body}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_body_has_128_levels_at_most() {
        let body = |levels: usize, open: &str, close: &str| {
            let (open, close) = (open.repeat(levels - 2), close.repeat(levels - 2));
            format!(r#"{{"order":{{"increment_id":"1","a":{open}1{close}}}}}"#)
        };
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            assert!(read::<Placed>(&body(LEVELS_MAX, open, close), "").is_ok());
            for levels in [LEVELS_MAX + 1, 100_000] {
                match read::<Placed>(&body(levels, open, close), "") {
                    Err(Failure::Invalid { violations, .. }) => {
                        assert_eq!(violations[0].pointer, "");
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        // Neither what is side by side nor what stands in a text is a level.
        let flat = json!({ "order": { "increment_id": "1", "a": vec![json!([[]]); 1000] } });
        assert!(read::<Placed>(&flat.to_string(), "").is_ok());
        for text in ["[", "\\\"[", "\\\\\\\"{["] {
            let text = text.repeat(1000);
            let body = format!(r#"{{"order":{{"increment_id":"1","a":"{text}"}}}}"#);
            assert!(read::<Placed>(&body, "").is_ok(), "{body}");
        }
    }

    #[test]
    fn long_lists_of_violations_are_cut_and_counted() {
        let items: Vec<Value> = (0..150).map(|_| json!({ "sku": "A" })).collect();
        match read::<Placed>(
            &json!({ "order": { "increment_id": "1", "items": items } }).to_string(),
            "",
        ) {
            Err(Failure::Invalid {
                violations,
                unlisted,
            }) => assert_eq!((violations.len(), unlisted), (100, 50)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_elements_of_all_lists_together_are_limited() {
        let list = |element: &str, count: usize| format!("[{}]", vec![element; count].join(","));
        let map = |count: usize| {
            let elements: Vec<_> = (0..count).map(|id| format!(r#""{id}":{{}}"#)).collect();
            format!("{{{}}}", elements.join(","))
        };
        let names = |count: usize| {
            let elements: Vec<_> = (0..count).map(|id| format!(r#""a{id}":{{}}"#)).collect();
            format!("{{{}}}", elements.join(","))
        };
        let street = |text: &str, lines: usize| {
            let street = format!("\"{}\"", text.repeat(lines));
            format!(r#"[{{"street":{street}}}]"#)
        };
        let too_many = |fields: &str| {
            let body = format!(r#"{{"order":{{"entity_id":1,{fields}}}}}"#);
            read::<Saved>(&body, "") == Err(Failure::TooManyElements)
        };
        let half = ELEMENTS_MAX / 2;
        let cases: [(&str, &dyn Fn(usize) -> String); 7] = [
            ("items", &|count| list("{}", count)),
            ("items", &|count| list("null", count)),
            ("items", &|count| list("1", count)),
            ("items", &map),
            ("items", &names),
            ("addresses", &|count| street(r"a\n", count - 1)),
            ("addresses", &|count| {
                format!(r#"[{{"street":{}}}]"#, list("1", count - 1))
            }),
        ];
        for (index, (field, value)) in cases.into_iter().enumerate() {
            let fields = |count| format!(r#""{field}":{}"#, value(count));
            assert!(!too_many(&fields(ELEMENTS_MAX)), "{index}");
            assert!(too_many(&fields(ELEMENTS_MAX + 1)), "{index}");
        }
        let both = |more: usize| {
            let (items, addresses) = (list("{}", half), list("{}", half + more));
            format!(r#""items":{items},"addresses":{addresses}"#)
        };
        assert!(!too_many(&both(0)));
        assert!(too_many(&both(1)));
    }

    #[test]
    fn the_members_around_an_entity_are_limited() {
        let mut body = json!({ "order": { "increment_id": "1" } });
        for index in 0..MEMBERS_MAX {
            body[format!("k{index}")] = json!(1);
        }
        assert_eq!(
            wrong::<Placed>(&body),
            [(String::new(), "must not have more than 64 members")]
        );
    }

    #[test]
    fn the_shops_order_becomes_the_specs() {
        let shop = json!({ "data": { "order": {
            "entity_id": "216", "increment_id": "000000123", "customer_id": null, "customer_is_guest": "1",
            "created_at": "2026-06-18 20:27:11", "grand_total": "95.4900", "discount_amount": -10,
            "items": { "998": { "item_id": "998", "sku": 1001, "qty_ordered": "2.0000", "price": "31.080000" } },
            "addresses": {
                "5": { "address_type": "shipping", "street": "12/3 Example Road\nUnit 4", "postcode": 97477, "region": { "region": "Oregon", "region_code": "OR", "region_id": 49 }, "country_id": "us" },
                "6": { "address_type": "billing", "street": ["12/3 Example Road", null, "Unit 4", ""], "region": "Oregon", "region_id": "49" },
                "7": { "address_type": "other" },
            },
            "payment": { "method": "checkmo", "amount_paid": null, "cc_number": null },
            "extension_attributes": [],
        } } });
        let spec = json!({
            "entity_id": 216, "increment_id": "000000123", "customer_is_guest": 1,
            "created_at": "2026-06-18T20:27:11Z", "grand_total": "95.49", "discount_amount": "-10.00",
            "items": [{ "item_id": 998, "sku": "1001", "qty_ordered": "2", "price": "31.08" }],
            "shipping_address": { "street": ["12/3 Example Road", "Unit 4"], "postcode": "97477", "region": "Oregon", "region_code": "OR", "country_id": "US" },
            "billing_address": { "street": ["12/3 Example Road", "Unit 4"], "region": "Oregon" },
            "payment": { "method": "checkmo" },
        });
        assert_eq!(entity::<Placed>(&shop), spec);
        assert_eq!(entity::<Placed>(&json!({ "order": spec })), spec);
    }

    #[test]
    fn ids_are_the_envelopes_or_the_same_for_every_repeat() {
        let given =
            r#"{"event_id":"3F1C1D8E-7B1A-4C55-9D3E-2F0A6B7C8D9E","order":{"increment_id":"1"}}"#;
        assert_eq!(
            read::<Placed>(given, "").unwrap().0.to_string(),
            "3f1c1d8e-7b1a-4c55-9d3e-2f0a6b7c8d9e"
        );

        let body = r#"{"order":{"increment_id":"1"}}"#;
        let id = |body: &str, request: &str| read::<Placed>(body, request).unwrap().0;
        assert_eq!(
            id(body, "request-1"),
            id(body, "request-2"),
            "an order is placed once"
        );
        assert_ne!(id(body, ""), id(r#"{"order":{"increment_id":"2"}}"#, ""));
        assert_eq!(id(body, "").get_version_num(), 8);

        // An order's state goes there and back: the same bytes, two events, unless its date tells them apart.
        let id = |body: &str, request: &str| read::<Saved>(body, request).unwrap().0;
        let undated = r#"{"order":{"entity_id":1,"state":"holded"}}"#;
        assert_eq!(id(undated, "request-1"), id(undated, "request-1"));
        assert_ne!(id(undated, "request-1"), id(undated, "request-2"));
        let dated = r#"{"order":{"increment_id":"1","updated_at":"2026-06-18 20:27:11"}}"#;
        assert_eq!(id(dated, "request-1"), id(dated, "request-2"));

        // Two shoppers put the same product into fresh carts: the same bytes, two events.
        let fresh = r#"{"quote_item":{"sku":"CAP-77-BLU","qty":1}}"#;
        let id = |request: &str| read::<Added>(fresh, request).unwrap().0;
        assert_eq!(id("request-1"), id("request-1"));
        assert_ne!(id("request-1"), id("request-2"));
    }
}
