//! Secret values stay out of what is loaded, stored and said, on whatever way they come in.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, fs, path::Path};

use tempfile::TempDir;
use ultrai_deploy_docker::compose::{self, LoadError, Loaded, Options, secret};

const VALUE: &str = "hunter2-value";

fn files(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::Builder::new().prefix("shop").tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn load(directory: &Path, env: &[(&str, &str)]) -> Result<Loaded, LoadError> {
    compose::load(&Options {
        path: directory.to_path_buf(),
        env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        secrets: BTreeSet::from(["TOKEN".to_owned(), "EMPTY".to_owned()]),
        ..Options::default()
    })
}

/// The environment of `web`, with values filled in; no value must be in what was loaded.
fn filled(loaded: &Loaded, name: &str) -> String {
    let stored = serde_json::to_string(&loaded.project).unwrap();
    assert!(!stored.contains(VALUE), "{stored}");
    assert!(!format!("{loaded:?}").contains(VALUE), "{loaded:?}");
    let text = loaded.project.services["web"].environment[name].clone().unwrap();
    let value = |name: &str| loaded.secrets.get(name).map(|value| value.expose().to_owned());
    secret::substitute(&text, value).unwrap()
}

#[test]
fn a_value_that_comes_with_another_variable_stays_out_too() {
    let compose = "services: {web: {image: x, env_file: web.env, environment: {URL: '${URL}', \
                   OWN: 'a${TOKEN}b', TEST: '${TOKEN:+set}${EMPTY:-unset}${EMPTY:+set}'}}}";
    let dotenv =
        format!("BEFORE=${{TOKEN:-none}}\nTOKEN={VALUE}\nEMPTY=\nURL=http://${{TOKEN}}@x\n");
    let web = "COPY=\"<${TOKEN}>\"\nFROM_URL=${URL}/y\nFROM_OWN=${OWN}\nBEFORE=$BEFORE\n";
    let directory = files(&[("compose.yaml", compose), (".env", &dotenv), ("web.env", web)]);
    let loaded = load(directory.path(), &[]).unwrap();
    for (name, expected) in [
        ("URL", format!("http://{VALUE}@x")),
        ("OWN", format!("a{VALUE}b")),
        ("TEST", "setunset".to_owned()),
        ("COPY", format!("<{VALUE}>")),
        ("FROM_URL", format!("http://{VALUE}@x/y")),
        ("FROM_OWN", format!("a{VALUE}b")),
        ("BEFORE", "none".to_owned()),
    ] {
        assert_eq!(filled(&loaded, name), expected, "{name}");
    }
}

#[test]
fn a_secret_that_only_an_env_file_has_stays_out() {
    let compose = "services: {web: {image: x, env_file: [a.env, {path: b.env, format: raw}]}}";
    let a = format!("TOKEN={VALUE}\nURL=http://${{TOKEN}}@x\n");
    let b = format!("TOKEN={VALUE}\nRAW=$TOKEN\n");
    let directory = files(&[("compose.yaml", compose), ("a.env", &a), ("b.env", &b)]);
    let loaded = load(directory.path(), &[]).unwrap();
    assert_eq!(filled(&loaded, "TOKEN"), VALUE);
    assert_eq!(filled(&loaded, "URL"), format!("http://{VALUE}@x"));
    assert_eq!(filled(&loaded, "RAW"), "$TOKEN");
}

#[test]
fn a_secret_has_one_value() {
    let other = format!("services: {{web: {{image: x, environment: {{TOKEN: {VALUE}}}}}}}");
    let directory = files(&[("compose.yaml", &other)]);
    let loaded = load(directory.path(), &[("TOKEN", VALUE)]).unwrap();
    assert_eq!(filled(&loaded, "TOKEN"), VALUE);
    let message = load(directory.path(), &[("TOKEN", "another")]).unwrap_err().to_string();
    assert!(message.contains("the secret TOKEN has another value elsewhere"), "{message}");
    assert!(!message.contains(VALUE) && !message.contains("another\n"), "{message}");
}

#[test]
fn nothing_but_a_secret_can_look_like_a_placeholder() {
    let forged = secret::placeholder("TOKEN");
    for (text, env_file, env) in [
        (format!("services: {{web: {{image: x, environment: {{A: '{forged}'}}}}}}"), "", ""),
        ("services: {web: {image: x, environment: {A: \"\\uE000TOKEN\\uE001\"}}}".into(), "", ""),
        (format!("services: {{web: {{image: x, environment: {{'{forged}': a}}}}}}"), "", ""),
        ("services: {web: {image: x, env_file: a.env}}".into(), forged.as_str(), ""),
        ("services: {web: {image: x, environment: {A: '$A'}}}".into(), "", forged.as_str()),
        ("services: {web: {image: x, environment: [A]}}".into(), "", forged.as_str()),
    ] {
        let env_file = format!("A='{env_file}'\n");
        let directory = files(&[("compose.yaml", &text), ("a.env", &env_file)]);
        let error = load(directory.path(), &[("A", env), ("TOKEN", VALUE)]).unwrap_err();
        assert!(error.to_string().contains("U+E000"), "{text}: {error}");
    }
    // A variable that nobody refers to may hold what it likes.
    let directory = files(&[("compose.yaml", "services: {web: {image: x}}")]);
    assert!(load(directory.path(), &[("PROMPT", &forged)]).is_ok());
}
