//! A backend of one's own, whole: pages in directories, and a link to those that serve.
//!
//! ```console
//! $ cargo run -p ultrai-deploy-examples --example directories -- /tmp/pages
//! ```
//!
//! It publishes 1.0.0, then 1.1.0, then a 1.2.0 with an empty page, which is taken back.

#![allow(clippy::print_stdout, unreachable_pub, missing_docs, reason = "a program to read")]

mod deployer;

use std::{path::PathBuf, sync::Arc};

use serde_json::json;
use ultrai_deploy_core::{
    Result, memory,
    name::{EnvironmentName, ProjectName, ServiceName, Target},
    pipeline::{DeployRequest, Pipeline},
    release_store::ReleaseStore,
    spec::{ReleaseSpec, ServiceSpec},
    verification::NoProbes,
    version::Version,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let root = std::env::args().nth(1).map_or_else(|| "pages".into(), PathBuf::from);
    let project = ProjectName::new("pages")?;
    let target = Target::new(project.clone(), EnvironmentName::new("demo")?);
    // Journal, lease and releases in memory: a program that may be killed keeps them in files, see
    // `ultrai_deploy_core::file`.
    let releases: Arc<dyn ReleaseStore> = Arc::new(memory::ReleaseStore::default());
    let pipeline = Pipeline::builder(
        target,
        Arc::new(deployer::Directories::new(&root, Arc::clone(&releases))),
        Arc::new(memory::Journal::default()),
        Arc::new(memory::Lease::default()),
        releases,
        Arc::new(NoProbes),
    )
    .backups(Arc::new(memory::BackupStore::default()))
    .build()?;
    for (version, page) in [("1.0.0", "hello"), ("1.1.0", "hello again"), ("1.2.0", "")] {
        let service = ServiceSpec { config: json!({ "page": page }), ..ServiceSpec::default() };
        let spec = ReleaseSpec::new(project.clone(), Version::parse(version)?)
            .with_service(ServiceName::new("front")?, service);
        println!("{}", pipeline.deploy(DeployRequest::new(spec)).join().await?);
    }
    println!("{} leads to what serves", root.join("current").display());
    Ok(())
}
