//! Our loader beside the real Docker Compose, on files of our own.
//!
//! `tests/compose/same/` holds files that both must read alike, `bad/` files that both must
//! refuse, and `refused/` files that Compose takes and we refuse by name. A file may begin with
//! `# env: NAME=value` lines for its environment, and a refused one has `# refused: LINE TEXT`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "compose/canonical.rs"]
mod canonical;
#[path = "compose/oracle.rs"]
mod oracle;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use oracle::Oracle;
use serde_json::{Value, json};
use ultrai_deploy_docker::compose::{self, LoadError, Loaded, Options};

fn files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose").join(directory);
    let mut files: Vec<_> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "nothing to compare in {}", directory.display());
    files
}

fn environment(file: &Path, oracle: &Oracle) -> Vec<(String, String)> {
    let text = fs::read_to_string(file).unwrap();
    let own = text.lines().filter_map(|line| line.strip_prefix("# env: ")).map(|line| {
        let (name, value) = line.split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    });
    own.chain([("HOME".to_owned(), oracle.home().display().to_string())]).collect()
}

fn ours(file: &Path, env: &[(String, String)]) -> Result<Loaded, LoadError> {
    let env: BTreeMap<_, _> = env.iter().cloned().collect();
    compose::load(&Options { path: file.to_owned(), env, ..Options::default() })
}

/// What both make of a file: (ours, theirs).
fn both(
    file: &Path,
    env: &[(String, String)],
    oracle: &Oracle,
) -> Result<(Value, Value), LoadError> {
    let answer = oracle.config(file, env, &["--format", "json"]);
    assert!(answer.accepted, "{}: Compose refuses it: {}", file.display(), answer.stderr);
    let theirs = canonical::project(&serde_json::from_str(&answer.stdout).unwrap());
    let loaded = ours(file, env)?;
    let mut ours = serde_json::to_value(&loaded.project).unwrap();
    let object = ours.as_object_mut().unwrap();
    object.remove("working_dir");
    object.remove("config_files");
    object.remove("places");
    for service in object["services"].as_object_mut().unwrap().values_mut() {
        canonical::without_marks(service);
        let Some(build) = service.get_mut("build").and_then(Value::as_object_mut) else { continue };
        if build.get("dockerfile") == Some(&json!("Dockerfile")) {
            build.remove("dockerfile");
        }
        if let Some(keys) = build.get_mut("unsupported").and_then(Value::as_array_mut) {
            keys.sort_by_key(ToString::to_string);
        }
    }
    Ok((ours, theirs))
}

/// Writes where two values differ.
fn differences(path: &str, ours: &Value, theirs: &Value, out: &mut String) {
    match (ours, theirs) {
        (Value::Object(left), Value::Object(right)) => {
            for key in left.keys().chain(right.keys().filter(|key| !left.contains_key(*key))) {
                let (left, right) = (left.get(key), right.get(key));
                let path = format!("{path}.{key}");
                match (left, right) {
                    (Some(left), Some(right)) => differences(&path, left, right, out),
                    _ => writeln!(out, "{path}: ours {left:?}, theirs {right:?}").unwrap(),
                }
            }
        }
        _ if ours == theirs => {}
        _ => writeln!(out, "{path}: ours {ours}, theirs {theirs}").unwrap(),
    }
}

#[test]
fn files_are_read_as_compose_reads_them() {
    let Some(oracle) = Oracle::find() else { return };
    let mut out = String::new();
    for file in files("same") {
        let name = file.file_name().unwrap().to_string_lossy();
        match both(&file, &environment(&file, &oracle), &oracle) {
            Ok((ours, theirs)) => differences(&name, &ours, &theirs, &mut out),
            Err(error) => writeln!(out, "{name}: we refuse it: {error}").unwrap(),
        }
    }
    assert!(out.is_empty(), "\n{out}");
}

/// One file for each line of `list`, which stands below `services.web`.
fn bodies(list: &str, directory: &Path) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose").join(list);
    let list = fs::read_to_string(path).unwrap();
    list.lines()
        .enumerate()
        .map(|(number, body)| {
            let file = directory.join(format!("{number}.yaml"));
            let text = format!("services:\n  web:\n    image: x\n    {body}\n  db: {{image: y}}\n");
            fs::write(&file, text).unwrap();
            file
        })
        .collect()
}

