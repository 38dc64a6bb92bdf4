//! Regular expressions as a shop writes them, in linear time.
//!
//! The shop runs PCRE through PHP, which can backtrack for ever; here runs an automaton, which can't. Whatever would mean
//! something else in the one than in the other is refused when the rules are read, with a hint how to write it instead.

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ast::{self, AssertionKind, Ast, parse::ParserBuilder};

/// An expression has at most this many bytes. What is made of it while it is read takes hundreds of times as many.
const EXPRESSION_BYTES_MAX: usize = 2048;

/// A compiled expression takes at most this many bytes.
const COMPILED_BYTES_MAX: usize = 32 * 1024;

/// An expression looks at a text of at most this many bytes, and at less if it has many states (see [`WORK_MAX`]). What rules look at has
/// some hundred.
pub(super) const TEXT_BYTES_MAX: usize = 32 * 1024;

/// The states of an expression (see [`states`]) times the bytes of a text that it looks at. A match cannot be interrupted; the slowest take
/// 6 ns for each state and byte, so that this many take 30 ms.
const WORK_MAX: usize = 4_800_000;

/// The expressions of a file may have ranges over this many characters where letters match in either case beyond ASCII (flags `i` and
/// `u`): 16 times all of Unicode. To find the other case of a range over all of Unicode takes 3 ms of a cold start.
pub(super) const FOLDED_MAX: u32 = 16 * 0x11_0000;

/// What a match may remember of an expression to be quick takes at most this many bytes.
const CACHE_BYTES_MAX: usize = 64 * 1024;

/// PCRE's own limits.
const REPEAT_MAX: u32 = 65_535;
const NAME_BYTES_MAX: usize = 32;

/// Groups stand at most this deep in each other.
const NESTING_MAX: u32 = 32;

/// A regular expression that matches here exactly what it matches in the shop.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// See [`states`].
    states: usize,
    /// How many characters its ranges hold whose other case has to be found.
    pub(super) folded: u32,
}

impl Pattern {
    /// Reads an expression with delimiters and flags, as in `/^97/i`.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let (expression, flags) = undelimit(text)?;
        if expression.len() > EXPRESSION_BYTES_MAX {
            return Err(format!("has more than {EXPRESSION_BYTES_MAX} bytes"));
        }
        if let Some(flag) = flags.chars().find(|flag| !"isuD".contains(*flag)) {
            return Err(format!(
                "has the flag {flag:?}; i, s, u and D are understood"
            ));
        }
        let unicode = flags.contains('u');
        if !unicode && !expression.is_ascii() {
            return Err(
                "add the flag u: without it the shop takes letters like é for several".to_owned(),
            );
        }
        let syntax_error = |error: &dyn std::error::Error| {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            format!(
                "is not understood: {}",
                reason.trim_start_matches("error: ")
            )
        };
        let ast = ParserBuilder::new()
            .nest_limit(NESTING_MAX)
            .build()
            .parse(expression)
            .map_err(|error| syntax_error(&error))?;
        ends_are_last(&ast, true)?;
        let vetting = Vetting {
            expression,
            unicode,
            ends: Vec::new(),
            ranges: 0,
        };
        let (ends, ranges) = ast::visit(&ast, vetting)?;
        let case_insensitive = flags.contains('i');
        let folded = if unicode && case_insensitive {
            ranges
        } else {
            0
        };
        if folded > FOLDED_MAX {
            return Err(TOO_MANY_FOLDED.to_owned());
        }
        let regex = RegexBuilder::new(&with_ends(expression, &ends, flags))
            .unicode(unicode)
            .case_insensitive(case_insensitive)
            .dot_matches_new_line(flags.contains('s'))
            .size_limit(COMPILED_BYTES_MAX)
            .dfa_size_limit(CACHE_BYTES_MAX)
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

