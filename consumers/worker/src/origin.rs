//! Where an event comes from, as the attributes of its message say: which shop sent it, and in
//! which trace. The body is not needed for it.

use crate::{batch::Message, dead_letters::DeadLetterReason, trace::Span};

/// The maximum length of the name of a shop.
const SHOP_NAME_BYTES_MAX: usize = 32;

/// Where an event comes from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Origin<'a> {
    /// The name of the shop. A stack can have one shop without a name.
    pub(crate) shop: Option<&'a str>,
    /// The span in which the message is handled, if the shop's request was traced.
    pub(crate) span: Option<Span<'a>>,
}

impl<'a> Origin<'a> {
    /// Reads the attributes, and starts the span.
    ///
    /// An invalid name of a shop is an error, because the event must not be taken for one of the
    /// shop without a name.
    pub(crate) fn of(message: &'a Message) -> Result<Self, DeadLetterReason> {
        let shop = match message.message_attributes.get("shop") {
            None => None,
            Some(attribute) => {
                let name = attribute.string_value.as_deref();
                let name = name.filter(|name| is_shop_name(name));
                Some(name.ok_or(DeadLetterReason::NotOurs)?)
            }
        };
        Ok(Self {
            shop,
            span: Span::start(message),
        })
    }
}

/// Returns whether the text is the name of a shop. Names are written into the log and into headers.
fn is_shop_name(text: &str) -> bool {
    let in_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=SHOP_NAME_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| in_word(byte) || b"-_".contains(&byte))
        && text.bytes().next().is_some_and(in_word)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::batch::tests::lambda_record;

    fn shop(attribute: Option<Value>) -> Result<Option<String>, DeadLetterReason> {
        let mut record = lambda_record("m", Some("eu/order/1"), "{}");
        if let Some(attribute) = attribute {
            record["messageAttributes"]["shop"] = attribute;
        }
        let message: Message = serde_json::from_value(record).unwrap();
        Origin::of(&message).map(|origin| origin.shop.map(str::to_owned))
    }

    #[test]
    fn reads_the_name_of_a_shop_and_takes_nothing_else_for_it() {
        let text = |name: &str| Some(json!({ "stringValue": name, "dataType": "String" }));
        for name in ["eu", "2", "a-b_c", &"x".repeat(SHOP_NAME_BYTES_MAX)] {
            assert_eq!(shop(text(name)), Ok(Some(name.to_owned())), "{name}");
        }
        let long = "x".repeat(SHOP_NAME_BYTES_MAX + 1);
        for name in [
            "", "EU", "-eu", "_", "eu/us", "eu us", "zo\u{eb}", "eu\n", &long,
        ] {
            assert_eq!(shop(text(name)), Err(DeadLetterReason::NotOurs), "{name}");
        }
        let binary = json!({ "binaryValue": "ZXU=", "dataType": "Binary" });
        assert_eq!(shop(Some(binary)), Err(DeadLetterReason::NotOurs));
        assert_eq!(shop(None), Ok(None));
    }
}
