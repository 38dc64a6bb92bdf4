//! Finds misspelled names.

/// The minimum length of a name of which another one is a misspelling if one character differs.
/// Shorter names are often similar.
const SIMILAR_CHARS_MIN: usize = 5;

/// Returns the known names that `written` is probably a misspelling of. Empty if it is known.
pub(super) fn misspelled<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Vec<&'a str> {
    if known.clone().into_iter().any(|known| known == written) {
        return Vec::new();
    }
    let similar = |known: &&str| is_similar(written, known);
    known.into_iter().filter(similar).collect()
}

/// Whether two names differ only in case and separators, or in one inserted, missing, replaced or
/// swapped character.
fn is_similar(written: &str, known: &str) -> bool {
    let (written, known) = (letters(written), letters(known));
    written == known || (known.len() >= SIMILAR_CHARS_MIN && differ_in_one(&written, &known))
}

/// Returns the characters of a name without separators, in lowercase.
pub(super) fn letters(name: &str) -> Vec<char> {
    let letters = name.chars().filter(|c| !matches!(c, '_' | '-' | ' '));
    letters.flat_map(char::to_lowercase).collect()
}

/// Whether the Damerau–Levenshtein distance is 1.
fn differ_in_one(one: &[char], other: &[char]) -> bool {
    let (mut one, mut other) = (one, other);
    while let ([a, one_rest @ ..], [b, other_rest @ ..]) = (one, other)
        && a == b
    {
        (one, other) = (one_rest, other_rest);
    }
    while let ([one_rest @ .., a], [other_rest @ .., b]) = (one, other)
        && a == b
    {
        (one, other) = (one_rest, other_rest);
    }
    match (one, other) {
        ([_], [_] | []) | ([], [_]) => true,
        ([a, b], [c, d]) => a == d && b == c,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_names_that_differ_in_one_character_or_in_separators() {
        let known = ["grand_total", "subtotal", "sku", "qty", "items"];
        let cases: [(&str, &[&str]); 13] = [
            ("grand_total", &[]),
            ("grandtotal", &["grand_total"]),
            ("Grand-Total", &["grand_total"]),
            ("grand_totl", &["grand_total"]),
            ("grand_ttoal", &["grand_total"]),
            ("grand_tottal", &["grand_total"]),
            ("grand_xxtal", &[]),
            ("base_grand_total", &[]),
            ("Subtotal", &["subtotal"]),
            ("item", &["items"]),
            ("sk", &[]),
            ("SKU", &["sku"]),
            ("", &[]),
        ];
        for (written, expected) in cases {
            assert_eq!(misspelled(written, known), expected, "{written}");
        }
    }
}