    /// Whether it matches anywhere in the text; `None` if the text is too long for it.
    pub(super) fn is_match(&self, text: &str) -> Option<bool> {
        let text_bytes_max = TEXT_BYTES_MAX.min(WORK_MAX / self.states);
        (text.len() <= text_bytes_max).then(|| self.regex.is_match(text.as_bytes()))
    }

    /// The work of a match with a text of this many bytes, on a scale on which the longest match that is allowed counts as `longest`.
    pub(super) fn work(&self, bytes: usize, longest: usize) -> usize {
        bytes.saturating_mul(self.states) / (WORK_MAX / longest)
    }
}

/// What is wrong with ranges over more than [`FOLDED_MAX`] characters, as the end of a sentence.
pub(super) const TOO_MANY_FOLDED: &str =
    "has ranges over too many characters for the flags i and u; list both cases and leave i out";

/// About how many states an automaton for the expression has, at least 1. A match takes time in proportion to it.
fn states(ast: &Ast, unicode: bool) -> usize {
    // In UTF-8 a class of characters is a small automaton of bytes.
    let class = if unicode { 12 } else { 1 };
    match ast {
        Ast::Empty(_) | Ast::Flags(_) | Ast::Assertion(_) => 1,
        Ast::Literal(literal) if literal.c.is_ascii() => 1,
        Ast::Literal(_) => 4,
        Ast::Dot(_) | Ast::ClassUnicode(_) | Ast::ClassPerl(_) | Ast::ClassBracketed(_) => class,
        Ast::Repetition(repetition) => {
            let (least, most) = counts(repetition);
            let copies = usize::try_from(most.unwrap_or(least).max(1)).unwrap_or(usize::MAX);
            copies.saturating_mul(states(&repetition.ast, unicode).saturating_add(1))
        }
        Ast::Group(group) => states(&group.ast, unicode).saturating_add(2),
        Ast::Alternation(alternation) => sum(&alternation.asts, unicode),
        Ast::Concat(concat) => sum(&concat.asts, unicode),
    }
}

fn sum(asts: &[Ast], unicode: bool) -> usize {
    asts.iter()
        .map(|ast| states(ast, unicode))
        .fold(asts.len(), usize::saturating_add)
}

/// How often something is repeated, at least and at most.
fn counts(repetition: &ast::Repetition) -> (u32, Option<u32>) {
    match &repetition.op.kind {
        ast::RepetitionKind::ZeroOrOne => (0, Some(1)),
        ast::RepetitionKind::ZeroOrMore => (0, None),
        ast::RepetitionKind::OneOrMore => (1, None),
        ast::RepetitionKind::Range(ast::RepetitionRange::Exactly(count)) => (*count, Some(*count)),
        ast::RepetitionKind::Range(ast::RepetitionRange::AtLeast(least)) => (*least, None),
        ast::RepetitionKind::Range(ast::RepetitionRange::Bounded(least, most)) => {
            (*least, Some(*most))
        }
    }
}

