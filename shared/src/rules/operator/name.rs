//! The names of the operators in a rules file.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize as _, de::Error};

use super::{super::names::letters, Operator};

/// All operators, in the order of errors that list them.
const ALL: [Operator; 14] = [
    Operator::GreaterThan,
    Operator::GreaterThanOrEqual,
    Operator::LessThan,
    Operator::LessThanOrEqual,
    Operator::Equal,
    Operator::NotEqual,
    Operator::StartsWith,
    Operator::EndsWith,
    Operator::Contains,
    Operator::Regex,
    Operator::In,
    Operator::NotIn,
    Operator::IsEmpty,
    Operator::NotEmpty,
];

/// The length of the common start that makes a name similar to an operator's.
const COMMON_CHARS_MIN: usize = 4;

/// Writes the name as in the rules file.
impl fmt::Display for Operator {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(to)
    }
}

/// Reads the name. The error for any other name says what to write.
impl<'de> Deserialize<'de> for Operator {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = Cow::<str>::deserialize(from)?;
        let known = ALL.into_iter().find(|known| known.to_string() == *name);
        known.ok_or_else(|| D::Error::custom(unknown(&name)))
    }
}

fn unknown(name: &str) -> String {
    let short: String = name.chars().take(30).collect();
    if let Some(meant) = meant(name) {
        return format!("there is no operator {short:?} (write {meant})");
    }
    let written = letters(name);
    let is_similar = |operator: &&Operator| {
        let known = letters(&operator.to_string());
        let common = written.iter().zip(&known).take_while(|(a, b)| a == b);
        common.count() >= COMMON_CHARS_MIN
    };
    let similar: Vec<_> = ALL.iter().filter(is_similar).collect();
    let listed: Vec<_> = if similar.is_empty() {
        ALL.iter().collect()
    } else {
        similar
    };
    let listed: Vec<_> = listed.iter().map(ToString::to_string).collect();
    format!(
        "there is no operator {short:?} (write one of {})",
        listed.join(", ")
    )
}

/// Returns the operator that has this name in another language.
fn meant(name: &str) -> Option<Operator> {
    let name: String = letters(name).into_iter().collect();
    Some(match name.as_str() {
        ">" | "gt" | "greater" | "morethan" | "more" => Operator::GreaterThan,
        ">=" | "=>" | "≥" | "gte" | "ge" | "gteq" | "atleast" | "greaterthanorequals" => {
            Operator::GreaterThanOrEqual
        }
        "<" | "lt" | "less" | "lower" => Operator::LessThan,
        "<=" | "=<" | "≤" | "lte" | "le" | "lteq" | "atmost" | "lessthanorequals" => {
            Operator::LessThanOrEqual
        }
        "=" | "==" | "===" | "eq" | "equals" | "is" => Operator::Equal,
        "!=" | "!==" | "<>" | "≠" | "ne" | "neq" | "notequals" | "isnot" => Operator::NotEqual,
        "prefix" | "beginswith" | "starts" => Operator::StartsWith,
        "suffix" | "ends" => Operator::EndsWith,
        "like" | "includes" | "has" => Operator::Contains,
        "~" | "=~" | "match" | "matches" | "regexp" | "pattern" => Operator::Regex,
        "oneof" | "anyof" | "isin" => Operator::In,
        "nin" | "noneof" | "isnotin" => Operator::NotIn,
        "null" | "isnull" | "empty" | "absent" | "missing" => Operator::IsEmpty,
        "notnull" | "isnotnull" | "isnotempty" | "exists" | "present" => Operator::NotEmpty,
        name => ALL
            .into_iter()
            .find(|known| known.to_string().to_lowercase() == name)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_names() {
        for operator in ALL {
            let json = format!("\"{operator}\"");
            assert_eq!(serde_json::from_str::<Operator>(&json).unwrap(), operator);
        }
    }

    #[test]
    fn says_what_to_write_for_another_name() {
        let cases = [
            (">", "greaterThan"),
            (">=", "greaterThanOrEqual"),
            ("<", "lessThan"),
            ("<=", "lessThanOrEqual"),
            ("==", "equal"),
            ("=", "equal"),
            ("!=", "notEqual"),
            ("gt", "greaterThan"),
            ("EQ", "equal"),
            ("greater_than", "greaterThan"),
            ("not_in", "notIn"),
            ("greaterThen", "one of greaterThan, greaterThanOrEqual"),
            ("startWith", "one of startsWith"),
            ("isEmty", "one of isEmpty"),
        ];
        for (name, expected) in cases {
            assert_eq!(
                unknown(name),
                format!("there is no operator {name:?} (write {expected})")
            );
        }
        assert!(unknown("frobnicate").contains("write one of greaterThan, "));
    }
}
