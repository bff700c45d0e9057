//! The loader on whole files: what is read, what is refused, and how it is said.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use tempfile::TempDir;
use ultrai_deploy_docker::compose::{
    self, Loaded, Options, Project,
    model::{Condition, HealthTest, MountKind, Restart},
    secret,
};

fn options(directory: &Path) -> Options {
    Options { path: directory.to_path_buf(), ..Options::default() }
}

fn write(text: &str) -> TempDir {
    let directory = tempfile::Builder::new().prefix("shop").tempdir().unwrap();
    fs::write(directory.path().join("compose.yaml"), text).unwrap();
    directory
}

fn load(text: &str) -> Project {
    let directory = write(text);
    compose::load(&options(directory.path())).unwrap_or_else(|error| panic!("{error}")).project
}

fn refuse(text: &str) -> String {
    let directory = write(text);
    compose::load(&options(directory.path())).expect_err(text).to_string()
}

#[test]
fn options_show_no_values() {
    let env = BTreeMap::from([("TOKEN".to_owned(), "canary".to_owned())]);
    let shown = format!("{:?}", Options { env, ..Options::default() });
    assert!(shown.contains("TOKEN") && !shown.contains("canary"), "{shown}");
}

#[test]
fn the_application_of_the_pipeline_plan_loads() {
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/app");
    let mut options = options(&app);
    options.env = BTreeMap::from([
        ("VERSION".to_owned(), "v1.2.0".to_owned()),
        ("OPENAI_API_KEY".to_owned(), "sk-secret-value".to_owned()),
    ]);
    options.secrets = BTreeSet::from(["OPENAI_API_KEY".to_owned()]);
    let Loaded { project, secrets, warnings } = compose::load(&options).unwrap();
    let backend = &project.services["backend"];
    assert_eq!(backend.image.as_deref(), Some("ultrai/backend:v1.2.0"));
    assert_eq!(backend.ports[0].published.as_deref(), Some("8085"));
    assert_eq!(backend.environment["LOG_LEVEL"].as_deref(), Some("info"));
    assert_eq!(backend.depends_on["redis"].condition, Condition::Started);
    let check = backend.healthcheck.as_ref().unwrap();
    assert_eq!(check.start_period, Some(Duration::from_secs(15)));
    assert!(matches!(
        project.services["mongodb"].healthcheck.as_ref().unwrap().test,
        HealthTest::Shell(_)
    ));
    assert_eq!(project.volumes["redis_data"].name, format!("{}_redis_data", project.name));
    assert!(project.networks.contains_key("default"));

    let key = backend.environment["OPENAI_API_KEY"].clone().unwrap();
    assert_eq!(secret::names_in(&key), BTreeSet::from(["OPENAI_API_KEY"]));
    assert_eq!(secrets["OPENAI_API_KEY"].expose(), "sk-secret-value");
    assert!(!serde_json::to_string(&project).unwrap().contains("sk-secret-value"));
    assert!(warnings.iter().any(|warning| warning.contains("CLAUDE_API_KEY")), "{warnings:?}");
}

#[test]
fn what_an_optional_dependency_does_not_mean_is_told() {
    let directory = write(
        "services:\n  web:\n    image: a\n    depends_on:\n      db: {condition: service_healthy, \
         required: false}\n      cache: {condition: service_started}\n  db: {image: a}\n  \
         cache: {image: a}\n",
    );
    let Loaded { warnings, project, .. } = compose::load(&options(directory.path())).unwrap();
    assert!(!project.services["web"].depends_on["db"].required);
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert!(warning.starts_with("services.web.depends_on.db: "), "{warning}");

    let error = refuse(
        "services:\n  web:\n    image: a\n    depends_on:\n      db: {condition: \
         service_started, required: false}\n",
    );
    assert!(
        error.contains("`db` is no service of this file (`required: false` or not)"),
        "{error}"
    );
}

#[test]
fn what_is_loaded_survives_storage() {
    let project = load(
        "services:\n  web:\n    image: a\n    command: run \"x y\"\n    stop_grace_period: 1m\n    \
         deploy: {resources: {limits: {cpus: '0.5', memory: 64m}}}\n    ulimits: {nofile: 10}\n",
    );
    let stored = serde_json::to_value(&project).unwrap();
    assert_eq!(serde_json::from_value::<Project>(stored).unwrap(), project);
    assert_eq!(project.services["web"].resources.nano_cpus, Some(500_000_000));
}