/// The expression between the delimiters, and what stands behind them.
fn undelimit(text: &str) -> Result<(&str, &str), String> {
    const HINT: &str = "needs delimiters and flags as in PHP: /…/i";
    let delimiter = text.chars().next().ok_or(HINT)?;
    if !delimiter.is_ascii_punctuation() || "\\([{<".contains(delimiter) {
        return Err(HINT.to_owned());
    }
    let mut escaped = false;
    let mut inside = text.char_indices().skip(1);
    let end = inside.find(|(_, c)| {
        let ends = *c == delimiter && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    let (end, _) = end.ok_or(HINT)?;
    match (text.get(1..end), text.get(end + 1..)) {
        (Some(expression), Some(flags)) => Ok((expression, flags)),
        _ => Err(HINT.to_owned()),
    }
}

/// Where `$` stands, it must be the last thing that is looked for, so that it can be spelled out.
fn ends_are_last(ast: &Ast, last: bool) -> Result<(), String> {
    match ast {
        Ast::Assertion(assertion) if assertion.kind == AssertionKind::EndLine && !last => {
            Err("has $ before the end; write \\n where a line break is meant".to_owned())
        }
        Ast::Group(group) => ends_are_last(&group.ast, last),
        Ast::Repetition(repetition) => ends_are_last(&repetition.ast, false),
        Ast::Alternation(alternation) => alternation
            .asts
            .iter()
            .try_for_each(|branch| ends_are_last(branch, last)),
        Ast::Concat(concat) => {
            let count = concat.asts.len();
            let mut parts = concat.asts.iter().enumerate();
            parts.try_for_each(|(index, part)| ends_are_last(part, last && index + 1 == count))
        }
        _ => Ok(()),
    }
}

/// The expression with every `$` spelled out: in PCRE it also stands before a line break that ends the text.
fn with_ends(expression: &str, ends: &[usize], flags: &str) -> String {
    let end = if flags.contains('D') {
        r"\z"
    } else {
        r"(?:\n?\z)"
    };
    let mut spelled = String::with_capacity(expression.len() + ends.len() * end.len());
    let mut from = 0;
    for at in ends {
        spelled.push_str(expression.get(from..*at).unwrap_or_default());
        spelled.push_str(end);
        from = at + 1;
    }
    spelled.push_str(expression.get(from..).unwrap_or_default());
    spelled
}

/// Walks through an expression and refuses what PCRE reads otherwise. It gives the offsets of every `$`, and how many characters all ranges
/// hold together.
struct Vetting<'a> {
    expression: &'a str,
    unicode: bool,
    ends: Vec<usize>,
    ranges: u32,
}

impl Vetting<'_> {
    /// A class like `\w` holds other characters in the shop once it knows Unicode, and which ones depends on its version.
    fn named_class(&self, name: &str) -> Result<(), String> {
        if self.unicode {
            return Err(format!(
                "has {name} with the flag u; list the characters, as in [0-9]"
            ));
        }
        Ok(())
    }

    fn written(&self, span: &ast::Span) -> &str {
        self.expression
            .get(span.start.offset..span.end.offset)
            .unwrap_or_default()
    }

    fn repetition(&self, repetition: &ast::Repetition) -> Result<(), String> {
        let (least, most) = counts(repetition);
        if matches!(*repetition.ast, Ast::Repetition(_)) {
            return Err(
                "repeats a repetition, which is something else in the shop; put it into (?:…)"
                    .to_owned(),
            );
        }
        if matches!(*repetition.ast, Ast::Assertion(_)) {
            return Err("repeats something that has no width".to_owned());
        }
        if self
            .written(&repetition.op.span)
            .contains(char::is_whitespace)
        {
            return Err("has a blank in a count, which older shops take literally".to_owned());
        }
        if least.max(most.unwrap_or_default()) > REPEAT_MAX {
            return Err(format!("repeats something more than {REPEAT_MAX} times"));
        }
        Ok(())
    }

    fn group(group: &ast::Group) -> Result<(), String> {
        match &group.kind {
            ast::GroupKind::NonCapturing(flags) if !flags.items.is_empty() => {
                Err("has flags inside; write them behind the last delimiter".to_owned())
            }
            ast::GroupKind::CaptureName { name, .. } => {
                let name = &name.name;
                let word = name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                if word && name.len() <= NAME_BYTES_MAX {
                    return Ok(());
                }
                Err(
                    "has a name that the shop does not know; write letters, digits and underscores"
                        .to_owned(),
                )
            }
            _ => Ok(()),
        }
    }

    /// A class like `[:alpha:]` without the second brackets means letters here and is an error in the shop.
    fn class(&self, class: &ast::ClassBracketed) -> Result<(), String> {
        let inside = self
            .written(&class.span)
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let inside = inside.unwrap_or_default();
        let marked = |mark| inside.len() > 1 && inside.starts_with(mark) && inside.ends_with(mark);
        if marked(':') || marked('.') || marked('=') {
            return Err("has [:…:] outside a class; write [[:…:]]".to_owned());
        }
        Ok(())
    }

    fn literal(&self, literal: &ast::Literal) -> Result<(), String> {
        match literal.kind {
            ast::LiteralKind::HexBrace(_) if !self.unicode && !literal.c.is_ascii() => {
                Err(r"has \x{…} for a letter beyond ASCII; add the flag u".to_owned())
            }
            ast::LiteralKind::Special(ast::SpecialLiteralKind::VerticalTab) => Err(
                r"has \v, which is one character here and several in the shop; write \x0B"
                    .to_owned(),
            ),
            ast::LiteralKind::HexBrace(
                ast::HexLiteralKind::UnicodeShort | ast::HexLiteralKind::UnicodeLong,
            )
            | ast::LiteralKind::HexFixed(
                ast::HexLiteralKind::UnicodeShort | ast::HexLiteralKind::UnicodeLong,
            ) => Err(r"has \u or \U, which the shop does not know; write \x{…}".to_owned()),
            _ => Ok(()),
        }
    }
}

