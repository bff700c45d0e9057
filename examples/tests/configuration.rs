//! `ultrai config`, and deploys that are refused for their configuration, in a copy of
//! examples/configuration.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

const KEYS: &str = "MONGODB_URI=mongodb://ultrai:canary-canary@mongodb/ultrai\n\
                    MONGODB_ROOT_PASSWORD=canary-canary\nOPENAI_API_KEY=canary-openai\n\
                    CLAUDE_API_KEY=canary-claude\nJWT_SECRET=canary-canary-canary-canary-canary\n";

struct Project {
    directory: TempDir,
}

impl Project {
    /// A copy with all keys that staging and production need.
    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("ultrai-config-").tempdir().unwrap();
        let examples = Path::new(env!("CARGO_MANIFEST_DIR"));
        let project = Self { directory };
        for name in
            ["deploy.toml", ".env.template", ".env.development", ".env.staging", ".env.production"]
        {
            fs::copy(examples.join("configuration").join(name), project.path(name)).unwrap();
        }
        let compose = fs::read_to_string(examples.join("app/docker-compose.yml")).unwrap();
        project.write("docker-compose.yml", &compose);
        let text =
            project.read("deploy.toml").replace("../app/docker-compose.yml", "docker-compose.yml");
        project.write("deploy.toml", &text);
        project.write(".env.api_keys", KEYS);
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Writes a file for its owner only.
    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn run(&self, arguments: &[&str], env: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ultrai"))
            .args(arguments)
            .args(["--state".as_ref(), self.path("state").as_os_str()])
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOME", self.directory.path())
            // Nothing here needs an engine.
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
            .envs(env.iter().copied())
            .output()
            .unwrap()
    }

    /// What is said, without the directory.
    fn said(&self, output: &Output) -> String {
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        let text = String::from_utf8(text).unwrap();
        text.replace(&format!("{}/", self.directory.path().display()), "")
    }

    fn json(&self, arguments: &[&str], env: &[(&str, &str)]) -> (i32, Value) {
        let output = self.run(&[arguments, &["--format", "json"]].concat(), env);
        let value = serde_json::from_slice(&output.stdout);
        (output.status.code().unwrap(), value.unwrap_or_else(|_| panic!("{}", self.said(&output))))
    }
}

/// One variable is missing, one has the wrong type, one is unknown.
#[test]
fn one_error_names_all_three_before_anything_begins() {
    let project = Project::new();
    assert_eq!(project.run(&["config", "check"], &[]).status.code(), Some(0));
    let keys = KEYS.replace("JWT_SECRET=canary-canary-canary-canary-canary\n", "");
    project.write(".env.api_keys", &keys);
    let production = project.read(".env.production") + "FRONTEND_PORT=threethousand\n";
    project.write(".env.production", &production);
    project.write(".env.template", &(project.read(".env.template") + "REDIS_URL={{REDIS_URI}}\n"));

    let output = project.run(&["deploy", "-e", "production", "--tag", "1.0.0"], &[]);
    let said = project.said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for problem in [
        "3 problems:",
        ".env.production:2: FRONTEND_PORT: \"threethousand\" is refused; it must be a port from 1",
        ".env.template:22: JWT_SECRET: it has no value, and production needs one; set it in \
         .env.api_keys",
        ".env.template:25: REDIS_URL: it is not declared; did you mean REDIS_URI?",
    ] {
        assert!(said.contains(problem), "{problem}\n{said}");
    }
    assert!(!said.contains("canary"), "{said}");
    assert!(!project.path("state").exists(), "something was begun");

    let (code, checked) = project.json(&["config", "check", "-e", "production"], &[]);
    let problems = &checked["environments"]["production"]["problems"];
    assert_eq!((code, problems.as_array().unwrap().len()), (2, 3), "{checked}");
}

#[test]
fn values_are_shown_with_where_they_come_from_and_secrets_are_not() {
    let project = Project::new();
    let env = [("ULTRAI_LOG_LEVEL", "warning"), ("OPENAI_API_KEY", "canary-process")];
    let show = ["config", "show", "-e", "staging", "--tag", "1.4.0", "--set", "REDIS_PORT=6380"];
    let (code, shown) = project.json(&show, &env);
    assert_eq!(code, 0, "{shown}");
    let rows: BTreeMap<&str, &Value> = shown["variables"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["name"].as_str().unwrap(), row))
        .collect();
    let told = |name: &str| {
        let text = |field: &str| rows[name][field].as_str().unwrap_or("-").to_owned();
        let directory = format!("{}/", project.directory.path().display());
        (text("value"), text("origin").replace(&directory, ""))
    };
    for (name, value, origin) in [
        ("LOG_LEVEL", "warning", "process variable ULTRAI_LOG_LEVEL"),
        ("REDIS_PORT", "6380", "command line"),
        ("CORS_ORIGINS", "https://staging.example.com", ".env.staging:2"),
        ("VERSION", "1.4.0", "the version that is deployed"),
        ("OPENAI_API_KEY", "***", "process variable OPENAI_API_KEY"),
        ("JWT_SECRET", "***", ".env.api_keys:5"),
        ("COHERE_API_KEY", "-", "-"),
    ] {
        assert_eq!(told(name), (value.to_owned(), origin.to_owned()), "{name}");
    }
    let hidden = rows["LOG_LEVEL"]["shadowed"].to_string();
    assert!(hidden.contains(".env.staging:1") && hidden.contains("deploy.toml:"), "{hidden}");
    let said = project.said(&project.run(&show, &env));
    assert!(said.contains("LOG_LEVEL              warning  [process variable"), "{said}");
    assert!(said.contains("hides .env.staging:1"), "{said}");
    assert!(!said.contains("canary") && !shown.to_string().contains("canary"), "{said}");

    let secret = project.run(&["config", "show", "-e", "staging", "--set", "JWT_SECRET=x"], &[]);
    assert_eq!(secret.status.code(), Some(2));
    assert!(project.said(&secret).contains("seen by everybody"), "{}", project.said(&secret));
}