#[test]
fn ports_in_every_form() {
    let project = load(
        "services:\n  web:\n    image: a\n    ports:\n      - 3000\n      - \"80:81\"\n      \
         - 127.0.0.1:82:83/udp\n      - \"[::1]:84:85\"\n      - 90-91:92-93\n      \
         - {target: 94, published: \"95-96\", host_ip: 127.0.0.1}\n",
    );
    let ports: Vec<_> = project.services["web"]
        .ports
        .iter()
        .map(|port| {
            let host = port.host_ip.as_deref().unwrap_or("*");
            let published = port.published.as_deref().unwrap_or("?");
            format!("{host}:{published}:{}/{}", port.target, port.protocol)
        })
        .collect();
    assert_eq!(
        ports,
        [
            "*:?:3000/tcp",
            "*:80:81/tcp",
            "127.0.0.1:82:83/udp",
            "::1:84:85/tcp",
            "*:90:92/tcp",
            "*:91:93/tcp",
            "127.0.0.1:95-96:94/tcp",
        ]
    );
}

#[test]
fn mounts_environment_and_env_files() {
    let directory = write(
        "services:\n  web:\n    image: a\n    volumes: [\"./conf:/conf:ro\", \"data:/data\", /anon]\n    \
         env_file: [web.env, {path: none.env, required: false}]\n    environment:\n      \
         - FROM_OUTSIDE\n      - OWN=1\n      - GONE\n    restart: on-failure:3\nvolumes: {data: }\n",
    );
    fs::write(directory.path().join("web.env"), "OWN=2\nFILE=${OWN}-${FROM_OUTSIDE}\nTOKEN=abc\n")
        .unwrap();
    let mut options = options(directory.path());
    options.env = BTreeMap::from([("FROM_OUTSIDE".to_owned(), "out".to_owned())]);
    options.secrets = BTreeSet::from(["TOKEN".to_owned()]);
    let Loaded { project, secrets, .. } = compose::load(&options).unwrap();
    let web = &project.services["web"];
    let kinds: Vec<_> = web.volumes.iter().map(|mount| mount.kind).collect();
    assert_eq!(kinds, [MountKind::Bind, MountKind::Volume, MountKind::Volume]);
    assert!(web.volumes[0].read_only && web.volumes[0].source.as_ref().unwrap().starts_with('/'));
    assert_eq!(web.environment["FROM_OUTSIDE"].as_deref(), Some("out"));
    assert_eq!(web.environment["OWN"].as_deref(), Some("1"));
    assert_eq!(web.environment["FILE"].as_deref(), Some("1-out"));
    assert_eq!(web.environment["GONE"], None);
    assert_eq!(web.environment["TOKEN"].as_deref(), Some(&*secret::placeholder("TOKEN")));
    assert_eq!(secrets["TOKEN"].expose(), "abc");
    assert_eq!(web.restart, Some(Restart::OnFailure(Some(3))));
}

#[test]
fn names_of_projects() {
    let directory = write("name: My.Proj_X\nservices: {a: {image: a}}\n");
    let mut options = options(directory.path());
    assert_eq!(compose::load(&options).unwrap().project.name, "myproj_x");
    options.env = BTreeMap::from([("COMPOSE_PROJECT_NAME".to_owned(), "env-name".to_owned())]);
    assert_eq!(compose::load(&options).unwrap().project.name, "env-name");
    options.project_name = Some("Given".to_owned());
    assert!(compose::load(&options).unwrap_err().to_string().contains("lower-case"));
}

/// Whoever only looks, or goes back, must not need a file without mistakes.
#[test]
fn the_name_alone_needs_no_right_file() {
    let wrong = "name: Shop\nservices: {web: {image: \"a:${VERSION:?set it}\", prots: []}}\n";
    let directory = write(wrong);
    let mut options = options(directory.path());
    assert!(compose::load(&options).is_err());
    assert_eq!(compose::project_name(&options).unwrap(), "shop");
    fs::write(directory.path().join("compose.yaml"), "services: [\n").unwrap();
    assert!(compose::project_name(&options).unwrap_err().to_string().contains("not YAML"));
    options.env = BTreeMap::from([("COMPOSE_PROJECT_NAME".to_owned(), "env-name".to_owned())]);
    assert_eq!(compose::project_name(&options).unwrap(), "env-name");
}

#[test]
fn anchors_merges_extensions_and_documents() {
    let project = load(
        "x-base: &base\n  image: a\n  environment: {A: 0400, B: yes}\nservices:\n  one:\n    \
         <<: *base\n    x-note: 1\n  two:\n    <<: *base\n    image: b\n---\nservices:\n  one:\n    \
         hostname: h\n",
    );
    assert_eq!(project.services["one"].environment["A"].as_deref(), Some("256"));
    assert_eq!(project.services["one"].environment["B"].as_deref(), Some("yes"));
    assert_eq!(project.services["one"].hostname.as_deref(), Some("h"));
    assert_eq!(project.services["two"].image.as_deref(), Some("b"));
}

