use super::*;

fn excludes(patterns: &[&str], path: &str) -> bool {
    Rules::parse(&patterns.join("\n")).unwrap().excludes(path)
}

/// What a walk sends: it does not look below what it skips.
fn walk(patterns: &[&str], paths: &[&str]) -> Vec<String> {
    let rules = Rules::parse(&patterns.join("\n")).unwrap();
    let reached = |path: &str| {
        path.match_indices('/')
            .map(|(end, _)| &path[..end])
            .all(|directory| !rules.excludes(directory) || rules.has_exception_below(directory))
    };
    paths
        .iter()
        .filter(|path| reached(path) && !rules.excludes(path))
        .map(ToString::to_string)
        .collect()
}

#[test]
fn one_pattern() {
    let cases: &[(&str, &str, bool)] = &[
        ("a", "a", true),
        ("a", "a/b/c", true),
        ("a", "b/a", false),
        ("a/b", "a", false),
        ("a/b", "a/b/c", true),
        ("*", ".hidden", true),
        ("*", "a/b", true),
        ("*.log", "x.log", true),
        ("*.log", "logs/x.log", false),
        ("*.log", "x.log/inside", true),
        ("*/temp*", "a/temporary.txt", true),
        ("*/temp*", "temporary.txt", false),
        ("*/*/temp*", "a/b/temp", true),
        ("*/*/temp*", "a/temp", false),
        ("temp?", "tempa", true),
        ("temp?", "temp", false),
        ("temp?", "temp/", false),
        ("?", "é", true),
        ("a?c", "a/c", false),
        ("a*c", "a/c", false),
        ("a.c", "abc", false),
        ("a(b|c)+$", "a(b|c)+$", true),
        ("a*b*c*d/f", "a1b2c3d/f", true),
        ("a*b*c*d/f", "a1b2/c3d/f", false),
    ];
    for (pattern, path, expected) in cases {
        assert_eq!(excludes(&[pattern], path), *expected, "{pattern} on {path}");
    }
}

#[test]
fn double_stars() {
    let cases: &[(&str, &str, bool)] = &[
        ("**", "a", true),
        ("**", "a/b", true),
        ("**/", "a/b", true),
        ("**/**", "a/b", true),
        ("**/a", "a", true),
        ("**/a", "x/y/a", true),
        ("**/a", "x/a/inside", true),
        ("**/a", "xa", false),
        ("**/*.go", "x.go", true),
        ("**/*.go", "x/y/z.go", true),
        ("**/*.go", "x/y/z.rs", false),
        ("**/**/*.go", "x/y.go", true),
        ("a/**", "a", false),
        ("a/**", "a/b", true),
        ("a/**", "a/b/c", true),
        ("a/**/c", "a/c", true),
        ("a/**/c", "a/x/y/c", true),
        ("a/**/c", "a/xc", false),
        ("a**/*.txt", "a/x/y.txt", true),
        ("**/a/**", "x/a/y/z", true),
        ("**/a/**", "x/a", false),
        ("**/a/*", "x/a/y/z", true),
        // By suffix, as long as nothing else in it is special.
        ("**file", "file", true),
        ("**file", "myfile", true),
        ("**file", "x/myfile", true),
        ("**fil?", "myfile", false),
        ("**fil?", "x/file", true),
    ];
    for (pattern, path, expected) in cases {
        assert_eq!(excludes(&[pattern], path), *expected, "{pattern} on {path}");
    }
}

