//! Random dotenv files and values, read by us and by the real Docker Compose.
//!
//! The same ones each time, unless ULTRAI_FUZZ_SEED and ULTRAI_FUZZ_CASES say otherwise.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "how much was compared is to be seen")]

mod oracle;

use std::fmt::Write as _;

use oracle::{Format, Oracle, Variables};
use proptest::{
    prelude::*,
    sample::select,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use ultrai_deploy_config::{
    dotenv::{self, quote},
    interpolate::{Failure, Value, interpolate},
    placeholder::{CLOSE, OPEN},
};

/// Most calls for files that we refuse, each of which takes one.
const REFUSED: usize = 30;

#[expect(clippy::disallowed_methods, reason = "a test has no program around it that reads it")]
fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// As many as are wanted of what `strategy` makes.
fn make<S: Strategy>(strategy: &S, default: u64) -> Vec<S::Value> {
    let number_of_seed = number("ULTRAI_FUZZ_SEED", 5);
    println!("ULTRAI_FUZZ_SEED={number_of_seed}");
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number_of_seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let cases = number("ULTRAI_FUZZ_CASES", default);
    (0..cases).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// The newer Compose. The older one makes the argument of an operator also where it is not used.
fn newer() -> Option<Oracle> {
    oracle::all().into_iter().next()
}

fn env() -> Variables {
    let pairs = [("OUT", "out"), ("EMPTY", ""), ("WILD", "$OUT '\"\\n #x"), ("B", "outer")];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn words(words: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    select(words).prop_map(str::to_owned)
}

fn concat(part: impl Strategy<Value = String>, most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(part, 0..most).prop_map(|parts| parts.concat())
}

/// What may stand in any value.
fn variable() -> impl Strategy<Value = String> {
    let leaf = words(&[
        "$OUT", "${OUT}", "$A", "${B}", "$EMPTY", "$NO", "${NO}", "$WILD", "$$", "x", "$1", "$ ",
        "${NO:-}", "y z",
    ]);
    leaf.prop_recursive(3, 8, 3, |inner| {
        let name = select(vec!["OUT", "EMPTY", "NO", "A", "WILD"]);
        let operator = select(vec![":-", "-", ":+", "+", ":-", "-", ":?", "?"]);
        (name, operator, prop::collection::vec(inner, 0..3))
            .prop_map(|(name, operator, inner)| format!("${{{name}{operator}{}}}", inner.concat()))
    })
}

fn value() -> impl Strategy<Value = String> {
    let any = words(&[
        "a", "bc", "0", "=", ":", "é", "\u{A0}", "\r", "\\", "\t", "{", "}", "#", "1 2", "~", "`",
        ";",
    ]);
    let bare = concat(
        prop_oneof![4 => any.clone(), 2 => variable(), 1 => words(&[" ", " #", "'", "\""])],
        6,
    );
    let single = concat(
        prop_oneof![any.clone(), variable(), words(&["\n", "\"", "\\'", "\\\\", " #", "\r\n"])],
        6,
    );
    let escape = words(&[
        "\\n", "\\t", "\\r", "\\\"", "\\\\", "\\$", "\\a", "\\b", "\\f", "\\v", "\\0101", "\\0351",
        "\\x41", "\\q", "\\ ", "\\'", "\\1", "\n", "\r\n", "'", " #",
    ]);
    let double =
        concat(prop_oneof![any.prop_filter("escapes", |text| text != "\\"), variable(), escape], 6);
    prop_oneof![
        3 => bare,
        2 => single.prop_map(|text| format!("'{text}'")),
        3 => double.prop_map(|text| format!("\"{text}\"")),
    ]
}

fn line() -> impl Strategy<Value = String> {
    let before = words(&["", "", "", " ", "\t", "export ", "export\t", "  export  ", "\u{A0}"]);
    let name = words(&["A", "B", "C", "A1", "a.b", "a-b", "_", "é", "x[0]", "OUT", "exported"]);
    let sign = words(&["=", "=", "=", " = ", ":", ": ", "=\t", "= \u{A0}"]);
    let after = words(&["", "", " ", " # c", "\t", " #", "\r", " # ${ '\""]);
    prop_oneof![
        10 => (before, name.clone(), sign, value(), after)
            .prop_map(|(before, name, sign, value, after)| format!("{before}{name}{sign}{value}{after}")),
        1 => words(&["", "# c", "  # 'c", "\r", "OUT", " B ", "export OUT", "A B=1", "A #", "+=1", "A=${", "A='"]),
        1 => name,
    ]
}

/// What we refuse and Compose takes, losing something: see the table in the crate's `dotenv`.
fn is_deliberate(message: &str, text: &str) -> bool {
    message.contains("a name must stand here")
        || message.contains("something follows the quoted value")
        || (message.contains("`=` must follow") && text.contains(['\t', '\u{A0}', '\r']))
        || (message.contains("not closed or not understood") && text.matches('{').count() > 1)
}

#[test]
fn random_dotenv_files_are_read_as_compose_reads_them() {
    let Some(oracle) = newer() else { return };
    let env = env();
    let file = prop::collection::vec(line(), 1..4).prop_map(|lines| lines.join("\n") + "\n");
    let files = make(&file, 800);
    let read = |text: &str| dotenv::parse(text, &|name| env.get(name).cloned());
    let (read_by_us, refused): (Vec<&str>, Vec<&str>) =
        files.iter().map(String::as_str).partition(|text| read(text).is_ok());
    let alone: Vec<_> = read_by_us.iter().map(std::slice::from_ref).collect();
    let mut differences = String::new();
    for (text, theirs) in read_by_us.iter().zip(oracle.env_files(&alone, Format::Compose, &env)) {
        let ours: Variables = read(text).unwrap().into_iter().collect();
        if ours != theirs {
            writeln!(differences, "{text:?}:\n   ours {ours:?}\n theirs {theirs:?}").unwrap();
        }
    }
    for text in refused.iter().take(REFUSED) {
        let error = read(text).unwrap_err();
        if let Ok(theirs) = oracle.try_env_files(&[&[text]], Format::Compose, &env)
            && !is_deliberate(&error.message, text)
        {
            writeln!(differences, "{text:?}: {error}, theirs {theirs:?}").unwrap();
        }
    }
    assert!(differences.is_empty(), "{differences}");
    println!("{} files read alike, {} refused by us", read_by_us.len(), refused.len());
    assert!(read_by_us.len() > files.len() / 2, "the grammar makes too many broken files");
}

/// Whether a `${` is open at the end of its line.
fn is_unpaired(text: &str) -> bool {
    text.lines().any(|line| {
        line.match_indices("${").any(|(at, _)| {
            let mut open = 0_usize;
            !line[at..].chars().any(|c| {
                match c {
                    '{' => open += 1,
                    '}' => open -= 1,
                    _ => {}
                }
                c == '}' && open == 0
            })
        })
    })
}

#[test]
fn random_values_are_filled_in_as_compose_does() {
    let Some(oracle) = newer() else { return };
    let env = env();
    let part = prop_oneof![
        3 => variable(),
        2 => words(&["a", "$", "{", "}", "${", ":-", "?", "+", "\n", "-", "$$", "NO", "é", "\"", "\\", "${NO:-", "${OUT:-"]),
    ];
    let texts = make(&concat(part, 6), 800);
    let fill = |text: &str| {
        let lookup = |name: &str| {
            env.get(name).map(|text| Value { text: text.clone(), empty: text.is_empty() })
        };
        interpolate(text, &lookup, &mut |_| {})
    };
    let (filled, refused): (Vec<&str>, Vec<&str>) =
        texts.iter().map(String::as_str).partition(|text| fill(text).is_ok());
    let mut differences = String::new();
    for (text, theirs) in filled.iter().zip(oracle.values(&filled, &env)) {
        let ours = fill(text).unwrap();
        if ours != theirs {
            writeln!(differences, "{text:?}: ours {ours:?}, theirs {theirs:?}").unwrap();
        }
    }
    let mut more = 0;
    for text in refused.iter().take(REFUSED) {
        let Ok(theirs) = oracle.value(text, &env) else { continue };
        more += 1;
        let unpaired = is_unpaired(text) || text.contains("{}") || text.contains("{{");
        if !unpaired || matches!(fill(text), Err(Failure::Required { .. })) {
            writeln!(differences, "{text:?}: we refuse it, theirs {theirs:?}").unwrap();
        }
    }
    assert!(differences.is_empty(), "{differences}");
    println!(
        "{} values alike, {} refused, {more} of {REFUSED} by us only",
        filled.len(),
        refused.len()
    );
    assert!(filled.len() > texts.len() / 3, "the grammar makes too many broken values");
}

#[test]
fn what_is_quoted_is_read_back_by_compose() {
    let holds = |text: &String| !text.contains(['\0', OPEN, CLOSE]);
    let piece = words(&[
        "'", "\"", "\\", "$", "{", "}", "\n", "\r", "#", " ", "a", "0101", "${A}", "\u{FEFF}",
        "\u{A0}",
    ]);
    let value =
        prop_oneof![any::<String>(), concat(piece, 8)].prop_filter("no file holds it", holds);
    let values = make(&value, 400);
    let name = |at: usize| format!("V{at}");
    let lines =
        values.iter().enumerate().map(|(at, value)| format!("{}={}\n", name(at), quote(value)));
    let text: String = lines.collect();
    for oracle in oracle::all() {
        let read = oracle.env_files(&[&[&text]], Format::Compose, &env()).remove(0);
        for (at, value) in values.iter().enumerate() {
            // The values stand in JSON with every dollar doubled.
            assert_eq!(&read[&name(at)], value, "{}", quote(value));
        }
        println!("{} values are read back by {}", values.len(), oracle.version);
    }
}
