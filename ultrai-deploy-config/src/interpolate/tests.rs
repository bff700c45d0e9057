use super::*;

fn run(text: &str) -> Result<String, Failure> {
    let lookup = |name: &str| match name {
        "A" => Some(Value { text: "a".into(), empty: false }),
        "EMPTY" => Some(Value { text: String::new(), empty: true }),
        _ => None,
    };
    interpolate(text, &lookup, &mut |_| {})
}

#[test]
fn every_form_reads_as_compose_reads_it() {
    for (text, expected) in [
        ("$A-${A}", "a-a"),
        ("${EMPTY:-d}|${EMPTY-d}", "d|"),
        ("${NO:-d}|${NO-d}", "d|d"),
        ("${A:+r}|${EMPTY:+r}|${EMPTY+r}|${NO+r}", "r||r|"),
        ("${NO:-${EMPTY:-${A}x}}", "ax"),
        ("$$A $${A}", "$A ${A}"),
        ("$1 $ 5$", "$1 $ 5$"),
        ("${NO}", ""),
        ("${NO:-a:?b}", "a:?b"),
        ("${A:?must}", "a"),
        ("pa$$word", "pa$word"),
    ] {
        assert_eq!(run(text).unwrap(), expected, "{text}");
    }
}

#[test]
fn what_is_required_is_an_error_with_its_own_message() {
    let required = Failure::Required { name: "NO".into(), message: "set a please".into() };
    assert_eq!(run("${NO:?set $A please}").unwrap_err(), required);
    assert!(run("${EMPTY:?x}").is_err());
    assert_eq!(run("${EMPTY?x}").unwrap(), "");
}

#[test]
fn a_text_that_needs_all_its_variables() {
    let lookup = |name: &str| (name == "A").then(|| "a".to_owned());
    let run = |text| fill(text, &lookup);
    assert_eq!(run("$A-${NO:-d}-${NO:+r}").unwrap(), "a-d-");
    assert_eq!(run("$A-${NO}-$LATER"), Err(Unfilled::Unset("NO".into())));
    let required = run("${NO:?say it}").unwrap_err();
    assert_eq!(required.to_string(), "variable NO is required: say it");
    assert!(matches!(run("${A"), Err(Unfilled::Syntax(_))));
}

#[test]
fn braces_pair_up_as_compose_counts_them() {
    for (text, expected) in [
        ("${A:-{x}}|${NO:-{x}}", "a|{x}"),
        ("${A:-x}y}", "ay}"),
        ("${A:-{{x}}}", "a}"),
        ("${A:-{}}\n${NO:-{}}", "a\n{}"),
        ("${A:-$${NO}}", "a"),
        ("${A}\n}", "a\n}"),
    ] {
        assert_eq!(run(text).unwrap(), expected, "{text}");
    }
}

#[test]
fn names_are_found_where_they_are_not_used_too() {
    let found = names("$A ${B} ${C:-${D:+$E}} $$F ${G?$H}\n$1").unwrap();
    assert_eq!(found.into_iter().collect::<String>(), "ABCDEGH");
    assert!(names("${A").is_err());
}

#[test]
fn long_lines_do_not_take_long() {
    for (piece, each) in [("${A:-x}{", 2), ("${NO:-{{x}} ", 5), ("$A$$", 2)] {
        let text = piece.repeat(200_000);
        assert_eq!(run(&text).unwrap().len(), each * 200_000, "{piece}");
    }
    assert!(run(&"${A:-{}} ".repeat(200_000)).is_err());
    assert!(run(&"${A:-".repeat(200_000)).is_err());
}

#[test]
fn broken_braces_are_errors() {
    for text in ["${A", "${}", "${A!b}", "${1A}", "${NO:-${A}", "${NO:-a\nb}", "${A:-{}} x}"] {
        assert!(matches!(run(text), Err(Failure::Syntax(_))), "{text}");
    }
    let deep = format!("{}x{}", "${NO:-".repeat(50_000), "}".repeat(50_000));
    assert!(matches!(run(&deep), Err(Failure::Syntax(_))));
}
