//! Deploying from a source archive instead of an image or a repository.

use std::time::Duration;

use ultrai_deploy_core::{Context, Error, ErrorKind, Result};
use ultrai_deploy_http::api::{Call, Limits};

use super::Client;
use crate::{
    graphql::CLASS,
    model::{ServiceAt, Uploaded},
};

const PURPOSE: &str = "upload a source archive";
/// Longest time of one upload, its answer included: an archive of 1 GB at 15 Mbit/s.
const LONGEST: Duration = Duration::from_mins(10);

/// An upload takes as long as the line is slow.
pub(super) fn limits(limits: &Limits) -> Limits {
    let (timeout, deadline) = (limits.timeout.max(LONGEST), limits.deadline.max(LONGEST));
    Limits { timeout, deadline, ..limits.clone() }
}

impl Client {
    /// Has a service built from `archive`, a tar.gz, and deployed. `message` is shown beside the
    /// deployment and ends up in logs of others.
    ///
    /// # Errors
    /// As [`Client`] says; `Invalid` for an archive that is too large or that Railway cannot read.
    pub async fn upload(
        &self,
        cx: &Context,
        at: &ServiceAt,
        archive: Vec<u8>,
        message: &str,
    ) -> Result<Uploaded> {
        let length = archive.len();
        let segments =
            ["project", at.project.as_str(), "environment", at.environment.as_str(), "up"];
        let call = Call::post(PURPOSE, segments)
            .with_query("serviceId", at.service.as_str())
            .with_query("message", message)
            .with_body("application/gzip", archive)
            .with_class(CLASS)
            .accepting([200, 413]);
        let reply = self.root.send(cx, &call).await?;
        if reply.status() == 413 {
            let message = format!("an archive of {length} bytes is more than Railway takes");
            return Err(Error::new(ErrorKind::Invalid, PURPOSE, message)
                .with_advice("leave out what the build does not need, with .railwayignore")
                .without_effect());
        }
        reply.json()
    }
}
