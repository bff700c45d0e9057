//! Render as a platform of ultrai-deploy.
//!
//! [`Platform`] is what a [hosted deployer](ultrai_deploy_hosted::Deployer) brings releases to, and
//! [`Databases`] what a [backup store](ultrai_deploy_hosted::backups::BackupStore) has Render keep.
//! [`Client`] calls [Render's public API](https://api-docs.render.com), one method for each
//! operation; [`model`] holds what it takes and what it gives. How calls are repeated, bounded and
//! spaced is decided in [`ultrai_deploy_http::api`].
//!
//! ```
//! use ultrai_deploy_core::{
//!     Context,
//!     name::{EnvironmentName, ProjectName, RunId, Target},
//!     secret::Secret,
//! };
//! use ultrai_deploy_http::{address::HttpUrl, api::Limits};
//! use ultrai_deploy_render::{
//!     Client,
//!     model::{Start, Started},
//! };
//! use ultrai_deploy_testkit::server::{Answer, Server};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let deploy = r#"{"id":"dep-1","status":"created"}"#;
//! let server = Server::start(move |_| Answer::json(201, deploy)).await?;
//! let base = HttpUrl::parse(&server.url("/v1"))?; // in earnest: Client::BASE
//! let client = Client::new(base, &Secret::new("rnd_key"), Limits::default())?;
//!
//! let target = Target::new(ProjectName::new("shop")?, EnvironmentName::new("production")?);
//! let cx = Context::detached(target, RunId::generate());
//! let image = Start::Image("registry.example.com/shop/web:1.4.0".to_owned());
//! match client.start_deploy(&cx, &"srv-1".into(), &image).await? {
//!     Started::Deploy(deploy) => assert!(!deploy.status.is_over()),
//!     Started::Queued => println!("waits for another deploy; look for it among the deploys"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backup;
pub mod blueprint;
pub mod client;
mod metrics;
pub mod model;
mod platform;
mod task;

pub use crate::{
    backup::Databases,
    client::Client,
    metrics::Metrics,
    platform::{Config, Platform},
    task::Tasks,
};
