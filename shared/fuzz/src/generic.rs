//! Channels without a model: one with an entity, and a plugin whose arguments are the entity. They
//! stand for those that a merchant adds.

use shared::{Channel, Generic, GenericChannel, HookType};

/// An observer's event.
pub struct CreditmemoSaved;

impl Channel for CreditmemoSaved {
    const NAME: &str = "sales_order_creditmemo_save_after";
    const METHOD: &str = "observer.sales_order_creditmemo_save_after";
    const IDENTITY: &[&[&str]] = &[&["/entity_id"], &["/increment_id", "/store_id"]];
    const EXPECTED: &[&str] = &["/order_id", "/billing/e~1mail", "/items/0/sku"];
    type Entity = Generic<Self>;
}

impl GenericChannel for CreditmemoSaved {
    const ARGUMENTS: &[&str] = &["order", "customer"];
    const SUBJECT: &[&str] = &["/entity_id", "/increment_id"];
    const GROUP: Option<(&str, &str)> = Some(("order", "/order_id"));
    const FIELDS: &[&str] = &[];
}

/// A plugin's event.
pub struct CouponSet;

impl Channel for CouponSet {
    const NAME: &str = "plugin_quote_api_guest_coupon_management_set";
    const METHOD: &str = "plugin.magento.quote.api.guest_coupon_management.set";
    const HOOK_TYPE: HookType = HookType::Before;
    const IDENTITY: &[&[&str]] = &[];
    const EXPECTED: &[&str] = &["/data"];
    type Entity = Generic<Self>;
}

impl GenericChannel for CouponSet {
    const ARGUMENTS: &[&str] = &[];
    const SUBJECT: &[&str] = &["/order/increment_id"];
    const GROUP: Option<(&str, &str)> = Some(("quote", "/eventName"));
    const FIELDS: &[&str] = &[];
}
