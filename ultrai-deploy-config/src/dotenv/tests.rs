use std::fmt::Write as _;

use super::*;

fn variables(text: &str) -> Vec<(String, String)> {
    let outside = |name: &str| (name == "OUTSIDE").then(|| "out".to_owned());
    parse(text, &outside).unwrap().into_iter().collect()
}

/// Nothing is outside; F is a secret.
fn read_alone(text: &str) -> Reading {
    let is_secret = |name: &str| name == "F";
    let earlier = IndexMap::new();
    let outside =
        Outside { real: &|_| None, shown: &|_| None, is_secret: &is_secret, earlier: &earlier };
    read(text, &outside)
}

#[test]
fn every_form_reads_as_compose_reads_it() {
    for (text, expected) in [
        ("A=1", "1"),
        ("export A=1", "1"),
        ("A: 1", "1"),
        ("A = a b c  ", "a b c"),
        ("A=a # b", "a"),
        ("A=a#b", "a#b"),
        ("A=#a", "#a"),
        ("A=", ""),
        ("A='$X \\n'", "$X \\n"),
        ("A=\"a\\nb\" # c", "a\nb"),
        ("A=\"\\$X \\\"q\\\" \\\\\"", "$X \"q\" \\"),
        ("A=pa$$word", "pa$word"),
        ("A=${X:-d}", "d"),
        ("A=${OUTSIDE}", "out"),
        ("OUTSIDE=in\nA=$OUTSIDE", "out"),
        ("B=1\nA=${B}2", "12"),
        ("A='line 1\nline 2'", "line 1\nline 2"),
        ("\u{FEFF}A=1", "1"),
        ("# c\n\n  A=1\r\n", "1"),
        ("A=1\nA=2", "2"),
        ("A=a\tb", "a\tb"),
    ] {
        let variables = variables(text);
        let value = variables.iter().find(|(name, _)| name == "A").map(|(_, value)| value);
        assert_eq!(value.map(String::as_str), Some(expected), "{text:?}");
    }
    assert_eq!(variables("OUTSIDE\nMISSING\n"), [("OUTSIDE".to_owned(), "out".to_owned())]);
    assert_eq!(variables("a.b-c[0]=1")[0].0, "a.b-c[0]");
}

#[test]
fn errors_name_the_line_and_no_value() {
    for (text, line) in [
        ("A=1\n=2", 2),
        ("A=1\nB='hunter2", 2),
        ("A=1\n\nB=\"hunter2\" x", 3),
        ("A B=1", 1),
        ("A=hunter2${", 1),
    ] {
        let error = parse(text, &|_| None).unwrap_err();
        assert_eq!(error.line, line, "{text:?}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let text = "A=1\nB C=x\nD=\"d\nd\" x\nE=${\nF=2\n=3\nG='7\nH=8";
    let reading = read_alone(text);
    let lines: Vec<_> = reading.errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [2, 4, 5, 7, 8], "{:?}", reading.errors);
    let entries = reading.entries.iter().map(|(name, entry)| (name.as_str(), entry.line));
    assert_eq!(entries.collect::<Vec<_>>(), [("A", 1), ("F", 6)]);
    assert!(reading.entries["F"].is_secret() && !reading.entries["A"].is_secret());
    let forbidden = read_alone("A=1\nB=\0\nC=\u{E000}");
    let lines: Vec<_> = forbidden.errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [2, 3]);
}

#[test]
fn the_message_of_what_is_required_names_its_variables() {
    let outside = |name: &str| (name == "SECRET").then(|| "hunter2".to_owned());
    let error = parse("\nA=${NO:?as long as $SECRET, and $NO}", &outside).unwrap_err();
    let expected = "line 2: in the value of A, NO is required: as long as $SECRET, and ";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn earlier_lines_win_over_earlier_files() {
    let earlier = read_alone("A=file\nF=secret").entries;
    let outside =
        Outside { real: &|_| None, shown: &|_| None, is_secret: &|_| false, earlier: &earlier };
    let entries = read("B=$A\nA=line\nC=$A\nD=$F", &outside).or_first_error().unwrap();
    let real: Vec<_> = entries.values().map(|entry| entry.real.as_str()).collect();
    assert_eq!(real, ["file", "line", "line", "secret"]);
    assert!(entries["D"].is_secret() && !format!("{outside:?}{entries:?}").contains("=secret"));
}

#[test]
fn lost_octal_digits_are_refused() {
    for escape in ["\\0", "\\012", "\\08", "\\0400", "\\0777", "\\0000", "\\0+10", "\\0ä"] {
        let error = parse(&format!("A=\"hunter2{escape}\""), &|_| None).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn what_is_quoted_is_read_back() {
    for value in
        ["", "a", " a", "#", "$A", "'", "\"", "\\", "\n", "a\r\nb", "\\0101", "${", "'\\$$\""]
    {
        let text = format!("A={} # comment\n", quote(value));
        let variables = parse(&text, &|_| None).unwrap();
        assert_eq!(variables["A"], value, "{text}");
        assert_eq!(text.matches('\n').count(), 1, "{text}");
    }
    assert_eq!(quote("redis://a:6379/0"), "redis://a:6379/0");
    assert_eq!(quote("pa$$word"), "'pa$$word'");
}

#[test]
fn hostile_files_are_read_in_good_time() {
    let long = "x".repeat(10_000_000);
    let variables = parse(&format!("A={long}\nB=$A"), &|_| None).unwrap();
    assert_eq!(variables["B"].len(), long.len());
    assert!(parse(&long, &|_| None).unwrap().is_empty());
    assert!(parse(&format!("A=\"{long}"), &|_| None).is_err());
    let nested = format!("A={}{}", "${N:-".repeat(100_000), "}".repeat(100_000));
    assert!(parse(&nested, &|_| None).is_err());
    let mut doubling = "A0=0123456789abcdef\n".to_owned();
    for line in 1..60 {
        writeln!(doubling, "A{line}=$A{0}$A{0}", line - 1).unwrap();
    }
    assert_eq!(read_alone(&doubling).errors[0].line, 22);
    let lines = "=\n".repeat(100_000);
    assert_eq!(read_alone(&lines).errors.len(), 100_000);
}

#[test]
fn raw_values_are_taken_as_they_stand() {
    let variables = parse_raw("A='$X' # c\n").unwrap();
    assert_eq!(variables["A"], "'$X' # c");
}
