//! Tests in a directory of their own, which has the files of a repository.

use std::{env, path::PathBuf, process};

use super::*;
use crate::{Generic, GenericChannel, model::Invoice};

struct InvoicePaid;
impl Channel for InvoicePaid {
    const NAME: &str = "sales_order_invoice_pay";
    const METHOD: &str = "observer.sales_order_invoice_pay";
    const IDENTITY: &[&[&str]] = &[&["entity_id"]];
    const EXPECTED: &[&str] = &[];
    type Entity = Invoice;
}

struct InvoicePaidBefore;
impl Channel for InvoicePaidBefore {
    const NAME: &str = "sales_order_invoice_pay_before";
    const METHOD: &str = "observer.sales_order_invoice_pay";
    const HOOK_TYPE: HookType = HookType::Before;
    const IDENTITY: &[&[&str]] = &[&["entity_id"]];
    const EXPECTED: &[&str] = &[];
    type Entity = Invoice;
}

struct CouponSet;
impl Channel for CouponSet {
    const NAME: &str = "plugin_quote_api_guest_coupon_management_set";
    const METHOD: &str = "plugin.magento.quote.api.guest_coupon_management.set";
    const HOOK_TYPE: HookType = HookType::Before;
    const IDENTITY: &[&[&str]] = &[&["/cartId"]];
    const EXPECTED: &[&str] = &["/couponCode"];
    type Entity = Generic<Self>;
}
impl GenericChannel for CouponSet {
    const ARGUMENTS: &[&str] = &[];
    const SUBJECT: &[&str] = &["/cartId"];
    const GROUP: Option<(&str, &str)> = Some(("cart", "/cartId"));
    const FIELDS: &[&str] = &["cartId", "couponCode", "password_hash"];
}

/// A repository with the rules of one channel.
struct Repository(PathBuf);