impl ast::Visitor for Vetting<'_> {
    type Output = (Vec<usize>, u32);
    type Err = String;

    fn finish(self) -> Result<Self::Output, String> {
        Ok((self.ends, self.ranges))
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), String> {
        match ast {
            Ast::Flags(_) => {
                Err("has flags inside; write them behind the last delimiter".to_owned())
            }
            Ast::Group(group) => Self::group(group),
            Ast::Repetition(repetition) => self.repetition(repetition),
            Ast::ClassBracketed(class) => self.class(class),
            Ast::Assertion(assertion) => match assertion.kind {
                AssertionKind::EndLine => {
                    self.ends.push(assertion.span.start.offset);
                    Ok(())
                }
                AssertionKind::WordBoundary | AssertionKind::NotWordBoundary => {
                    self.named_class(r"\b or \B")
                }
                AssertionKind::StartLine | AssertionKind::StartText | AssertionKind::EndText => {
                    Ok(())
                }
                _ => Err(r"has a kind of \b that the shop does not know".to_owned()),
            },
            Ast::Literal(literal) => self.literal(literal),
            Ast::ClassPerl(_) => self.named_class(r"\d, \s or \w"),
            Ast::ClassUnicode(_) => {
                Err(r"has \p, whose characters depend on the shop's version; list them".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn visit_class_set_item_pre(&mut self, item: &ast::ClassSetItem) -> Result<(), String> {
        match item {
            ast::ClassSetItem::Bracketed(_) => {
                Err(r"has a class inside a class; write \[ where the bracket is meant".to_owned())
            }
            ast::ClassSetItem::Literal(literal) => self.literal(literal),
            ast::ClassSetItem::Range(ast::ClassSetRange {
                end:
                    ast::Literal {
                        c: '[',
                        kind: ast::LiteralKind::Verbatim,
                        ..
                    },
                ..
            }) => Err(r"has a range up to [; write \[".to_owned()),
            ast::ClassSetItem::Range(range) => {
                let characters = u32::from(range.end.c).abs_diff(range.start.c.into());
                self.ranges = self.ranges.saturating_add(characters);
                self.literal(&range.start)
                    .and_then(|()| self.literal(&range.end))
            }
            ast::ClassSetItem::Ascii(_) => self.named_class("[:…:]"),
            ast::ClassSetItem::Perl(_) => self.named_class(r"\d, \s or \w"),
            ast::ClassSetItem::Unicode(_) => {
                Err(r"has \p, whose characters depend on the shop's version; list them".to_owned())
            }
            ast::ClassSetItem::Union(union) => {
                // A hyphen that is neither last nor between two characters: the shop may see a range where none is seen here.
                let (_, before) = union.items.split_last().unzip();
                let hyphen = |item: &ast::ClassSetItem| {
                    matches!(
                        item,
                        ast::ClassSetItem::Literal(ast::Literal {
                            c: '-',
                            kind: ast::LiteralKind::Verbatim,
                            ..
                        })
                    )
                };
                if before.is_some_and(|before: &[_]| before.iter().any(hyphen)) {
                    return Err(r"has a hyphen in a class; write it last, or \-".to_owned());
                }
                Ok(())
            }
            ast::ClassSetItem::Empty(_) => Ok(()),
        }
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ast::ClassSetBinaryOp) -> Result<(), String> {
        Err(r"has &&, -- or ~~ in a class; write a backslash before each character".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap().is_match(text).unwrap()
    }

    #[test]
    fn delimiters_and_flags_are_phps() {
        for pattern in [
            "/b/", "#b#", "~b~", "!b!", "@B@i", "|b|", "/^a.c$/s", "/B/isu",
        ] {
            assert!(
                matches(pattern, "a\nb") || matches(pattern, "abc"),
                "{pattern}"
            );
        }
        assert!(matches(r"/a\/b/", "a/b"));
        assert!(matches(r"#a\#b#", "a#b"));
        assert!(matches("//", ""));
        for pattern in [
            "", "b", "/b", "b/", "/b\\/", "(b)", "{b}", "\\b\\", "ébé", " /b/", "/b/ ", "/b/x",
            "/b/m", "/b/U", "/b/e", "/a/b/",
        ] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_dollar_stands_before_a_last_line_break_unless_told_otherwise() {
        assert!(matches("/^a$/", "a\n") && matches("/^a$/", "a"));
        assert!(!matches("/^a$/", "a\n\n") && !matches("/^a$/", "a\nb"));
        assert!(!matches("/^a$/D", "a\n") && matches("/^a$/D", "a"));
        assert!(matches("/^(a$|b)/", "a\n") && matches(r"/^[$]\$$/", "$$"));
    }

    #[test]
    fn what_the_shop_reads_otherwise_is_refused_with_a_hint() {
        let cases = [
            ("/é/", "add the flag u"),
            (r"/\x{e9}/", "add the flag u"),
            (r"/(a)\1/", "is not understood"),
            ("/(?=a)/", "is not understood"),
            ("/(?<!a)b/", "is not understood"),
            ("/(?>a)/", "is not understood"),
            ("/a++/", "repeats a repetition"),
            ("/a{2}{3}/", "repeats a repetition"),
            ("/^*/", "no width"),
            ("/a$b/", "before the end"),
            ("/(a$)+/", "before the end"),
            ("/(?i)a/", "flags inside"),
            ("/(?i:a)/", "flags inside"),
            (r"/\v/", "has \\v"),
            (r"/[\v]/", "has \\v"),
            (r"/\u{41}/u", "has \\u"),
            (r"/\d/u", "with the flag u"),
            (r"/[\w]/u", "with the flag u"),
            (r"/\bx/u", "with the flag u"),
            ("/[[:alpha:]]/u", "with the flag u"),
            (r"/\pL/u", "has \\p"),
            (r"/[\p{L}]/u", "has \\p"),
            (r"/\b{start}a/", "a kind of \\b"),
            (r"/\<a/", "a kind of \\b"),
            ("/[a[b]]/", "a class inside a class"),
            ("/[a&&b]/", "in a class"),
            ("/[a--b]/", "in a class"),
            (
                "/((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))/",
                "is not understood",
            ),
            ("/((a{500}){500}){500}/", "is too large"),
            ("/[--a]/", "has a hyphen"),
            (r"/[^--\/]/", "has a hyphen"),
            ("/[]-a]/", "has a hyphen"),
            ("/[[:alnum:]-z]/", "has a hyphen"),
            ("/[=-[:alpha:]]/", "a range up to ["),
            ("/[:digit:]/", "write [[:…:]]"),
            ("/[.a.]/", "write [[:…:]]"),
            ("/a{ 2 }/", "has a blank in a count"),
            ("/(?<a.b>x)/", "has a name"),
            ("/(?:){70000}/", "more than 65535 times"),
            ("/a(/", "is not understood: unclosed group"),
            ("/a{,2}/", "is not understood"),
            (r"/\Qa\E/", "is not understood"),
        ];
        for (pattern, expected) in cases {
            let error = Pattern::new(pattern).unwrap_err();
            assert!(error.contains(expected), "{pattern}: {error}");
        }
    }

    #[test]
    fn an_expression_has_room_for_what_merchants_write_and_no_more() {
        let domains: Vec<_> = (0..25)
            .map(|n| format!("throwaway-{n:02}\\.example"))
            .collect();
        assert!(matches(
            &format!("/@({})$/i", domains.join("|")),
            "x@THROWAWAY-24.example"
        ));
        assert!(matches("/^[A-Z0-9]{3,40}-[0-9]{1,60}$/iu", "abc-1"));
        for slow in [
            "/(a{0,40}){40}b/",
            "/[a-z]{1,900}[0-9]/",
            "/.{0,255}b.{0,255}c/i",
        ] {
            assert_eq!(Pattern::new(slow).unwrap_err(), "is too large", "{slow}");
        }
    }

    #[test]
    fn an_expression_with_many_states_looks_at_a_shorter_text() {
        for (expression, longest) in [
            ("/b$/", TEXT_BYTES_MAX),
            ("/^(gift|pr[eé]sent) ?card$/iu", TEXT_BYTES_MAX),
            ("/a.{300}c/s", WORK_MAX / 605),
            ("/(?:(?:a*)(?:b*)){110}c/", WORK_MAX / 1433),
            ("/[a-z]{3,40}c/u", WORK_MAX / 523),
        ] {
            let pattern = Pattern::new(expression).unwrap();
            let matches = |length| pattern.is_match(&"a".repeat(length));
            assert_eq!(matches(longest), Some(false), "{expression}");
            assert_eq!(matches(longest + 1), None, "{expression}");
        }
    }

    #[test]
    fn repetitions_of_nothing_have_many_states_and_no_panic() {
        let mut expression = "(?:a{0})".to_owned();
        for _ in 0..6 {
            expression = format!("(?:{expression}{{65535}})");
        }
        for written in [
            format!("/{expression}/"),
            format!("/{expression}{{65535}}/"),
            format!("/{expression}|{expression}/"),
            format!("/({expression}){{0}}b/"),
        ] {
            let pattern = Pattern::new(&written).unwrap();
            assert_eq!(pattern.is_match("b"), None, "{written}");
            assert!(pattern.work(1, 1) > 0, "{written}");
        }
    }

    #[test]
    fn an_expression_is_limited_before_anything_is_made_of_it() {
        let longest = format!("[{}]", "a".repeat(EXPRESSION_BYTES_MAX - 2));
        assert!(Pattern::new(&format!("/{longest}/")).is_ok());
        for expression in [&*longest, "(?:||||){0}", "a{0}"] {
            let text = format!("/{}/", expression.repeat(2 * EXPRESSION_BYTES_MAX / 4));
            assert_eq!(Pattern::new(&text).unwrap_err(), "has more than 2048 bytes");
        }
        let wide = |count| "[b-\\x{10ffff}]{0}".repeat(count);
        assert!(Pattern::new(&format!("/{}/iu", wide(16))).is_ok());
        assert!(Pattern::new(&format!("/{}/u", wide(17))).is_ok());
        assert_eq!(
            Pattern::new(&format!("/{}/iu", wide(17))).unwrap_err(),
            TOO_MANY_FOLDED
        );
    }

    #[test]
    fn time_is_linear_where_backtracking_is_exponential() {
        // PCRE gives up on this one; here the test would never end, were it not linear.
        assert!(!matches(
            "/^(a+)+$/",
            &("a".repeat(TEXT_BYTES_MAX - 1) + "!")
        ));
    }

    fn fragments(all: &'static [&'static str], max: usize) -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(all), 0..max).prop_map(|parts| parts.concat())
    }

    const ATOMS: &[&str] = &[
        "a",
        "b",
        "k",
        "S",
        "é",
        "ſ",
        " ",
        "-",
        ".",
        r"\d",
        r"\w",
        r"\W",
        r"\s",
        r"\S",
        r"\b",
        r"\B",
        "[ab]",
        "[^a]",
        "[a-k]",
        r"[\d-]",
        "[[:alpha:]]",
        "[[:^digit:]_]",
        "[a&b]",
        "[]a]",
        "[^]a]",
        "[é-ü]",
        "[",
        "]",
        "&&",
        "--",
        "~~",
        "$",
        "^",
        r"\z",
        r"\A",
        r"\Z",
        "(",
        "(?:",
        "(?<n>",
        "(?P<m>",
        "|",
        ")",
        "*",
        "+",
        "?",
        "{2}",
        "{1,2}",
        "{0}",
        "{1,}",
        "{,2}",
        "{",
        "}",
        r"\n",
        r"\t",
        r"\f",
        r"\a",
        r"\/",
        r"\x41",
        r"\xe9",
        r"\x{e9}",
        r"\v",
        r"\h",
        r"\e",
        r"\-",
        r"\.",
        r"\$",
        r"\1",
        r"\0",
        r"\Q",
        "(?i)",
        "(?s:",
        "#",
        ",",
        "=",
        "!",
        "<",
        ">",
        ":",
        r"\<",
        r"\>",
        r"\_",
    ];
    const IN_CLASSES: &[&str] = &[
        "^",
        "]",
        "-",
        "--",
        "a",
        "z",
        "k",
        "_",
        ".",
        ":",
        "=",
        "/",
        "!",
        "é",
        "[",
        r"\]",
        r"\-",
        r"\d",
        r"\w",
        r"\n",
        r"\x2d",
        "a-k",
        ".-9",
        "[:alpha:]",
        "[:^digit:]",
        ":digit:",
        "&",
        "&&",
        "~",
        "$",
        "{",
        " ",
    ];
    const TEXTS: &[&str] = &[
        "a", "b", "k", "K", "\u{212a}", "s", "S", "ſ", "é", "É", "ü", "1", "A", " ", "\n", "\t",
        "\u{b}", "\u{c}", "\u{85}", "\u{a0}", "-", "_", "[", "]", "&", "$", ".", "/", ":", "^",
        "z", "", "\u{1b}", "\u{7}", "{,2}",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]
        #[test]
        fn what_is_accepted_matches_as_in_pcre(
            expression in prop_oneof![
                fragments(ATOMS, 7),
                fragments(IN_CLASSES, 6).prop_map(|inside| format!("[{inside}]")),
                (fragments(ATOMS, 4), fragments(IN_CLASSES, 4)).prop_map(|(outside, inside)| format!("{outside}[{inside}]+")),
            ],
            text in fragments(TEXTS, 6),
            flags in prop::sample::select(vec!["", "i", "s", "u", "iu", "isu"]),
        ) {
            let Ok(pattern) = Pattern::new(&format!("~{expression}~{flags}")) else {
                return Ok(());
            };
            let pcre = pcre2::bytes::RegexBuilder::new()
                .caseless(flags.contains('i'))
                .dotall(flags.contains('s'))
                .utf(flags.contains('u'))
                .ucp(flags.contains('u'))
                .build(&expression);
            let pcre = pcre.map_err(|error| TestCaseError::fail(format!("{expression} is not PCRE: {error}")))?;
            prop_assert_eq!(pattern.is_match(&text), Some(pcre.is_match(text.as_bytes()).unwrap()), "/{}/{} on {:?}", expression, flags, text);
        }
    }
}
