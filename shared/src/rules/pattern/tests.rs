use proptest::prelude::*;

use super::*;

#[track_caller]
fn matches(pattern: &str, text: &str) -> bool {
    Pattern::parse(pattern).unwrap().is_match(text).unwrap()
}

#[test]
fn reads_delimiters_and_flags_as_php_does() {
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
        "", "b", "/b", "b/", "/b\\/", "(b)", "{b}", "\\b\\", "ébé", " /b/", "/b/ ", "/b/x", "/b/m",
        "/b/U", "/b/e", "/a/b/",
    ] {
        assert!(Pattern::parse(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn matches_a_dollar_before_a_final_line_break_without_the_flag_d() {
    assert!(matches("/^a$/", "a\n") && matches("/^a$/", "a"));
    assert!(!matches("/^a$/", "a\n\n") && !matches("/^a$/", "a\nb"));
    assert!(!matches("/^a$/D", "a\n") && matches("/^a$/D", "a"));
    assert!(matches("/^(a$|b)/", "a\n") && matches(r"/^[$]\$$/", "$$"));
}

#[test]
fn rejects_an_expression_that_the_shop_reads_differently_with_a_hint() {
    let cases = [
        ("/é/", "the flag u"),
        (r"/\x{e9}/", "the flag u"),
        (r"/(a)\1/", "is not valid"),
        ("/(?=a)/", "is not valid"),
        ("/(?<!a)b/", "is not valid"),
        ("/(?>a)/", "is not valid"),
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
        (r"/\b{start}a/", "a form of \\b"),
        (r"/\<a/", "a form of \\b"),
        ("/[a[b]]/", "a class inside a class"),
        ("/[a&&b]/", "in a class"),
        ("/[a--b]/", "in a class"),
        (
            "/((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))/",
            "is not valid",
        ),
        ("/((a{500}){500}){500}/", "is too large"),
        ("/[--a]/", "has a hyphen"),
        (r"/[^--\/]/", "has a hyphen"),
        ("/[]-a]/", "has a hyphen"),
        ("/[[:alnum:]-z]/", "has a hyphen"),
        ("/[=-[:alpha:]]/", "a range up to ["),
        ("/[:digit:]/", "write [[:…:]]"),
        ("/[.a.]/", "write [[:…:]]"),
        ("/a{ 2 }/", "has a space in a count"),
        ("/(?<a.b>x)/", "has a group name"),
        ("/(?:){70000}/", "more than 65535 times"),
        ("/a(/", "is not valid: unclosed group"),
        ("/a{,2}/", "is not valid"),
        (r"/\Qa\E/", "is not valid"),
    ];
    for (pattern, expected) in cases {
        let error = Pattern::parse(pattern).unwrap_err();
        assert!(error.contains(expected), "{pattern}: {error}");
    }
}

#[test]
fn accepts_typical_expressions_and_rejects_large_ones() {
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
        assert_eq!(Pattern::parse(slow).unwrap_err(), "is too large", "{slow}");
    }
}

#[test]
fn limits_the_text_more_for_an_expression_with_many_states() {
    for (expression, longest) in [
        ("/b$/", TEXT_BYTES_MAX),
        ("/^(gift|pr[eé]sent) ?card$/iu", TEXT_BYTES_MAX),
        ("/a.{300}c/s", WORK_MAX / 605),
        ("/(?:(?:a*)(?:b*)){110}c/", WORK_MAX / 1433),
        ("/[a-z]{3,40}c/u", WORK_MAX / 523),
    ] {
        let pattern = Pattern::parse(expression).unwrap();
        let matches = |length| pattern.is_match(&"a".repeat(length));
        assert_eq!(matches(longest), Some(false), "{expression}");
        assert_eq!(matches(longest + 1), None, "{expression}");
    }
}

#[test]
fn counts_the_states_of_repeated_empty_expressions_without_overflow() {
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
        let pattern = Pattern::parse(&written).unwrap();
        assert_eq!(pattern.is_match("b"), None, "{written}");
        assert!(pattern.work(1, 1) > 0, "{written}");
    }
}

#[test]
fn limits_an_expression_before_compiling_it() {
    let longest = format!("[{}]", "a".repeat(EXPRESSION_BYTES_MAX - 2));
    assert!(Pattern::parse(&format!("/{longest}/")).is_ok());
    for expression in [&*longest, "(?:||||){0}", "a{0}"] {
        let text = format!("/{}/", expression.repeat(2 * EXPRESSION_BYTES_MAX / 4));
        assert_eq!(
            Pattern::parse(&text).unwrap_err(),
            "has more than 2048 bytes"
        );
    }
    let wide = |count| "[b-\\x{10ffff}]{0}".repeat(count);
    assert!(Pattern::parse(&format!("/{}/iu", wide(16))).is_ok());
    assert!(Pattern::parse(&format!("/{}/u", wide(17))).is_ok());
    assert_eq!(
        Pattern::parse(&format!("/{}/iu", wide(17))).unwrap_err(),
        TOO_MANY_FOLDED
    );
}

#[test]
fn matches_in_linear_time_where_backtracking_is_exponential() {
    // PCRE gives up on this expression. A backtracking engine without limits would never end.
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
    "\u{b}", "\u{c}", "\u{85}", "\u{a0}", "-", "_", "[", "]", "&", "$", ".", "/", ":", "^", "z",
    "", "\u{1b}", "\u{7}", "{,2}",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]
    #[test]
    fn matches_accepted_expressions_as_pcre_does(
        expression in prop_oneof![
            fragments(ATOMS, 7),
            fragments(IN_CLASSES, 6).prop_map(|inside| format!("[{inside}]")),
            (fragments(ATOMS, 4), fragments(IN_CLASSES, 4)).prop_map(|(outside, inside)| format!("{outside}[{inside}]+")),
        ],
        text in fragments(TEXTS, 6),
        flags in prop::sample::select(vec!["", "i", "s", "u", "iu", "isu"]),
    ) {
        let Ok(pattern) = Pattern::parse(&format!("~{expression}~{flags}")) else {
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
