//! Our reading of dotenv files and of variables in values beside that of the real Docker Compose.
//!
//! Cases that we refuse are told one by one, all others at once. What is read otherwise on purpose
//! is listed with its reason, and is asked, too: a difference that is none any more fails.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "how much was compared is to be seen")]

#[path = "oracle/cases.rs"]
mod cases;
#[path = "oracle/files.rs"]
mod files;
mod oracle;

use std::{fmt::Write as _, thread};

use cases::{OTHERWISE, PROJECTS, RAW, REFUSED, REFUSED_VALUES, UNUSED, VALUES};
use files::DOTENV;
use indexmap::IndexMap;
use oracle::{Format, Oracle, Variables};
use ultrai_deploy_config::{
    dotenv::{self, Outside},
    interpolate::{Value, interpolate},
};

fn variables<'a>(pairs: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> Variables {
    pairs.into_iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The variables from outside.
fn outside() -> Variables {
    variables(&[
        ("OUTSIDE", "out"),
        ("EMPTY", ""),
        ("DOLLAR", "$OUTSIDE ${X:-d} $$"),
        ("SPACED", " a  b "),
        ("HASH", "a #b"),
        ("QUOTE", "'a' \"b\" \\n"),
        ("lower", "l"),
        ("_u", "u"),
    ])
}

fn read(text: &str, format: Format) -> Result<Variables, String> {
    let outside = outside();
    let read = match format {
        Format::Compose => dotenv::parse(text, &|name| outside.get(name).cloned()),
        Format::Raw => dotenv::parse_raw(text),
    };
    read.map(|entries| entries.into_iter().collect()).map_err(|error| error.to_string())
}

/// Asks for every case alone whether it is refused; answers with those that are not.
fn not_refused<'a>(texts: &[&'a str], refused: impl Fn(&str) -> bool + Sync) -> Vec<&'a str> {
    let half = texts.len().div_ceil(2).max(1);
    let refused = &refused;
    thread::scope(|scope| {
        let halves: Vec<_> = texts
            .chunks(half)
            .map(|texts| {
                scope.spawn(move || -> Vec<&str> {
                    texts.iter().copied().filter(|text| !refused(text)).collect()
                })
            })
            .collect();
        halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
    })
}

/// Compares env files; answers with how many.
fn compare_files(oracle: &Oracle, texts: &[&str], format: Format) -> usize {
    let env = outside();
    let (read_by_us, refused): (Vec<_>, Vec<_>) =
        texts.iter().copied().partition(|text| read(text, format).is_ok());
    let mut differences = String::new();
    let alone: Vec<_> = read_by_us.iter().map(std::slice::from_ref).collect();
    let theirs = oracle.env_files(&alone, format, &env);
    for (text, theirs) in read_by_us.iter().zip(theirs) {
        let ours = read(text, format).unwrap();
        if ours != theirs {
            writeln!(differences, "{text:?}:\n   ours {ours:?}\n theirs {theirs:?}").unwrap();
        }
    }
    for text in
        not_refused(&refused, |text| oracle.try_env_files(&[&[text]], format, &env).is_err())
    {
        let ours = read(text, format).unwrap_err();
        writeln!(differences, "{text:?}: {} reads what we refuse: {ours}", oracle.version).unwrap();
    }
    assert!(differences.is_empty(), "{}:\n{differences}", oracle.version);
    texts.len()
}

#[test]
fn dotenv_files_are_read_as_compose_reads_them() {
    for oracle in oracle::all() {
        let files = compare_files(&oracle, DOTENV, Format::Compose);
        let raw = compare_files(&oracle, RAW, Format::Raw);
        println!("{files} dotenv files and {raw} raw ones are read as {} does", oracle.version);
        assert!(files + raw > 200);
    }
}