#[test]
fn what_is_wrong_is_said_with_place_and_remedy() {
    for (text, place, words) in [
        ("services:\n  web:\n    image: a\n    prots: []\n", ":4:5", "did you mean `ports`"),
        ("services:\n  web:\n    image: a\n    extends: x\n", ":4:5", "not supported yet"),
        ("services:\n  web:\n    image: a\n    profiles: [x]\n", ":4:5", "not supported yet"),
        ("services:\n  web: {}\n", ":2:8", "neither `image:` nor `build:`"),
        ("services:\n  web:\n    image: a\n    ports: [\"x:1\"]\n", ":4:13", "no port"),
        ("services:\n  web:\n    image: a\n  image: b\n  web: {}\n", ":5:3", "line 2"),
        ("services:\n  web:\n\timage: a\n", ":3:", "not YAML"),
        ("servces: {}\n", ":1:1", "did you mean `services`"),
        ("services: {web: {image: a, volumes: [\"d:/x\"]}}\n", ":1:", "Windows"),
        ("services: {web: {image: a, volumes: [\"data:/x\"]}}\n", ":1:", "not declared"),
        ("services: {web: {image: a, networks: [n]}}\n", ":1:", "not declared"),
        ("services: {web: {image: a, depends_on: [db]}}\n", ":1:", "no service of this file"),
        ("services: {web: {image: a, stop_grace_period: 10}}\n", ":1:", "write for example 30s"),
        ("services: {web: {image: a, healthcheck: {test: [curl]}}}\n", ":1:", "CMD-SHELL"),
        ("services: {web: {image: a, env_file: none.env}}\n", ":1:", "does not exist"),
        ("services: {web: {image: \"${X\"}}\n", ":1:", "not closed"),
        ("services: {web: {image: !reset null}}\n", ":1:", "tag"),
        ("services: {web: {image: a, deploy: {update_config: {}}}}\n", ":1:", "not supported"),
        ("include: [x]\nservices: {web: {image: a}}\n", ":1:1", "not supported yet"),
        ("services: []\n", ":1:", "a mapping must stand here"),
        ("", "", "empty"),
    ] {
        let message = refuse(text);
        assert!(message.contains(words), "{text:?}: {message}");
        assert!(message.contains(&format!("compose.yaml{place}")), "{text:?}: {message}");
    }
}

#[test]
fn a_circle_of_dependencies_is_printed() {
    let message = refuse(
        "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [c]}\n  \
         c: {image: x, depends_on: [a]}\n",
    );
    assert!(message.contains("a -> b -> c -> a"), "{message}");
}

#[test]
fn all_required_variables_are_named_at_once() {
    let message =
        refuse("services:\n  web:\n    image: ${IMAGE:?name an image}\n    hostname: ${HOST:?}\n");
    assert!(message.contains(":3:12: services.web.image: IMAGE must be set: name an image"));
    assert!(message.contains(":4:15: services.web.hostname: HOST must be set"), "{message}");
}

#[test]
fn a_directory_without_compose_file_is_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let message = compose::load(&options(directory.path())).unwrap_err().to_string();
    assert!(message.contains("compose.yaml, compose.yml, docker-compose.yml"), "{message}");
    fs::write(directory.path().join("compose.yml"), "services: {a: {image: a}}").unwrap();
    fs::write(directory.path().join("compose.override.yml"), "services: {}").unwrap();
    let message = compose::load(&options(directory.path())).unwrap_err().to_string();
    assert!(message.contains("compose.override.yml"), "{message}");
}

#[test]
fn a_broken_dotenv_file_is_named_without_its_values() {
    let directory = write("services: {a: {image: a}}\n");
    fs::write(directory.path().join(".env"), "A=1\nSECRET='hunter2\n").unwrap();
    let message = compose::load(&options(directory.path())).unwrap_err().to_string();
    assert!(message.contains(".env:2:1"), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
}

/// Who only looks, or goes back, needs the name and nothing else.
#[test]
fn the_name_is_told_where_a_dotenv_file_is_broken() {
    let directory = tempfile::Builder::new().prefix("shop").tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    let options = Options { path: directory.path().to_owned(), ..Options::default() };
    write("compose.yaml", "services: { web: { image: web } }");
    write(".env", "COMPOSE_PROJECT_NAME=shop\nA=\"x\n");
    assert_eq!(compose::project_name(&options).unwrap(), "shop");
    write("compose.yaml", "name: store\nservices: { web: { image: web } }");
    write(".env", "A=\"x\n");
    assert_eq!(compose::project_name(&options).unwrap(), "store");
    assert!(compose::load(&options).is_err());
    // What is not understood may hold the name.
    for (compose, env) in [
        ("name: ${NAME}\nservices: {}", "A=\"x\nNAME=y\n"),
        ("services: {}", "A=\"x\nCOMPOSE_PROJECT_NAME=y\n"),
    ] {
        write("compose.yaml", compose);
        write(".env", env);
        let error = compose::project_name(&options).unwrap_err().to_string();
        assert!(error.contains(".env:1"), "{error}");
    }
}
