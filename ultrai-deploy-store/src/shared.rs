//! The state of an environment where every host can go on with it.
//!
//! With journal, lease and releases in one bucket, any host can deploy, take over a run whose host
//! has died, and roll back to what another one has deployed. Beside the bucket each host has a state
//! directory of its own, for the real files that services mount; it may be empty, and may be lost.
//!
//! ```
//! use std::sync::Arc;
//!
//! use ultrai_deploy_core::{
//!     Ending, file,
//!     lease::Wait,
//!     memory::{self, World},
//!     name::{EnvironmentName, ProjectName, ServiceName, Target},
//!     pipeline::{DeployRequest, Pipeline},
//!     spec::{ReleaseSpec, ServiceSpec},
//!     verification::NoProbes,
//!     version::Version,
//! };
//! use ultrai_deploy_store::{Location, location::Options, shared};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let base = directory.path();
//! let target = Target::new(ProjectName::new("shop")?, EnvironmentName::new("staging")?);
//! // In earnest: "s3://bucket/prefix", and Options::new(std::env::vars()).
//! let location = Location::open("memory:", &Options::default())?;
//! let local = file::open(&base.join("this-host"), &target)?;
//! // Nothing encrypts here, so releases that have secrets are refused.
//! let state = shared::open(&location, &target, local.releases, None);
//!
//! let world = World::new();
//! let pipeline = Pipeline::builder(
//!     target.clone(),
//!     Arc::new(memory::Deployer::new(world, state.releases.clone())),
//!     state.journal,
//!     state.lease,
//!     state.releases,
//!     Arc::new(NoProbes),
//! )
//! .backups(Arc::new(memory::BackupStore::default()))
//! .build()?;
//! let spec = ReleaseSpec::new(target.project.clone(), Version::parse("1.0.0")?)
//!     .with_service(ServiceName::new("web")?, ServiceSpec::default());
//! let mut request = DeployRequest::new(spec);
//! // Longer than the lease of a host that has died lives.
//! request.wait = Wait::AtMost(std::time::Duration::from_secs(30));
//! let report = pipeline.deploy(request).join().await?;
//! assert_eq!(report.ending, Some(Ending::Succeeded { changed: true }));
//!
//! // Another host, with nothing on its disk.
//! let other = file::open(&base.join("other-host"), &target)?;
//! let other = shared::open(&location, &target, other.releases, None);
//! assert_eq!(other.releases.current().await?, report.release);
//! assert_eq!(other.journal.runs().await?, [report.run]);
//! # Ok(())
//! # }
//! ```
//!
//! # What it asks of the store
//!
//! Creating an object only if there is none, and listings that show what was written: S3, Google
//! Cloud Storage, Azure Blob Storage, MinIO, Ceph, R2 and a local directory have both. No object is
//! changed but the counter of a lease, and a release that is kept again. Versioning of the bucket is of
//! use against mistakes of people, and of none for this crate.
//!
//! # What others see
//!
//! The journal holds no secret values; it, the lease and the names of all objects are in the clear.
//! Everything that [`ReleaseStore`] keeps is [encrypted](Sealing) where there is a key: releases with
//! the values of their secrets, files, which one is current, notes, the ledger of migrations and the
//! key of fingerprints.
//!
//! # When a host dies
//!
//! Its lease is free for one who waits for longer than the
//! [time to live](ultrai_deploy_core::lease::TIME_TO_LIVE), by that one's own clock: nobody's wall
//! clock is believed. One who does not wait is refused, and told who holds it.

use std::sync::Arc;

use ultrai_deploy_core::{journal, lease, name::Target, release_store};

use crate::{Journal, Lease, Location, ReleaseStore, Sealing};

/// Journal, lease and releases of one environment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct State {
    /// Its journal.
    pub journal: Arc<dyn journal::Journal>,
    /// Its lease. Each state that is opened is another driver.
    pub lease: Arc<dyn lease::Lease>,
    /// Its releases.
    pub releases: Arc<dyn release_store::ReleaseStore>,
}

/// Opens the state of `target` at a location. No request is made.
///
/// `local` has real files on this host. Without `sealing`, releases that have secrets are refused.
pub fn open(
    location: &Location,
    target: &Target,
    local: Arc<dyn release_store::ReleaseStore>,
    sealing: Option<Arc<dyn Sealing>>,
) -> State {
    let (store, prefix) = (&location.store, &location.prefix);
    State {
        journal: Arc::new(Journal::new(Arc::clone(store), prefix, target)),
        lease: Arc::new(Lease::new(Arc::clone(store), prefix)),
        releases: Arc::new(ReleaseStore::new(Arc::clone(store), prefix, target, local, sealing)),
    }
}