#[test]
fn single_keys_are_read_as_compose_reads_them() {
    let Some(oracle) = Oracle::find() else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut out = String::new();
    for file in bodies("same_bodies.txt", directory.path()) {
        let text = fs::read_to_string(&file).unwrap();
        let body = text.lines().nth(3).unwrap().trim();
        match both(&file, &environment(&file, &oracle), &oracle) {
            Ok((ours, theirs)) => differences(body, &ours, &theirs, &mut out),
            Err(error) => writeln!(out, "{body}: we refuse it: {error}").unwrap(),
        }
    }
    assert!(out.is_empty(), "\n{out}");
}

#[test]
fn single_keys_that_compose_refuses_are_refused() {
    let Some(oracle) = Oracle::find() else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut out = String::new();
    for file in bodies("bad_bodies.txt", directory.path()) {
        let env = environment(&file, &oracle);
        let (theirs, ours) = (oracle.config(&file, &env, &["--quiet"]), ours(&file, &env));
        if theirs.accepted || ours.is_ok() {
            let text = fs::read_to_string(&file).unwrap();
            let body = text.lines().nth(3).unwrap().trim();
            writeln!(out, "{body}: theirs {}, ours {}", theirs.accepted, ours.is_ok()).unwrap();
        }
    }
    assert!(out.is_empty(), "\n{out}");
}

#[test]
fn files_that_compose_refuses_are_refused() {
    let Some(oracle) = Oracle::find() else { return };
    let mut out = String::new();
    for file in files("bad") {
        let env = environment(&file, &oracle);
        if oracle.config(&file, &env, &["--quiet"]).accepted {
            writeln!(out, "{}: Compose takes it", file.display()).unwrap();
        }
        match ours(&file, &env) {
            Ok(_) => writeln!(out, "{}: we take it", file.display()).unwrap(),
            Err(error) => {
                let has_place = |problem: &compose::Problem| problem.position.is_some();
                if !fs::read_to_string(&file).unwrap().is_empty()
                    && !error.problems.iter().all(has_place)
                {
                    writeln!(out, "no line and column: {error}").unwrap();
                }
            }
        }
    }
    assert!(out.is_empty(), "\n{out}");
}

#[test]
fn what_is_not_supported_is_refused_by_name_and_line() {
    let Some(oracle) = Oracle::find() else { return };
    for file in files("refused") {
        let env = environment(&file, &oracle);
        let answer = oracle.config(&file, &env, &["--quiet"]);
        assert!(answer.accepted, "{}: {}", file.display(), answer.stderr);
        let text = fs::read_to_string(&file).unwrap();
        let expected = text.lines().find_map(|line| line.strip_prefix("# refused: ")).unwrap();
        let (line, words) = expected.split_once(' ').unwrap();
        let error = ours(&file, &env).err().unwrap_or_else(|| panic!("taken: {}", file.display()));
        let found = error.problems.iter().any(|problem| {
            problem.position.is_some_and(|at| at.line.to_string() == line)
                && problem.to_string().contains(words)
        });
        assert!(found, "{}: expected {expected}, got\n{error}", file.display());
    }
}

#[test]
fn config_hashes_are_those_of_compose_or_none() {
    let Some(oracle) = Oracle::find() else { return };
    let directory = tempfile::tempdir().unwrap();
    let (mut equal, mut none, mut out) = (0, 0, String::new());
    for file in files("same").into_iter().chain(bodies("same_bodies.txt", directory.path())) {
        let env = environment(&file, &oracle);
        let services = ours(&file, &env).unwrap().project.services;
        let answer = oracle.config(&file, &env, &["--hash", "*"]);
        for line in answer.stdout.lines() {
            let (name, theirs) = line.split_once(' ').unwrap();
            match compose::config_hash(&services[name]) {
                None => none += 1,
                Some(ours) if ours == theirs => equal += 1,
                Some(_) => {
                    let text = serde_json::to_string(&services[name]).unwrap();
                    writeln!(out, "{} {name}: {text}", file.display()).unwrap();
                }
            }
        }
    }
    assert!(out.is_empty(), "equal {equal}, none {none}, different:\n{out}");
    assert!(equal > 10 * none, "only {equal} hashes are made, {none} are not");
}
