//! Files that are read and found; wrong and right ones are in the modules below.

mod backups;
mod direct;
mod documented;
mod flags;
mod hosted;
mod migrations;
mod problems;
mod registries;
mod right;
mod secret_source;
mod variables;

use ultrai_deploy_core::{Effect, ErrorKind};

use super::*;

/// What is told about a text, each problem on its line.
fn told(text: &str) -> String {
    Config::parse(Path::new("deploy.toml"), text).map_or_else(
        |problems| problems.to_string(),
        |config| panic!("this is fine: {text}\n{config:#?}"),
    )
}

fn parse(text: &str) -> Config {
    Config::parse(Path::new("deploy.toml"), text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn environment(name: &str) -> EnvironmentName {
    EnvironmentName::new(name).unwrap()
}

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

#[test]
fn a_missing_or_unreadable_file_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("deploy.toml");
    let error = Config::load(&file).unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Invalid, Effect::None));
    assert!(error.to_string().contains("deploy.toml: it does not exist (create it"), "{error}");
    std::fs::write(&file, [0xff, 0xfe]).unwrap();
    let error = Config::load(&file).unwrap_err();
    assert!(error.to_string().contains("it is not UTF-8"), "{error}");
}

#[test]
fn files_are_found_beside_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("deploy.toml");
    let text = "compose = \"app.yml\"\n[environments.production]\nenv_files = [\".env.p\"]\n";
    std::fs::write(&file, text).unwrap();
    let error = Config::load(&file).unwrap_err().to_string();
    assert!(error.contains("deploy.toml:1:11: compose: file "), "{error}");
    assert!(error.contains("app.yml does not exist; name a file, relative to"), "{error}");

    std::fs::write(directory.path().join("app.yml"), "").unwrap();
    let config = Config::load(&file).unwrap();
    let compose = directory.path().join("app.yml");
    assert_eq!(config.backend, Backend::Compose { file: Some(compose), docker_host: None });
    assert_eq!(config.directory(), directory.path());

    let error = config.environment(&environment("production")).unwrap_err().to_string();
    assert!(error.contains("deploy.toml:3:14: environments.production.env_files: "), "{error}");
    let env_file = directory.path().join(".env.p");
    std::fs::write(&env_file, "").unwrap();
    let production = config.environment(&environment("production")).unwrap();
    assert_eq!(production.env_files().collect::<Vec<_>>(), [&env_file]);
}

#[test]
fn an_unknown_environment_is_refused_with_the_known_ones() {
    let error = parse("").environment(&environment("prod")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(
        error.advice(),
        Some(
            "did you mean production? known: development, production, staging; \
             add [environments.prod] for a new one"
        ),
    );
    let config = parse("[environments.live]\n");
    assert!(config.environment(&environment("live")).is_ok());
    assert!(config.environment(&environment("production")).is_err());
}
