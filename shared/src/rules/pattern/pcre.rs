//! The differences between PCRE, which the shop uses, and the `regex` crate. An expression that the
//! two would read differently is rejected with a hint, so that a rule means the same in both.

use regex_syntax::ast::{self, AssertionKind, Ast};

/// PCRE's maximum count of repetitions.
const REPEAT_MAX: u32 = 65_535;

/// PCRE's maximum length of a group name in bytes.
const NAME_BYTES_MAX: usize = 32;

/// The result of [`check`].
pub(super) struct Checked {
    /// The offsets of every `$`.
    pub(super) line_ends: Vec<usize>,
    /// The number of characters in all ranges.
    pub(super) range_chars: u32,
}

/// Splits a text into the expression between its delimiters and the flags after them.
pub(super) fn split_delimiters(text: &str) -> Result<(&str, &str), String> {
    const HINT: &str = "needs delimiters as in PHP, with flags after them: /…/i";
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

/// Rejects everything that PCRE reads differently. The error is a clause that follows "the
/// expression".
pub(super) fn check(ast: &Ast, expression: &str, unicode: bool) -> Result<Checked, String> {
    check_line_ends(ast, true)?;
    let checker = Checker {
        expression,
        unicode,
        line_ends: Vec::new(),
        range_chars: 0,
    };
    ast::visit(ast, checker)
}

/// Replaces each `$`: in PCRE it also matches before a line break at the end of the text.
pub(super) fn replace_line_ends(expression: &str, line_ends: &[usize], flags: &str) -> String {
    let end = if flags.contains('D') {
        r"\z"
    } else {
        r"(?:\n?\z)"
    };
    let mut replaced = String::with_capacity(expression.len() + line_ends.len() * end.len());
    let mut from = 0;
    for at in line_ends {
        replaced.push_str(expression.get(from..*at).unwrap_or_default());
        replaced.push_str(end);
        from = at + 1;
    }
    replaced.push_str(expression.get(from..).unwrap_or_default());
    replaced
}

/// Returns the minimum and the maximum count of a repetition.
pub(super) fn repeat_counts(repetition: &ast::Repetition) -> (u32, Option<u32>) {
    match &repetition.op.kind {
        ast::RepetitionKind::ZeroOrOne => (0, Some(1)),
        ast::RepetitionKind::ZeroOrMore => (0, None),
        ast::RepetitionKind::OneOrMore => (1, None),
        ast::RepetitionKind::Range(ast::RepetitionRange::Exactly(count)) => (*count, Some(*count)),
        ast::RepetitionKind::Range(ast::RepetitionRange::AtLeast(min)) => (*min, None),
        ast::RepetitionKind::Range(ast::RepetitionRange::Bounded(min, max)) => (*min, Some(*max)),
    }
}

/// Checks that `$` is only at the end, because the replacement of [`replace_line_ends`] can consume
/// a line break.
fn check_line_ends(ast: &Ast, last: bool) -> Result<(), String> {
    match ast {
        Ast::Assertion(assertion) if assertion.kind == AssertionKind::EndLine && !last => {
            Err("has $ before the end; write \\n to match a line break".to_owned())
        }
        Ast::Group(group) => check_line_ends(&group.ast, last),
        Ast::Repetition(repetition) => check_line_ends(&repetition.ast, false),
        Ast::Alternation(alternation) => alternation
            .asts
            .iter()
            .try_for_each(|branch| check_line_ends(branch, last)),
        Ast::Concat(concat) => {
            let count = concat.asts.len();
            let mut parts = concat.asts.iter().enumerate();
            parts.try_for_each(|(index, part)| check_line_ends(part, last && index + 1 == count))
        }
        _ => Ok(()),
    }
}

struct Checker<'a> {
    expression: &'a str,
    unicode: bool,
    line_ends: Vec<usize>,
    range_chars: u32,
}

