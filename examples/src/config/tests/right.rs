//! Right files and what they become.

use std::{path::Path, time::Duration};

use serde_json::json;
use ultrai_deploy_core::{
    name::{SecretName, ServiceName},
    pipeline::{Backoff, BackupPolicy, FailureAction, Policy, PreReleases},
    stage::Stage,
    verification::{Dependencies, Verification, When},
};

use super::{environment, parse, version};
use crate::config::{Backend, Config, Port, Service};

#[test]
fn an_empty_file_has_the_defaults() {
    let config = parse("");
    assert_eq!(config.backend, Backend::Compose { file: None, docker_host: None });
    assert_eq!(config.policy, Policy::default());
    assert!(config.project.is_none() && config.version.is_none() && config.state.is_none());
    let staging = config.environment(&environment("staging")).unwrap();
    let verification = config.verification(staging, &version("1.0.0")).unwrap();
    assert_eq!(verification, Verification::default());
}

#[test]
fn a_whole_file() {
    let config = parse(
        r#"
        project = "ultrai"
        version = "v1.0.0"
        state = "/srv/state"
        docker_host = "unix:///var/run/docker.sock"
        secrets = ["OPENAI_API_KEY"]
        base_url = "http://127.0.0.1:8085"

        [environments.production]
        variables = { LOG_LEVEL = "info" }

        [environments.staging]
        base_url = "https://staging.example/api/"

        [policy]
        backup = "off"
        keep_releases = 3
        keep_backups = 4
        keep_runs = 50
        watch = "1m"
        stage_deadline = "10m"
        deadlines = { build = "2h", post_deploy_tests = "90s" }
        on_failure = { watch = "ignore", post_deploy_tests = "rollback", verify = "hold" }
        hold = "1h"
        attempts = 5
        pause = "2s"
        longest_pause = "1m"
        rollback_deadline = "20m"
        health_deadline = "2m"

        [[check]]
        name = "backend health"
        path = "/health"
        service = "backend"
        port = 8085
        status = [200, 204]
        json = { "/status" = "healthy", "/checks/0/ok" = true }
        json_exists = ["/uptime"]
        header = { Content-Type = "application/json" }
        max_latency = "500ms"
        when = "post"
        timeout = "3s"
        retries = 5
        interval = "1s"
        start_period = "10s"
        deadline = "30s"

        [[check]]
        name = "version"
        path = "/api/v1/version"
        version_at = "/version"
        secret_headers = { Authorization = "API_AUTH" }
        request_headers = { Accept = "application/json" }

        [[check]]
        name = "redis"
        tcp = "127.0.0.1:6379"

        [[check]]
        name = "mongo"
        service = "mongodb"
        port = 27017

        [[test]]
        name = "unit"
        service = "backend"
        command = ["sh", "-c", "npm test"]
        when = "pre"
        dependencies = "none"
        timeout = "1m30s"

        [[test]]
        name = "smoke"
        service = "backend"
        command = ["./smoke"]
        when = "post"
        "#,
    );
    assert_eq!(config.project.as_ref().unwrap().as_str(), "ultrai");
    assert_eq!(config.version.as_ref().unwrap().as_str(), "v1.0.0");
    assert_eq!(config.policy.backup, BackupPolicy::Off);
    assert_eq!((config.policy.keep_releases, config.policy.retention.last), (3, 4));
    assert_eq!(config.policy.keep_runs, 50);
    assert_eq!(config.policy.watch, Duration::from_mins(1));
    for (stage, limit) in [
        (Stage::Build, Duration::from_hours(2)),
        (Stage::PostDeployTests, Duration::from_secs(90)),
        (Stage::Deploy, Duration::from_mins(10)),
        (Stage::Watch, Duration::from_mins(6)),
    ] {
        assert_eq!(config.policy.deadline(stage), limit, "{stage}");
    }
    assert_eq!(config.policy.failure_action(Stage::Watch), FailureAction::Ignore);
    assert_eq!(config.policy.failure_action(Stage::PostDeployTests), FailureAction::RollBack);
    assert_eq!(config.policy.failure_action(Stage::Verify), FailureAction::Hold);
    assert_eq!(config.policy.hold, Duration::from_hours(1));
    let (first, longest) = (Duration::from_secs(2), Duration::from_mins(1));
    assert_eq!(config.policy.retry, Backoff { attempts: 5, first, longest });
    assert_eq!(config.policy.rollback_deadline, Duration::from_mins(20));
    let secrets: Vec<_> = config.secrets.iter().map(SecretName::as_str).collect();
    assert_eq!(secrets, ["API_AUTH", "OPENAI_API_KEY"]);

    let staging = config.environment(&environment("staging")).unwrap();
    let verification = config.verification(staging, &version("1.1.0")).unwrap();
    let [health, version_check, redis, mongo] = verification.checks.as_slice() else { panic!() };
    assert_eq!(health.service.as_ref().unwrap().as_str(), "backend");
    assert_eq!(health.when, When::Post);
    let timing = &health.timing;
    assert_eq!((timing.timeout, timing.retries), (Duration::from_secs(3), 5));
    assert_eq!(
        (timing.interval, timing.start_period),
        (Duration::from_secs(1), Duration::from_secs(10))
    );
    assert_eq!(timing.deadline, Some(Duration::from_secs(30)));
    assert_eq!(
        health.probe,
        json!({"http": {
            "at": {"service": {"port": 8085, "path": "/health"}},
            "expect": {
                "status": [200, 204],
                "json": {"/status": "healthy", "/checks/0/ok": true},
                "json_exists": ["/uptime"],
                "header": {"content-type": "application/json"},
                "max_latency": {"secs": 0, "nanos": 500_000_000},
            },
        }})
    );
    assert_eq!(
        version_check.probe,
        json!({"http": {
            "at": {"url": "https://staging.example/api/api/v1/version"},
            "request_headers": {"accept": "application/json"},
            "secret_headers": {"authorization": "API_AUTH"},
            "expect": {"version": {"at": "/version", "is": "1.1.0"}},
        }})
    );
    assert_eq!(version_check.timing.deadline, Some(Duration::from_mins(2)));
    assert_eq!((version_check.timing.retries, version_check.when), (3, When::Verify));
    assert_eq!(redis.probe, json!({"tcp": {"at": {"address": "127.0.0.1:6379"}}}));
    assert_eq!(mongo.probe, json!({"tcp": {"at": {"service": {"port": 27017}}}}));

    let [unit, smoke] = verification.tasks.as_slice() else { panic!() };
    assert_eq!((unit.when, unit.dependencies), (When::Pre, Dependencies::None));
    assert_eq!((unit.timeout, smoke.timeout), (Duration::from_secs(90), Duration::from_mins(10)));
    assert_eq!((smoke.when, smoke.dependencies), (When::Post, Dependencies::Create));

    let production = config.environment(&environment("production")).unwrap();
    let variables: Vec<_> =
        production.variables().map(|(name, value, place)| (name, value, place.line)).collect();
    assert_eq!(variables, [("LOG_LEVEL", "info", 10)]);
    let verification = config.verification(production, &version("1.1.0")).unwrap();
    assert_eq!(
        verification.checks[1].probe["http"]["at"],
        json!({"url": "http://127.0.0.1:8085/api/v1/version"})
    );

    let known = ["backend", "mongo"].map(|name| ServiceName::new(name).unwrap());
    let error = config.require_services(&known).unwrap_err().to_string();
    assert!(error.contains("check \"mongo\": service: there is no service `mongodb`"), "{error}");
    assert!(error.contains("did you mean `mongo`?") && !error.contains("`backend`"), "{error}");
}

