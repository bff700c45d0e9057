//! Railway as a platform of ultrai-deploy.
//!
//! [`Platform`] is what a [hosted deployer](ultrai_deploy_hosted::Deployer) brings releases to, and
//! [`Volumes`] what a [backup store](ultrai_deploy_hosted::backups::BackupStore) has Railway keep.
//! [`Client`] has one method for each call, [`model`] what they speak of, [`documents`] what is sent,
//! and [`find`] turns names into ids. How often a call is tried, at which pace, and that no token is
//! shown is the policy of [`ultrai_deploy_http::api`].
//!
//! ```no_run
//! use ultrai_deploy_core::{Context, secret::Secret};
//! use ultrai_deploy_http::{address::HttpUrl, api::Limits};
//! use ultrai_deploy_railway::{ADDRESS, Client, Token, find, model::{ProjectId, ServiceAt, Standing}};
//!
//! # async fn deploy(cx: &Context, token: Secret) -> ultrai_deploy_core::Result<()> {
//! let address = HttpUrl::parse(ADDRESS)?;
//! let railway = Client::new(&address, &Token::Account(token), Limits::default())?;
//!
//! let project = ProjectId::new("2b3cd13b-…");
//! let tree = railway.project_tree(cx, &project).await?;
//! let environment = find::exactly_one("environment", "production", &tree.environments)?.id.clone();
//! let service = find::exactly_one("service", "web", &tree.services)?.id.clone();
//! let at = ServiceAt { project, environment, service };
//!
//! railway.set_source_image(cx, &at, "ghcr.io/ultrai/web:1.4.0", None).await?;
//! let id = railway.deploy(cx, &at, None).await?;
//! let deployment = railway.deployment(cx, &id).await?;
//! println!("{id}: {} {:?}", deployment.status, deployment.status.standing());
//! # assert_ne!(deployment.status.standing(), Standing::Failed);
//! # Ok(())
//! # }
//! ```
//!
//! # Where Railway surprises
//! - Errors come with HTTP 200, and a refused token looks like a forbidden call.
//! - A rollback answers `true` and not which deployment it made.
//! - Setting a variable deploys, unless it is told not to ([`model::Deploys`]).
//! - Redeploying runs the old image again and reports success: look at
//!   [`Deployment::image`](model::Deployment::image).

mod backup;
mod client;
pub mod config_file;
pub mod documents;
pub mod find;
mod graphql;
mod metrics;
pub mod model;
mod platform;
mod refusal;
pub mod source;
#[cfg(feature = "subscriptions")]
pub mod subscribe;
mod task;
mod token;

pub use crate::{
    backup::Volumes,
    client::{ADDRESS, Client},
    metrics::Metrics,
    platform::{Config, Platform},
    refusal::Refusal,
    task::NoTasks,
    token::{Token, TokenKind},
};
