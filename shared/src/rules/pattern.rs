//! Regular expressions in the shop's syntax (PCRE, through PHP), in linear time.
//!
//! The shop's engine backtracks and can run forever; the `regex` crate uses an automaton instead.
//! The limits and the matching are here. `pcre` rejects expressions that the two engines would read
//! differently.

mod pcre;

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ast::{Ast, parse::ParserBuilder};

/// The maximum length of an expression in bytes. Parsing takes hundreds of times as much memory.
const EXPRESSION_BYTES_MAX: usize = 2048;

/// The maximum size of a compiled expression in bytes.
const COMPILED_BYTES_MAX: usize = 32 * 1024;

/// The maximum length of a text for any expression in bytes; an expression with many states has a
/// lower maximum (see [`WORK_MAX`]). A typical text has a few hundred bytes.
pub(super) const TEXT_BYTES_MAX: usize = 32 * 1024;

/// The maximum of an expression's states (see [`states`]) times the bytes of a text. A match cannot
/// be interrupted. The slowest matches take 6 ns per state and byte, so this much takes 30 ms.
const WORK_MAX: usize = 4_800_000;

/// The maximum number of characters in the ranges of all expressions of a file that have the flags
/// `i` and `u`: 16 times all of Unicode. For each range the compiler computes the characters of the
/// other case, which takes 3 ms of the cold start for all of Unicode.
pub(super) const FOLDED_MAX: u32 = 16 * 0x11_0000;

/// The error of ranges beyond [`FOLDED_MAX`], as a clause that follows the expression or rule.
pub(super) const TOO_MANY_FOLDED: &str =
    "has ranges with too many characters for the flags i and u; list both cases and omit i";

/// The maximum size of an expression's cache for matching in bytes.
const CACHE_BYTES_MAX: usize = 64 * 1024;

/// The maximum nesting depth of groups.
const NESTING_MAX: u32 = 32;

/// A regular expression that matches the same texts here and in the shop.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// See [`states`].
    states: usize,
    /// The number of characters in its ranges that count towards [`FOLDED_MAX`].
    pub(super) folded: u32,
}

impl Pattern {
    /// Parses an expression with delimiters and flags, as in `/^97/i`. The error is a clause that
    /// follows "the expression".
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (expression, flags) = pcre::split_delimiters(text)?;
        if expression.len() > EXPRESSION_BYTES_MAX {
            return Err(format!("has more than {EXPRESSION_BYTES_MAX} bytes"));
        }
        if let Some(flag) = flags.chars().find(|flag| !"isuD".contains(*flag)) {
            return Err(format!(
                "has the flag {flag:?}; only i, s, u and D are supported"
            ));
        }
        let unicode = flags.contains('u');
        if !unicode && !expression.is_ascii() {
            return Err(
                "needs the flag u: without it the shop reads a letter like é as several characters"
                    .to_owned(),
            );
        }
        let ast = ParserBuilder::new()
            .nest_limit(NESTING_MAX)
            .build()
            .parse(expression)
            .map_err(|error| syntax_error(&error))?;
        let pcre::Checked {
            line_ends,
            range_chars,
        } = pcre::check(&ast, expression, unicode)?;
        let case_insensitive = flags.contains('i');
        let folded = if unicode && case_insensitive {
            range_chars
        } else {
            0
        };
        if folded > FOLDED_MAX {
            return Err(TOO_MANY_FOLDED.to_owned());
        }
        let expression = pcre::replace_line_ends(expression, &line_ends, flags);
        let regex = RegexBuilder::new(&expression)
            .unicode(unicode)
            .case_insensitive(case_insensitive)
            .dot_matches_new_line(flags.contains('s'))
            .size_limit(COMPILED_BYTES_MAX)
            .dfa_size_limit(CACHE_BYTES_MAX)
            // `replace_line_ends` adds a group.
            .nest_limit(NESTING_MAX + 2)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => "is too large".to_owned(),
                error => syntax_error(&error),
            })?;
        Ok(Self {
            regex,
            states: states(&ast, unicode),
            folded,
        })
    }

    /// Whether the expression matches anywhere in the text; `None` if the text is too long for it.
    pub(super) fn is_match(&self, text: &str) -> Option<bool> {
        let text_bytes_max = TEXT_BYTES_MAX.min(WORK_MAX / self.states);
        (text.len() <= text_bytes_max).then(|| self.regex.is_match(text.as_bytes()))
    }

    /// Returns the work of a match on a text of this length, on a scale on which the longest
    /// allowed match is `longest`.
    pub(super) fn work(&self, bytes: usize, longest: usize) -> usize {
        bytes.saturating_mul(self.states) / (WORK_MAX / longest)
    }
}

fn syntax_error(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    let reason = text.lines().last().unwrap_or_default();
    format!("is not valid: {}", reason.trim_start_matches("error: "))
}

/// Estimates the states of an automaton for the expression, at least 1. The time of a match is
/// proportional to it.
fn states(ast: &Ast, unicode: bool) -> usize {
    // In UTF-8, a class of characters becomes a small automaton over bytes.
    let class = if unicode { 12 } else { 1 };
    match ast {
        Ast::Empty(_) | Ast::Flags(_) | Ast::Assertion(_) => 1,
        Ast::Literal(literal) if literal.c.is_ascii() => 1,
        Ast::Literal(_) => 4,
        Ast::Dot(_) | Ast::ClassUnicode(_) | Ast::ClassPerl(_) | Ast::ClassBracketed(_) => class,
        Ast::Repetition(repetition) => {
            let (min, max) = pcre::repeat_counts(repetition);
            let copies = usize::try_from(max.unwrap_or(min).max(1)).unwrap_or(usize::MAX);
            copies.saturating_mul(states(&repetition.ast, unicode).saturating_add(1))
        }
        Ast::Group(group) => states(&group.ast, unicode).saturating_add(2),
        Ast::Alternation(alternation) => sum_of_states(&alternation.asts, unicode),
        Ast::Concat(concat) => sum_of_states(&concat.asts, unicode),
    }
}

fn sum_of_states(asts: &[Ast], unicode: bool) -> usize {
    asts.iter()
        .map(|ast| states(ast, unicode))
        .fold(asts.len(), usize::saturating_add)
}

#[cfg(test)]
mod tests;
