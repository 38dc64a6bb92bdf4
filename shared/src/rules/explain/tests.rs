use serde_json::{Value, json};

use super::{event::explain, hooks::unsent_fields, named_shop, notes::notes, render::Style};
use crate::rules::{Rules, read, tests::*};

#[expect(
    clippy::needless_pass_by_value,
    reason = "every caller makes the values"
)]
fn rule(name: &str, when: Value, then: Value) -> Value {
    json!({ "name": name, "when": when, "then": then })
}

/// Explains what the rules of a file do to [`order`].
fn explained(file: &Value, style: Style) -> String {
    let text = file.to_string();
    let rules = Rules::read_where::<Placed>(&text, |_| true).unwrap();
    let file = read::parse(&text).unwrap();
    let file_rules: Vec<_> = file.rules.iter().collect();
    let body = order().to_string();
    let shop = named_shop("eu").unwrap();
    explain::<Placed>(
        &rules,
        file.mode,
        &file_rules,
        body.as_bytes(),
        Some(&shop),
        style,
    )
    .unwrap()
}

#[test]
fn says_in_words_what_each_rule_does() {
    let holds = json!({ "field": "order.grand_total", "operator": "greaterThan", "value": 1 });
    let fails = json!({ "field": "order.grand_total", "operator": "lessThan", "value": 1 });
    let sum = json!({ "sum": "order.items[].sku_list", "operator": "equal", "valueField": "quote.items_qty" });
    let unknown =
        json!({ "field": "order.weight", "operator": "equal", "valueField": "order.items" });
    let unknown_sent =
        json!({ "field": "order.weight", "operator": "equal", "valueField": "quote" });
    assert!(
        Rules::read::<Placed>(
            &json!({ "rules": [rule("x", json!([unknown]), json!({ "op": "exception" }))] })
                .to_string()
        )
        .is_err()
    );
    let file = json!({ "rules": [
        rule("fails", json!([fails]), json!({ "op": "exception" })),
        rule("unknown", json!([unknown_sent]), json!({ "op": "exception" })),
        rule("stops", json!([holds]), json!({ "op": "doNotForward" })),
        rule("changes", json!([
            { "any": [fails, { "element": "order.items[]", "all": [
                { "field": "sku", "operator": "equal", "value": "CAP-77" },
                { "field": "qty_ordered", "operator": "lessThan", "value": 3 },
            ] }] },
            { "count": "order.items[]", "operator": "equal", "value": 2 },
        ]), json!({ "op": "remove", "path": "data/order/x" })),
        { "name": "watched", "mode": "observe", "enabled": false, "when": [holds], "then": { "op": "exception" } },
        rule("refuses", json!([holds]), json!({ "op": "exception", "message": "No" })),
        rule("late", json!([holds, sum]), json!({ "op": "exception" })),
    ] });
    let expected = "\
fails: did not match
    false    order.grand_total lessThan 1  found 12000.00
unknown: could not be evaluated
    unknown  order.weight equal quote  found \"1.5\" and a list or object
stops: matched → not forwarded
    true     order.grand_total greaterThan 1  found 12000.00
changes: matched → changed
    true     any of
      false    order.grand_total lessThan 1  found 12000.00
      true     one element of order.items[] with
                 sku equal \"CAP-77\"          found \"CAP-77\", \"1001\"
                 qty_ordered lessThan 3      found \"2.0000\", \"10\"
    true     count of order.items[] equal 2  found 2
refuses: matched → refused
    true     order.grand_total greaterThan 1  found 12000.00
late: skipped after the refusal
watched: matched → refused (not enabled)
    true     order.grand_total greaterThan 1  found 12000.00

The event is not queued. The shop gets:
  {\"op\":\"exception\",\"message\":\"No\"}
If the observed rules were enforced: The event is not queued. The shop would get:
  {\"op\":\"exception\"}
";
    let found = explained(&file, Style::default());
    assert_eq!(found, expected, "{found}");
    let colored = explained(&file, Style { color: true });
    assert!(colored.contains("\u{1b}[31mmatched → refused\u{1b}[0m"));
    assert!(colored.contains("\u{1b}[32mtrue   \u{1b}[0m"));
}

#[test]
fn fits_into_100_columns() {
    let long = "x".repeat(80);
    let file = json!({ "rules": [rule("it", json!([
        { "field": "order.shipping_address.postcode", "operator": "in", "value": [long, long] },
        { "field": "order.items[].product_options.label", "operator": "notEqual", "value": "a" },
        { "field": format!("order.{long}.{long}"), "operator": "isEmpty" },
    ]), json!({ "op": "exception" }))] });
    let found = explained(&file, Style::default());
    let rules = found.split("\n\n").next().unwrap();
    for line in rules.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn warns_of_a_value_that_looks_like_a_placeholder() {
    let file = json!({ "rules": [rule("it", json!([
        { "field": "order.status", "operator": "notEqual", "value": "{order.state}" },
        { "field": "order.status", "operator": "equal", "value": "{}" },
        { "field": "order.status", "operator": "regex", "value": "/a{2}.{3}/" },
        { "field": "order.coupon_code", "operator": "notEmpty" },
    ]), json!({ "op": "exception", "message": "{quote.x}" }))] });
    let file = read::parse(&file.to_string()).unwrap();
    assert_eq!(
        notes::<Placed>(&file),
        "  rule it: order.coupon_code is not in the contract; it is read from what the shop sends
  rule it: quote.x is not in the contract; it is read from the other arguments of the event
  warning: rule it: the value \"{order.state}\" is a plain text; to compare with another field, \
         write valueField instead of value\n"
    );
}

#[test]
fn names_the_fields_that_the_hook_does_not_send() {
    let when = json!([
        { "field": "order.status", "operator": "notEmpty" },
        { "field": "order.coupon_code", "operator": "notEmpty" },
        { "element": "order.items[]", "all": [{ "field": "weight", "operator": "notEmpty" }, { "field": "sku", "operator": "notEmpty" }] },
        { "field": "order.payment.po", "operator": "equal", "valueField": "quote.id" },
        { "count": "order.gifts[]", "operator": "equal", "value": 1 },
    ]);
    let file = json!({ "rules": [rule("it", when, json!({ "op": "add", "path": "data/order/x", "value": "{order.weight}" }))] });
    let file = read::parse(&file.to_string()).unwrap();
    let hook = |fields: &[&str]| {
        let fields = fields
            .iter()
            .map(|name| format!("<field name=\"{name}\" />\n"))
            .collect::<Vec<_>>()
            .concat();
        format!(
            "<!-- <method name=\"observer.sales_order_place_after\" type=\"after\"> -->\n\
             <method name=\"observer.sales_order_place_after\" type=\"before\"></method>\n\
             <method name=\"observer.sales_order_place_after\" type=\"after\">\n\
             <!-- <field name=\"data.order.coupon_code\" /> -->{fields}</method>"
        )
    };
    let unsent = |fields: &[&str]| -> Vec<String> {
        let unsent = unsent_fields::<Placed>(&file, &hook(fields));
        let start = "the hook in commerce/webhooks.xml does not send ";
        unsent
            .iter()
            .map(|error| error.strip_prefix(start).unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        unsent(&["data.order.status", "data.order.items[].sku", "data.quote"]),
        [
            "data.order.coupon_code",
            "data.order.gifts",
            "data.order.items[].weight",
            "data.order.payment.po",
            "data.order.weight"
        ]
    );
    assert_eq!(unsent(&["data.order", "data.quote"]), [""; 0]);
    assert_eq!(
        unsent(&[]),
        [""; 0],
        "a hook without fields sends everything"
    );
}

#[test]
fn shows_the_shop_and_asks_no_hook_for_it() {
    let when = json!([{ "any": [
        { "field": "@shop", "operator": "in", "value": "us, ca" },
        { "field": "order.customer_email", "operator": "equal", "valueField": "@shop" },
        { "field": "@shop", "operator": "startsWith", "value": "e" },
    ] }]);
    let file =
        json!({ "rules": [rule("it", when, json!({ "op": "exception", "message": "{@shop}" }))] });
    assert_eq!(
        explained(&file, Style::default())
            .split_once("\n\n")
            .unwrap()
            .0,
        "\
it: matched → refused
    true     any of
      false    @shop in \"us, ca\"                 found \"eu\"
      false    order.customer_email equal @shop  found nothing and \"eu\"
      true     @shop startsWith \"e\"              found \"eu\""
    );
    let file = read::parse(&file.to_string()).unwrap();
    assert_eq!(notes::<Placed>(&file), "");
    let xml = "<method name=\"observer.sales_order_place_after\" type=\"after\">\
               <field name=\"data.order.customer_email\" /></method>";
    assert_eq!(unsent_fields::<Placed>(&file, xml), [""; 0]);
    assert_eq!(
        named_shop("EU").unwrap_err(),
        "\"EU\" is not the name of a shop: 1 to 32 of a-z, 0-9, - and _, beginning with a letter \
         or digit"
    );
}
