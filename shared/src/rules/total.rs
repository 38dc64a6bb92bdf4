//! The count and the sum of the values of a field.

use rust_decimal::Decimal;

use super::{condition::Operand, evaluate::Evaluation, literal::number_of, operator::Comparison};
use crate::model::lookup::FieldValue;

/// The number of the values that are present, or their exact sum.
#[derive(Debug, Default)]
pub(super) struct Total {
    total: Decimal,
    /// Whether a value was not a number, or the sum has too many digits.
    is_unknown: bool,
}

impl Total {
    pub(super) fn add(&mut self, operand: Operand, value: &FieldValue<'_>) {
        let is_absent = match (operand, value) {
            (_, FieldValue::Absent) => true,
            (Operand::Sum, FieldValue::Text(text)) => text.is_empty(),
            (Operand::Sum, FieldValue::Structure { empty }) => *empty,
            _ => false,
        };
        if is_absent {
            return;
        }
        let number = match operand {
            Operand::Count => Some(Decimal::ONE),
            Operand::Sum | Operand::Values => number_of(value),
        };
        match number.and_then(|number| exact_sum(self.total, number)) {
            Some(total) => self.total = total,
            None => self.is_unknown = true,
        }
    }

    pub(super) fn add_unknown(&mut self) {
        self.is_unknown = true;
    }

    /// Returns the number; `None` if it is unknown.
    #[cfg(feature = "explain")]
    pub(super) fn number(&self) -> Option<Decimal> {
        (!self.is_unknown).then_some(self.total)
    }

    pub(super) fn evaluate(&self, comparison: &Comparison) -> Evaluation {
        if self.is_unknown {
            return Evaluation::Unknown;
        }
        comparison.evaluate(&FieldValue::Number(self.total))
    }
}

/// Returns the sum. `None` if a decimal has no room for all its digits.
fn exact_sum(one: Decimal, other: Decimal) -> Option<Decimal> {
    let (one, other) = (one.normalize(), other.normalize());
    let sum = one.checked_add(other)?;
    // A sum that does not fit is rounded, so that it has fewer decimals.
    let is_exact =
        one.is_zero() || other.is_zero() || sum.scale() == one.scale().max(other.scale());
    is_exact.then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_exactly_or_not_at_all() {
        let decimal = |text: &str| text.parse::<Decimal>().unwrap();
        let max = "79228162514264337593543950335";
        let cases = [
            ("0.1", "0.2", Some("0.3")),
            ("1.00", "0.000", Some("1")),
            ("5.5", "-5.5", Some("0")),
            (max, "0", Some(max)),
            (max, "1", None),
            (max, "0.1", None),
            ("7922816251426433759354395033.5", "0.01", None),
            (
                "0.0000000000000000000000000001",
                "1",
                Some("1.0000000000000000000000000001"),
            ),
            ("0.0000000000000000000000000001", "10", None),
        ];
        for (one, other, expected) in cases {
            let sum = exact_sum(decimal(one), decimal(other));
            assert_eq!(sum, expected.map(decimal), "{one} + {other}");
        }
    }
}