#[test]
fn services_of_the_local_backend() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("server"), "").unwrap();
    let config = Config::parse(
        &directory.path().join("deploy.toml"),
        r#"
        backend = "local"
        project = "Demo.App"
        [services.web]
        command = ["./server", "--port", "{port}"]
        env = { A = "b" }
        secrets = ["TOKEN"]
        port = "auto"
        health = { path = "/health", version_at = "/version", timeout = "1s" }
        files = ["./server"]
        depends_on = ["db"]
        stop_grace = "3s"
        [services.db]
        command = ["./db"]
        port = 5432
        health = {}
        [services.worker]
        command = ["./worker"]
        "#,
    )
    .unwrap();
    let Backend::Local { services } = &config.backend else { panic!() };
    let name = |text: &str| ServiceName::new(text).unwrap();
    let (web, db, worker) =
        (&services[&name("web")], &services[&name("db")], &services[&name("worker")]);
    assert_eq!((web.port, db.port, worker.port), (Some(Port::Auto), Some(Port::Fixed(5432)), None));
    assert_eq!(web.files, [Path::new("./server")]);
    assert_eq!(web.depends_on, [name("db")]);
    assert_eq!((web.stop_grace, db.stop_grace), (Duration::from_secs(3), Duration::from_secs(10)));
    assert_eq!(config.secrets.first().unwrap().as_str(), "TOKEN");

    let check = |service: &Service| service.health_check(&name("s"), &version("1.0.0")).unwrap();
    let of_web = check(web).unwrap();
    assert_eq!((of_web.name.as_str(), of_web.timing.timeout), ("s health", Duration::from_secs(1)));
    assert_eq!(
        of_web.probe,
        json!({"http": {
            "at": {"service": {"path": "/health"}},
            "expect": {"version": {"at": "/version", "is": "1.0.0"}},
        }})
    );
    assert_eq!(check(db).unwrap().probe, json!({"tcp": {"at": {"service": {}}}}));
    assert!(check(worker).is_none());
}

/// Without a word, only what is called production takes no pre-releases.
#[test]
fn pre_releases_are_for_every_environment_but_production() {
    for (text, staging, production) in [
        ("", PreReleases::Allowed, PreReleases::Refused),
        (
            "[environments.staging]\n[environments.production]",
            PreReleases::Allowed,
            PreReleases::Refused,
        ),
        (
            "[environments.staging]\npre_releases = false\n\
             [environments.production]\npre_releases = true",
            PreReleases::Refused,
            PreReleases::Allowed,
        ),
    ] {
        let config = parse(text);
        let of = |name| config.policy_of(config.environment(&environment(name)).unwrap());
        let expected = Policy { pre_releases: staging, ..config.policy.clone() };
        assert_eq!(of("staging"), expected, "{text}");
        assert_eq!(of("production").pre_releases, production, "{text}");
    }
}