#[test]
fn dotenv_files_that_lose_something_are_refused_or_read_whole() {
    for oracle in oracle::all() {
        let env = outside();
        for (text, why) in REFUSED {
            read(text, Format::Compose).expect_err(&format!("{text:?}: {why}"));
        }
        // Compose takes them all: where it does no more, the difference is none.
        let texts: Vec<_> = REFUSED.iter().map(|(text, _)| std::slice::from_ref(text)).collect();
        oracle.env_files(&texts, Format::Compose, &env);
        let texts: Vec<_> = OTHERWISE.iter().map(|(text, ..)| std::slice::from_ref(text)).collect();
        let theirs = oracle.env_files(&texts, Format::Compose, &env);
        for ((text, expected, why), theirs) in OTHERWISE.iter().zip(theirs) {
            let ours = read(text, Format::Compose).unwrap();
            assert_eq!(ours, variables(*expected), "{text:?}: {why}");
            assert_ne!(ours, theirs, "{text:?}: {why}");
        }
    }
}

/// The variables of files, of which a later one wins and knows the variables of the earlier.
fn read_all(files: &[&str]) -> Result<Variables, String> {
    let outside = outside();
    let mut found = IndexMap::new();
    for text in files {
        let real = |name: &str| outside.get(name).cloned();
        let shown = |name: &str| real(name).map(|text| Value { empty: text.is_empty(), text });
        let outside =
            Outside { real: &real, shown: &shown, is_secret: &|_| false, earlier: &found };
        let entries = dotenv::read(text, &outside).or_first_error();
        found.extend(entries.map_err(|error| error.to_string())?);
    }
    Ok(found.into_iter().map(|(name, entry)| (name, entry.real)).collect())
}

#[test]
fn several_files_stand_above_each_other_as_in_compose() {
    let env = outside();
    for oracle in oracle::all() {
        for files in PROJECTS {
            let ours = read_all(files);
            let theirs = oracle.try_env_files(&[files], Format::Compose, &env);
            assert_eq!(ours.as_ref().ok(), theirs.ok().map(|mut one| one.remove(0)).as_ref());
            // The variables of the process stand above those of the project's files.
            let ours = ours.map(|mut variables| {
                variables.extend(env.clone());
                let lines = variables.iter().map(|(name, value)| format!("{name}={value}"));
                lines.collect::<Vec<_>>()
            });
            let theirs = oracle.project(files, &env).map(|mut lines| {
                lines.sort();
                lines
            });
            assert_eq!(ours.ok(), theirs.ok(), "{files:?}");
        }
        println!("{} lists of files are read as {} does", PROJECTS.len(), oracle.version);
    }
}

fn fill(text: &str, env: &Variables) -> Option<String> {
    let lookup =
        |name: &str| env.get(name).map(|text| Value { text: text.clone(), empty: text.is_empty() });
    interpolate(text, &lookup, &mut |_| {}).ok()
}

#[test]
fn variables_in_values_are_filled_in_as_compose_does() {
    let env = variables(&[
        ("A", "a"),
        ("E", ""),
        ("B", "b}c"),
        ("D", "$A ${N:-d} $$"),
        ("lower", "l"),
        ("_U", "u"),
    ]);
    for oracle in oracle::all() {
        let newer = oracle.version == "v5.6.1";
        let texts = VALUES.iter().chain(UNUSED.iter().filter(|_| newer)).copied();
        let (filled, refused): (Vec<_>, Vec<_>) =
            texts.partition(|text| fill(text, &env).is_some());
        let mut differences = String::new();
        for (text, theirs) in filled.iter().zip(oracle.values(&filled, &env)) {
            let ours = fill(text, &env).unwrap();
            if ours != theirs {
                writeln!(differences, "{text:?}: ours {ours:?}, theirs {theirs:?}").unwrap();
            }
        }
        for text in not_refused(&refused, |text| oracle.value(text, &env).is_err()) {
            writeln!(differences, "{text:?}: we refuse it, Compose does not").unwrap();
        }
        if !newer {
            for text in not_refused(UNUSED, |text| oracle.value(text, &env).is_err()) {
                writeln!(differences, "{text:?}: the older Compose reads it, too").unwrap();
            }
        }
        let lost: Vec<_> = REFUSED_VALUES.iter().map(|(text, _)| *text).collect();
        oracle.values(&lost, &env);
        for (text, why) in REFUSED_VALUES {
            if fill(text, &env).is_some() {
                writeln!(differences, "{text:?}: is not refused, though {why}").unwrap();
            }
        }
        assert!(differences.is_empty(), "{}:\n{differences}", oracle.version);
        let compared = filled.len() + refused.len();
        println!("{compared} values are filled in as {} does", oracle.version);
    }
}
