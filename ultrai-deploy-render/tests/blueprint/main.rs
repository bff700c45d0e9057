//! Blueprints, and what Render's published schema says of them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stdout, reason = "how much was checked is part of what a test says")]

mod schema;

use std::time::Duration;

use ultrai_deploy_render::{
    blueprint::{Blueprint, Pushes, Variable},
    model::AutoDeploy,
};

const FULL: &str = include_str!("full.yaml");

fn problems(text: &str) -> Vec<String> {
    let problems = Blueprint::read("render.yaml", text).unwrap_err();
    problems.0.iter().map(ToString::to_string).collect()
}

#[test]
fn everything_in_it_is_read() {
    let blueprint = Blueprint::read("render.yaml", FULL).unwrap();
    let names: Vec<_> = blueprint.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["api", "worker", "nightly", "site", "cache", "inner", "api"]);
    assert_eq!(blueprint.databases, ["db", "db-staging"]);
    assert_eq!(blueprint.warnings, []);
    let api = &blueprint.services[0];
    assert_eq!(api.image.as_deref(), Some("registry.example.com/shop/api:1.4.0"));
    assert_eq!(api.image_credential.as_deref(), Some("registry"));
    assert_eq!(api.health_check_path.as_deref(), Some("/health"));
    assert_eq!(api.pre_deploy_command.as_deref(), Some("npm run migrate"));
    assert_eq!((api.deploys, api.instances), (Pushes::None, Some(2)));
    assert_eq!(api.max_shutdown_delay, Some(Duration::from_mins(1)));
    let disk = api.disk.as_ref().unwrap();
    assert_eq!((disk.mount_path.as_str(), disk.size_gb), ("/data", Some(10)));
    assert!(api.maintenance_mode.as_ref().is_some_and(|mode| !mode.enabled));
    let plain =
        |name: &str, value: &str| Variable::Plain { name: name.into(), value: value.into() };
    let text = str::to_owned;
    assert_eq!(
        api.variables,
        [
            plain("LOG", "info"),
            plain("PORT", "8080"),
            plain("VERSION", "1.10"),
            Variable::Generated(text("SESSION_KEY")),
            Variable::ByHand(text("STRIPE_KEY")),
            Variable::FromDatabase {
                name: text("DATABASE_URL"),
                database: text("db"),
                property: text("connectionString"),
            },
            Variable::FromService {
                name: text("CACHE"),
                service: text("cache"),
                what: text("hostport"),
            },
            Variable::FromService {
                name: text("SHARED"),
                service: text("worker"),
                what: text("TOKEN"),
            },
            Variable::FromGroup(text("common")),
        ]
    );
    let pushes: Vec<_> = blueprint.services.iter().map(|service| service.deploys).collect();
    assert_eq!(pushes[1..3], [Pushes::Checked, Pushes::All]);
    let last = &blueprint.services[6];
    assert_eq!(last.place, Some(("shop".to_owned(), "staging".to_owned())));
    // Of two with the same name neither is meant.
    assert!(blueprint.service("api").is_none() && blueprint.service("worker").is_some());
}

