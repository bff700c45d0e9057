//! Everything that a deploy, its way back, variables, files and jobs ask of Render, once.

use std::time::Duration;

use ultrai_deploy_core::{
    Context, Error,
    error::Chain,
    name::{EnvironmentName, ProjectName, RunId, Target},
    secret::Secret,
};
use ultrai_deploy_render::{
    Client,
    model::{
        AutoDeploy, BuildCache, DeployFilter, DeployId, DeployStatus, EventFilter, EventKind,
        GroupBy, ImageSource, JobId, LogQuery, MaintenanceMode, MetricQuery, OwnerId, PostgresId,
        Recovery, ServiceChange, ServiceId, Start,
    },
};

pub fn context() -> Context {
    let target = Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
    Context::detached(target, RunId::generate()).with_timeout(Duration::from_mins(1))
}

macro_rules! calls {
    ($client:ident, $cx:ident: $($method:ident($($argument:expr),*);)*) => {[$(
        (stringify!($method), $client.$method(&$cx, $($argument),*).await.err()),
    )*]};
}

/// What became of some calls.
pub struct Round {
    pub calls: usize,
    pub failures: Vec<String>,
}

fn refused<const N: usize>(calls: [(&str, Option<Error>); N]) -> Round {
    let failures = calls.into_iter().filter_map(|(method, error)| Some((method, error?)));
    let failures = failures.map(|(method, error)| format!("{method}: {}", told(&error)));
    Round { calls: N, failures: failures.collect() }
}

pub async fn deploys(client: &Client) -> Round {
    let cx = context();
    let service = &ServiceId::from("srv-cph1rs3idesc73a2b2mg");
    let deploy = &DeployId::from("dep-cph1rs3idesc73a2b2mg");
    let job = &JobId::from("job-cph1rs3idesc73a2b2mg");
    let owner = &OwnerId::from("tea-cph1rs3idesc73a2b2mg");
    let value = &Secret::new("a value");
    let image = "docker.io/library/nginx:1.27".to_owned();
    let source =
        ImageSource { owner: owner.clone(), path: image.clone(), registry_credential: None };
    let change = &ServiceChange {
        image: Some(source),
        auto_deploy: Some(AutoDeploy::No),
        ..ServiceChange::default()
    };
    let open = &DeployFilter {
        statuses: vec![DeployStatus::Queued, DeployStatus::BuildInProgress],
        created_after: Some("2026-01-02T03:04:05Z".parse().unwrap()),
        at_most: Some(20),
    };
    let query = &LogQuery::new(owner.clone(), service.as_str());
    let calls = calls! { client, cx:
        owners();
        services_named(Some(owner), "web");
        service(service);
        update_service(service, change);
        env_vars(service);
        set_env_var(service, "A", value);
        delete_env_var(service, "A");
        replace_all_env_vars(service, &[("A".to_owned(), value.clone())].into());
        secret_files(service);
        put_secret_file(service, "a.json", value);
        delete_secret_file(service, "a.json");
        start_deploy(service, &Start::Image(image));
        start_deploy(service, &Start::Commit("0a1b".to_owned(), BuildCache::Clear));
        start_deploy(service, &Start::Configured(BuildCache::Keep));
        start_deploy(service, &Start::LastBuild);
        deploys(service, open);
        deploys(service, &DeployFilter::default());
        deploy(service, deploy);
        cancel_deploy(service, deploy);
        rollback(service, deploy);
        create_job(service, "migrate", None);
        create_job(service, "migrate", Some("plan-srv-004"));
        job(service, job);
        cancel_job(service, job);
        log_page(query, 20);
        suspend(service);
        resume(service);
        restart(service);
        scale(service, 2);
        instances(service);
    };
    refused(calls)
}

/// The same for exports of databases.
pub async fn exports(client: &Client) -> Round {
    let (cx, id) = (context(), &PostgresId::from("dpg-cph1rs3idesc73a2b2mg-a"));
    let calls = calls! { client, cx:
        postgres_named(Some(&OwnerId::from("tea-1")), "db");
        start_export(id);
        exports(id);
        recovery_info(id);
    };
    refused(calls)
}

/// The same for what Render shows examples of that are not what it describes.
pub async fn odd(client: &Client) -> Round {
    let cx = context();
    let (service, id) = (&ServiceId::from("srv-1"), &PostgresId::from("dpg-1"));
    let mut recovery = Recovery::new("2026-01-02T03:04:05Z".parse().unwrap());
    recovery.name = Some("copy".to_owned());
    let query = &MetricQuery::new("srv-1");
    let ended = &EventFilter { kind: Some(EventKind::DeployEnded), ..EventFilter::default() };
    let calls = calls! { client, cx:
        events(service, ended);
        events(service, &EventFilter::default());
        postgres(id);
        recover(id, &recovery);
        http_requests(query, None);
        http_requests(query, Some(GroupBy::StatusCode));
        http_latency(query, 0.95);
    };
    refused(calls)
}

/// All settings at once that are not the same for every kind of service.
pub fn details() -> ServiceChange {
    ServiceChange {
        health_check_path: Some("/health".to_owned()),
        pre_deploy_command: Some("migrate".to_owned()),
        maintenance_mode: Some(MaintenanceMode { enabled: false, uri: String::new() }),
        max_shutdown_delay: Some(Duration::from_mins(1)),
        ..ServiceChange::default()
    }
}

/// All that an error tells.
pub fn told(error: &Error) -> String {
    Chain(error).to_string()
}