#[test]
fn classes_and_escapes() {
    let cases: &[(&str, &str, bool)] = &[
        ("[a-c]x", "bx", true),
        ("[a-c]x", "dx", false),
        ("[^a-c]x", "dx", true),
        ("[^a-c]x", "bx", false),
        ("[!a]x", "!x", true),
        ("[!a]x", "bx", false),
        ("[a-ζ]", "α", true),
        (r"[\]a]", "]", true),
        (r"[x\-]", "-", true),
        ("[*]", "*", true),
        ("[*]", "a", false),
        (r"a\*b", "a*b", true),
        (r"a\*b", "axb", false),
        (r"a\\", r"a\", true),
        (r"\!a", "!a", true),
        (r"\#a", "#a", true),
    ];
    for (pattern, path, expected) in cases {
        assert_eq!(excludes(&[pattern], path), *expected, "{pattern} on {path}");
    }
}

#[test]
fn lines_are_cleaned() {
    for pattern in ["/a/b", "a/b/", "./a/b", "a//b", "a/x/../b", "  a/b\t", "/../a/b", "a/./b"] {
        assert!(excludes(&[pattern], "a/b"), "{pattern:?}");
        assert!(!excludes(&[pattern], "x/a/b"), "{pattern:?}");
    }
    assert!(!excludes(&["a", "! a"], "a"), "blanks after `!`");
    assert!(!excludes(&["a", "!/a/"], "a"));
    assert!(!excludes(&["# a", "", "   "], "# a"));
    assert!(excludes(&[" #a"], "#a"), "only a `#` in the first column makes a comment");
    assert!(
        Rules::parse("\u{feff}a\r\nb\r\n").is_ok_and(|rules| {
            rules.excludes("a") && rules.excludes("b") && !rules.excludes("c")
        })
    );
    assert!(!excludes(&[".", "/"], "a"), "the context itself cannot be left out");
}

#[test]
fn the_last_match_decides() {
    let cases: &[(&[&str], &str, bool)] = &[
        (&["*.md", "!README.md"], "README.md", false),
        (&["*.md", "!README.md"], "OTHER.md", true),
        (&["!README.md", "*.md"], "README.md", true),
        (&["*.md", "!README*.md", "README-secret.md"], "README.md", false),
        (&["*.md", "!README*.md", "README-secret.md"], "README-secret.md", true),
        (&["*.md", "README-secret.md", "!README*.md"], "README-secret.md", false),
        (&["docs", "!docs/README.md"], "docs/README.md", false),
        (&["docs", "!docs/README.md"], "docs/x", true),
        (&["docs/*", "!docs/README.md"], "docs/README.md", false),
        (&["**", "!a/b"], "a/b/c/d", false),
        (&["**", "!a/b", "a/b/c"], "a/b/c/d", true),
        (&["*", "!src", "**/test"], "src/x", false),
        (&["*", "!src", "**/test"], "src/test/x", true),
        // Docker does not try a pattern on what is excluded already, so the repeated one is
        // not inherited by what the exception brings back.
        (&["a", "!a/keep", "a"], "a/keep", false),
    ];
    for (patterns, path, expected) in cases {
        assert_eq!(excludes(patterns, path), *expected, "{patterns:?} on {path}");
    }
}

#[test]
fn a_walk_reaches_every_exception() {
    let paths = ["a", "a/keep", "a/x/keep", "a/x/y/keep.py", "b", "b/keep"];
    let cases: &[(&[&str], &[&str])] = &[
        (&["a", "!a/keep"], &["a/keep", "b", "b/keep"]),
        (&["*", "!**/keep"], &["a/keep", "a/x/keep", "b/keep"]),
        (&["*", "!a/*/keep"], &["a/x/keep"]),
        (&["*", "!a/**/*.py"], &["a/x/y/keep.py"]),
        (&["*", "!a[^q]x/keep"], &["a/x/keep"]),
        (&["*"], &[]),
    ];
    for (patterns, expected) in cases {
        assert_eq!(walk(patterns, &paths), *expected, "{patterns:?}");
    }
}

#[test]
fn a_walk_skips_what_no_exception_can_reach() {
    let rules = Rules::parse("*\n!src/*.rs\n").unwrap();
    for (directory, expected) in
        [("src", true), ("node_modules", false), ("src/deep", false), ("src/deep/er", false)]
    {
        assert_eq!(rules.has_exception_below(directory), expected, "{directory}");
    }
}

#[test]
fn what_is_always_sent() {
    let mut rules = Rules::parse("*\n!keep").unwrap();
    rules.always_send("docker/Dockerfile[1]");
    rules.always_send("keep");
    assert!(!rules.excludes("docker/Dockerfile[1]"));
    assert!(rules.excludes("docker/Dockerfile1"));
    assert!(rules.has_exception_below("docker"));
    assert_eq!(rules.rules.len(), 3, "what is sent anyway needs no exception");
}

#[test]
fn a_bad_pattern_names_its_line() {
    for bad in [
        "!", "! ", "!/", "!/..", "[", "[^", "[a", "a[", "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]",
        "[z-a]", "\\",
    ] {
        let error = Rules::parse(&format!("# c\nok\n{bad}\n")).unwrap_err();
        assert_eq!((error.line, error.pattern.as_str()), (3, bad.trim()));
        assert!(error.to_string().starts_with("line 3: "), "{error}");
    }
}

#[test]
fn stars_do_not_take_exponential_time() {
    let pattern = format!("{}b", "*a".repeat(60));
    assert!(!excludes(&[&pattern], &"a".repeat(250)));
    let pattern = format!("{}b", "**/a/".repeat(60));
    assert!(!excludes(&[&pattern], &"a/".repeat(120)));
}
