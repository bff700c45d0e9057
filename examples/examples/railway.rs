//! Deploys an image to a service on Railway, and takes it back when it does not serve.
//!
//! ```console
//! $ export RAILWAY_TOKEN=…             # a project token: the project's settings, Tokens
//! $ export RAILWAY_PROJECT=…           # the id in the address of its dashboard
//! $ cargo run -p ultrai-deploy-examples --example railway -- web ghcr.io/shop/web 1.4.0
//! ```
//!
//! `RAILWAY_ENVIRONMENT` is `production` when it is not set. What a run needs to be gone on with is in
//! `ultrai-state`: when this program is killed, the next one first brings to an end what it began.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program to read")]

use std::{env, path::absolute, sync::Arc};

use serde_json::json;
use ultrai_deploy_core::{
    file,
    name::{EnvironmentName, ProjectName, ServiceName, Target},
    pipeline::{DeployRequest, Pipeline},
    release_backup::ReleaseSource,
    release_store::ReleaseStore,
    secret::Secret,
    spec::{ImageSpec, ReleaseSpec, ServiceSpec},
    verification::NoProbes,
    version::Version,
};
use ultrai_deploy_hosted as hosted;
use ultrai_deploy_http::{address::HttpUrl, api::Limits};
use ultrai_deploy_railway::{self as railway, Client, Token, model::ProjectId};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<_> = env::args().skip(1).collect();
    let [service, image, version] = words.as_slice() else {
        return Err("usage: railway SERVICE IMAGE VERSION".into());
    };
    let environment = env::var("RAILWAY_ENVIRONMENT").unwrap_or_else(|_| "production".to_owned());
    let address = env::var("RAILWAY_URL").unwrap_or_else(|_| railway::ADDRESS.to_owned());

    let token = Token::Project(Secret::new(env::var("RAILWAY_TOKEN")?));
    let client = Client::new(&HttpUrl::parse(&address)?, &token, Limits::default())?;
    let project = ProjectId::new(env::var("RAILWAY_PROJECT")?);
    let platform = railway::Platform::new(client, railway::Config::new(project, &environment));

    let project = ProjectName::new(service.as_str())?;
    let target = Target::new(project.clone(), EnvironmentName::new(environment)?);
    let state = file::open(&absolute("ultrai-state")?, &target)?;
    let releases: Arc<dyn ReleaseStore> = state.releases;
    let name = ServiceName::new(service.as_str())?;
    // The service's slot has its name.
    let slots = [(name.clone(), service.clone())].into();
    let deployer = hosted::Deployer::new(Arc::new(platform), slots, Arc::clone(&releases));
    let pipeline = Pipeline::builder(
        target,
        Arc::new(deployer),
        state.journal,
        state.lease,
        Arc::clone(&releases),
        Arc::new(NoProbes),
    )
    .images(Arc::new(hosted::Images))
    .backups(state.backups)
    .source(Arc::new(ReleaseSource::new(releases)))
    .build()?;

    let reference = format!("{image}:{version}");
    let image = ImageSpec::new(reference);
    let config = json!({ "variables": { "APP_VERSION": version } });
    let spec = ReleaseSpec::new(project, Version::parse(version)?)
        .with_service(name, ServiceSpec { image: Some(image), config, ..ServiceSpec::default() });
    println!("{}", pipeline.deploy(DeployRequest::new(spec)).join().await?);
    Ok(())
}