impl Repository {
    fn new<C: Channel>(name: &str, rules: &str) -> Self {
        let root = env::temp_dir().join(format!("hooks-{}-{name}", process::id()));
        let folder = root.join("functions").join(C::NAME);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("rules.json"), rules).unwrap();
        Self(root)
    }

    fn update<C: Channel>(&self, xml: &str) -> HookUpdate {
        update_hook::<C>(&self.0, xml).unwrap().unwrap()
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn rules(fields: &[&str]) -> String {
    let rule = |field: &&str| {
        json!({
            "name": "a-rule", "when": [{ "field": field, "operator": "notEmpty" }],
            "then": { "op": "exception" },
        })
    };
    json!({ "rules": fields.iter().map(rule).collect::<Vec<_>>() }).to_string()
}

fn hook<C: Channel>(fields: &str) -> String {
    let hook_type = format!("{:?}", C::HOOK_TYPE).to_lowercase();
    let method = C::METHOD;
    format!("<method type=\"{hook_type}\" name=\"{method}\">{fields}</method><method />")
}

fn fields(names: &[&str], own: &str) -> String {
    let lines = names
        .iter()
        .map(|name| format!("{INDENTATION}<field name=\"{name}\" />\n"))
        .collect::<Vec<_>>()
        .concat();
    format!("<fields>\n{lines}{own}                    </fields>")
}

#[test]
fn writes_the_contract_and_what_rules_use_and_keeps_what_is_below_a_comment() {
    let repository = Repository::new::<InvoicePaid>(
        "rules",
        &rules(&[
            "invoice.extra",
            "invoice.own.part",
            "invoice.grand_total",
            "order.comment",
        ]),
    );
    let own = format!(
        "{INDENTATION}<!-- for the ERP -->\n{INDENTATION}<field name=\"data.invoice.own\" />\n"
    );
    let old = hook::<InvoicePaid>(&fields(&["eventName", "data.old"], &own));
    let update = repository.update::<InvoicePaid>(&old);
    assert!(!update.has_contract);
    assert_eq!(update.removed, ["data.old"]);
    let of_rules: Vec<_> = update
        .added
        .iter()
        .filter(|field| field.rule.is_some())
        .collect();
    assert_eq!(of_rules.len(), 2, "{of_rules:?}");
    assert_eq!(of_rules[1].name, "data.order.comment");
    assert_eq!(of_rules[1].rule.as_deref(), Some("a-rule"));
    assert!(
        update
            .xml
            .contains("<field name=\"data.invoice.grand_total\" />\n")
    );
    assert!(!update.xml.contains("data.old"));
    let end = format!(
        "<field name=\"data.order.comment\" />\n{own}                    </fields></method><method />"
    );
    assert!(update.xml.ends_with(&end), "{}", update.xml);

    let again = repository.update::<InvoicePaid>(&update.xml);
    assert_eq!(again.xml, update.xml);
    assert!(again.has_contract && again.added.is_empty() && again.removed.is_empty());
}

#[test]
fn a_field_goes_with_the_last_rule_that_uses_it() {
    let with_rule = Repository::new::<InvoicePaid>("with-rule", &rules(&["invoice.extra"]));
    let xml = with_rule
        .update::<InvoicePaid>(&hook::<InvoicePaid>(&fields(&[], "")))
        .xml;
    let without = Repository::new::<InvoicePaid>("without-rule", &rules(&[]));
    let update = without.update::<InvoicePaid>(&xml);
    assert_eq!(update.removed, ["data.invoice.extra"]);
    assert!(update.has_contract, "whatever the rules are");
}

#[test]
fn keeps_all_fields_while_the_rules_are_invalid() {
    for invalid in ["{", "[]", r#"{"rules":[{"name":"a"}]}"#] {
        let repository = Repository::new::<InvoicePaid>("invalid", invalid);
        let old = hook::<InvoicePaid>(&fields(&["eventName", "data.invoice.extra"], ""));
        let update = repository.update::<InvoicePaid>(&old);
        assert!(update.xml.contains("data.invoice.extra") && update.removed.is_empty());
        assert!(update.notes[0].contains("run `make rules`"));
    }
}

#[test]
fn keeps_a_hook_that_sends_everything() {
    let repository = Repository::new::<InvoicePaid>("everything", &rules(&["invoice.extra"]));
    let hook = hook::<InvoicePaid>("");
    let update = repository.update::<InvoicePaid>(&hook);
    assert_eq!(update.xml, hook);
    assert!(update.has_contract && update.added.is_empty());
}

#[test]
fn finds_the_hook_by_method_and_type() {
    let repository = Repository::new::<InvoicePaidBefore>("type", &rules(&["invoice.extra"]));
    let after = hook::<InvoicePaid>(&fields(&["eventName"], ""));
    assert!(
        update_hook::<InvoicePaidBefore>(&repository.0, &after)
            .unwrap()
            .is_none()
    );
    let both = format!(
        "{after}{}",
        hook::<InvoicePaidBefore>(&fields(&["eventName"], ""))
    );
    let update = repository.update::<InvoicePaidBefore>(&both);
    assert!(update.xml.starts_with(&after));
    assert!(update.xml.contains(".extra"));
}

#[test]
fn a_plugins_fields_have_no_envelope_and_secrets_are_not_sent() {
    let names = [
        "password_hash",
        "address.rp_token",
        "cartId",
        "payment.cc_number",
        "total",
    ];
    let repository = Repository::new::<CouponSet>("plugin", &rules(&names));
    let saas = hook::<CouponSet>(&fields(&[], "")).replace(".magento.", ".");
    let update = repository.update::<CouponSet>(&saas);
    let sent: Vec<_> = update.added.iter().map(|field| &*field.name).collect();
    assert_eq!(sent, ["cartId", "couponCode", "total"]);
    assert_eq!(update.notes.len(), 3);
}

#[test]
fn a_name_that_xml_cannot_hold_is_in_no_hook() {
    let odd = [
        "invoice.a\"/><b",
        "invoice.a&b",
        "invoice.a'b",
        "invoice.a\u{1}",
    ];
    let repository = Repository::new::<InvoicePaid>("odd", &rules(&odd));
    let old = hook::<InvoicePaid>(&fields(&["eventName"], ""));
    let update = repository.update::<InvoicePaid>(&old);
    assert!(update.added.iter().all(|field| field.rule.is_none()));
    assert_eq!(update.notes.len(), odd.len(), "{:?}", update.notes);
}

#[test]
fn a_hook_in_a_comment_is_no_hook() {
    let repository = Repository::new::<InvoicePaid>("comment", &rules(&["invoice.extra"]));
    let old = hook::<InvoicePaid>(&fields(&["eventName"], ""));
    let updated = repository.update::<InvoicePaid>(&old).xml;
    let commented = format!("<!-- ü {old} -->\n");
    let update = repository.update::<InvoicePaid>(&format!("{commented}{old}"));
    assert_eq!(update.xml, format!("{commented}{updated}"));
    let none = update_hook::<InvoicePaid>(&repository.0, &commented);
    assert!(none.unwrap().is_none());
    // Also inside the method.
    let inside = format!("<!-- {} -->", fields(&["old"], ""));
    let both = hook::<InvoicePaid>(&format!("{inside}{}", fields(&["eventName"], "")));
    let update = repository.update::<InvoicePaid>(&both);
    assert!(update.xml.contains(&inside) && update.xml.contains("invoice.extra"));
}
