//! The whole thing in some seconds, with nothing but this program: deploy, upgrade, a broken
//! version that is rolled back and proven.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::json;
use ultrai_deploy_core::{
    Ending, Error, ErrorKind, Result, file,
    health::Timing,
    name::{EnvironmentName, ProjectName, ServiceName, Target},
    pipeline::{DeployRequest, Pipeline},
    release_backup::ReleaseSource,
    release_store::ReleaseStore,
    report::Report,
    spec::ReleaseSpec,
    verification::{CheckSpec, Verification},
    version::Version,
};
use ultrai_deploy_http as http;
use ultrai_deploy_local as local;

use super::{
    Surroundings,
    args::Cli,
    exit,
    output::Output,
    progress::{Progress, say},
    signal,
};

/// How long the broken version is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn run(cli: &Cli, around: &Surroundings, output: &Output) -> Result<u8> {
    let base = match &cli.state {
        Some(state) => std::path::absolute(state)
            .map_err(|source| failed("the state directory is no path").with_source(source))?,
        None => std::env::temp_dir().join(format!("ultrai-quickstart-{}", std::process::id())),
    };
    let target = Target::new(ProjectName::new("quickstart")?, EnvironmentName::new("demo")?);
    let state = file::open(&base, &target)?;
    let releases: Arc<dyn ReleaseStore> = Arc::clone(&state.releases) as _;
    let probes = Arc::new(http::Probes::new(http::Client::new(http::Config::default())?));
    let deployer = Arc::new(local::Deployer::new(Arc::clone(&releases), Arc::clone(&probes) as _)?);
    let pipeline = Pipeline::builder(
        target,
        Arc::clone(&deployer) as _,
        Arc::clone(&state.journal) as _,
        Arc::clone(&state.lease) as _,
        Arc::clone(&releases),
        probes,
    )
    .backups(Arc::clone(&state.backups) as _)
    .source(Arc::new(ReleaseSource::new(releases)))
    .observer(Arc::new(Progress::default()))
    .initiator(around.initiator.clone())
    .build()?;

    let mut reports = Vec::new();
    let result = story(&pipeline, &mut reports).await;
    // The demonstration leaves no process behind, whatever came of it.
    let stopped = deployer.stop_all(&pipeline.look()).await;
    let path = base.join("quickstart-report.json");
    write(&path, &reports)?;
    result?;
    stopped?;
    let text = format!(
        "\n1.0.0 was deployed, 1.1.0 took its place, and 1.2.0, which never got healthy, was taken \
         back:\n1.1.0 served again and its checks passed. The reports are in {}",
        path.display()
    );
    output.either(&text, &json!({ "report": path, "runs": reports }));
    Ok(exit::OK)
}

async fn story(pipeline: &Pipeline, reports: &mut Vec<Report>) -> Result<()> {
    for (version, faults, lesson) in [
        ("1.0.0", None, "a first deploy"),
        ("1.1.0", None, "an upgrade: the new process starts beside the old one"),
        ("1.2.0", Some("DEMO_NEVER_HEALTHY"), "a version that never gets healthy"),
    ] {
        say(&format!("\n── {version}: {lesson}"));
        let spec = spec(&Version::parse(version)?, faults)?;
        let report = signal::drive(pipeline.deploy(DeployRequest::new(spec))).await?;
        let as_told = matches!(
            (&report.ending, faults),
            (Some(Ending::Succeeded { .. }), None) | (Some(Ending::RolledBack { .. }), Some(_))
        );
        say(&report.to_string());
        reports.push(report);
        if !as_told {
            return Err(failed("the demonstration did not go as it should; see above"));
        }
    }
    say("── and once more the checks of what serves now");
    let (release, proof) = pipeline.verify(&pipeline.look()).await?;
    if !proof.passed() || release.version != Version::parse("1.1.0")? {
        return Err(failed("1.1.0 does not serve as it should"));
    }
    Ok(())
}

fn spec(version: &Version, fault: Option<&str>) -> Result<ReleaseSpec> {
    let program = std::env::current_exe()
        .map_err(|source| failed("the program does not know its own path").with_source(source))?;
    let web = ServiceName::new("web")?;
    let timing =
        Timing { timeout: Duration::from_secs(1), deadline: Some(PATIENCE), ..Timing::default() };
    let mut service = local::Service::new([program.to_string_lossy().as_ref(), "demo-app"])
        .with_env("APP_VERSION", version.as_str())
        .with_port(local::Port::Auto)
        .with_health(
            json!({"http": {
                "at": {"service": {"path": "/health"}},
                "expect": {"json": {"/status": "healthy"}},
            }}),
            timing.clone(),
        );
    if let Some(fault) = fault {
        service = service.with_env(fault, "1");
    }
    let probe = json!({"http": {
        "at": {"service": {"path": "/api/v1/version"}},
        "expect": {"version": {"at": "/version", "is": version.as_str()}},
    }});
    let check = CheckSpec::new("version", probe).of(web.clone()).with_timing(timing);
    Ok(ReleaseSpec::new(ProjectName::new("quickstart")?, version.clone())
        .with_service(web.clone(), service.to_spec(&web)?)
        .with_verification(Verification { checks: vec![check], tasks: Vec::new() }))
}

fn write(path: &PathBuf, reports: &[Report]) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(reports)
        .map_err(|source| failed("the reports have no JSON form").with_source(source))?;
    std::fs::write(path, bytes)
        .map_err(|source| failed("the reports cannot be written").with_source(source))
}

fn failed(message: &str) -> Error {
    Error::new(ErrorKind::Unexpected, "show the quickstart", message)
}