#[test]
fn keys_that_others_can_read_are_refused_with_the_command_that_mends_it() {
    let project = Project::new();
    let keys = project.path(".env.api_keys");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).unwrap();
    let output = project.run(&["deploy", "-e", "staging", "--tag", "1.0.0"], &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("run chmod 600 {}", keys.display())), "{said}");
}

#[test]
fn environments_are_compared_and_what_they_share_is_told() {
    let project = Project::new();
    let (code, found) = project.json(&["config", "diff", "staging", "production"], &[]);
    assert_eq!(code, 0);
    let names: Vec<_> = found["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["CORS_ORIGINS", "LOG_LEVEL"]);
    // One file of keys for both is what should not be.
    let said = project.said(&project.run(&["config", "check", "--tag", "1.0.0"], &[]));
    assert!(said.contains("the secret JWT_SECRET is the same in staging and production"), "{said}");
    assert!(!said.contains("canary"), "{said}");
}

#[test]
fn the_reference_has_every_variable() {
    let project = Project::new();
    let output = project.run(&["config", "docs"], &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    for line in project.read(".env.template").lines().filter(|line| line.contains('=')) {
        let (name, _) = line.split_once('=').unwrap();
        assert!(text.contains(&format!("| `{name}` |")), "{name}\n{text}");
    }
    assert!(
        text.contains("| `JWT_SECRET` | secret text, at least 32 characters | yes |"),
        "{text}"
    );
}

/// The reference beside the example is what `config docs` prints.
#[test]
fn the_reference_of_the_example_is_current() {
    let project = Project::new();
    let output = project.run(&["config", "docs"], &[]);
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("configuration/variables.md");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), fs::read_to_string(kept).unwrap());
}

/// What a CI system makes of a secret that it does not have.
#[test]
fn an_empty_variable_hides_no_secret() {
    let project = Project::new();
    for name in ["JWT_SECRET", "ULTRAI_JWT_SECRET"] {
        let show = ["config", "show", "-e", "staging"];
        let (code, shown) = project.json(&show, &[(name, ""), ("LOG_LEVEL", "")]);
        let rows = shown["variables"].as_array().unwrap();
        let secret = rows.iter().find(|row| row["name"] == "JWT_SECRET").unwrap();
        let origin = secret["origin"].as_str().unwrap();
        assert!(origin.ends_with(".env.api_keys:5"), "{name}: {origin}");
        // What is no secret is what it is set to, which is nothing.
        let level = rows.iter().find(|row| row["name"] == "LOG_LEVEL").unwrap();
        assert_eq!((code, &level["origin"]), (0, &"process variable LOG_LEVEL".into()), "{shown}");
    }
}

#[test]
fn a_variable_names_the_file_of_a_secret_where_no_source_is_declared() {
    let project = Project::new();
    project.write("jwt", "canary-canary-canary-canary-file\n");
    project.write(".env.api_keys", &KEYS.replace("JWT_SECRET", "# JWT_SECRET"));
    let jwt = project.path("jwt");
    let file = ("JWT_SECRET_FILE", jwt.to_str().unwrap());
    let show = ["config", "show", "-e", "production"];
    let said = project.said(&project.run(&show, &[file]));
    assert!(said.contains("***  [secret source environment]"), "{said}");
    assert!(!said.contains("canary"), "{said}");
    assert_eq!(project.run(&["config", "check"], &[file]).status.code(), Some(0));
    let both = project.run(&show, &[file, ("JWT_SECRET", "canary-canary-canary-canary-both")]);
    let said = project.said(&both);
    assert!(said.contains("JWT_SECRET and JWT_SECRET_FILE are both set"), "{said}");
    assert_eq!(both.status.code(), Some(2), "{said}");
}

/// A source that is down is told once, and hides nothing else.
#[test]
fn a_source_that_fails_is_one_problem_among_others() {
    let project = Project::new();
    let source = "[[secret_source]]\nkind = \"command\"\ncommand = [\"false\"]\nformat = \"json\"\n\
                  environments = [\"production\"]\n";
    project.write("deploy.toml", &(project.read("deploy.toml") + source));
    project.write(".env.production", "CORS_ORIGINS=https://a.example\nLOG_LEVEL=loud\n");
    let (code, checked) = project.json(&["config", "check"], &[]);
    assert_eq!(code, 2);
    let of = |name: &str| {
        let problems = checked["environments"][name]["problems"].as_array();
        problems.unwrap_or_else(|| panic!("{checked}")).clone()
    };
    assert!(of("staging").is_empty(), "{checked}");
    let production = of("production");
    assert_eq!(production.len(), 2, "{checked}");
    let (first, second) = (production[0].as_str().unwrap(), production[1].as_str().unwrap());
    assert!(first.contains("the source `command false` does not tell"), "{first}");
    assert!(second.contains("LOG_LEVEL: \"loud\" is refused"), "{second}");
    let (code, shown) = project.json(&["config", "show", "-e", "production"], &[]);
    assert_eq!((code, shown["problems"].as_array().unwrap().len()), (2, 2), "{shown}");
    let rows = shown["variables"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["name"] == "BACKEND_PORT" && row["value"] == "8085"));
}