impl Checker<'_> {
    /// With the flag `u`, a class like `\w` has other characters in the shop, and they depend on
    /// the version of PCRE.
    fn check_named_class(&self, name: &str) -> Result<(), String> {
        if self.unicode {
            return Err(format!(
                "has {name} with the flag u; list the characters, as in [0-9]"
            ));
        }
        Ok(())
    }

    fn source(&self, span: &ast::Span) -> &str {
        self.expression
            .get(span.start.offset..span.end.offset)
            .unwrap_or_default()
    }

    fn check_repetition(&self, repetition: &ast::Repetition) -> Result<(), String> {
        let (min, max) = repeat_counts(repetition);
        if matches!(*repetition.ast, Ast::Repetition(_)) {
            return Err(
                "repeats a repetition, which has another meaning in the shop; wrap it in (?:…)"
                    .to_owned(),
            );
        }
        if matches!(*repetition.ast, Ast::Assertion(_)) {
            return Err("repeats an assertion, which has no width".to_owned());
        }
        if self
            .source(&repetition.op.span)
            .contains(char::is_whitespace)
        {
            return Err("has a space in a count, which older shops read as text".to_owned());
        }
        if min.max(max.unwrap_or_default()) > REPEAT_MAX {
            return Err(format!("repeats something more than {REPEAT_MAX} times"));
        }
        Ok(())
    }

    fn check_group(group: &ast::Group) -> Result<(), String> {
        match &group.kind {
            ast::GroupKind::NonCapturing(flags) if !flags.items.is_empty() => {
                Err("has flags inside; write them after the last delimiter".to_owned())
            }
            ast::GroupKind::CaptureName { name, .. } => {
                let name = &name.name;
                let is_word = name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                if is_word && name.len() <= NAME_BYTES_MAX {
                    return Ok(());
                }
                Err(format!(
                    "has a group name that the shop rejects; \
                     use at most {NAME_BYTES_MAX} letters, digits and underscores"
                ))
            }
            _ => Ok(()),
        }
    }

    /// Without outer brackets, `[:alpha:]` is a class of its own characters here and an error in
    /// the shop.
    fn check_class(&self, class: &ast::ClassBracketed) -> Result<(), String> {
        let inside = self
            .source(&class.span)
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let inside = inside.unwrap_or_default();
        let has_mark =
            |mark| inside.len() > 1 && inside.starts_with(mark) && inside.ends_with(mark);
        if has_mark(':') || has_mark('.') || has_mark('=') {
            return Err("has [:…:] outside a class; write [[:…:]]".to_owned());
        }
        Ok(())
    }

    fn check_literal(&self, literal: &ast::Literal) -> Result<(), String> {
        match literal.kind {
            ast::LiteralKind::HexBrace(_) if !self.unicode && !literal.c.is_ascii() => {
                Err(r"has \x{…} for a character outside ASCII; add the flag u".to_owned())
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
            ) => Err(r"has \u or \U, which the shop does not support; write \x{…}".to_owned()),
            _ => Ok(()),
        }
    }
}

impl ast::Visitor for Checker<'_> {
    type Output = Checked;
    type Err = String;

    fn finish(self) -> Result<Self::Output, String> {
        Ok(Checked {
            line_ends: self.line_ends,
            range_chars: self.range_chars,
        })
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), String> {
        match ast {
            Ast::Flags(_) => {
                Err("has flags inside; write them after the last delimiter".to_owned())
            }
            Ast::Group(group) => Self::check_group(group),
            Ast::Repetition(repetition) => self.check_repetition(repetition),
            Ast::ClassBracketed(class) => self.check_class(class),
            Ast::Assertion(assertion) => match assertion.kind {
                AssertionKind::EndLine => {
                    self.line_ends.push(assertion.span.start.offset);
                    Ok(())
                }
                AssertionKind::WordBoundary | AssertionKind::NotWordBoundary => {
                    self.check_named_class(r"\b or \B")
                }
                AssertionKind::StartLine | AssertionKind::StartText | AssertionKind::EndText => {
                    Ok(())
                }
                _ => Err(r"has a form of \b that the shop does not support".to_owned()),
            },
            Ast::Literal(literal) => self.check_literal(literal),
            Ast::ClassPerl(_) => self.check_named_class(r"\d, \s or \w"),
            Ast::ClassUnicode(_) => Err(UNICODE_CLASS.to_owned()),
            _ => Ok(()),
        }
    }

    fn visit_class_set_item_pre(&mut self, item: &ast::ClassSetItem) -> Result<(), String> {
        match item {
            ast::ClassSetItem::Bracketed(_) => {
                Err(r"has a class inside a class; write \[ for a literal bracket".to_owned())
            }
            ast::ClassSetItem::Literal(literal) => self.check_literal(literal),
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
                let chars = u32::from(range.end.c).abs_diff(range.start.c.into());
                self.range_chars = self.range_chars.saturating_add(chars);
                self.check_literal(&range.start)
                    .and_then(|()| self.check_literal(&range.end))
            }
            ast::ClassSetItem::Ascii(_) => self.check_named_class("[:…:]"),
            ast::ClassSetItem::Perl(_) => self.check_named_class(r"\d, \s or \w"),
            ast::ClassSetItem::Unicode(_) => Err(UNICODE_CLASS.to_owned()),
            ast::ClassSetItem::Union(union) => {
                // The shop may read a range at a hyphen that is a literal here, unless the hyphen
                // is last.
                let (_, before) = union.items.split_last().unzip();
                let is_hyphen = |item: &ast::ClassSetItem| {
                    matches!(
                        item,
                        ast::ClassSetItem::Literal(ast::Literal {
                            c: '-',
                            kind: ast::LiteralKind::Verbatim,
                            ..
                        })
                    )
                };
                if before.is_some_and(|before: &[_]| before.iter().any(is_hyphen)) {
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

const UNICODE_CLASS: &str =
    r"has \p, whose characters depend on the shop's version; list the characters";