#[test]
fn a_deploy_starts_from_it() {
    let blueprint = Blueprint::read("render.yaml", FULL).unwrap();
    let start = blueprint.services[0].start().unwrap();
    assert_eq!(start.image.as_deref(), Some("registry.example.com/shop/api:1.4.0"));
    assert_eq!(start.definition.slot.as_deref(), Some("api"));
    let variables = [("LOG", "info"), ("PORT", "8080"), ("VERSION", "1.10")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(start.definition.variables, variables.into());
    assert_eq!(start.elsewhere, ["SESSION_KEY", "STRIPE_KEY", "DATABASE_URL", "CACHE", "SHARED"]);
    assert_eq!(start.settings.auto_deploy, Some(AutoDeploy::No));
    assert_eq!(start.settings.health_check_path.as_deref(), Some("/health"));
    assert_eq!(start.settings.max_shutdown_delay, Some(Duration::from_mins(1)));
    let worker = blueprint.service("worker").unwrap().start().unwrap();
    assert_eq!((worker.image, worker.branch.as_deref()), (None, Some("main")));
    assert_eq!(blueprint.service("cache").unwrap().start(), None);
}

#[test]
fn what_is_wrong_is_told_all_at_once_and_what_to_write_instead() {
    let text = "services:
  - type: web
    name: 42
    runtime: nod
    helthCheckPath: /health
    numInstances: 0
    envVars:
      - key: DEBUG
        value: true
      - key: TOKEN
        value: [hunter2]
      - fromDatabase: { name: db, property: url }
  - type: wob
    name: api
  - type: cron
    name: nightly
    runtime: node
databses: []
version: 1
";
    let expected = [
        "render.yaml:3:11: services[0].name: the number 42 is not right here: it must be a text: write it in quotes, \"42\"",
        "render.yaml:4:14: services[0].runtime: this text is not right here: it must be one of docker, elixir, go, image, node, python, ruby, rust, static; is `node` meant?",
        "render.yaml:5:5: services[0].helthCheckPath: there is no such key; is `healthCheckPath` meant?",
        "render.yaml:6:19: services[0].numInstances: the number 0 is not right here: it must be a whole number from 1 on",
        "render.yaml:9:16: services[0].envVars[0].value: `true` is not right here: it must be a text: write it in quotes, \"true\"",
        "render.yaml:11:16: services[0].envVars[1].value: a list is not right here: it must be a text",
        "render.yaml:12:9: services[0].envVars[2]: `key` is missing",
        "render.yaml:12:45: services[0].envVars[2].fromDatabase.property: this text is not right here: it must be one of connectionString, connectionPoolString, host, port, user, password, database",
        "render.yaml:13:11: services[1].type: this text is not right here: it must be one of web, worker, pserv, cron, keyvalue, redis; is `web` meant?",
        "render.yaml:15:5: services[2]: `schedule` is missing",
        "render.yaml:18:1: databses: there is no such key; is `databases` meant?",
        "render.yaml:19:10: version: the number 1 is not right here: it must be one of 1; write it in quotes, \"1\"",
    ];
    assert_eq!(problems(text).join("\n"), expected.join("\n"));
}

#[test]
fn what_is_out_of_use_is_told_and_taken() {
    let text = "previewsEnabled: true
services:
  - type: web
    name: api
    env: docker
    scaling: { minInstances: 1, cpu: 5 }
";
    let blueprint = Blueprint::read("render.yaml", text).unwrap();
    assert_eq!(blueprint.services[0].runtime.as_deref(), Some("docker"));
    let warnings: Vec<_> = blueprint.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "render.yaml:5:5: services[0].env: Render calls it `runtime` now: write that",
            "render.yaml:1:1: previewsEnabled: it is out of use: write `previews`",
            "render.yaml:6:33: services[0].scaling.cpu: there is no such key; there are minInstances, maxInstances, targetMemoryPercent, targetCPUPercent",
        ]
    );
    // Both at once is a mistake.
    let both = text.replace("    env:", "    runtime: docker\n    env:");
    assert!(problems(&both)[0].contains("services[0].env: there is no such key"));
}

#[test]
fn what_is_no_blueprint_is_refused() {
    for (text, told) in [
        ("", "render.yaml:1:1: the file is empty; write `services:`"),
        ("[]", "render.yaml:1:1: a list is not right here: it must be keys with values: services"),
        ("services: [", "this is not YAML"),
        ("services: []\n---\nservices: []\n", "there is a second document"),
        ("services: []\nservices: []\n", "`services` was there before, in line 1"),
        (
            "services:\n- {type: worker, name: a, runtime: go}\n- {type: worker, name: a, runtime: go}\n",
            "render.yaml:3:24: services: another service is called `a` in line 2",
        ),
    ] {
        let problems = problems(text);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(told), "{problems:?}");
    }
}
